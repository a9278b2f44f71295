"""The paper's protocol (Section 3): canonical scale, blur, 8 bits, network scale, mean
log-probabilities over positions.

One image goes through four steps, each a function: :func:`data.images.to_canonical` makes its
smaller side 384 (or the profile's canonical size), :func:`blurred` convolves it and rounds to 8
bits, :func:`network_input` resizes it so that its smaller side is a network scale, and
:func:`log_probabilities` applies the network fully convolutionally and averages.

An image is decoded and resized once for all conditions, and blurred once for all scales.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from blurpaper import blur
from blurpaper.data.images import Shard, resized, same_shape, scaled_shape
from blurpaper.data.sets import ImageSet
from blurpaper.kernels import CANONICAL, psf_of
from blurpaper.networks import Reference
from blurpaper.networks.base import Classifier
from blurpaper.runs.devices import autocast, device_of
from blurpaper.runs.profile import Compute, Profile, Protocol

# --- Blur -----------------------------------------------------------------------------------------


def blurred(
    images: torch.Tensor, ids: Sequence[str], condition: str, canonical: int
) -> torch.Tensor:
    """Blur canonical images, uint8 ``(B, 3, H, W)``, as the condition says, to 8 bits of that shape
    (step 2).

    >>> blurred(torch.zeros(1, 3, 384, 512, dtype=torch.uint8), ["val/a.jpg"], "shake", 384).shape
    torch.Size([1, 3, 384, 512])
    """
    return blur.apply(
        images, [psf_of(condition, image_id, canonical / CANONICAL) for image_id in ids]
    )


# --- Network --------------------------------------------------------------------------------------


def network_input(images: torch.Tensor, smaller_side: int, canonical: int) -> torch.Tensor:
    """Resize blurred images, uint8 ``(B, 3, H, W)``, to a network scale: float32 ``(B, 3, h, w)``,
    not rounded (step 3).

    >>> network_input(torch.zeros(1, 3, 384, 512, dtype=torch.uint8), 256, 384).shape
    torch.Size([1, 3, 256, 341])
    """
    return resized(images, scaled_shape(images.shape, smaller_side / canonical))


def log_probabilities(
    networks: Mapping[str, Classifier],
    images: Sequence[torch.Tensor],
    ids: Sequence[str],
    condition: str,
    protocol: Protocol,
    compute: Compute,
    batch: int,
    tick: Callable[[int], object] = lambda done: None,
) -> dict[str, torch.Tensor]:
    """Mean log-probabilities over positions at each scale: scale -> float32 ``(N, K)`` on the CPU
    (steps 2 to 4).

    Args:
        networks: scale (``"128"``, ``"256"``, ``"512"``) -> the network to apply there.
        images: canonical images, uint8 ``(3, H, W)`` of any shapes.
        ids: their relative paths, which choose the kernel of camera shake.
        batch: most images of one shape that go through at once.
        tick: called with the number of images of every finished batch.

    >>> from blurpaper import networks
    >>> from blurpaper.runs import profile
    >>> smoke, image = profile.load("smoke"), torch.zeros(3, 108, 140, dtype=torch.uint8)
    >>> network = {"256": networks.build("small_vgg", ["cat", "dog"], 64).eval()}
    >>> settings = smoke.protocol, smoke.compute
    >>> log_p = log_probabilities(network, [image], ["a.jpg"], "D8", *settings, batch=1)
    >>> log_p["256"].shape
    torch.Size([1, 2])
    """
    device = device_of(compute)
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last).eval()
    results = {
        scale: torch.empty(len(images), len(network.classes)) for scale, network in networks.items()
    }
    with torch.inference_mode(), autocast(compute, device):
        for members in same_shape(images, batch):
            canonical = torch.stack([images[member] for member in members]).to(device)
            seen = blurred(
                canonical, [ids[member] for member in members], condition, protocol.canonical
            )
            for scale, network in networks.items():
                inputs = network_input(seen, protocol.pixels(scale), protocol.canonical)
                results[scale][members] = network.log_probabilities(inputs).cpu()
            tick(len(members))
    return results


def shard_log_probabilities(
    network: Reference,
    images: ImageSet,
    shard: Shard[torch.Tensor],
    scales: Sequence[str],
    profile: Profile,
    numbers: range,
    condition: str,
) -> dict[str, torch.Tensor]:
    """Mean log-probabilities on a part of a set under a condition, as :func:`log_probabilities`.

    Args:
        shard: gives canonical images by their numbers.
    """
    ids = [images.ids[number] for number in numbers]
    networks = dict.fromkeys(scales, network.loaded)
    settings = profile.protocol, profile.compute, profile.evaluation.batch
    return log_probabilities(networks, shard(numbers), ids, condition, *settings)


def combined(by_scale: Mapping[str, torch.Tensor], scale: str) -> torch.Tensor:
    """Log-probabilities ``(N, K)`` at one of the paper's scale settings, ``"256+512"`` included:
    the mean over its scales.

    Averaging over positions within a scale first gives both scales the same weight (our choice; a
    mean over all positions would let 512 dominate).
    """
    return torch.stack([by_scale[one] for one in scale.split("+")]).mean(dim=0)
