"""The embedded scenes: several OpenMoji objects each, with a label at every pixel, the stand-in for
PASCAL VOC (Section 5).

A scene has one to four objects of nineteen of VOC's twenty classes (no drawing is a dining table)
and up to two distractors, each rotated, sheared, recoloured and lit as in
:mod:`blurpaper.data.emoji`, in front of the same backgrounds. Later ones hide earlier ones and the
frame cuts some. The labels are of the exact geometry, before lens and noise, which no annotator
could give; at most one pixel of an outline's width is void.

A scene depends on (seed, split, index, width, height) alone: its image within one grey level
whatever the machine, its labels but for stray pixels whose coverage is at a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from blurpaper.data import emoji
from blurpaper.data.emoji import DrawnSet, background, lay, photographed, placed
from blurpaper.data.sets import BACKGROUND, VOID, SegmentedSet
from blurpaper.runs import Run
from blurpaper.runs.profile import Scenes
from blurpaper.runs.progress import progress
from blurpaper.runs.randomness import stream
from blurpaper.runs.threads import in_threads

LABELS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("2708", "1F6E9"), "bicycle": ("1F6B2",), "bird": ("1F426", "1F986"),
    "boat": ("26F5", "1F6F6"), "bottle": ("1F37E", "1F9F4"), "bus": ("1F68C", "1F68E"),
    "car": ("1F697", "1F699"), "cat": ("1F408", "1F431"), "chair": ("1FA91", "1F4BA"),
    "cow": ("1F404", "1F42E"), "dog": ("1F415", "1F436"), "horse": ("1F40E", "1F434"),
    "motorbike": ("1F3CD", "1F6F5"), "person": ("1F9CD", "1F9D1"), "potted plant": ("1FAB4",),
    "sheep": ("1F411", "1F40F"), "sofa": ("1F6CB",), "train": ("1F682", "1F686"),
    "tv": ("1F4FA", "1F5A5"),
}  # fmt: skip
"""VOC's classes in its order, less the dining table, each with the code points of its drawings. The
first has label 1.
"""

_COUNTS = (0.15, 0.35, 0.35, 0.15)
"""Shares of the scenes that have one, two, three and four objects."""
_OBJECT = (0.4, 0.9)
"""Side of an object as a share of the scene's smaller side, uniform in its logarithm; a
distractor's is half as large.
"""
_WANDER = 0.4
"""How far an object's centre may lie from the scene's, as a share of each side."""
_SURE = 0.9
"""Pixels of which so much shows their own label are never void."""


def render(
    seed: int, split: str, index: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """One scene.

    Returns:
        Image, uint8 ``(height, width, 3)``, and labels, uint8 ``(height, width)``: 0 is background,
        ``i`` the i-th of :data:`LABELS`, 255 void.
    """
    draw = stream("scenes", seed, split, index)
    canvas = background(draw, height, width)
    labels, shown = np.zeros((height, width), np.uint8), np.ones((height, width), np.float32)
    for label, code, size in _things(draw, index, min(width, height)):
        layer = placed(draw, code, size, (_WANDER * width, _WANDER * height), (height, width))
        lay(canvas, layer)
        cover = layer[..., 3]
        on_top, below = cover >= 0.5, (1.0 - cover) * shown
        shown = np.where(labels == label, cover + below, np.where(on_top, cover, below))
        labels[on_top] = label
    labels[_void(labels, shown)] = VOID
    return photographed(canvas, draw), labels


def draw_split(settings: Scenes, split: str) -> dict[str, torch.Tensor]:
    """All scenes of a split, in turns landscape, ``(height, width)``, and portrait, ``(width,
    height)``.

    Returns:
        ``images``, uint8 ``(count, 3, height * width)``, and ``labels``, uint8 ``(count, height *
        width)``: pixels in rows, whatever the shape.
    """
    count, pixels = getattr(settings, split), settings.width * settings.height
    images = np.empty((count, 3, pixels), np.uint8)
    labels = np.empty((count, pixels), np.uint8)

    def make(index: int) -> None:
        down, across = _shape(index, settings)
        image, label_map = render(settings.seed, split, index, across, down)
        images[index] = image.reshape(-1, 3).T
        labels[index] = label_map.ravel()
        tick(1)

    with progress(f"drawing emoji-scenes/{split}", count, "scene") as tick:
        in_threads(make, range(count))
    return {"images": torch.from_numpy(images), "labels": torch.from_numpy(labels)}


def _shape(index: int, settings: Scenes) -> tuple[int, int]:
    """Height and width of a scene of a split."""
    height, width = settings.height, settings.width
    return (width, height) if index % 2 else (height, width)


def _things(draw: np.random.RandomState, index: int, side: int) -> Iterator[tuple[int, str, float]]:
    """The objects of a scene, hindmost first: label, code point and size in pixels of each.

    The classes take turns: one object is of class ``index % 19``, any others are of any class.
    """
    count = 1 + draw.choice(len(_COUNTS), p=_COUNTS)
    numbers = [index % len(LABELS), *draw.randint(len(LABELS), size=count - 1)]
    drawings = list(LABELS.values())
    things = [
        (int(number) + 1, drawings[number][draw.randint(len(drawings[number]))], 1.0)
        for number in numbers
    ]
    codes = [
        emoji.DISTRACTORS[draw.randint(len(emoji.DISTRACTORS))] for _ in range(draw.randint(0, 3))
    ]
    things += [(0, code, 0.5) for code in codes]
    for number in draw.permutation(len(things)):
        label, code, part = things[number]
        yield label, code, part * side * math.exp(draw.uniform(*map(math.log, _OBJECT)))


def _void(labels: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Where two labels meet, the pixel that is less sure of its own, if it is not sure: bool (H,
    W).

    Among hairs and spokes such pixels fill small areas; of these the inner ones keep their labels.

    Args:
        labels: uint8 (H, W).
        shown: how much of each pixel shows its own label: float32 (H, W) in [0, 1].
    """
    import cv2

    void = np.zeros(labels.shape, bool)
    for first, second in (((..., slice(-1)), (..., slice(1, None))), (slice(-1), slice(1, None))):
        differ, order = labels[first] != labels[second], np.sign(shown[first] - shown[second])
        void[first] |= differ & (order <= 0)
        void[second] |= differ & (order >= 0)
    void &= shown < _SURE
    return void & (cv2.erode(void.view(np.uint8), np.ones((3, 3), np.uint8)) == 0)


class SceneSet(DrawnSet, SegmentedSet):
    """The embedded scenes of a split."""

    def __init__(self, split: str, run: Run) -> None:
        self._settings = run.profile.segmentation.scenes
        labels = (BACKGROUND, *LABELS)
        super().__init__("emoji-scenes", labels, self._settings, split, draw_split, run.store)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.tensors["images"][number].view(3, *_shape(number, self._settings))

    def label_map(self, number: int) -> torch.Tensor:
        return self.tensors["labels"][number].view(_shape(number, self._settings))
