"""What photographs lie in the data folder, and whether they are whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from blurpaper.data import listing
from blurpaper.data.fetching import wrong_checksum
from blurpaper.data.reading import ImageError, image_files, read_image
from blurpaper.data.sources import ARCHIVES, SOURCES, named
from blurpaper.folders import data_folder
from blurpaper.progress import progress


def overview() -> list[str]:
    """Lines on every known set: what it is, its licence, whether it is there and how to get it.

    >>> [line.strip() for line in overview() if "fetch bsds500" in line]
    ['how to get it: blurpaper data fetch bsds500 (71 MB)']
    """
    root = data_folder().absolute()
    lines = [f"photographs, looked for in {root}:"]
    for source in SOURCES.values():
        there = source.there(root)
        lines += ["", f"{source.name}: {source.what}"]
        for split, place in source.folders.items():
            state = "there" if split in there else "not there"
            lines.append(
                f"  {split}: {state}, {root / place} ({source.counts[split]:,} images when whole)"
            )
        size = f" ({source.archive.size})" if source.archive else ""
        lines.append(
            f"  how to get it: {source.by_hand or f'blurpaper data fetch {source.name}'}{size}"
        )
        lines.append(f"  licence: {source.licence}")
    return lines


def found() -> list[str]:
    """Names of the sets of which something is there.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", BLURPAPER_DATA=tempfile.mkdtemp()):
    ...     (data_folder() / "imagenette" / "val").mkdir(parents=True)
    ...     found()
    ['imagenette']
    """
    return [name for name, source in SOURCES.items() if source.there(data_folder())]


def verify(name: str) -> list[str]:
    """One sentence for each thing that is wrong with a set: a split or images missing, a file that
    cannot be read, a bad archive.

    Raises:
        UserError: for an unknown name.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", BLURPAPER_DATA=tempfile.mkdtemp()):
    ...     problems = verify("imagenette")
    >>> [problem.partition(" at ")[0] for problem in problems]
    ['imagenette has no train images', 'imagenette has no test images']
    """
    source, root = named(name), data_folder().absolute()
    problems = []
    for split, place in source.folders.items():
        folder = root / place
        if not folder.is_dir():
            problems.append(f"{name} has no {split} images at {folder}: it is {source.how_to_get}.")
            continue
        files = list(image_files(folder))
        expected = source.counts[split] - (listing.left_out(root / name) if source.listing else 0)
        if len(files) != expected:
            problems.append(
                f"{folder} holds {len(files):,} images, expected {expected:,}: move it away and fetch {name} again."
            )
        with (
            progress(f"verifying {name}/{split}", len(files), "image") as tick,
            ThreadPoolExecutor(2) as pool,
        ):
            for problem in pool.map(_unreadable, files):
                problems += [problem] if problem else []
                tick(1)
    if source.archive and (archive := root / ARCHIVES / source.archive.file).is_file():
        try:
            wrong = wrong_checksum(source.archive, archive)
        except OSError as error:
            wrong = f"cannot read {archive}: {error.strerror}"
        problems += [f"{wrong}."] if wrong else []
    return problems


def _unreadable(path: Path) -> str:
    try:
        read_image(path)
    except ImageError as error:
        return str(error)
    return ""
