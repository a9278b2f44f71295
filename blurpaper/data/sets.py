"""Sets of images: what one is to the rest of the library, with a label an image or a pixel; parts
of one, several as one, one kept in memory; and ImageNet's thousand classes.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import ClassVar

import numpy as np
import torch

from blurpaper.runs.files import UserError


@dataclass
class ImageSet(ABC):
    """Labelled images by number; subclasses say where the pixels come from.

    Attributes:
        name: of the set, such as ``emoji`` or ``nips2017-dev``.
        classes: names of the classes, in the order of the networks' outputs.
        labels: int64 ``(N,)``; -1 where the class is not known.
        ids: relative path of each image, which names it in random draws and in the results.
        fingerprint: changes whenever the images do.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    ids: Sequence[str]
    fingerprint: str
    reads_files: ClassVar[bool] = False
    """Whether an image is decoded from a file each time, which several threads do faster."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, number: int) -> torch.Tensor:
        """One image: uint8 ``(3, H, W)``, RGB."""

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        """Several images, each uint8 ``(3, H, W)``."""
        return [self[number] for number in numbers]


VOID = 255
"""The label of pixels that are never scored and never learnt from, as in PASCAL VOC."""

BACKGROUND = "background"
"""The name of label 0 in every set."""


class SegmentedSet(ImageSet):
    """Images with a map of labels each; ``classes`` are the labels' names, ``BACKGROUND`` first,
    and ``labels`` unused.
    """

    @abstractmethod
    def label_map(self, number: int) -> torch.Tensor:
        """The labels of one image's pixels: uint8 ``(H, W)`` of the image's own size, ``VOID``
        where there is none.
        """


# --- Parts, unions, and what stays in memory ------------------------------------------------------


class Subset(ImageSet):
    """The images of a set, ``whole``, that have these numbers, in that order."""

    def __init__(self, images: ImageSet, numbers: Sequence[int]) -> None:
        ids = [images.ids[number] for number in numbers]
        digest = hashlib.sha256("\n".join([images.fingerprint, *ids]).encode())
        super().__init__(
            images.name, images.classes, images.labels[list(numbers)], ids, digest.hexdigest()[:16]
        )
        self.whole, self._numbers = images, list(numbers)
        self.reads_files = images.reads_files

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.whole[self._numbers[number]]

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        return self.whole.batch([self._numbers[number] for number in numbers])


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


# --- ImageNet's classes ---------------------------------------------------------------------------


@lru_cache(maxsize=1)
def imagenet_wnids() -> tuple[str, ...]:
    """The thousand WordNet ids in ImageNet's order, which is alphabetical."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[str, ...]:
    """The thousand class names in ImageNet's order, the first synonym of each, made unique by its
    WordNet id.
    """
    from timm.data import ImageNetInfo

    short = [description.split(",")[0] for description in ImageNetInfo().label_descriptions()]
    return tuple(
        name if short.count(name) == 1 else f"{name} ({wnid})"
        for name, wnid in zip(short, imagenet_wnids(), strict=True)
    )
