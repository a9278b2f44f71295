"""EPLL: the image whose patches are all likely, given what was observed (Zoran and Weiss 2011;
half-quadratic splitting).

Two steps take turns while the bond between them tightens: every patch is denoised as its likeliest
Gaussian says (Wiener filter), and the image is found that explains the observation and is near the
denoised patches. Exactly so, every patch of the image is denoised by the best of all components.
The fast way does what makes it far cheaper at little loss (Parameswaran, Deledalle, Denis and
Nguyen 2018): a grid of patches with gaps, at another random offset in each round; a component
chosen down a tree; and spectra with a flat tail.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import torch
from torch.nn import functional

from blurpaper.deblurring.mixture import Mixture, Scores
from blurpaper.deblurring.observation import Observation, mirrored
from blurpaper.deblurring.patches import DIMENSIONS, SIDE, basis
from blurpaper.deblurring.tree import Tree
from blurpaper.runs.randomness import uniforms

BONDS = tuple(50.0 * 2**step for step in range(7))
"""Inverse variance of the noise that patches are taken to carry in each round, the beta of Zoran
and Weiss.
"""
FAST_STRIDE = 6
"""Pixels from patch to patch, the fast way."""
_PATCHES = 1 << 18
"""Patches that are held at a time: 64 MB, a few times over."""


class Chooser(Protocol):
    """Something that names a component for each patch."""

    def choose(self, patches: torch.Tensor) -> torch.Tensor:
        """Number of a component of each patch ``(63, N)``: int64 ``(N,)``."""


def restore(
    observation: Observation, noise: float, prior: Mixture, exact: bool = False
) -> torch.Tensor:
    """The planes ``(B, H, W)``, in [0, 1], that an observation with noise of that standard
    deviation was made from.
    """
    image = observation.observed
    for number, bond in enumerate(BONDS):
        chooser, filters = _round(prior, bond, exact)
        target = _denoised(image, chooser, filters, 1 if exact else FAST_STRIDE, number)
        # lambda = 64 / noise^2 against 64 patches a pixel: each pixel of the data weighs 1 /
        # noise^2, each of the target beta
        weight = noise**2 * bond
        image = observation.solve(weight, weight * target, start=target)
    return image


@lru_cache(maxsize=4 * len(BONDS))
def _round(prior: Mixture, bond: float, exact: bool) -> tuple[Chooser, torch.Tensor]:
    """What one round needs of the prior: how to choose components, and the Wiener filter of each,
    ``(K, 63, 63)``.
    """
    covariances, identity = (
        prior.covariances.double(),
        torch.eye(DIMENSIONS, device=prior.covariances.device),
    )
    filters = torch.linalg.solve(covariances + identity / bond, covariances).float()
    return (Scores if exact else Tree)(prior, 1 / bond), filters


def _denoised(
    image: torch.Tensor, chooser: Chooser, filters: torch.Tensor, stride: int, number: int
) -> torch.Tensor:
    """Mean over the patches that cover a pixel, ``(B, H, W)``; the grid of patches reaches over the
    mirrored border.
    """
    sides = image.shape[1:]
    starts = [-(SIDE - 1) - int(at * stride) for at in uniforms("patch offsets", number)[:2]]
    stops = [
        start + SIDE + stride * -(-(side - start - 1) // stride)
        for start, side in zip(starts, sides, strict=True)
    ]
    rows, columns = (
        mirrored(*line).to(image.device) for line in zip(sides, starts, stops, strict=True)
    )
    wide = image[:, rows][..., columns][:, None]
    # Of the patches that cover a pixel; last, their number.
    sums = wide.new_zeros(len(image) + 1, *wide.shape[2:])
    across = (wide.shape[3] - SIDE) // stride + 1
    down = max(1, _PATCHES // (across * len(image)))
    for top in range(0, wide.shape[2] - SIDE + 1, down * stride):
        strip = wide[:, :, top : top + (down - 1) * stride + SIDE]
        patches = _restored(functional.unfold(strip, SIDE, stride=stride), chooser, filters)
        counted = torch.cat([patches, torch.ones_like(patches[:1])])
        sums[:, top : top + strip.shape[2]] += functional.fold(
            counted, strip.shape[2:], SIDE, stride=stride
        )[:, 0]
    inside = sums[:, -starts[0] :][:, : sides[0], -starts[1] :][..., : sides[1]]
    return inside[:-1] / inside[-1:]


def _restored(patches: torch.Tensor, chooser: Chooser, filters: torch.Tensor) -> torch.Tensor:
    """Patches ``(B, 64, N)``, each as the Gaussian that is chosen for it has it without the noise."""
    batch, _, count = patches.shape
    cosines = basis().to(patches.device)
    coordinates = (cosines @ patches).permute(1, 0, 2).reshape(DIMENSIONS, batch * count)
    restored = _filtered(coordinates, chooser.choose(coordinates), filters).view(
        batch, count, DIMENSIONS
    )
    return (restored @ cosines).mT + patches.mean(dim=1, keepdim=True)


def _filtered(patches: torch.Tensor, chosen: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Patches ``(63, N)``, each through the filter of its component, as ``(N, 63)``."""
    order = chosen.argsort()
    ranked = patches.T[order]
    done = torch.empty_like(ranked)
    start = 0
    for component, count in enumerate(torch.bincount(chosen, minlength=len(filters)).tolist()):
        if count:
            torch.mm(
                ranked[start : start + count], filters[component].T, out=done[start : start + count]
            )
            start += count
    return torch.empty_like(done).index_copy_(0, order, done)
