"""PASCAL VOC 2012's segmentations: with all of its labels, or those of people and animals."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from blurpaper.data import folders, scenes
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.folders import FolderSet, MissingDataError
from blurpaper.data.images import ImageError, decoding
from blurpaper.data.sets import BACKGROUND, VOID, SegmentedSet
from blurpaper.runs.files import UserError, data_folder

_DRAWN = list(scenes.LABELS)
LABELS = (BACKGROUND, *_DRAWN[:10], "dining table", *_DRAWN[10:])
"""VOC's labels in the order of its indices; 255 is void."""

TASKS: dict[str, tuple[str, ...]] = {
    "voc2012": LABELS,
    "voc-animals": (BACKGROUND, "cat", "cow", "dog", "horse", "sheep", "person"),
}
"""Name of a set -> its labels, in the order of the networks' outputs; VOC's others are void there.
"""

COUNTS = {"voc2012": {"train": 1464, "test": 1449}, "voc-animals": {"train": 437, "test": 223}}
"""Name of a set -> split -> number of images of the whole set."""

LISTS = {"train": "train.txt", "test": "val.txt"}
"""Split -> VOC's list of its images."""

_DEVKIT = Path("VOCdevkit", "VOC2012")
_IMAGES, _MASKS, _LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"


@dataclass
class VocSet(FolderSet, SegmentedSet):
    """Photographs, of which ``root`` is the folder, and their masks in the folder beside it, whose
    pixels are VOC's indices.
    """

    def label_map(self, number: int) -> torch.Tensor:
        """The labels of one photograph's pixels: uint8 ``(H, W)``, the task's own, or
        :data:`~blurpaper.data.sets.VOID`.

        Raises:
            ImageError: if the mask is missing, damaged, in colour, of another size than its
                photograph, or holds an index that VOC does not have.
        """
        from PIL import Image

        photograph = self.root / self.ids[number]
        path = self.root.with_name(_MASKS) / f"{photograph.stem}.png"
        with decoding(photograph), Image.open(photograph) as opened:
            sideways = opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF: rows are columns
            size = opened.size if sideways else opened.size[::-1]
        with decoding(path), Image.open(path) as opened:
            if opened.mode not in ("P", "L"):
                raise ImageError(
                    f"{path} is no mask: it has neither a palette nor 8-bit grey levels."
                )
            indices = np.asarray(opened)
        if indices.shape != size:
            found, wanted = (f"{width} x {height}" for height, width in (indices.shape, size))
            raise ImageError(f"{path} has {found} pixels and its photograph {wanted}.")
        strange = indices[(indices >= len(LABELS)) & (indices != VOID)]
        if strange.size:
            raise ImageError(
                f"{path} holds the index {strange[0]}, and VOC's are 0 to {len(LABELS) - 1} and "
                f"{VOID}."
            )
        own = np.full(256, VOID, np.uint8)
        own[[LABELS.index(label) for label in self.classes]] = range(len(self.classes))
        return torch.from_numpy(own[indices])


def load_segmented(name: str, split: str) -> VocSet:
    """A set of :data:`TASKS`, in the order of VOC's list.

    Args:
        split: ``train``, or ``test``, which is VOC's validation set.

    Raises:
        UserError: for an unknown split.
        MissingDataError: if its folders or its list are not there, saying where they were looked
            for and how to get them, or if the list is unreadable.
        ImageError: if the list is empty or names an image twice, or an image or a mask of it is
            not there.
    """
    if place := absent(name, split):
        raise MissingDataError(CATALOGUE[name].lacks(place))
    folder, masks, listed = _places(name, split)
    stems = folders.listed(listed)
    if not stems:
        raise ImageError(f"{listed} names no image.")
    if repeated := [stem for stem, times in Counter(stems).items() if times > 1]:
        raise ImageError(f"{listed} names {repeated[0]} more than once.")
    photographs = [folder / f"{stem}.jpg" for stem in stems]
    files = [listed, *photographs, *(masks / f"{stem}.png" for stem in stems)]
    root = data_folder() / name
    content = folders.fingerprint(root, [path.relative_to(root).as_posix() for path in files])
    # Of the labels, too: the same files are another set with others.
    digest = hashlib.sha256("\0".join((*TASKS[name], content)).encode()).hexdigest()
    return VocSet(
        name=name,
        classes=TASKS[name],
        labels=np.full(len(stems), -1, np.int64),
        ids=[path.name for path in photographs],
        fingerprint=digest[:16],
        root=folder,
    )


def absent(name: str, split: str) -> Path | None:
    """The first of the folders and the list of a set that is not there; None if all are."""
    return next((place for place in _places(name, split) if not place.exists()), None)


def _places(name: str, split: str) -> tuple[Path, Path, Path]:
    """The folder of images, that of masks, and the list."""
    if split not in LISTS:
        raise UserError(f"{name} has {' and '.join(LISTS)} images. Got {split!r}.")
    devkit = data_folder() / name / _DEVKIT
    return devkit / _IMAGES, devkit / _MASKS, devkit / _LISTS / LISTS[split]
