"""PASCAL VOC 2012's segmentations, read through torchvision's loader: all of its labels, or those
of people and animals.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from blurpaper.data import folders
from blurpaper.data.folders import MissingDataError
from blurpaper.data.images import ImageError, read_image
from blurpaper.data.sets import BACKGROUND, VOID, SegmentedSet
from blurpaper.runs.files import UserError, data_folder
from blurpaper.runs.threads import in_threads

if TYPE_CHECKING:
    from PIL import Image

LABELS = (
    BACKGROUND,
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv",
)
"""VOC's labels in the order of its indices; 255 is void."""

TASKS: dict[str, tuple[str, ...]] = {
    "voc2012": LABELS,
    "voc-animals": (BACKGROUND, "cat", "cow", "dog", "horse", "sheep", "person"),
}
"""Name of a set -> its labels, in the order of the networks' outputs. VOC's other labels are void
there.
"""

COUNTS = {"voc2012": {"train": 1464, "test": 1449}, "voc-animals": {"train": 437, "test": 223}}
"""Name of a set -> split -> how many images it has when it is whole."""

LISTS = {"train": "train.txt", "test": "val.txt"}
"""Split -> VOC's list of its images."""

_DEVKIT = Path("VOCdevkit", "VOC2012")
_IMAGES, _MASKS, _LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"

T = TypeVar("T")


@dataclass
class VocSet(SegmentedSet):
    """Photographs and their masks, decoded from files when they are asked for; made by
    :func:`load_segmented`.

    Attributes:
        images: file of each photograph.
        masks: file of each photograph's mask, whose pixels are VOC's indices.
    """

    reads_files = True
    images: Sequence[Path] = field(kw_only=True)
    masks: Sequence[Path] = field(kw_only=True)

    def __getitem__(self, number: int) -> torch.Tensor:
        return read_image(self.images[number])

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        return in_threads(self.__getitem__, numbers)

    def label_map(self, number: int) -> torch.Tensor:
        """The labels of one photograph's pixels: uint8 ``(H, W)``, the task's own, or
        :data:`~blurpaper.data.sets.VOID`.

        Raises:
            ImageError: if the mask is missing, damaged, in colour, of another size than its
                photograph, or holds an index that VOC does not have.
        """
        path = self.masks[number]
        indices, size = _read(path, _indices), _read(self.images[number], _size)
        if indices is None:
            raise ImageError(f"{path} is no mask: it has neither a palette nor 8-bit grey levels.")
        if indices.shape != size:
            found, wanted = (
                " x ".join(map(str, reversed(shape))) for shape in (indices.shape, size)
            )
            raise ImageError(f"{path} has {found} pixels and its photograph {wanted}.")
        strange = indices[(indices >= len(LABELS)) & (indices != VOID)]
        if strange.size:
            raise ImageError(
                f"{path} holds the index {strange[0]}, and VOC's are 0 to {len(LABELS) - 1} and "
                f"{VOID}."
            )
        return torch.from_numpy(_table(self.classes)[indices])


def load_segmented(name: str, split: str) -> VocSet:
    """A set of :data:`TASKS`, in the order of VOC's list.

    Args:
        split: ``train``, or ``test``, which is VOC's validation set.

    Raises:
        UserError: for an unknown name or split.
        MissingDataError: if its folders or its list are not there, saying where they were looked
            for and how to get them.
        ImageError: if the list is empty, unreadable or names something twice, or an image or a mask
            that it names is not there.
    """
    from torchvision.datasets import VOCSegmentation

    if not is_there(name, split):
        raise MissingDataError(how_to_get(name, split))
    *_, listed = _places(name, split)
    try:
        loader = VOCSegmentation(
            data_folder() / name, year="2012", image_set=listed.stem, download=False
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(
            f"cannot read {listed}, which says which images to use: {error}."
        ) from None
    # An empty line names nothing.
    named = [number for number, path in enumerate(loader.images) if Path(path).stem != ".jpg"]
    images, masks = (
        [Path(paths[number]) for number in named] for paths in (loader.images, loader.masks)
    )
    if not images:
        raise ImageError(f"{listed} names no image.")
    once, times = Counter(images).most_common(1)[0]
    if times > 1:
        raise ImageError(f"{listed} names {once.stem} {times} times.")
    for path in (*images, *masks):
        if not path.is_file():
            raise ImageError(f"no file at {path.absolute()}, which {listed.absolute()} names.")
    return VocSet(
        name=name,
        classes=TASKS[name],
        labels=np.full(len(images), -1, np.int64),
        ids=[path.name for path in images],
        fingerprint=_fingerprint(TASKS[name], data_folder() / name, (listed, *images, *masks)),
        images=images,
        masks=masks,
    )


def is_there(name: str, split: str) -> bool:
    """Whether the folders and the list of a set exist.

    Raises:
        UserError: for an unknown name or split.
    """
    images, masks, listed = _places(name, split)
    return images.is_dir() and masks.is_dir() and listed.is_file()


def how_to_get(name: str, split: str) -> str:
    """One sentence: where a set is looked for, what of it is not there, and how to get it.

    Raises:
        UserError: for an unknown name or split.
    """
    absent = [place for place in _places(name, split) if not place.exists()] or [
        _places(name, split)[0]
    ]
    return (
        f"{name} with its segmentations needs {absent[0].absolute()}, which is not there "
        "(BLURPAPER_DATA names the folder that "
        f"{name} is in): {folders.HOW_TO_GET[name]}."
    )


def _places(name: str, split: str) -> tuple[Path, Path, Path]:
    """The folder of images, that of masks, and the list."""
    if name not in TASKS:
        raise UserError(
            f"a set with VOC's segmentations is one of {', '.join(TASKS)}. Got {name!r}."
        )
    if split not in LISTS:
        raise UserError(f"{name} has {' and '.join(LISTS)} images. Got {split!r}.")
    devkit = data_folder() / name / _DEVKIT
    return devkit / _IMAGES, devkit / _MASKS, devkit / _LISTS / LISTS[split]


def _table(labels: Sequence[str]) -> np.ndarray:
    """Of each of VOC's indices the task's label: uint8 ``(256,)``."""
    table = np.full(256, VOID, np.uint8)
    table[[LABELS.index(label) for label in labels]] = range(len(labels))
    return table


def _fingerprint(labels: Sequence[str], root: Path, files: Sequence[Path]) -> str:
    """Of the labels, too: the same files are another set with others."""
    content = folders.fingerprint(root, [path.relative_to(root).as_posix() for path in files])
    return hashlib.sha256("\0".join((*labels, content)).encode()).hexdigest()[:16]


def _read(path: Path, what: Callable[[Image.Image], T]) -> T:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return what(opened)
    except FileNotFoundError:
        raise ImageError(f"no image file at {path}.") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not an image that can be read.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} is a damaged image: {error}.") from None


def _indices(mask: Image.Image) -> np.ndarray | None:
    """Pixels of a palette (its indices) or of grey levels: uint8 ``(H, W)``; None of any other
    image.
    """
    return np.asarray(mask) if mask.mode in ("P", "L") else None


def _size(image: Image.Image) -> tuple[int, int]:
    """Height and width once upright, from the head of the file."""
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)  # EXIF: rows are columns
    return image.size if turned else image.size[::-1]
