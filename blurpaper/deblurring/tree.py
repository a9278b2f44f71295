"""Choosing a component of a mixture cheaply: down a tree of two levels, by spectra with a flat tail
(Parameswaran et al. 2018).

Components that are alike form groups, and the nearest group to a patch is found first, then the
best component within it. Of each covariance only the largest variances keep their directions; the
rest share their mean.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from blurpaper.deblurring.mixture import Mixture
from blurpaper.deblurring.patches import DIMENSIONS

RANK = 24
"""Directions of each component that are kept."""
_ROUNDS = 12
"""Of k-means."""
_BLUNTNESS = 1 / 400
"""Variance of white noise added to components before they are compared: patches are never without
some.
"""


class Tree:
    """Two levels of Gaussians, where patches carry white noise of that variance besides."""

    def __init__(self, mixture: Mixture, noise: float) -> None:
        identity = torch.eye(DIMENSIONS, dtype=torch.float64, device=mixture.covariances.device)
        covariances, weights = (
            mixture.covariances.double() + noise * identity,
            mixture.weights.double(),
        )
        group_of = groups_of(mixture)
        self._members = [torch.where(group_of == group)[0] for group in group_of.unique()]
        merged = [
            (weights[m], torch.einsum("k,kij->ij", weights[m], covariances[m]))
            for m in self._members
        ]
        sums = torch.stack([weight.sum() for weight, _ in merged])
        self._groups = _FlatTailed(
            sums, torch.stack([moment for _, moment in merged]) / sums[:, None, None]
        )
        self._within = [_FlatTailed(weights[m], covariances[m]) for m in self._members]

    def choose(self, patches: torch.Tensor) -> torch.Tensor:
        """Number of a likely component of each patch ``(63, N)``: int64 ``(N,)``."""
        group = self._groups(patches).argmax(dim=0)
        order = group.argsort()
        ranked, chosen = patches[:, order], torch.empty_like(group)
        start = 0
        for number, count in enumerate(
            torch.bincount(group, minlength=len(self._members)).tolist()
        ):
            if count:
                best = self._within[number](ranked[:, start : start + count]).argmax(dim=0)
                chosen[order[start : start + count]] = self._members[number][best]
                start += count
        return chosen


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
    covariances, weights = (
        mixture.covariances.double() + _BLUNTNESS * identity,
        mixture.weights.double(),
    )
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
