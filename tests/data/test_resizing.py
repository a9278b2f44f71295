"""Resizing, against a plain interpolation of floats; and shapes, whatever they were."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from torch.nn import functional

from blurpaper.data import images


def plain_resize(image: torch.Tensor, smaller_side: int) -> torch.Tensor:
    factor = smaller_side / min(image.shape[-2:])
    shape = [round(side * factor) for side in image.shape[-2:]]
    return functional.interpolate(image[None].float(), shape, mode="bicubic", antialias=True)[0]


def test_the_canonical_image_has_the_canonical_smaller_side_and_eight_bits(random_images) -> None:
    for image in random_images:
        canonical = images.to_canonical(image, 108)
        assert canonical.dtype == torch.uint8
        assert min(canonical.shape[-2:]) == 108
        assert canonical.shape[-1] / canonical.shape[-2] == pytest.approx(
            image.shape[-1] / image.shape[-2], abs=0.01
        )
        plain = plain_resize(image, 108).round().clamp(0, 255)
        assert (canonical.float() - plain).abs().max() <= 1


@tried(deadline=None, max_examples=300)
@given(st.integers(20, 3000), st.integers(20, 3000), st.floats(30, 700))
def test_a_scene_keeps_its_aspect_and_gets_the_mean_side_asked_for(
    height, width, mean_side
) -> None:
    found = images.scene_shape((3, height, width), mean_side)
    exact = [mean_side * math.sqrt(height / width), mean_side * math.sqrt(width / height)]
    for side, wanted in zip(found, exact, strict=True):
        assert abs(side - wanted) <= 0.5 + 1e-6 or (side == 1 and wanted < 0.5)
    assert math.prod(exact) == pytest.approx(mean_side**2)  # the exact sides are what was asked for
    assert images.scene_shape((width, height), mean_side) == found[::-1]
