"""EPLL by half-quadratic splitting: the image whose patches are all likely, given an observation
(Zoran and Weiss 2011).

Two steps alternate while the bond between them tightens: every patch is denoised by the Wiener
filter of its likeliest Gaussian, and the image is computed that explains the observation and is
near the denoised patches. In the exact method every patch of the image is denoised by the best of
all components.

The fast method makes it far cheaper at little loss (Parameswaran, Deledalle, Denis and Nguyen
2018): a grid of patches with gaps, at another random offset in each round; a component chosen down
a tree of two levels, the nearest group of like components first; and spectra with a flat tail, of
which only the largest variances keep their directions and the rest share their mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch.nn import functional

from blurpaper.deblurring.baselines import STEPS, gradient
from blurpaper.deblurring.observation import Observation, mirrored
from blurpaper.deblurring.prior import DIMENSIONS, SIDE, Mixture, Scores, basis
from blurpaper.runs.randomness import uniforms

# --- The tree: a component for each patch ---------------------------------------------------------

RANK = 24
"""Principal directions of each component."""
_ROUNDS = 12
"""Iterations of k-means."""
_BLUNTNESS = 1 / 400
"""Variance of white noise added to components before they are compared, as patches always carry
some.
"""


class Tree:
    """Two levels of Gaussians, with white noise of that variance added."""

    def __init__(self, mixture: Mixture, noise: float) -> None:
        identity = torch.eye(DIMENSIONS, dtype=torch.float64, device=mixture.covariances.device)
        covariances = mixture.covariances.double() + noise * identity
        weights = mixture.weights.double()
        group_of = groups_of(mixture)
        self._members = [torch.where(group_of == group)[0] for group in group_of.unique()]
        moments = [torch.einsum("k,kij->ij", weights[m], covariances[m]) for m in self._members]
        sums = torch.stack([weights[m].sum() for m in self._members])
        self._groups = _FlatTailed(sums, torch.stack(moments) / sums[:, None, None])
        self._within = [_FlatTailed(weights[m], covariances[m]) for m in self._members]

    def choose(self, patches: torch.Tensor) -> torch.Tensor:
        """Number of a likely component of each patch ``(63, N)``: int64 ``(N,)``."""
        group = self._groups(patches).argmax(dim=0)
        order = group.argsort()
        ranked, chosen = patches[:, order], torch.empty_like(group)
        for number, part in _runs(group):
            best = self._within[number](ranked[:, part]).argmax(dim=0)
            chosen[order[part]] = self._members[number][best]
        return chosen


def _runs(numbers: torch.Tensor) -> Iterator[tuple[int, slice]]:
    """Each number that occurs among some, ``(N,)``, and where it does when they are sorted."""
    stop = 0
    for number, count in enumerate(torch.bincount(numbers).tolist()):
        start, stop = stop, stop + count
        if count:
            yield number, slice(start, stop)


class _FlatTailed:
    """Log of weight times density, up to a constant, of Gaussians whose smallest variances are
    replaced by their mean.
    """

    def __init__(self, weights: torch.Tensor, covariances: torch.Tensor) -> None:
        variances, directions = (found.flip(-1) for found in torch.linalg.eigh(covariances))
        tail = variances[:, RANK:].mean(dim=1, keepdim=True)
        kept = variances[:, :RANK]
        # Below 0 by rounding, where all variances are equal.
        gains = (1 / tail - 1 / kept).clamp_min(0).sqrt()
        log_determinants = kept.log().sum(dim=1) + (DIMENSIONS - RANK) * tail[:, 0].log()
        self._rows = (directions[..., :RANK] * gains[:, None]).mT.reshape(-1, DIMENSIONS).float()
        self._constants = (weights.log() - 0.5 * log_determinants).float()[:, None]
        self._tail = (0.5 / tail).float()

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        explained = (self._rows @ patches).square_().view(-1, RANK, patches.shape[1]).sum(dim=1)
        return self._constants - self._tail * patches.square().sum(dim=0) + 0.5 * explained


@lru_cache(maxsize=4)
def groups_of(mixture: Mixture) -> torch.Tensor:
    """Number of the group of each component, ``(K,)``: k-means, with the divergence from the
    group's own Gaussian.

    The first centres are far from one another: each the component of most weight times distance
    from those before.
    """
    identity = torch.eye(DIMENSIONS, dtype=torch.float64, device=mixture.covariances.device)
    covariances = mixture.covariances.double() + _BLUNTNESS * identity
    weights = mixture.weights.double()
    centres = [int(weights.argmax())]
    distance = divergence(covariances, covariances[centres])[:, 0]
    while len(centres) < math.isqrt(len(mixture)):
        centres.append(int((distance * weights.sqrt()).argmax()))
        distance = torch.minimum(distance, divergence(covariances, covariances[centres[-1:]])[:, 0])
    means = covariances[centres].clone()
    for _ in range(_ROUNDS):
        group_of = divergence(covariances, means).argmin(dim=1)
        for group in group_of.unique():
            members = group_of == group
            share = weights[members] / weights[members].sum()
            means[group] = torch.einsum("k,kij->ij", share, covariances[members])
    return group_of


def divergence(these: torch.Tensor, those: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of zero-mean Gaussians ``(A, D, D)`` from others ``(B, D, D)``,
    in nats: ``(A, B)``.
    """
    traces = torch.einsum("aij,bij->ab", these, torch.linalg.inv(those))
    return 0.5 * (traces - these.shape[1] + torch.logdet(those) - torch.logdet(these)[:, None])


