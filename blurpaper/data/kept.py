"""Images that are decoded once for all the epochs of a training."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from blurpaper.data.sets import ImageSet

_MOST = 4e9
_SHARE = 8


def room() -> float:
    """Bytes that images may take in memory: 4 GB, or an eighth of the machine's memory if that is
    less.

    The memory alone would not do: a job on a cluster is granted a part of it that nobody tells.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return _MOST
    return min(_MOST, memory / _SHARE)


class KeptSet(ImageSet):
    """The images of a set, kept in memory from when they are first asked for, until there is no
    room for another.

    Nothing is dropped for something newer: where all are asked for in turn, what was not used for
    longest is needed next.

    Args:
        room: bytes that they may take together.
    """

    def __init__(self, images: ImageSet, room: float) -> None:
        super().__init__(images.name, images.classes, images.labels, images.ids, images.fingerprint)
        self.whole, self._room = images, room
        self._kept: dict[int, torch.Tensor] = {}

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.batch([number])[0]

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        missing = [number for number in dict.fromkeys(numbers) if number not in self._kept]
        found = dict(zip(missing, self.whole.batch(missing), strict=True)) if missing else {}
        for number, image in found.items():
            if image.numel() <= self._room:
                self._kept[number] = image
                self._room -= image.numel()
        return [found[number] if number in found else self._kept[number] for number in numbers]

    def label_map(self, number: int) -> torch.Tensor:
        """As the set has it, if it has label maps."""
        return self.whole.label_map(number)
