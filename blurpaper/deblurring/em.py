"""Learning the prior: stepwise expectation maximisation on a stream of patches (Cappe and Moulines
2009).

Each small batch of patches moves the sufficient statistics a little, by a step that falls with
time, so that a mixture is good after one pass over millions of patches and memory does not grow
with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from blurpaper.data.sets import ImageSet
from blurpaper.deblurring.prior import (
    DIMENSIONS,
    PRODUCTS,
    Mixture,
    Scores,
    diagonals,
    matrices,
    products,
    sample,
)
from blurpaper.runs.files import UserError
from blurpaper.runs.progress import progress
from blurpaper.runs.randomness import stream

_FORGETTING = 0.7
"""The step of batch ``t`` is ``(t + 2) ** -0.7``: between 1/2 and 1, as convergence asks for."""
_FLOOR, _RELATIVE_FLOOR = 1e-7, 1e-6
"""Variance added along every direction, a tenth of that of rounding, and as a share of the
component's mean variance.
"""
_CHUNK = 4096


def learn_from(
    images: ImageSet, patches: int, components: int, passes: int, batch: int, seed: int
) -> dict[str, torch.Tensor]:
    """The state of a mixture learnt from random patches of a set of images."""
    drawn = sample(images, patches, seed)
    with progress(f"learning patches of {images.name}", len(drawn) * passes, "patch") as tick:
        return learn(drawn, components, passes, batch, seed, tick).state()


def likelihoods(
    prior: Callable[[], Mixture],
    images: ImageSet,
    patches: int,
    held_out: ImageSet,
    count: int,
    seed: int,
) -> dict[str, torch.Tensor]:
    """Log-likelihood of held-out patches, in nats, under a ``mixture`` and under the single
    ``gaussian`` of its training images: ``(N,)`` each.
    """
    seen = sample(held_out, count, seed)
    single = gaussian(sample(images, patches, seed))
    return {"mixture": prior().log_likelihood(seen), "gaussian": single.log_likelihood(seen)}


def learn(
    patches: torch.Tensor,
    components: int,
    passes: int,
    batch: int,
    seed: int,
    tick: Callable[[int], object] = lambda done: None,
) -> Mixture:
    """A mixture learnt from patches ``(N, 63)``, shuffled; the same for the same arguments.

    Args:
        passes: over the patches.
        batch: patches in a step.
        tick: called with the number of patches of every step.

    Raises:
        UserError: if there are fewer patches than a batch, or in a batch than components.
    """
    if not components <= batch <= len(patches):
        raise UserError(
            f"a mixture of {components} is learnt in batches of at least as many patches, of which "
            f"there are enough for one. Got batches of {batch} and {len(patches)} patches."
        )
    mixture = _start(patches[: 1000 * components], components, stream(seed, "mixture"))
    shares, moments = mixture.weights, mixture.weights[:, None] * diagonals(mixture.covariances)
    number = 0
    for _ in range(passes):
        for members in patches.split(batch):
            step = (number + 2) ** -_FORGETTING
            own_shares, own_moments = _statistics(members, mixture)
            shares = (1 - step) * shares + step * own_shares
            moments = (1 - step) * moments + step * own_moments
            mixture = _maximised(shares, moments)
            number += 1
            tick(len(members))
    return mixture


def gaussian(patches: torch.Tensor) -> Mixture:
    """The single Gaussian of patches ``(N, 63)``, to compare a mixture with."""
    return Mixture(torch.ones(1), (patches.T @ patches)[None] / len(patches))


def _statistics(patches: torch.Tensor, mixture: Mixture) -> tuple[torch.Tensor, torch.Tensor]:
    """Each component's share of the patches ``(K,)``, and its part of their mean products ``(K,
    2016)``.
    """
    scores = Scores(mixture)
    shares = torch.zeros(len(mixture))
    moments = torch.zeros(len(mixture), PRODUCTS)
    for part in patches.split(_CHUNK):
        paired = products(part.T)
        responsibilities = scores.of_products(paired).softmax(dim=0)
        shares += responsibilities.sum(dim=1)
        moments.addmm_(responsibilities, paired.T)
    return shares / len(patches), moments / len(patches)


def _maximised(shares: torch.Tensor, moments: torch.Tensor) -> Mixture:
    covariances = matrices(moments / shares.clamp_min(1e-9)[:, None])
    variances = covariances.diagonal(dim1=1, dim2=2).mean(dim=1)
    covariances += (_FLOOR + _RELATIVE_FLOOR * variances)[:, None, None] * torch.eye(DIMENSIONS)
    return Mixture(shares / shares.sum(), covariances)


def _start(patches: torch.Tensor, components: int, draw: np.random.RandomState) -> Mixture:
    """Groups of patches alike in contrast and, up to the sign, in direction; their covariances,
    drawn to the mean of all.
    """
    bands = max(1, math.isqrt(components) // 2)
    ranked = patches[patches.norm(dim=1).argsort()]
    sizes = [components // bands + (band < components % bands) for band in range(bands)]
    shares, moments = [], []
    for size, band in zip(sizes, ranked.tensor_split(bands), strict=True):
        directions = band / band.norm(dim=1, keepdim=True).clamp_min(1e-9)
        leaders = directions[torch.from_numpy(draw.choice(len(band), size, replace=False))]
        leader = (directions @ leaders.T).abs().argmax(dim=1)
        members = [band[leader == number] for number in range(size)]
        shares += [len(part) for part in members]
        moments += [part.T @ part for part in members]
    shares, moments = torch.tensor(shares, dtype=torch.float32), torch.stack(moments)
    pseudo = 0.2 * DIMENSIONS  # patches' worth of the mean covariance in each group
    covariances = moments + pseudo * moments.sum(dim=0) / shares.sum()
    covariances /= (shares + pseudo)[:, None, None]
    return Mixture((shares + 1) / (shares + 1).sum(), covariances)
