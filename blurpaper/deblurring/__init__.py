"""Deblurring with a known PSF: EPLL, its prior, and simpler methods (Section 4.4).

:func:`restore` deblurs 8-bit images by any method; :func:`epll` by the paper's. An image in colour
is split into the mean of its channels and two differences of colours. The mean, in which the
rounding errors of three channels average out, is restored by the method; the differences, which
hold little detail, by a penalty on their gradients. On photographs this is better than each channel
by itself, and three times faster.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch
from torch.nn import functional

from blurpaper import blur
from blurpaper.blur.convolution import check_eight_bits
from blurpaper.deblurring import baselines, splitting
from blurpaper.deblurring.observation import MIRROR, UNKNOWN, Observation
from blurpaper.deblurring.prior import SIDE, Mixture, basis, bundled_prior, load_prior
from blurpaper.runs.files import UserError

__all__ = [
    "METHODS",
    "PSF_ERROR",
    "ROUNDING",
    "Mixture",
    "Observation",
    "bundled_prior",
    "check_method",
    "epll",
    "estimated_noise",
    "load_prior",
    "restore",
]

ROUNDING = 12**-0.5
"""Standard deviation, in grey levels, of the noise that rounding to 8 bits is."""

PSF_ERROR = 1.2
"""Standard deviation, in grey levels, of the noise as which the errors of a measured PSF count.

