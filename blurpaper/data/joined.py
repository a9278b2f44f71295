"""Several sets of images as one, for training that needs no labels."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

from blurpaper.data.sets import ImageSet
from blurpaper.runs.errors import UserError


class JoinedSet(ImageSet):
    """Sets one after the other; ids begin with the name of their set.

    Raises:
        UserError: if the sets do not have the same classes.
    """

    def __init__(self, parts: Sequence[ImageSet]) -> None:
        if len({part.classes for part in parts}) > 1:
            raise UserError(
                "sets can be joined if they have the same classes. Got "
                f"{', '.join(part.name for part in parts)}."
            )
        super().__init__(
            name="+".join(part.name for part in parts),
            classes=parts[0].classes,
            labels=np.concatenate([part.labels for part in parts]),
            ids=[f"{part.name}/{one}" for part in parts for one in part.ids],
            fingerprint=hashlib.sha256(
                "\n".join(part.fingerprint for part in parts).encode()
            ).hexdigest()[:16],
        )
        self._parts = list(parts)
        self._ends = list(accumulate(len(part) for part in parts))

    def __getitem__(self, number: int) -> torch.Tensor:
        part, own = self._place(number)
        return self._parts[part][own]

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        images: dict[int, torch.Tensor] = {}
        places = {number: self._place(number) for number in numbers}
        for part, images_of in enumerate(self._parts):
            members = [number for number in places if places[number][0] == part]
            images |= zip(
                members, images_of.batch([places[number][1] for number in members]), strict=True
            )
        return [images[number] for number in numbers]

    def _place(self, number: int) -> tuple[int, int]:
        """Which part an image is in, and its number there."""
        if not 0 <= number < len(self):
            raise IndexError(f"{self.name} has images 0 to {len(self) - 1}. Got {number}.")
        part = bisect_right(self._ends, number)
        return part, number - (self._ends[part - 1] if part else 0)
