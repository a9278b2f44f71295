"""Camera shake: random trajectories as kernels, in two banks that are the same on every machine
(Section 3, Figure 2).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from blurpaper.runs.errors import UserError
from blurpaper.runs.randomness import stream

SHAKE_BANKS = {"test": 100, "train": 10_000}
SHAKE_SIZE = 31
_SHAKE_GRID = 16


@lru_cache(maxsize=4)
def shake_bank(split: str, scale: float = 1.0) -> np.ndarray:
    """Camera-shake PSFs, the same on every machine: float32 (100, 31, 31) for ``test``, (10000, 31,
    31) for ``train``.

    Each is a cubic spline through six random points of a 16 x 16 grid, with a random intensity at
    each pixel visited, shifted so that its rounded centre of mass is the middle (Sec. 3; the model
    of Chakrabarti 2016). The two banks are independent draws with the same parameters. At ``scale``
    other than 1 the arrays are as large as that scale needs.

    Raises:
        UserError: for a split that is neither ``train`` nor ``test``, or a scale that is not a
            positive number.

    >>> shake_bank("test").shape
    (100, 31, 31)
    """
    if split not in SHAKE_BANKS:
        raise UserError(
            f"a bank of camera shake is one of {', '.join(SHAKE_BANKS)}. Got {split!r}."
        )
    check_scale(scale)
    bank = _trajectories(split, SHAKE_BANKS[split])
    if scale != 1.0:
        bank = _resampled(bank, scale)
    bank = (bank / bank.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    bank.flags.writeable = False
    return bank


def check_scale(scale: float) -> None:
    """A ValueError unless this is a scale at which there can be kernels: finite and above zero."""
    if not (np.isfinite(scale) and scale > 0):
        raise UserError(f"scale must be a positive number. Got {scale!r}.")


def _trajectories(split: str, count: int) -> np.ndarray:
    grid, size = _SHAKE_GRID, SHAKE_SIZE
    control = (
        stream("shake", "control points", split).randint(0, grid, (count, 6, 2)).astype(np.float64)
    )
    basis = _spline_basis(samples=1500)
    visited = np.zeros((count, grid, grid), bool)
    for number, points in enumerate(control):
        # A tie such as 3.5 must not depend on the last bit: the small offset decides it the same
        # way everywhere.
        place = np.floor(np.clip(basis @ points, 0, grid - 1) + (0.5 + 1e-7)).astype(np.int64)
        visited[number, place[:, 1], place[:, 0]] = True

    intensities = stream("shake", "intensities", split)
    weights = np.zeros((count, grid, grid))
    empty = np.ones(count, bool)
    while empty.any():
        weights[empty] = np.maximum(
            0.0, 1.0 + 0.5 * intensities.standard_normal((int(empty.sum()), grid, grid))
        )
        weights *= visited
        empty = weights.sum(axis=(1, 2)) == 0

    bank = np.zeros((count, size, size))
    ticks = np.arange(grid)
    for number, weight in enumerate(weights / weights.sum(axis=(1, 2), keepdims=True)):
        top = size // 2 - math.floor(weight.sum(axis=1) @ ticks + (0.5 + 1e-7))
        left = size // 2 - math.floor(weight.sum(axis=0) @ ticks + (0.5 + 1e-7))
        bank[number, top : top + grid, left : left + grid] = weight
    return bank


def _spline_basis(samples: int, points: int = 6) -> np.ndarray:
    """Matrix (samples, points) that takes control points to their not-a-knot cubic spline, which is
    linear in them.
    """
    from scipy.interpolate import CubicSpline

    knots = np.linspace(0.0, 1.0, points)
    return CubicSpline(knots, np.eye(points), bc_type="not-a-knot")(np.linspace(0.0, 1.0, samples))


def _resampled(bank: np.ndarray, scale: float) -> np.ndarray:
    """Every kernel as a mosaic of small squares, shrunk or grown along each axis to its target
    variance, area-sampled.
    """
    size = bank.shape[-1]
    rows, columns = bank.sum(axis=2), bank.sum(axis=1)
    reach = max(1, math.ceil(size / 2 * scale * 1.25))
    down, across = (_mosaic_map(marginal, scale, reach) for marginal in (rows, columns))
    return np.einsum("nij,njk,nlk->nil", down, bank, across, optimize=True)


def _mosaic_map(marginals: np.ndarray, scale: float, reach: int) -> np.ndarray:
    """Maps (count, 2 reach + 1, size) that area-sample each marginal at the extent that has its
    target variance.
    """
    count, size = marginals.shape
    cells, pixels = np.arange(size) - size // 2, np.arange(-reach, reach + 1)
    mean = marginals @ cells
    target = scale**2 * (marginals @ cells**2 - mean**2)

    def coverage(extent: np.ndarray) -> np.ndarray:
        extent = extent[:, None, None]
        low, high = (cells - 0.5) * extent, (cells + 0.5) * extent
        overlap = np.minimum(high, pixels[:, None] + 0.5) - np.maximum(low, pixels[:, None] - 0.5)
        return np.maximum(overlap, 0.0) / extent

    low, high = np.full(count, 1e-3 * scale), np.full(count, 4.0 * scale)
    for _ in range(30):
        middle = np.sqrt(low * high)
        sampled = np.einsum("npc,nc->np", coverage(middle), marginals)
        variance = sampled @ pixels**2 - (sampled @ pixels) ** 2
        low, high = (
            np.where(variance < target, middle, low),
            np.where(variance < target, high, middle),
        )
    return coverage(np.where(target > 0, np.sqrt(low * high), 1e-3))
