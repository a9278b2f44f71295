"""The paper's protocol (Sec. 3): canonical scale, blur, 8 bits, network scale, mean log-probabilities over positions.

One image goes through four steps, each a function here: :func:`to_canonical` makes its smaller side 384 (or what the
profile calls so), :func:`blurred` convolves it and rounds to 8 bits, :func:`network_input` resizes it so that its smaller
side is a network scale, and :func:`log_probabilities` applies the network fully convolutionally and averages. An image is
decoded and resized once for all conditions, and blurred once for all scales.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from blurpaper import blur
from blurpaper.data.base import ImageSet
from blurpaper.devices import autocast, device_of
from blurpaper.kernels import CANONICAL, SHAKE, SHAKE_BANKS, SHARP, psf, shake_bank
from blurpaper.networks.base import Network
from blurpaper.profile import Compute, Protocol
from blurpaper.randomness import uniforms

# --- Resizing: bicubic with antialiasing, our choice, as the paper does not say ------------------------------------------


def resized(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Resize uint8 ``(B, 3, H, W)`` to float32 grey levels ``(B, 3, *shape)``, not rounded."""
    images = images.contiguous().float()
    if tuple(images.shape[-2:]) == shape:
        return images
    return functional.interpolate(images, shape, mode="bicubic", antialias=True)


def resized_8bit(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Resize uint8 ``(B, 3, H, W)`` to uint8 ``(B, 3, *shape)``."""
    if tuple(images.shape[-2:]) == shape:
        return images
    if images.device.type == "cpu":  # torch's 8-bit path: ten times faster, and one rounding as well
        images = images.contiguous(memory_format=torch.channels_last)
        return functional.interpolate(images, shape, mode="bicubic", antialias=True)
    return resized(images, shape).round_().clamp_(0, 255).to(torch.uint8)


def scaled_shape(shape: Sequence[int], factor: float) -> tuple[int, int]:
    """The last two sides of a shape, scaled by a factor: at least one pixel each."""
    return max(1, round(shape[-2] * factor)), max(1, round(shape[-1] * factor))


def to_canonical(image: torch.Tensor, canonical: int) -> torch.Tensor:
    """Resize one uint8 image ``(3, H, W)`` so that its smaller side is ``canonical`` pixels, to 8 bits (step 1)."""
    return resized_8bit(image[None], scaled_shape(image.shape, canonical / min(image.shape[-2:])))[0]


# --- Blur ----------------------------------------------------------------------------------------------------------------


def test_psf(condition: str, image_id: str, scale: float) -> np.ndarray | None:
    """The PSF of a test image under a condition: for camera shake always the same of the hundred (Sec. 3)."""
    if condition == SHARP:
        return None
    if condition == SHAKE:
        return shake_bank("test", scale)[int(uniforms("shake", "test", image_id)[0] * SHAKE_BANKS["test"])]
    return psf(condition, scale)


def blurred(images: torch.Tensor, ids: Sequence[str], condition: str, canonical: int) -> torch.Tensor:
    """Blur canonical images, uint8 ``(B, 3, H, W)``, as the condition says, to 8 bits (step 2)."""
    return blur.apply(images, [test_psf(condition, image_id, canonical / CANONICAL) for image_id in ids])


# --- Network -------------------------------------------------------------------------------------------------------------


def network_input(images: torch.Tensor, smaller_side: int, canonical: int) -> torch.Tensor:
    """Resize blurred images so that their smaller side fits a network scale, without rounding (step 3)."""
    return resized(images, scaled_shape(images.shape, smaller_side / canonical))


def log_probabilities(
    networks: Mapping[str, Network],
    images: Sequence[torch.Tensor],
    ids: Sequence[str],
    condition: str,
    protocol: Protocol,
    compute: Compute,
    batch: int,
    tick: Callable[[int], object] = lambda done: None,
) -> dict[str, torch.Tensor]:
    """Mean log-probabilities over positions at each scale: scale -> float32 ``(N, K)`` on the CPU (steps 2 to 4).

    Args:
        networks: scale (``"128"``, ``"256"``, ``"512"``) -> the network to apply there.
        images: canonical images, uint8 ``(3, H, W)`` of any shapes.
        ids: their relative paths, which choose the kernel of camera shake.
        batch: most images of one shape that go through at once.
        tick: told of every batch done.
    """
    device = device_of(compute)
    for network in networks.values():
        network.to(device, memory_format=torch.channels_last).eval()
    results = {scale: torch.empty(len(images), len(network.classes)) for scale, network in networks.items()}
    with torch.inference_mode(), autocast(compute, device):
        for members in same_shape(images, batch):
            canonical = torch.stack([images[member] for member in members]).to(device)
            seen = blurred(canonical, [ids[member] for member in members], condition, protocol.canonical)
            for scale, network in networks.items():
                inputs = network_input(seen, protocol.pixels(scale), protocol.canonical)
                results[scale][members] = network.log_probabilities(inputs).cpu()
            tick(len(members))
    return results


def combined(by_scale: Mapping[str, torch.Tensor], scale: str) -> torch.Tensor:
    """Log-probabilities at one of the paper's scale settings, ``"256+512"`` included: the mean over its scales.

    Averaging over positions within a scale first gives both scales the same weight (our choice; a mean over all positions
    would let 512 dominate).
    """
    return torch.stack([by_scale[one] for one in scale.split("+")]).mean(dim=0)


def canonical_images(images: ImageSet, numbers: Sequence[int], protocol: Protocol) -> list[torch.Tensor]:
    """Some images of a set, decoded and brought to the canonical scale."""
    return [to_canonical(images[number], protocol.canonical) for number in numbers]


def same_shape(images: Sequence[torch.Tensor], batch: int) -> Iterator[list[int]]:
    """Numbers of images of one shape, at most so many at a time."""
    groups = defaultdict(list)
    for number, image in enumerate(images):
        groups[tuple(image.shape)].append(number)
    for members in groups.values():
        for start in range(0, len(members), batch):
            yield members[start : start + batch]
