"""Simpler deblurring: scikit-image's Wiener filter and Richardson-Lucy, total variation, a gradient
penalty.

Each takes an :class:`Observation` of planes in [0, 1] and the standard deviation of its noise, and
returns the scene. Their constants were chosen on photographs of bsds500/train under D8 with
rounding as the only noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from blurpaper.deblurring.observation import MOST_STEPS, Observation, wrapped
from blurpaper.runs.threads import in_threads

GRADIENT = 0.08
"""Standard deviation of the Gaussian prior on differences between neighbouring grey levels."""
CHROMA_GRADIENT = 0.014
"""The same of differences between colours, which are smoother."""
CHROMA_STEPS = 60
"""Of conjugate gradients, for these; more gain nothing."""
WIENER_ROUGHNESS = 0.1
"""Standard deviation of the Laplacian that scikit-image's Wiener filter penalises."""
TOTAL_VARIATION = 0.06
"""Mean absolute value of such differences, for total variation."""
RICHARDSON_LUCY_STEPS = 100
_LAPLACIAN = 3
_MARGIN = 8
"""Borders given to Richardson-Lucy, in reaches of the PSF: beyond the image scikit-image sees
zeros.
"""
_BONDS = tuple(2.0**step for step in range(2, 14))
STEPS = 25
"""Of conjugate gradients in each round of a splitting, which the one before has brought near."""


def gradient(
    observation: Observation,
    noise: float,
    deviation: float = GRADIENT,
    steps: int = MOST_STEPS,
) -> torch.Tensor:
    """The most likely scene if differences of neighbours were Gaussian, ``(B, Y, X)``."""
    return observation.solve((noise / deviation) ** 2 * observation.roughness, steps=steps)


def total_variation(
    observation: Observation, noise: float, scale: float = TOTAL_VARIATION
) -> torch.Tensor:
    """The scene of least squared error plus total variation, ``(B, Y, X)``, by half-quadratic
    splitting of its gradients.
    """
    threshold = noise**2 / scale
    image, mirrors = gradient(observation, noise), observation.mirrors
    for bond in _BONDS:  # 1 / bond is what gradients are shrunk by
        down, across = (_differences(image, axis, mirrors) for axis in (1, 2))
        length = (down.square() + across.square()).sqrt().clamp_min(1e-12)
        share = (1 - 1 / (bond * length)).clamp_min(0)
        pull = _back(share * down, 1, mirrors) + _back(share * across, 2, mirrors)
        image = observation.solve(
            threshold * bond * observation.roughness, threshold * bond * pull, image, STEPS
        )
    return image


def _differences(image: torch.Tensor, axis: int, mirrors: bool) -> torch.Tensor:
    """Differences to the next pixel of the torus; on a mirrored one the last is 0."""
    last = image.narrow(axis, -1 if mirrors else 0, 1)
    return torch.diff(image, dim=axis, append=last)


def _back(differences: torch.Tensor, axis: int, mirrors: bool) -> torch.Tensor:
    """Adjoint of the differences."""
    if not mirrors:
        return differences.roll(1, axis) - differences
    size = differences.shape[axis]
    if size == 1:
        return torch.zeros_like(differences)
    inner = differences.narrow(axis, 0, size - 1)
    first, last = inner.narrow(axis, 0, 1), inner.narrow(axis, size - 2, 1)
    return torch.cat([-2 * first, -torch.diff(inner, dim=axis), 2 * last], dim=axis)


def wiener(
    observation: Observation, noise: float, roughness: float = WIENER_ROUGHNESS
) -> torch.Tensor:
    """scikit-image's Wiener filter: ``(B, Y, X)``.

    It is applied on the torus of the scene, as periodic as the filter takes it to be.
    """
    from skimage import restoration

    balance = (noise / roughness) ** 2
    # Often enough around it for the filter's Laplacian.
    turns = [side * -(-_LAPLACIAN // side) for side in observation.period]
    kernel = wrapped(observation.kernel, turns).numpy()
    kernel = np.roll(kernel, [side // 2 for side in turns], axis=(0, 1))
    method = partial(restoration.wiener, psf=kernel, balance=balance, clip=False)
    return _by_library(observation, noise, (0, 0), turns, method)


def richardson_lucy(
    observation: Observation, noise: float, steps: int = RICHARDSON_LUCY_STEPS
) -> torch.Tensor:
    """scikit-image's Richardson-Lucy iteration: ``(B, Y, X)``.

    It is applied to the scene within a border that continues its torus. The noise enters only
    through :func:`_completed`.
    """
    from skimage import restoration

    kernel = observation.kernel.astype(np.float32)
    margins = [_MARGIN * (side // 2) for side in kernel.shape]
    starts = [-margin for margin in margins]
    stops = [side + margin for side, margin in zip(observation.shape, margins, strict=True)]
    options = {"num_iter": steps, "clip": False, "filter_epsilon": 1e-6}
    method = partial(restoration.richardson_lucy, psf=kernel, **options)
    return _by_library(observation, noise, starts, stops, method)


def _by_library(
    observation: Observation,
    noise: float,
    starts: Sequence[int],
    stops: Sequence[int],
    restored: Callable[[np.ndarray], np.ndarray],
) -> torch.Tensor:
    """Apply a function of arrays to whole blurred scenes, continued from starts to stops."""
    height, width = observation.shape
    rows, columns = observation.lines(starts, stops)

    def one(plane: torch.Tensor) -> np.ndarray:
        whole = restored(plane[rows][:, columns].numpy())
        return np.asarray(whole, np.float32)[-starts[0] :][:height, -starts[1] :][:, :width]

    planes = in_threads(one, _completed(observation, noise).cpu())
    return torch.from_numpy(np.stack(planes)).to(observation.observed.device)


def _completed(observation: Observation, noise: float) -> torch.Tensor:
    """Blurred scenes ``(B, Y, X)``: what is not seen of them is the blur of :func:`gradient`'s."""
    if observation.mirrors:
        return observation.observed
    return observation.completed(gradient(observation, noise))
