"""Training batches of segmentation: crops of scenes, made as the paper makes training images, with
labels at some pixels (Section 5).

A scene is brought to a pre-blur scale drawn around 384, here the geometric mean of its sides, and
blurred with a kernel drawn from the mix (or not at all). Its label map is resized likewise but
never blurred. A crop is cut from both; of its labelled pixels some are drawn. All draws of a scene
come from a hash of (seed, set, scene, epoch), as those of :mod:`blurpaper.training.batches`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from blurpaper import blur, kernels
from blurpaper.data.images import resized_8bit, scene_shape
from blurpaper.data.sets import VOID
from blurpaper.kernels import CANONICAL
from blurpaper.runs.profile import Protocol
from blurpaper.runs.randomness import stream, uniforms
from blurpaper.runs.threads import in_threads
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training.batches import Task, cropped
from blurpaper.training.objectives import Objective

NOT_LABELLED = -1
"""Stands for the label of a point in a crop without any labelled pixel."""


@dataclass(frozen=True)
class PixelBatch:
    """Crops of scenes and labelled pixels in them.

    Attributes:
        seen: blurred by the mix, in grey levels, float32 ``(B, 3, side, side)``.
        points: x and y of pixels, int64 ``(B, P, 2)``.
        labels: their labels, int64 ``(B, P)``; :data:`NOT_LABELLED` where a crop has none.
    """

    seen: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor


def make_batch(
    task: Task,
    numbers: Sequence[int],
    epoch: int,
    settings: Protocol,
    flip: bool,
    device: torch.device,
    side: int,
    points: int,
) -> PixelBatch:
    """The batch of some scenes in an epoch: crops of ``side`` pixels, and ``points`` in each."""
    scale = settings.canonical / CANONICAL
    images = task.images.batch(numbers)

    def made(place: int) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
        number, name, item = numbers[place], task.images.name, task.images.ids[numbers[place]]
        draw = uniforms(task.seed, "augmentation", name, item, epoch)
        mean_side = settings.jitter[int(draw[0] * len(settings.jitter))] * scale
        shape = scene_shape(images[place].shape, mean_side)
        clear = resized_8bit(images[place][None].to(device), shape)
        seen = blur.apply(clear, [kernels.draw(task.mix, draw[1], draw[2], scale)])[0]
        labels = _resized_labels(task.images.label_map(number), shape)
        seen, labels = _cropped(seen, labels, side, draw, flip)
        return seen.float(), *_drawn(labels.numpy(), points, (task.seed, name, item, epoch))

    each = in_threads if device.type == "cpu" else map
    seen, places, labels = zip(*each(made, range(len(numbers))), strict=True)
    drawn = (torch.from_numpy(np.stack(one)).to(device) for one in (places, labels))
    return PixelBatch(torch.stack(seen), *drawn)


def _resized_labels(labels: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(labels[None, None], shape, mode="nearest-exact")[0, 0]


def _cropped(
    seen: torch.Tensor, labels: torch.Tensor, side: int, draw: Sequence[float], flip: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """A square of both; a smaller image is padded at its right and bottom with its last pixels, its
    label map with void.
    """
    missing = [max(0, side - one) for one in labels.shape]
    if any(missing):
        down, right = missing
        seen = functional.pad(seen.float(), (0, right, 0, down), mode="replicate").to(seen.dtype)
        labels = functional.pad(labels, (0, right, 0, down), value=VOID)
    return cropped(seen, side, draw, flip), cropped(labels, side, draw, flip)


def _drawn(
    labels: np.ndarray, count: int, named: tuple[object, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Places ``(P, 2)`` and labels ``(P,)`` of pixels drawn from those labelled.

    Every other one is drawn from all of them; the rest are shared equally among the labels present,
    as small objects count as much as large ones in the mean over labels (Mostajabi et al. weight
    their loss to that end).
    """
    known = np.flatnonzero(labels.ravel() != VOID)
    if not len(known):
        return np.zeros((count, 2), np.int64), np.full(count, NOT_LABELLED, np.int64)
    draw, flat = stream("points", *named), labels.ravel()
    chosen = known[draw.randint(0, len(known), count)]
    present = np.unique(flat[known])
    turns = draw.randint(0, len(present), count // 2)
    for number, label in enumerate(present):
        of_label, mine = known[flat[known] == label], 1 + 2 * np.flatnonzero(turns == number)
        chosen[mine] = of_label[draw.randint(0, len(of_label), len(mine))]
    rows, columns = np.divmod(chosen, labels.shape[1])
    return np.stack([columns, rows], axis=1), flat[chosen].astype(np.int64)


class PerPixel(Objective):
    """Cross-entropy of the drawn pixels with their labels (Sec. 5).

    Args:
        network: to be trained, its backbone with it.
        side: of the crops, in pixels.
        points: labelled pixels of each crop in the loss.
        lr_scale: learning rate of the perceptron relative to that of the backbone, which is trained
            already.
    """

    def __init__(self, network: ZoomOut, side: int, points: int, lr_scale: float = 1.0) -> None:
        super().__init__()
        self.network, self.lr_scale = network, lr_scale
        self.batch = partial(make_batch, side=side, points=points)

    def groups(self) -> list[dict[str, Any]]:
        below, named = list(self.network.backbone.parameters()), self.network.named_parameters()
        above = [parameter for name, parameter in named if not name.startswith("backbone.")]
        return [{"params": below, "lr_scale": 1.0}, {"params": above, "lr_scale": self.lr_scale}]

    def forward(self, batch: PixelBatch) -> torch.Tensor:
        logits = self.network(batch.seen, batch.points).float()
        labels = batch.labels.flatten()
        whole = functional.cross_entropy(
            logits.flatten(0, 1), labels, ignore_index=NOT_LABELLED, reduction="sum"
        )
        # A crop without labels counts as one without loss, whatever batch it is in.
        return whole / len(labels)
