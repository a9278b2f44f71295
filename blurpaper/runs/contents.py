"""Hashes of files, without reading again those whose size and time are as they were.

A photograph set is named by a hash of all its files, and ImageNet is 140 GB. What each file held is
remembered in the store, by its path, size and time of change, as git's index does.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from blurpaper.runs.files import store_folder
from blurpaper.runs.progress import progress
from blurpaper.runs.threads import in_threads

_SETTLED = 2_000_000_000
"""Nanoseconds. A file that was changed just now may change again within one tick of its clock: it
is not remembered yet.
"""
_AT_A_TIME = 1000

_Seen = tuple[int, int, str]
"""Size in bytes, time of change in nanoseconds, hash of the content."""


def hashes(folder: Path, names: Sequence[str]) -> Iterator[str | OSError]:
    """SHA-256 of each file below a folder, or what prevents it from being opened."""
    folder = folder.absolute()
    known = _remembered(folder)
    stats = [_stat(f"{folder}/{name}") for name in names]
    unread = [
        name
        for name, stat in zip(names, stats, strict=True)
        if not isinstance(stat, OSError) and known.get(name, ())[:2] != stat
    ]
    failed: dict[str, OSError] = {}
    with progress(f"reading {folder.name}", len(unread), "file") as tick:
        for start in range(0, len(unread), _AT_A_TIME):
            part = unread[start : start + _AT_A_TIME]
            read = dict(zip(part, in_threads(lambda name: _read(folder / name), part), strict=True))
            failed |= {name: one for name, one in read.items() if isinstance(one, OSError)}
            read = {name: one for name, one in read.items() if not isinstance(one, OSError)}
            known |= read
            _remember(folder, read)
            tick(len(part))
    for name, stat in zip(names, stats, strict=True):
        error = stat if isinstance(stat, OSError) else failed.get(name)
        yield error or known[name][2]


def _stat(path: str) -> tuple[int, int] | OSError:
    try:
        found = os.stat(path)  # noqa: PTH116 (a Path a file would take longer than the rest)
    except OSError as error:
        return error
    return found.st_size, found.st_mtime_ns


def _read(path: Path) -> _Seen | OSError:
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            content = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return error
    return about.st_size, about.st_mtime_ns, content


# --- In the store ---------------------------------------------------------------------------------
# A store that cannot be read or written only costs reading the files again.


def _remembered(folder: Path) -> dict[str, _Seen]:
    with suppress(OSError, sqlite3.Error), closing(_database()) as database:
        rows = database.execute(
            "SELECT name, size, changed, content FROM files WHERE folder = ?", (str(folder),)
        )
        return {name: (size, changed, content) for name, size, changed, content in rows}
    return {}


def _remember(folder: Path, read: dict[str, _Seen]) -> None:
    settled = time.time_ns() - _SETTLED
    rows = [(str(folder), name, *seen) for name, seen in read.items() if seen[1] < settled]
    with suppress(OSError, sqlite3.Error), closing(_database()) as database, database:
        database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)


def _database() -> sqlite3.Connection:
    path = store_folder() / "files.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, timeout=60)
    try:
        database.execute(
            "CREATE TABLE IF NOT EXISTS files (folder TEXT, name TEXT, size INTEGER, "
            "changed INTEGER, content TEXT, PRIMARY KEY (folder, name)) WITHOUT ROWID"
        )
    except sqlite3.DatabaseError as error:
        database.close()
        if "not a database" in str(error) or "malformed" in str(error):
            path.unlink()  # damaged: it is begun anew
        raise
    return database
