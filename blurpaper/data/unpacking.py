"""Archives to folders: tar and zip, every file to the place that its set gives it."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO

from blurpaper.data.fetching import BLOCK, FetchError
from blurpaper.data.sources import Source
from blurpaper.progress import progress


def unpack(archive: Path, folder: Path, source: Source) -> None:
    """Write the files of an archive to the places that their set gives them, below a folder.

    Only plain files are written, with no rights or owners of the archive's: a link in it leads
    nowhere.

    Raises:
        FetchError: if the archive is damaged, holds nothing of the set, or names a file outside its
            own folder.
    """
    try:
        with progress(f"unpacking {archive.name}", unit="file") as tick:
            for name, opened in _members(archive):
                if place := _place(name, archive, source):
                    path = folder / place
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with opened() as incoming, path.open("wb") as file:
                        shutil.copyfileobj(incoming, file, BLOCK)
                    tick(1)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise FetchError(f"{archive} is damaged ({error}): remove it and fetch again.") from None
    places = [place.removeprefix(f"{source.name}/") for place in source.folders.values()]
    if lacking := [place for place in places if not (folder / place).is_dir()]:
        raise FetchError(
            f"{archive} holds nothing of {source.name} for {', '.join(lacking)}: remove it and fetch again."
        )


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]]]]:
    """The plain files of an archive: name, and how to open it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield from (
                (one.filename, partial(opened.open, one))
                for one in opened.infolist()
                if not one.is_dir()
            )
    else:
        with tarfile.open(archive) as opened:
            yield from (
                (one.name, partial(opened.extractfile, one)) for one in opened if one.isfile()
            )


def _place(name: str, archive: Path, source: Source) -> str | None:
    """Where a file of the archive goes, below the set's folder; nowhere if it is none of the set's."""
    path = PureWindowsPath(name)  # knows both kinds of slashes, and drives
    if path.drive or path.root or ".." in path.parts:
        raise FetchError(
            f"{archive} is refused: it names {name!r}, outside its own folder; remove it."
        )
    return next(
        (
            match.expand(place)
            for pattern, place in source.layout
            if (match := re.fullmatch(pattern, name))
        ),
        None,
    )
