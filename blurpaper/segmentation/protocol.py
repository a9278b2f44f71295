"""Segmentation under blur (Section 5): scenes and labels through the protocol, scored per pixel.

The store keeps confusions of a network on each scene: of all pixels, of those near boundaries, and
of all pixels again given the labels of the scene, or given its regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from blurpaper.data.images import Scene, Shard, same_shape, scenes_of
from blurpaper.data.sets import ImageSet, SegmentedSet
from blurpaper.evaluation import protocol
from blurpaper.networks import Reference
from blurpaper.runs.devices import autocast, device_of
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile
from blurpaper.segmentation import metrics
from blurpaper.segmentation.zoomout import ZoomOut

COUNTED = ("all", "boundary", "labels given", "regions given")
"""Kinds of confusions: of all pixels; of those near a boundary; of all pixels given the scene's
labels, or its regions.
"""


def label_maps(
    network: Reference, images: ImageSet, condition: str, profile: Profile
) -> dict[str, torch.Tensor]:
    """The most probable label of every pixel under a condition: id -> uint8 ``(H, W)``."""
    scenes = scenes_of(images, range(len(images)), profile.protocol)
    found = log_probabilities(network.loaded, scenes, images.ids, condition, profile)
    return {images.ids[place]: log_p.argmax(dim=0).to(torch.uint8) for place, log_p in found}


def scored(
    network: Reference,
    images: SegmentedSet,
    shard: Shard[Scene],
    profile: Profile,
    tick: Callable[[int], object],
    numbers: Sequence[int],
    condition: str,
) -> dict[str, torch.Tensor]:
    """Confusions of a network on some scenes of a set under a condition: :data:`COUNTED` -> int64
    ``(N, K, K)``.

    Args:
        shard: gives scenes at the canonical scale by their numbers.

    Raises:
        UserError: if the network gives nan.
    """
    count, boundary = len(images.classes), profile.segmentation.boundary_distance
    ids = [images.ids[number] for number in numbers]

    def score(number: int, log_p: torch.Tensor) -> list[np.ndarray]:
        truth, scores = images.label_map(number).numpy(), log_p.numpy()
        plain = scores.argmax(axis=0).astype(np.uint8)
        return [
            metrics.confusion(truth, plain, count),
            metrics.confusion(truth, plain, count, metrics.near_boundary(truth, boundary)),
            metrics.confusion(truth, metrics.given_labels(scores, truth), count),
            metrics.confusion(truth, metrics.given_regions(scores, truth), count),
        ]

    found = {}
    for place, log_p in log_probabilities(network.loaded, shard(numbers), ids, condition, profile):
        if log_p.isnan().any():
            raise UserError(
                f"{network} gives nan on {ids[place]} under {condition}: train it anew."
            )
        found[place] = score(numbers[place], log_p)
        tick(1)
    whole = torch.from_numpy(np.array([found[place] for place in range(len(numbers))]))
    return {name: whole[:, place].contiguous() for place, name in enumerate(COUNTED)}


def log_probabilities(
    segmenter: ZoomOut,
    scenes: Sequence[Scene],
    ids: Sequence[str],
    condition: str,
    profile: Profile,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Place of each scene in the list and log-probabilities of the labels at every pixel, float32
    ``(K, H, W)`` on the CPU.

    A scene at the canonical scale is blurred, rounded to 8 bits and given to the network; the
    result is brought to the scene's own size.

    Args:
        ids: relative paths of the scenes, which choose the kernel of camera shake.
    """
    device, settings = device_of(profile.compute), profile.protocol
    segmenter.to(device, memory_format=torch.channels_last).eval()
    with torch.inference_mode(), autocast(profile.compute, device):
        for members in same_shape(scenes, profile.evaluation.batch):
            sharp = torch.stack([scenes[member].image for member in members]).to(device)
            names = [ids[member] for member in members]
            seen = protocol.blurred(sharp, names, condition, settings.canonical)
            found = segmenter.log_probabilities(seen.float(), scenes[members[0]].shape).cpu()
            yield from zip(members, found, strict=True)
