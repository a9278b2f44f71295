"""Files: where they are, writing each whole or not at all, and hashes of their contents.

:class:`UserError`, the base of every error that a user can mend, stands here because most of them
are about files; and below it, what makes arguments of any library Python's.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator, KeysView, Mapping, Sequence, ValuesView
from contextlib import closing, contextmanager, suppress
from numbers import Integral
from pathlib import Path

from safetensors import SafetensorError

from blurpaper.runs.progress import progress


class UserError(ValueError):
    """Base of every error that a user can mend; the command line prints its message and exits 2.

    It is a ``ValueError`` so that a caller in Python may catch it as usual. Any other exception is
    a fault of the program and shows its traceback.
    """


# --- Arguments ------------------------------------------------------------------------------------


def number_of(value: object) -> float:
    """A number of Python, numpy or torch as a float; not-a-number for anything else.

    >>> number_of(2), number_of("2")
    (2.0, nan)
    """
    try:
        return math.nan if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError, ArithmeticError, RuntimeError):  # the last is torch's
        return math.nan


def numbers_of(values: object) -> list[float]:
    """Numbers in a sequence, an array or a tensor of any shape, or a single one, as floats."""
    import numpy as np

    found = values.detach().cpu().double() if hasattr(values, "detach") else values
    return [number_of(one) for one in np.ravel(found)]


def names_of(what: str, values: object) -> list[str]:
    """Names, or whole numbers as names, in a sequence, an array, a Series or an Index, as the keys
    of a mapping, or a single one; in one string they are separated by commas.

    Args:
        what: they are, for the message.

    Raises:
        UserError: if they are something else.

    >>> names_of("scales", 256), names_of("conditions", "sharp, D4")
    (['256'], ['sharp', 'D4'])
    >>> names_of("classes", {"cat": 0, "dog": 1})
    ['cat', 'dog']
    """
    import numpy as np

    in_order = (Mapping, KeysView, ValuesView, Iterator)
    listed = list(values) if isinstance(values, in_order) else values
    found = np.ravel(listed.split(",") if isinstance(listed, str) else listed)
    kinds = str if isinstance(values, Mapping) else (str, Integral)
    if not all(isinstance(one, kinds) for one in found):
        raise UserError(f"{what} must be a list of names. Got {values!r}.")
    return [str(one).strip() for one in found]


def text_of(name: str | Path) -> str:
    """The name of a file as text: bytes that are no UTF-8 become codes."""
    return str(name).encode(errors="backslashreplace").decode()


# --- Places ---------------------------------------------------------------------------------------

PACKAGE = Path(__file__).parents[1]
"""The folder of the library."""

CARRIED = PACKAGE / "checkout"
"""The part of a checkout that a wheel carries; in a checkout there is no such folder."""

HOME = CARRIED if CARRIED.is_dir() else PACKAGE.parent
"""The folder that holds ``notebooks/``, ``book/`` and ``results/``, ``_config.yml`` and
``_toc.yml``.
"""

RESULTS = HOME / "results"
"""Committed numbers of the published runs, and released weights."""

PROFILES = PACKAGE / "runs" / "profiles"
TEMPLATES = PACKAGE / "book" / "templates"


def data_folder() -> Path:
    """Where photographs and weights are looked for: ``$BLURPAPER_DATA``, else ``./data``."""
    return Path(os.environ.get("BLURPAPER_DATA") or "data")


def store_folder() -> Path:
    """Where artifacts are kept: ``$BLURPAPER_STORE``, else ``blurpaper`` in the user's cache folder
    (``$XDG_CACHE_HOME``, else ``~/.cache``).
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("BLURPAPER_STORE") or cache / "blurpaper")


