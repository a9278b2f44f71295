"""How long it takes to begin: importing the library, asking for help."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import side_by_side

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import blurpaper": [sys.executable, "-c", "import blurpaper"],
    "blurpaper --help": [sys.executable, "-m", "blurpaper", "--help"],
    "import blurpaper.blur": [sys.executable, "-c", "import blurpaper.blur"],
    "import torch, torchvision": [sys.executable, "-c", "import torch, torchvision.transforms.v2"],
}


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row for each command: seconds of a process from its start to its end."""
    works = {
        name: lambda command=command: subprocess.run(command, capture_output=True, check=True)
        for name, command in COMMANDS.items()
    }
    return [
        {"command": name, "seconds": spent}
        for name, spent in side_by_side(works, rounds=2 if quick else 9).items()
    ]
