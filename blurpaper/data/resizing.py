"""Resizing: bicubic with antialiasing, our choice, as the paper does not say; and the canonical
scale (Section 3 and 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn import functional


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
    # Torch's 8-bit path: ten times faster, and one rounding as well.
    if images.device.type == "cpu":
        images = images.contiguous(memory_format=torch.channels_last)
        return functional.interpolate(images, shape, mode="bicubic", antialias=True)
    return resized(images, shape).round_().clamp_(0, 255).to(torch.uint8)


def scaled_shape(shape: Sequence[int], factor: float) -> tuple[int, int]:
    """The last two sides of a shape, scaled by a factor: at least one pixel each."""
    return max(1, round(shape[-2] * factor)), max(1, round(shape[-1] * factor))


def scene_shape(shape: Sequence[int], mean_side: float) -> tuple[int, int]:
    """The last two sides of a shape, scaled so that their geometric mean is ``mean_side`` pixels
    (Sec. 5).
    """
    return scaled_shape(shape, mean_side / math.sqrt(shape[-2] * shape[-1]))


def to_canonical(image: torch.Tensor, canonical: int) -> torch.Tensor:
    """Resize one uint8 image ``(3, H, W)`` so that its smaller side is ``canonical`` pixels, to 8
    bits (step 1).
    """
    return resized_8bit(image[None], scaled_shape(image.shape, canonical / min(image.shape[-2:])))[
        0
    ]


class Scene(NamedTuple):
    """A scene that is to be labelled pixel by pixel.

    Attributes:
        image: at the canonical scale, uint8 ``(3, h, w)``.
        shape: height and width of its own, those of its label map.
    """

    image: torch.Tensor
    shape: tuple[int, int]


def to_scene(image: torch.Tensor, canonical: int) -> Scene:
    """Resize one uint8 image ``(3, H, W)`` so that the geometric mean of its sides is
    ``canonical``, to 8 bits (Sec. 5).
    """
    return Scene(
        resized_8bit(image[None], scene_shape(image.shape, canonical))[0],
        (image.shape[-2], image.shape[-1]),
    )
