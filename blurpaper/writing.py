"""Writing files so that each is whole or not there, and telling what prevents it in a sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blurpaper.errors import UserError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a full quota, a file larger than is allowed."""


class StoreError(UserError):
    """The store cannot be read or written, in one sentence.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> path.touch()
    >>> try:
    ...     with written(path / "another.txt") as temporary:
    ...         _ = temporary.write_text("below a file")
    ... except StoreError as error:
    ...     print(str(error).rpartition("; ")[2])
    name another place.
    """


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary name to write to, which becomes ``path`` at once when the block ends well;
    parents are made.

    Raises:
        StoreError: if it cannot be written (a full disk, a read-only folder).

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new" / "note.txt"
    >>> with written(path) as temporary:
    ...     _ = temporary.write_text("whole, or not there")
    >>> path.read_text()
    'whole, or not there'
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

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new" / "network.safetensors"
    >>> check_writable(path)
    >>> list(path.parent.iterdir())
    []
    """
    with explained(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        _temporary(path).touch()
        _temporary(path).unlink()


def remedy(error: OSError) -> str:
    """What to do about a file that cannot be written.

    >>> remedy(PermissionError(errno.EACCES, "Permission denied")), remedy(OSError(errno.ENOSPC, "No space left on device"))
    ('name another place', 'free some space or name another place')
    """
    return (
        "free some space or name another place"
        if error.errno in _NO_SPACE
        else "name another place"
    )


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """A block that writes a file: what prevents it comes out as a :class:`StoreError` that names
    the file.

    >>> with explained(Path("mix.safetensors")):
    ...     raise OSError(errno.ENOSPC, "No space left on device")
    Traceback (most recent call last):
    blurpaper.writing.StoreError: cannot write mix.safetensors: No space left on device; free some space or name another place.
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

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "note.txt"
    >>> path.write_text("kept")
    4
    >>> flush(path)
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())
