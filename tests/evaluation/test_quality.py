"""How near images are to one another."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from blurpaper.evaluation import metrics


def test_psnr_of_a_known_error() -> None:
    image = torch.full((3, 5, 5), 100, dtype=torch.uint8)
    assert metrics.psnr(image + 5, image) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr(image, image) == metrics.NO_DIFFERENCE
    nearest = torch.zeros(3, 384, 512, dtype=torch.uint8)
    nearest[0, 0, 0] = 1
    assert metrics.psnr(nearest, nearest * 0) == pytest.approx(metrics.NO_DIFFERENCE)  # 105.9 dB


def test_ssim_is_wangs_formula() -> None:
    draw = np.random.RandomState(0)
    one = np.clip(gaussian_filter(draw.uniform(0, 255, (40, 48)), 2) * 3 - 250, 0, 255).round()
    other = np.clip(one + 12 * draw.standard_normal(one.shape), 0, 255).round()
    images = [
        torch.from_numpy(np.repeat(image[None], 3, axis=0).astype(np.uint8))
        for image in (one, other)
    ]

    def local(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=3.5)

    means = [local(image) for image in (one, other)]
    variances = [local(image**2) - mean**2 for image, mean in zip((one, other), means, strict=True)]
    shared = local(one * other) - means[0] * means[1]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * means[0] * means[1] + c1) * (2 * shared + c2)
    similar /= (means[0] ** 2 + means[1] ** 2 + c1) * (sum(variances) + c2)
    assert metrics.ssim(*images) == pytest.approx(similar[5:-5, 5:-5].mean(), abs=1e-4)
    assert metrics.ssim(images[0], images[0]) == pytest.approx(1)