With kernels of camera shake that were disturbed (by noise of 5 % of their maximum, by a Gaussian of
0.4 pixels, a magnification of 3 % or a turn of 2 degrees) EPLL did best on photographs with noise
of 0.5 grey levels when 1 to 1.5 were assumed.
"""

Observed = Callable[..., Observation]
Method = Callable[..., torch.Tensor]

METHODS: dict[str, Method] = {
    "epll": splitting.restore,
    "epll-exact": partial(splitting.restore, exact=True),
    "total-variation": baselines.total_variation,
    "gradient": baselines.gradient,
    "wiener": baselines.wiener,
    "richardson-lucy": baselines.richardson_lucy,
}
"""Functions of an observation in [0, 1] and the standard deviation of its noise, to the image."""

NEED_PRIOR = ("epll", "epll-exact")
"""The methods that also take a ``prior``."""


def restore(
    images: torch.Tensor,
    psf: blur.PSFLike,
    method: str = "epll",
    noise: float | None = None,
    prior: Mixture | None = None,
    border: str = UNKNOWN,
) -> torch.Tensor:
    """Deblur images that were convolved with a known PSF, and rounded.

    A PSF is convolved with, not correlated: a point of light in the image looks like the array.

    Args:
        images: uint8 ``(B, C, H, W)`` or ``(C, H, W)`` with C = 3 or, for grey ones, 1; on any
            device.
        psf: as for :func:`blur.apply`; one for all.
        method: one of :data:`METHODS`.
        noise: standard deviation of each channel's noise, in grey levels; of each image by
            :func:`estimated_noise` by default.
        prior: of EPLL; the bundled one by default.
        border: ``unknown`` for a camera's frame, around which the scene goes on, and in which
            pixels at 255 may be clipped; ``mirror`` for images blurred by :func:`blur.apply`.

    Returns:
        uint8 of the same shape, on the same device.

    Raises:
        TypeError: if the images are not 8-bit.
        UserError: for another shape, noise that is not above 0, an unknown method or border, or an
            invalid PSF.

    >>> blurred = blur.apply(torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8), "D4")
    >>> restore(blurred, "D4", method="gradient", border="mirror").shape
    torch.Size([3, 40, 60])
    """
    check_eight_bits(images)
    if images.ndim not in (3, 4) or images.shape[-3] not in (1, 3) or 0 in images.shape[-2:]:
        raise UserError(
            "images must be (B, C, H, W) or (C, H, W) with C = 3, or 1 for grey; drop or "
            "composite an alpha channel first. "
            f"Got {tuple(images.shape)}."
        )
    check_method(method, noise, border)
    if isinstance(psf, (list, tuple)):
        raise UserError(
            f"one PSF for all images: deblur those with another by themselves. Got {len(psf)} PSFs."
        )
    kernel = blur.kernel_of(psf)
    if kernel is None:
        return images.clone()
    batch = images if images.ndim == 4 else images[None]
    if noise is None:
        each = [restore(one, kernel, method, estimated_noise(one), prior, border) for one in batch]
        return torch.stack(each).reshape(images.shape)
    apply = METHODS[method]
    if method in NEED_PRIOR:
        apply = partial(apply, prior=_on(images.device, prior or bundled_prior()))
    # Convolution alone does not clip.
    clipped = (batch == 255).any(dim=1) & (border != MIRROR)
    planes = batch.float() / 255
    # The channels of a grey image carry the same rounding errors, which do not average out.
    grey = (batch == batch[:, :1]).all(dim=1).all(dim=(1, 2))
    restored = torch.empty_like(planes)
    observed = partial(Observation, kernel=kernel, border=border)
    for chosen, by in ((grey, _in_grey), (~grey, _in_colour)):
        if chosen.any():
            restored[chosen] = by(planes[chosen], clipped[chosen], observed, apply, noise / 255)
    rounded = (restored * 255).round_().clamp_(0, 255).to(torch.uint8)
    return rounded.reshape(images.shape)


def estimated_noise(images: torch.Tensor) -> float:
    """Standard deviation, in grey levels, of the noise of each channel of blurred images, never
    below :data:`ROUNDING`: uint8 ``(B, C, H, W)`` or ``(C, H, W)``.

    White noise is alike in all cosines of a patch, while blur leaves next to nothing of an image in
    some; of those, the median of their absolute values, which edges hardly move, is 0.6745 standard
    deviations (Donoho and Johnstone 1994).

    >>> estimated_noise(torch.full((3, 20, 20), 77, dtype=torch.uint8)) == ROUNDING
    True
    """
    if min(images.shape[-2:]) < SIDE:
        return ROUNDING
    planes = images.float().reshape(-1, 1, *images.shape[-2:])
    cosines = basis().to(images.device) @ functional.unfold(planes, SIDE, stride=2)
    medians = cosines.transpose(0, 1).flatten(1).abs().median(dim=1).values
    return max(ROUNDING, float(medians.min()) / 0.6745)


def check_method(method: str, noise: float | None = None, border: str = UNKNOWN) -> None:
    """Raise a UserError for an unknown method or border, or for noise that is not above 0."""
    if method not in METHODS:
        raise UserError(f"a method of deblurring is one of {', '.join(METHODS)}. Got {method!r}.")
    if border not in (UNKNOWN, MIRROR):
        raise UserError(f"a border is {UNKNOWN} or {MIRROR}. Got {border!r}.")
    if noise is not None and not 0 < noise < np.inf:
        raise UserError(f"noise is a standard deviation above 0, in grey levels. Got {noise!r}.")


def epll(
    images: torch.Tensor,
    psf: blur.PSFLike,
    prior: Mixture | None = None,
    noise: float | None = None,
    exact: bool = False,
    border: str = UNKNOWN,
) -> torch.Tensor:
    """Deblur images by EPLL with their true PSF (Zoran and Weiss 2011), by the fast approximation
    unless ``exact``; see :func:`restore`.

    Args:
        images: uint8 ``(B, C, H, W)`` or ``(C, H, W)``.
        psf: as for :func:`blur.apply`; one for all.
        prior: a mixture on patches; the bundled one by default.
        noise: in grey levels; estimated from each image by default.
        exact: with every component of the mixture at every patch: slower, and seldom better.
        border: ``unknown``, or ``mirror`` for images blurred by :func:`blur.apply`.

    Returns:
        uint8 of the same shape (Sec. 4.4, Table 5).

    >>> image = torch.randint(0, 256, (3, 24, 32), dtype=torch.uint8)
    >>> epll(blur.apply(image, "D2"), "D2", border="mirror").shape
    torch.Size([3, 24, 32])
    """
    return restore(images, psf, "epll-exact" if exact else "epll", noise, prior, border)


@lru_cache(maxsize=4)
def _on(device: torch.device, prior: Mixture) -> Mixture:
    return prior.to(device)


_COLOURS = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
_COLOURS /= _COLOURS.norm(dim=1, keepdim=True)
"""Orthonormal rows: the mean of the channels (times the root of 3), red against blue, and both
against green.
"""


def _in_grey(
    batch: torch.Tensor, clipped: torch.Tensor, observed: Observed, method: Method, noise: float
) -> torch.Tensor:
    observation = observed(batch[:, 0], clipped=clipped)
    return observation.framed(method(observation, noise))[:, None]


def _in_colour(
    batch: torch.Tensor, clipped: torch.Tensor, observed: Observed, method: Method, noise: float
) -> torch.Tensor:
    colours = _COLOURS.to(batch.device)
    planes = torch.einsum("ij,bjhw->bihw", colours, batch)
    mean = observed(planes[:, 0] / 3**0.5, clipped=clipped)
    scene = method(mean, noise / 3**0.5)
    # Colours are lost where light is.
    lost = mean.exceeded(scene).repeat_interleave(2, dim=0)
    differences = observed(planes[:, 1:].flatten(0, 1), clipped=lost)
    settings = baselines.CHROMA_GRADIENT, baselines.CHROMA_STEPS
    smooth = baselines.gradient(differences, noise, *settings)
    smooth = differences.framed(smooth).view_as(planes[:, 1:])
    restored = torch.cat([mean.framed(scene)[:, None] * 3**0.5, smooth], dim=1)
    return torch.einsum("ij,bihw->bjhw", colours, restored)
