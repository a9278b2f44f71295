"""Photographs that come with scikit-image: two examples, with the ImageNet classes that are right,
and a set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from blurpaper.data.images import to_canonical, write_image
from blurpaper.data.sets import ImageSet, imagenet_names
from blurpaper.runs import CANONICAL
from blurpaper.runs.files import UserError


@dataclass(frozen=True)
class Example:
    """A photograph for figures.

    Attributes:
        what: for captions.
        answers: names of the ImageNet classes that are right.
        source: whom to thank.
    """

    name: str
    what: str
    answers: tuple[str, ...]
    source: str


EXAMPLES = (
    Example(
        "chelsea",
        "a cat",
        ("tabby", "tiger cat", "Egyptian cat"),
        "Stéfan van der Walt, CC0, from scikit-image",
    ),
    Example(
        "coffee",
        "a cup of coffee",
        ("espresso", "cup", "coffee mug"),
        "Rachel Michetti, CC0, from scikit-image",
    ),
)


SEGMENTED = (
    Example("chelsea", "a cat", ("cat",), EXAMPLES[0].source),
    Example("astronaut", "an astronaut", ("person",), "NASA, public domain, from scikit-image"),
)
"""Photographs for figures of segmentations; ``answers`` are VOC's labels."""


def photograph(example: Example) -> torch.Tensor:
    """The pixels of an example: uint8 ``(3, H, W)``.

    >>> photograph(EXAMPLES[0]).shape
    torch.Size([3, 300, 451])
    """
    return _carried(example.name)


def batch(canonical: int = CANONICAL) -> tuple[torch.Tensor, list[str]]:
    """The examples at the canonical scale, their left squares, as one batch: uint8
    ``(2, 3, canonical, canonical)``, and the class of each.

    >>> batch()[0].shape, batch()[1]
    (torch.Size([2, 3, 384, 384]), ['tabby', 'espresso'])
    """
    images = [to_canonical(photograph(one), canonical)[..., :canonical] for one in EXAMPLES]
    return torch.stack(images), [one.answers[0] for one in EXAMPLES]


def album(folder: Path, names: Iterable[str] = ()) -> Path:
    """Write photographs of scikit-image to a folder, as PNG without loss; returns the folder.

    Args:
        names: scikit-image's names, each after the subfolder that it goes to, if any;
            :data:`EXAMPLES` by default.
    """
    for name in names or [example.name for example in EXAMPLES]:
        write_image(_carried(name.rpartition("/")[2]), folder / f"{name}.png")
    return folder


TRAINING = ("astronaut", "brick", "camera", "coins", "grass", "gravel", "moon", "rocket")
"""Other photographs of scikit-image, some of them grey, to train on where there is nothing else."""


class CarriedSet(ImageSet):
    """The photographs of scikit-image, without labels: the examples for testing, the others for
    training.

    Raises:
        UserError: for another split than ``train`` and ``test``.

    >>> CarriedSet("test").ids
    ('chelsea', 'coffee')
    """

    def __init__(self, split: str) -> None:
        names = {"train": TRAINING, "test": tuple(example.name for example in EXAMPLES)}.get(split)
        if names is None:
            raise UserError(f"scikit-image has train and test images. Got {split!r}.")
        digest = hashlib.sha256()
        for name in names:
            shape, pixels = tuple(_carried(name).shape), _carried(name).numpy().tobytes()
            digest.update(f"{name} {shape}\n".encode() + pixels)
        labels = np.full(len(names), -1, np.int64)
        super().__init__("scikit-image", imagenet_names(), labels, names, digest.hexdigest()[:16])

    def __getitem__(self, number: int) -> torch.Tensor:
        return _carried(self.ids[number])


@lru_cache(maxsize=len(TRAINING) + len(EXAMPLES))
def _carried(name: str) -> torch.Tensor:
    from skimage import data

    pixels = getattr(data, name)()
    pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())
