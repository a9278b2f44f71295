"""How near a restored image is to the one it was made from."""

from __future__ import annotations

import math

import torch

NO_DIFFERENCE = 100.0
"""PSNR, in decibels, of an image that does not differ, at which PSNR is cut so that it can be
averaged.
"""


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of an 8-bit image ``(C, H, W)`` in decibels, over all its
    channels.

    >>> image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    >>> round(psnr(image, image + 1), 2)
    48.13
    """
    error = (image.double() - reference.double()).square().mean().item()
    return min(10 * math.log10(255**2 / error), NO_DIFFERENCE) if error else NO_DIFFERENCE


def ssim(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Structural similarity of the means over the channels of 8-bit images ``(C, H, W)`` (Wang et
    al. 2004; scikit-image).
    """
    from skimage.metrics import structural_similarity

    grey = [one.float().mean(dim=0).numpy() for one in (image, reference)]
    return float(
        structural_similarity(
            *grey, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


MEASURES = {"psnr": psnr, "ssim": ssim}
"""By their names in the results."""