# --- Writing --------------------------------------------------------------------------------------

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, a file larger than is allowed."""


class StoreError(UserError):
    """The store cannot be read or written, in one sentence."""


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name to write to, renamed to ``path`` when the block ends without an error;
    parent folders are made.

    Raises:
        StoreError: if it cannot be written (a full disk, a read-only folder).
    """
    temporary = _temporary(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if path.suffix == ".safetensors":
                _put_in_order(temporary)
            flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Check before long work that its result can be written; only parent folders are left behind.

    Raises:
        StoreError: if not.
    """
    with explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.suffix == ".safetensors" and text_of(path) != str(path):
            raise OSError(errno.EILSEQ, "such a file needs a name in UTF-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        _temporary(path).touch()
        _temporary(path).unlink()


def unwritten(path: object, error: OSError | SafetensorError) -> str:
    """A sentence on a file that cannot be written, with advice."""
    # safetensors reports a full disk as an error of its own.
    full = isinstance(error, SafetensorError) or error.errno in NO_SPACE
    advice = "free some space or name another place" if full else "name another place"
    return f"cannot write {path}: {getattr(error, 'strerror', None) or error}; {advice}."


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of a block that writes a file into a :class:`StoreError` that names the file."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise StoreError(unwritten(path, error)) from error


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.tmp{path.suffix}")


def _put_in_order(path: Path) -> None:
    """Sort the metadata in a safetensors header, which are written in random order, so that the
    same weights give the same file.
    """
    with path.open("rb+") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
            text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            if len(text) <= size:
                file.seek(8)
                file.write(text.ljust(size))


def flush(path: Path) -> None:
    """Force a file onto the disk, so that it survives a loss of power."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


# --- Contents -------------------------------------------------------------------------------------
# A set of photographs is named by a hash of all its files, and ImageNet is 140 GB. The hash of each
# file is kept in the store by path, size and time of change, as in git's index. A store that cannot
# be read or written only costs reading the files again.

_SETTLED = 2_000_000_000
"""Nanoseconds. A file that was changed just now may change again within one tick of its clock, so
its hash is not kept yet.
"""
_AT_A_TIME = 1000

_Seen = tuple[int, int, str]
"""Size in bytes, time of change in nanoseconds, hash of the content."""


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(folder: Path, names: Sequence[str]) -> Iterator[str | OSError]:
    """SHA-256 of each file below a folder, or the error with which opening it fails. Files whose
    size and time are unchanged are not read again.
    """
    from blurpaper.runs.threads import in_threads  # which loads torch

    folder = folder.absolute()
    found: dict[str, _Seen | OSError] = _known(folder)
    unread = [name for name in names if _stat(f"{folder}/{name}") != found.get(name, ())[:2]]
    with progress(f"reading {folder.name}", len(unread), "file") as tick:
        for start in range(0, len(unread), _AT_A_TIME):
            part = unread[start : start + _AT_A_TIME]
            read = dict(zip(part, in_threads(lambda name: _read(folder / name), part), strict=True))
            found |= read
            _keep(folder, read)
            tick(len(part))
    for name in names:
        seen = found[name]
        yield seen if isinstance(seen, OSError) else seen[2]


def _stat(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (a Path a file would take longer than the rest)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _read(path: Path) -> _Seen | OSError:
    try:
        about = path.stat()  # before the content: a file that changes meanwhile is read again
        return about.st_size, about.st_mtime_ns, sha256_of(path)
    except OSError as error:
        return error


def _known(folder: Path) -> dict[str, _Seen]:
    with suppress(OSError, sqlite3.Error), closing(_database()) as database:
        rows = database.execute(
            "SELECT name, size, changed, content FROM files WHERE folder = ?", (text_of(folder),)
        )
        return {name: (size, changed, content) for name, size, changed, content in rows}
    return {}


def _keep(folder: Path, read: dict[str, _Seen | OSError]) -> None:
    settled = time.time_ns() - _SETTLED
    rows = [
        (text_of(folder), text_of(name), *seen)
        for name, seen in read.items()
        if not isinstance(seen, OSError) and seen[1] < settled
    ]
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
            path.unlink()  # damaged: the next one starts empty
        raise
    return database
