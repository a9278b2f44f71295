"""Invariance of features to blur: Hamming distances of binarised feature maps (Section 4.3, Figure
4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from blurpaper.data.images import images_of, same_shape
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import protocol
from blurpaper.networks import Reference
from blurpaper.networks.base import STAGES, Network
from blurpaper.runs.devices import autocast, device_of
from blurpaper.runs.profile import Compute, Profile, Protocol

UNRELATED = "another image"
"""In place of a condition: the distance between the sharp features of two different images."""


def shard_distances(
    network: Reference,
    images: ImageSet,
    conditions: Sequence[str],
    profile: Profile,
    tick: Callable[[int], object],
    numbers: range,
    _: str,
) -> dict[str, torch.Tensor]:
    """Mean distances on a part of a set at scale 256, as :func:`mean_distances`."""
    shown = images_of(images, numbers, profile.protocol)
    ids = [images.ids[number] for number in numbers]
    settings = profile.protocol, profile.compute, profile.evaluation.batch
    return mean_distances(network.loaded, shown, ids, conditions, "256", *settings, tick)


def mean_distances(
    network: Network,
    images: Sequence[torch.Tensor],
    ids: Sequence[str],
    conditions: Sequence[str],
    scale: str,
    settings: Protocol,
    compute: Compute,
    batch: int,
    tick: Callable[[int], object] = lambda done: None,
) -> dict[str, torch.Tensor]:
    """Distances between each image sharp and blurred, averaged over positions: condition -> float32
    ``(N, 5)``.

    The condition :data:`UNRELATED` compares each sharp image with the next of its shape, an upper
    bound of distances.

    Args:
        images: canonical images, uint8 ``(3, H, W)`` of any shapes.
    """
    device = device_of(compute)
    network = network.to(device, memory_format=torch.channels_last).eval()
    found = {
        condition: torch.full((len(images), len(STAGES)), torch.nan) for condition in conditions
    }

    def binary(images: torch.Tensor) -> dict[str, torch.Tensor]:
        pixels = settings.pixels(scale)
        return _binary(network, protocol.network_input(images, pixels, settings.canonical))

    with torch.inference_mode(), autocast(compute, device):
        for members in same_shape(images, batch):
            canonical = torch.stack([images[member] for member in members]).to(device)
            of_batch = [ids[member] for member in members]
            sharp = binary(canonical)
            for condition in conditions:
                if condition != UNRELATED:
                    seen = protocol.blurred(canonical, of_batch, condition, settings.canonical)
                    other = binary(seen)
                elif len(members) > 1:
                    other = {stage: maps.roll(1, dims=0) for stage, maps in sharp.items()}
                else:
                    continue
                means = [
                    (sharp[stage] != other[stage]).float().mean(dim=(1, 2, 3)) for stage in STAGES
                ]
                found[condition][members] = torch.stack(means, dim=1).cpu()
            tick(len(members))
    return found


def _binary(network: Network, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        stage: maps > 0 for stage, maps in network.stage_maps(network.normalised(inputs)).items()
    }
