"""What this installation has and lacks."""

from __future__ import annotations

import shutil
from pathlib import Path

from blurpaper import __version__


def examine() -> tuple[list[str], bool]:
    """Lines to print, and whether everything that the embedded default needs is there."""
    import torch

    from blurpaper.data import photos
    from blurpaper.devices import has_bfloat16
    from blurpaper.networks.weights import ORIGINALS, WeightsError
    from blurpaper.store import default_root, surroundings

    around = surroundings()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lines = [
        f"blurpaper {__version__}, commit {around['commit'][:12]}{' (changed)' if around['dirty'] else ''}",
        f"python {around['python']}, "
        + ", ".join(f"{name} {version}" for name, version in around["versions"].items()),
        f"device: {around['device']}; bfloat16 {'native' if has_bfloat16(device) else 'emulated, so float32 is used'}",
    ]
    healthy = True
    root = default_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(root).free / 2**30
        lines.append(
            f"store: {root}, {_size(root) / 2**30:.2f} GB used, {free:.0f} GB free on its disk"
        )
        if free < 2:
            lines.append(
                "  PROBLEM: the embedded default needs about 1 GB; free some space or set BLURPAPER_STORE."
            )
            healthy = False
    except OSError as error:
        lines.append(
            f"  PROBLEM: cannot use the store at {root} ({error.strerror}); set BLURPAPER_STORE."
        )
        healthy = False
    try:
        for model in ("efficientnet_lite0", "efficientnet_lite1"):
            ORIGINALS[model](224)
            lines.append(f"weights of {model}: installed")
    except WeightsError as error:
        lines.append(f"  PROBLEM: {error}")
        healthy = False
    lines.append(
        f"photographs, looked for in {photos.data_folder().absolute()} (none are needed by the default):"
    )
    for name, splits in photos.SETS.items():
        there = [split for split in splits if photos.is_there(name, split)]
        lines.append(f"  {name}: {', '.join(there) if there else 'not there'}")
    return lines, healthy


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
