"""Images of a set at the canonical scale: each decoded once for all conditions, and one part of the
set in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from blurpaper.data import resizing
from blurpaper.data.resizing import Scene
from blurpaper.data.sets import ImageSet
from blurpaper.runs.devices import in_threads
from blurpaper.runs.profile import Protocol

T = TypeVar("T")


def images_of(images: ImageSet, numbers: Sequence[int], protocol: Protocol) -> list[torch.Tensor]:
    """Some images of a set whose smaller side is the canonical one: uint8 ``(3, H, W)`` each."""
    return _made(
        images, numbers, lambda number: resizing.to_canonical(images[number], protocol.canonical)
    )


def scenes_of(images: ImageSet, numbers: Sequence[int], protocol: Protocol) -> list[Scene]:
    """Some scenes of a set the geometric mean of whose sides is the canonical one."""
    return _made(
        images, numbers, lambda number: resizing.to_scene(images[number], protocol.canonical)
    )


class Shard(Generic[T]):
    """The part of a set that is looked at: it stays in memory for all conditions, and is let go
    before the next is made.

    Args:
        make: gives the part that has these numbers.
    """

    def __init__(self, make: Callable[[range], list[T]]) -> None:
        self._make, self._numbers, self._part = make, range(0), list[T]()

    def __call__(self, numbers: range) -> list[T]:
        """The part that has these numbers."""
        if numbers != self._numbers:
            self._part, self._numbers = [], range(0)
            self._part, self._numbers = self._make(numbers), numbers
        return self._part


def _made(images: ImageSet, numbers: Sequence[int], make: Callable[[int], T]) -> list[T]:
    """What is made of each image, by several threads where an image is decoded from a file."""
    return in_threads(make, numbers) if images.reads_files else list(map(make, numbers))