# --- The two steps --------------------------------------------------------------------------------

BONDS = tuple(50.0 * 2**step for step in range(7))
"""Inverse variance of the assumed noise of patches in each round, the beta of Zoran and Weiss."""
_MORE = 2
"""Rounds before these at the first of them, where conjugate gradients solve."""
FAST_STRIDE = 6
"""Pixels from patch to patch of the fast method."""
_PATCHES = 1 << 18
"""Patches in memory at a time: 64 MB, a few times over."""


def restore(
    observation: Observation, noise: float, prior: Mixture, exact: bool = False
) -> torch.Tensor:
    """The scene ``(B, Y, X)``, in [0, 1], that an observation with noise of that standard deviation
    was made from.
    """
    image, bonds = observation.observed, BONDS
    if not observation.direct:  # what is not seen takes a few rounds more to settle
        image, bonds = gradient(observation, noise), BONDS[:1] * _MORE + BONDS
    for number, bond in enumerate(bonds):
        chooser, filters = _round(prior, bond, exact)
        target = _denoised(image, chooser, filters, 1 if exact else FAST_STRIDE, number)
        # lambda = 64 / noise^2 against 64 patches a pixel: each pixel of the data weighs 1 /
        # noise^2, each of the target beta
        weight = noise**2 * bond
        image = observation.solve(weight, weight * target, image, STEPS)
    return image


@lru_cache(maxsize=4 * len(BONDS))
def _round(prior: Mixture, bond: float, exact: bool) -> tuple[Scores | Tree, torch.Tensor]:
    """Of one round, the choice of components and the Wiener filter of each, ``(K, 63, 63)``."""
    covariances = prior.covariances.double()
    identity = torch.eye(DIMENSIONS, device=covariances.device)
    filters = torch.linalg.solve(covariances + identity / bond, covariances).float()
    return (Scores if exact else Tree)(prior, 1 / bond), filters


def _denoised(
    image: torch.Tensor, chooser: Scores | Tree, filters: torch.Tensor, stride: int, number: int
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
        covered = functional.fold(counted, strip.shape[2:], SIDE, stride=stride)
        sums[:, top : top + strip.shape[2]] += covered[:, 0]
    inside = sums[:, -starts[0] :][:, : sides[0], -starts[1] :][..., : sides[1]]
    return inside[:-1] / inside[-1:]


def _restored(patches: torch.Tensor, chooser: Scores | Tree, filters: torch.Tensor) -> torch.Tensor:
    """Patches ``(B, 64, N)``, each denoised by the Gaussian that is chosen for it."""
    batch, _, count = patches.shape
    cosines = basis().to(patches.device)
    coordinates = (cosines @ patches).permute(1, 0, 2).reshape(DIMENSIONS, batch * count)
    restored = _filtered(coordinates, chooser.choose(coordinates), filters)
    restored = restored.view(batch, count, DIMENSIONS) @ cosines
    return restored.mT + patches.mean(dim=1, keepdim=True)


def _filtered(patches: torch.Tensor, chosen: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Patches ``(63, N)``, each through the filter of its component, as ``(N, 63)``."""
    order = chosen.argsort()
    ranked = patches.T[order]
    done = torch.empty_like(ranked)
    for component, part in _runs(chosen):
        torch.mm(ranked[part], filters[component].T, out=done[part])
    return torch.empty_like(done).index_copy_(0, order, done)
