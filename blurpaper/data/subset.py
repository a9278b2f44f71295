"""Some of the images of a set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from blurpaper.data.sets import ImageSet


class Subset(ImageSet):
    """The images of a set, ``whole``, that have these numbers, in that order."""

    def __init__(self, images: ImageSet, numbers: Sequence[int]) -> None:
        ids = [images.ids[number] for number in numbers]
        digest = hashlib.sha256("\n".join([images.fingerprint, *ids]).encode())
        super().__init__(
            images.name, images.classes, images.labels[list(numbers)], ids, digest.hexdigest()[:16]
        )
        self.whole, self._numbers = images, list(numbers)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.whole[self._numbers[number]]

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        return self.whole.batch([self._numbers[number] for number in numbers])
