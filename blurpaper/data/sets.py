"""Sets of images with a label an image or a pixel: parts and unions of sets, one in memory; and
ImageNet's thousand classes.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch.utils.data import ConcatDataset

from blurpaper.runs.files import UserError
from blurpaper.runs.threads import in_threads


@dataclass
class ImageSet(ABC):
    """Labelled images by number; subclasses define where the pixels come from.

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
    """Whether an image is decoded from a file each time it is read."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, number: int) -> torch.Tensor:
        """One image: uint8 ``(3, H, W)``, RGB."""

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        """Several images, each uint8 ``(3, H, W)``; in threads where they are read from files."""
        if self.reads_files:
            return in_threads(self.__getitem__, numbers)
        return [self[number] for number in numbers]


VOID = 255
"""The label of pixels that are neither scored nor trained on, as in PASCAL VOC."""

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


# --- Parts, unions, and sets in memory ------------------------------------------------------------


class Subset(ImageSet):
    """The images of a set, ``whole``, that have these numbers, in that order, under its name if no
    other is given.
    """

    def __init__(self, images: ImageSet, numbers: Sequence[int], name: str = "") -> None:
        ids = [images.ids[number] for number in numbers]
        labels, fingerprint = images.labels[list(numbers)], _hash([images.fingerprint, *ids])
        super().__init__(name or images.name, images.classes, labels, ids, fingerprint)
        self.whole, self._numbers = images, list(numbers)
        self.reads_files = images.reads_files

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.whole[self._numbers[number]]


PARTS = {"training": 0.8, "validation": 0.2}
"""Parts of a training set, and the share of its images in each, for what is chosen on images that
no table reports.
"""


def part_of(images: ImageSet, part: str) -> Subset:
    """One of the :data:`PARTS` of a training set, or at most so many images of each class.

    Which images these are follows from the hashes of their ids alone, so that a file that is added
    or removed moves few others, and of two numbers the smaller one's images are among the larger
    one's.
    """
    hashes, name = [int(_hash([one]), 16) for one in images.ids], f"{images.name}:{part}"
    if part.isdecimal():
        order = np.argsort(hashes, kind="stable")
        kept = [order[images.labels[order] == label][: int(part)] for label in set(images.labels)]
        return Subset(images, sorted(np.concatenate(kept).tolist()), name)
    validation = [one < PARTS["validation"] * 16**16 for one in hashes]
    numbers = [n for n, held_out in enumerate(validation) if held_out == (part == "validation")]
    return Subset(images, numbers, name)


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
            fingerprint=_hash([part.fingerprint for part in parts]),
        )
        self.reads_files = any(part.reads_files for part in parts)
        self._parts = ConcatDataset(parts)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self._parts[number]


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()[:16]


def room() -> float:
    """Bytes that images may take in memory: 4 GB, or an eighth of the machine's memory if that is
    less.

    A share alone would not do: a job on a cluster may use less memory than the machine reports.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return 4e9
    return min(4e9, memory / 8)


class KeptSet(ImageSet):
    """The images of a set, each kept in memory once read, as long as there is room.

    Nothing is dropped for something newer: where all are read in turn, the least recently used is
    needed next.

    Args:
        room: bytes that they may take together.
    """

    def __init__(self, images: ImageSet, room: float) -> None:
        super().__init__(images.name, images.classes, images.labels, images.ids, images.fingerprint)
        self.whole, self.reads_files, self._room = images, images.reads_files, room
        self._kept: dict[int, torch.Tensor] = {}

    def __getitem__(self, number: int) -> torch.Tensor:
        if number in self._kept:
            return self._kept[number]
        image = self.whole[number]
        if image.numel() <= self._room:
            self._kept[number] = image
            self._room -= image.numel()
        return image

    def label_map(self, number: int) -> torch.Tensor:
        """The label map of the set itself, if it has any."""
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
