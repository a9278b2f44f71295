"""Small stand-ins that several tests build from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from blurpaper.data.images import Shard, scenes_of
from blurpaper.data.sets import ImageSet, SegmentedSet
from blurpaper.deblurring.observation import mirrored
from blurpaper.runs.profile import Profile
from blurpaper.segmentation import protocol
from blurpaper.segmentation.zoomout import ZoomOut

TINY = {
    "emoji.classes": 4,
    "emoji.train": 64,
    "emoji.test": 12,
    "pretraining.phases": [{"epochs": 1, "rate": 0.02}],
    "pretraining.batch": 32,
    "finetuning.phases": [{"epochs": 1, "rate": 0.02}],
    "finetuning.batch": 32,
    "evaluation.bootstrap": 50,
}
"""Overrides of the smoke profile that leave next to nothing of it."""


def album(folder: Path, side: int = 80, grain: int = 1) -> Path:
    """A folder of four photographs of a cat and four of a dog, ``side`` pixels high and somewhat
    wider, of random grain.
    """
    random = np.random.RandomState(0)
    wide = side * 9 // 8
    for number in range(8):
        path = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.randint(0, 256, (side // grain, wide // grain, 3), np.uint8)
        Image.fromarray(pixels).resize((wide, side), Image.Resampling.BICUBIC).save(path)
    return folder


class MemorySet(ImageSet):
    """Images given as tensors of any shapes."""

    def __init__(
        self, images: list[torch.Tensor], labels: list[int], classes: tuple[str, ...]
    ) -> None:
        ids = [f"test/{number}" for number in range(len(images))]
        super().__init__("memory", classes, np.array(labels, np.int64), ids, "memory")
        self.images = images

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.images[number]


class LabelledScenes(SegmentedSet):
    """Images and label maps given as tensors of any shapes."""

    def __init__(
        self, images: list[torch.Tensor], label_maps: list[torch.Tensor], classes: tuple[str, ...]
    ) -> None:
        ids = [f"train/{number}" for number in range(len(images))]
        super().__init__("scenes", classes, np.full(len(images), -1), ids, "scenes")
        self.images, self.label_maps = images, label_maps

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.images[number]

    def label_map(self, number: int) -> torch.Tensor:
        return self.label_maps[number]


def write_voc(
    root: Path, sizes: tuple[tuple[int, int], ...], labels: tuple[int, ...], each: int
) -> None:
    """A stand-in for VOC 2012 in its true layout below a folder: scenes of two halves, the right
    one with a label, void between.

    Args:
        sizes: columns and rows of the scenes, in turns.
        labels: VOC's indices of the right halves, in turns; the left halves are background.
        each: how many scenes to train on, and as many to test on.
    """
    random = np.random.RandomState(0)
    devkit = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (devkit / folder).mkdir(parents=True)
    for split in ("train", "val"):
        names = [f"2007_{split}_{number}" for number in range(each)]
        for number, name in enumerate(names):
            width, height = sizes[number % len(sizes)]
            mask = np.zeros((height, width), np.uint8)
            mask[:, width // 2 :] = labels[number % len(labels)]
            picture = np.clip(
                60 + 10 * mask[..., None].astype(int) + random.randint(0, 40, (height, width, 3)),
                0,
                255,
            )
            mask[:, width // 2] = 255
            Image.fromarray(picture.astype(np.uint8)).save(
                devkit / "JPEGImages" / f"{name}.jpg", quality=95
            )
            image = Image.fromarray(mask)
            image.putpalette(random.randint(0, 256, 768).astype(np.uint8).tobytes())
            image.save(devkit / "SegmentationClass" / f"{name}.png")
        (devkit / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")


def blur_matrix(kernel: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The blur as a matrix, column by column, by scipy."""
    units = np.eye(shape[0] * shape[1]).reshape(-1, *shape)
    return np.stack(
        [ndimage.convolve(unit, kernel.astype(float), mode="mirror").ravel() for unit in units],
        axis=1,
    )


def torus_weights(shape: tuple[int, int]) -> np.ndarray:
    """How often each pixel lies on the torus: the border once where the rest lies twice."""
    counts = [
        np.bincount(mirrored(side, 0, max(2 * (side - 1), 1)).numpy(), minlength=side)
        for side in shape
    ]
    return np.outer(*counts).ravel().astype(float)


def scored(
    segmenter: ZoomOut,
    images: SegmentedSet,
    numbers: Sequence[int],
    condition: str,
    profile: Profile,
    tick: Callable[[int], object] = lambda done: None,
) -> dict[str, torch.Tensor]:
    """Confusions of a network in memory on some scenes."""
    reference = SimpleNamespace(loaded=segmenter)
    shard = Shard(lambda some: scenes_of(images, some, profile.protocol))
    return protocol.scored(reference, images, shard, profile, tick, numbers, condition)
