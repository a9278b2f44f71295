"""Files: where they are, and writing each so that it is whole or not there.

:class:`UserError`, the base of every error that a user can mend, stands here because files are what
most of them are about.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """Base of every error that a user can mend; the command line prints its message and exits 2.

    It is a ``ValueError`` so that a caller in Python may catch it as usual. Any other exception is a
    fault of the program and shows its traceback.
    """


# --- Places ---------------------------------------------------------------------------------------

PACKAGE = Path(__file__).parents[1]
"""The folder of the library."""

CARRIED = PACKAGE / "checkout"
"""In a wheel, what it carries of a checkout; in a checkout there is no such folder."""

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

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, a file larger than is allowed."""


class StoreError(UserError):
    """The store cannot be read or written, in one sentence."""


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes ``path`` at once when the block ends well;
    parents are made.

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
    """See before the work that its outcome can be written; nothing but the parents is left behind.

    Raises:
        StoreError: if not.
    """
    with explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        _temporary(path).touch()
        _temporary(path).unlink()


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    return (
        "free some space or name another place"
        if error.errno in _NO_SPACE
        else "name another place"
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """A block that writes a file: what prevents it comes out as a :class:`StoreError` that names
    the file.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}; {remedy(error)}."
        ) from error
    except Exception as error:
        # safetensors reports a full disk as an error of its own.
        if type(error).__name__ != "SafetensorError":
            raise
        raise StoreError(
            f"cannot write {path}: {error}; free some space or name another place."
        ) from error


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.tmp{path.suffix}")


def _put_in_order(path: Path) -> None:
    """Sort what a safetensors header says of its file, which is written in random order: the same
    weights are the same file.
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
    """See that what was written to a file is on the disk, so that it outlives a machine that loses
    its power.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
