"""A store of bounded size, for what can be made again: what was not used for longest goes first.

It lies in ``cache/`` below another store and is locked as that is, so that several runs can share
it. A file that goes while another process has it mapped stays readable there until that process
lets go of it.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from blurpaper.store import Recipe, Store, StoreError

T = TypeVar("T")

_STAMP = 1 << 14
"""Bytes that a stamp may take."""


class Cache(Store):
    """Artifacts below a store that are dropped when they would take more than so many bytes
    together, a bound for each kind.

    What it gives is not counted among what the store has given: no result depends on whether it was
    found or made.

    >>> import tempfile
    >>> import torch
    >>> from blurpaper.store import TENSORS
    >>> def make():
    ...     print("made")
    ...     return {"grey": torch.full((4,), 128)}
    >>> cache = Cache(Store(tempfile.mkdtemp()), limit=100_000)
    >>> recipe = Recipe("pictures", "grey", {"level": 128}, ["blurpaper.randomness"], TENSORS)
    >>> first, again = (cache.found(recipe, make, size=lambda value: 300) for _ in range(2))
    made
    >>> again["grey"]
    tensor([128, 128, 128, 128])
    """

    def __init__(self, store: Store, limit: int) -> None:
        super().__init__(store.root / "cache")
        self.limit = limit

    def found(self, recipe: Recipe[T], make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The artifact if it is there, else made, and kept if there is room for it.

        Args:
            size: bytes that a value takes as a file, or more.
        """
        folder = self.path(recipe)
        with ExitStack() as held:
            try:
                held.enter_context(self._lock(folder))  # nobody drops it while it is opened
            except StoreError as error:
                _tell(error)
                return make()
            if (value := self._load(recipe, folder)) is not None:
                _touch(folder)
                return value
            started = time.monotonic()
            value = make()
            seconds = time.monotonic() - started
            try:
                with self._room(folder.parent, size(value) + _STAMP) as enough:
                    if enough:
                        self._keep(recipe, folder, value, seconds)
                        _touch(folder)
                        value = recipe.codec.load(
                            folder / f"data{recipe.codec.suffix}"
                        )  # mapped, not held
            except StoreError as error:
                _tell(error)
            return value

    @contextmanager
    def _room(self, kind: Path, needed: int) -> Iterator[bool]:
        """Drop artifacts until so many bytes fit, and keep other writers out meanwhile; whether
        they fit.
        """
        if needed > self.limit:
            yield False
            return
        with self._lock(kind / "room"):
            for rest in kind.glob("*.tmp"):  # of a run that was killed: nobody else writes now
                shutil.rmtree(rest, ignore_errors=True)
            sizes = {folder: size for _, folder, size in sorted(_kept(kind))}
            # What was computed matters more: half of the space that is left on the disk is for
            # that.
            allowed = min(self.limit, sum(sizes.values()) + shutil.disk_usage(kind).free // 2)
            for folder in list(sizes):
                if sum(sizes.values()) + needed > allowed and self._drop(folder):
                    del sizes[folder]
            yield sum(sizes.values()) + needed <= allowed

    def _drop(self, folder: Path) -> bool:
        """Remove an artifact, unless another run is about to open it or has it open where that
        forbids it.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(folder.with_name(folder.name + ".lock"), timeout=0):
                gone = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
                folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)
        except (Timeout, OSError):
            return False
        return True


def _tell(error: StoreError) -> None:
    warnings.warn(f"what was made is not kept for the next time: {error}", stacklevel=3)


def _touch(folder: Path) -> None:
    now = time.time_ns()
    with suppress(OSError):
        os.utime(folder / "stamp.json", ns=(now, now))


def _kept(kind: Path) -> Iterator[tuple[int, Path, int]]:
    """Of every artifact of a kind, when it was last used, its folder and its bytes."""
    for stamp in kind.glob("*/stamp.json"):
        with suppress(FileNotFoundError):  # found damaged by another run, and removed
            yield (
                stamp.stat().st_mtime_ns,
                stamp.parent,
                sum(path.stat().st_size for path in stamp.parent.iterdir()),
            )
