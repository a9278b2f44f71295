"""Names of blurs and their arrays: conditions, PSFs, camera shake, mixes (Section 3, Figure 2).

A PSF is a float32 array of odd sides, non-negative, of unit sum, centred on its middle element. Its
name says its kind and its size in pixels of an image whose smaller side is 384, the paper's
canonical scale:

============  ===================================================================
``D8``        defocus: a disk of radius 8
``H8``        horizontal motion: eight equal taps in a row (``V8``: in a column)
``G4``        a Gaussian of standard deviation 4, cut at four standard deviations
``shake:17``  camera shake: number 17 of the 100 trajectories for testing
============  ===================================================================

Three grammars are built on these names. A *PSF* has one of them. A *condition* of a test is
``sharp``, a PSF, or ``shake``, which gives each image one of the 100. A *mix*, by which training
blurs, has a probability for each of some conditions; there ``shake`` is one of 10,000 others.

At another canonical scale (``scale`` = that scale / 384) a PSF is its ideal shape, averaged over
each pixel, at the extent whose variance along each axis is ``scale**2`` times that of the paper's
kernel. Plain area-sampling would turn a small disk into no blur at all; the variance is what a blur
keeps of itself when it is resized.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from blurpaper.runs import CANONICAL
from blurpaper.runs.files import UserError, number_of
from blurpaper.runs.randomness import stream, uniforms

# --- Names and conditions -------------------------------------------------------------------------

SHARP = "sharp"
SHAKE = "shake"
_LARGEST = CANONICAL / 4
SHAKE_BANKS = {"test": 100, "train": 10_000}


def check_psf(name: str) -> tuple[str, float]:
    """Check that a name such as ``"D8"`` or ``"shake:17"`` is that of a PSF; returns its kind and
    its size in pixels of 384, or its number for camera shake.

    Raises:
        UserError: if it is not, with the names that are.

    >>> check_psf("H4"), check_psf("shake:17")
    (('H', 4.0), ('shake', 17.0))
    """
    pattern = r"(shake):([0-9]{1,6})|([A-Z])([0-9]{1,4}(?:\.[0-9]{1,4})?)"
    match = re.fullmatch(pattern, name) if isinstance(name, str) else None
    letter, size = [one for one in match.groups() if one] if match else ("", "0")
    if letter == SHAKE and int(size) >= SHAKE_BANKS["test"]:
        raise UserError(
            f"camera shake for testing is numbered 0 to {SHAKE_BANKS['test'] - 1}. Got {name!r}."
        )
    if letter != SHAKE:
        if letter not in KINDS:
            raise UserError(f"{_EXPECTED} Got {name!r}.")
        kind = KINDS[letter]
        if not kind.smallest <= float(size) <= _LARGEST:
            raise UserError(
                f"{kind.what} is from {kind.smallest:g} to {_LARGEST:g} pixels. Got {name!r}."
            )
        if kind.whole and not float(size).is_integer():
            raise UserError(f"{kind.what} is a whole number of pixels. Got {name!r}.")
    return letter, float(size)


def psf(name: str, scale: float = 1.0) -> np.ndarray:
    """The PSF of that name: float32 ``(h, w)`` of odd sides, sum 1 (Sec. 3, Fig. 2). The array is
    read-only.

    Args:
        name: ``"D8"``, ``"H4"``, ``"V4"``, ``"G8"`` or ``"shake:17"``.
        scale: canonical scale in use, divided by the paper's 384.

    Raises:
        UserError: for a name that is not a PSF's, or an invalid scale.

    >>> psf("D8").shape
    (17, 17)
    >>> psf("H8").shape
    (1, 9)
    """
    return _array(*check_psf(name), check_scale(scale))


@lru_cache(maxsize=1024)
def _array(letter: str, size: float, scale: float) -> np.ndarray:
    if letter == SHAKE:
        return shake_bank("test", scale)[int(size)]
    kernel = KINDS[letter].canonical(size)
    return _finished(kernel if scale == 1 else KINDS[letter].sampled(kernel, scale))


def check_condition(name: str) -> str:
    """Check that a name is that of a condition; returns it.

    Raises:
        UserError: if it is not, with the names that are.

    >>> check_condition("shake")
    'shake'
    """
    if name not in (SHARP, SHAKE):
        check_psf(name)
    return name


def psf_of(condition: str, image_id: str, scale: float = 1.0) -> np.ndarray | None:
    """The PSF of a test image under a condition: for camera shake always the same of the hundred
    (Sec. 3).

    Args:
        condition: ``sharp``, ``shake`` or the name of a PSF.
        image_id: relative path of the image, which chooses the trajectory of camera shake.
        scale: canonical scale in use, divided by 384.

    Returns:
        float32 ``(h, w)`` of odd sides and unit sum; None for no blur.

    >>> psf_of("D8", "val/a.jpg").shape
    (17, 17)
    """
    if condition == SHARP:
        return None
    if condition == SHAKE:
        drawn = uniforms("shake", "test", image_id)[0]
        return shake_bank("test", scale)[int(drawn * SHAKE_BANKS["test"])]
    return psf(condition, scale)


def check_scale(scale: float) -> float:
    """Check that a scale is a number, finite and above zero, of Python, numpy or torch; returns it
    as Python's.

    Raises:
        UserError: if it is not.
    """
    number = number_of(scale)
    if not 0 < number < math.inf:
        raise UserError(f"scale must be a positive number. Got {scale!r}.")
    return number


# --- PSFs with a formula --------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A family of PSFs: its kernels at the paper's scale, and from these at any other."""

    what: str
    canonical: Callable[[float], np.ndarray]
    sampled: Callable[[np.ndarray, float], np.ndarray]
    smallest: float = 1.0
    whole: bool = False


def _disk(radius: float) -> np.ndarray:
    reach = math.floor(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return (x * x + y * y <= radius * radius).astype(np.float64)


def _box_row(length: float) -> np.ndarray:
    taps, reach = int(length), int(length) // 2
    row = np.zeros((1, 2 * reach + 1))
    row[0, :taps] = 1.0
    return row


def _gaussian(sigma: float) -> np.ndarray:
    reach = math.ceil(4 * sigma)
    tap = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.outer(tap, tap)


_FINE = 256
"""Lines of the midpoint rule in each pixel."""


def _disk_area(radius: float) -> np.ndarray:
    """Share of each pixel that a disk of this radius covers: exact along y, a fine midpoint rule
    along x.
    """
    columns = math.ceil(radius + 0.5) + 1  # of pixels, from the middle outwards
    x = (np.arange(columns * _FINE) + 0.5) / _FINE - 0.5
    chords = np.sqrt(np.maximum(radius**2 - x**2, 0.0)).reshape(columns, _FINE)  # half of each
    y = np.arange(columns)
    covered = (y + 0.5 <= chords.min(axis=1)[:, None]).astype(np.float64)
    # Only the pixels of the edge are neither full nor empty.
    x, y = np.nonzero((covered == 0) & (y - 0.5 < chords.max(axis=1)[:, None]))
    lines, y = chords[x], y[:, None]
    shares = np.where(y == 0, 2 * np.minimum(lines, 0.5), np.clip(lines - y + 0.5, 0.0, 1.0))
    covered[x, y[:, 0]] = shares.mean(axis=1)
    return np.pad((covered + covered.T) / 2, (columns - 1, 0), mode="reflect")


def _segment_area(length: float) -> np.ndarray:
    reach = math.ceil(length / 2 + 0.5)
    x = np.abs(np.arange(-reach, reach + 1))
    return np.where(x == 0, min(length, 1.0), np.clip(length / 2 - x + 0.5, 0.0, 1.0))


def _gaussian_area(sigma: float) -> np.ndarray:
    reach = max(1, math.ceil(4 * sigma))
    edges = np.arange(-reach - 0.5, reach + 1.0) / (sigma * math.sqrt(2))
    return np.diff([math.erf(edge) for edge in edges])


def _of_variance(shape: Callable[[float], np.ndarray], target: float) -> np.ndarray:
    """The member of a family of shapes whose variance along x is the target, to the last digits: by
    false position (the Illinois method), as variance grows with extent.
    """

    def excess(extent: float) -> float:
        return float(axis_variance(shape(extent))[-1]) - target

    low, high, below, side = 0.0, math.sqrt(target) + 0.5, -target, 0
    while (above := excess(high)) < 0:
        low, high, below = high, 2 * high, above
    while above > 0 and high - low > 1e-15 * high:
        middle = low + (high - low) * below / (below - above)
        value = excess(middle)
        if abs(value) <= 1e-14 * target:
            return shape(middle)
        if value < 0:
            low, below, above, side = middle, value, above / (1 + (side < 0)), -1
        else:
            high, above, below, side = middle, value, below / (1 + (side > 0)), 1
    return shape(high)


def axis_variance(kernel: np.ndarray) -> np.ndarray:
    """Variance of a kernel along each of its axes, in pixels squared: float64, ``(2,)`` for ``(h,
    w)``.
    """
    kernel = np.asarray(kernel, np.float64) / np.sum(kernel, dtype=np.float64)
    variances = []
    for axis, size in enumerate(kernel.shape):
        marginal = kernel.sum(axis=tuple(a for a in range(kernel.ndim) if a != axis))
        place = np.arange(size) - size // 2
        variances.append(marginal @ place**2 - (marginal @ place) ** 2)
    return np.array(variances)


def _sampled_disk(kernel: np.ndarray, scale: float) -> np.ndarray:
    return _of_variance(_disk_area, scale**2 * axis_variance(kernel)[1])


def _sampled_row(kernel: np.ndarray, scale: float) -> np.ndarray:
    return _of_variance(_segment_area, scale**2 * axis_variance(kernel)[1])[None]


def _sampled_gaussian(kernel: np.ndarray, scale: float) -> np.ndarray:
    tap = _of_variance(_gaussian_area, scale**2 * axis_variance(kernel)[1])
    return np.outer(tap, tap)


KINDS: dict[str, Kind] = {
    "D": Kind("the radius of a disk", _disk, _sampled_disk),
    "H": Kind("the length of a horizontal box", _box_row, _sampled_row, whole=True),
    "V": Kind(
        "the length of a vertical box",
        lambda n: _box_row(n).T,
        lambda k, s: _sampled_row(k.T, s).T,
        whole=True,
    ),
    "G": Kind("the standard deviation of a Gaussian", _gaussian, _sampled_gaussian, smallest=0.5),
}
"""The registry. A new kind of PSF is one line here, and is tested at once."""

_EXPECTED = (
    f"a PSF is one of {', '.join(kind + '<size>' for kind in KINDS)} or shake:<number>, as in 'D8' "
    "or 'shake:17'."
)


def _finished(kernel: np.ndarray) -> np.ndarray:
    """Unit sum, float32, empty borders dropped symmetrically, read-only."""
    kernel = np.asarray(kernel, np.float64)
    kernel = kernel / kernel.sum()
    for axis in (0, 1):
        filled = np.flatnonzero(kernel.sum(axis=1 - axis) > 1e-9)
        middle = kernel.shape[axis] // 2
        reach = max(middle - filled[0], filled[-1] - middle)
        kernel = np.take(kernel, range(middle - reach, middle + reach + 1), axis=axis)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    kernel.flags.writeable = False
    return kernel


# --- Camera shake ---------------------------------------------------------------------------------


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
    scale = check_scale(scale)
    bank = _trajectories(split, SHAKE_BANKS[split])
    if scale != 1.0:
        bank = _resampled(bank, scale)
    bank = (bank / bank.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    bank.flags.writeable = False
    return bank


def _trajectories(split: str, count: int) -> np.ndarray:
    grid, size = 16, 31
    places = stream("shake", "control points", split).randint(0, grid, (count, 6, 2))
    control = places.astype(np.float64)
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
        drawn = intensities.standard_normal((int(empty.sum()), grid, grid))
        weights[empty] = np.maximum(0.0, 1.0 + 0.5 * drawn)
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
        narrow = variance < target
        low, high = np.where(narrow, middle, low), np.where(narrow, high, middle)
    return coverage(np.where(target > 0, np.sqrt(low * high), 1e-3))


# --- Mixes ----------------------------------------------------------------------------------------

MIXES: dict[str, dict[str, float]] = {
    "sharp-only": {SHARP: 1.0},
    "sharp+D4": {SHARP: 0.5, "D4": 0.5},
    "mix": {SHARP: 0.2, "D2": 0.2, "D4": 0.2, "D6": 0.2, "D8": 0.2},
    "sharp+D8": {SHARP: 0.5, "D8": 0.5},
    "onlyD8": {"D8": 1.0},
    "sharp+shake": {SHARP: 0.2, SHAKE: 0.8},
}
"""The paper's training distributions (Table 3) and a control without blur; shares of the halves are
our choice.
"""


def check_mix(mix: str | Mapping[str, float]) -> dict[str, float]:
    """A mix as condition -> probability: one of :data:`MIXES` by name, or a mapping (or pandas
    Series) of one's own, whose numbers may be numpy's or torch's.

    Raises:
        UserError: if the name is unknown, or a condition is, or the probabilities are not positive
            and of sum 1.

    >>> check_mix("onlyD8")
    {'D8': 1.0}
    """
    if isinstance(mix, str):
        if mix not in MIXES:
            raise UserError(f"a mix is one of {', '.join(MIXES)}. Got {mix!r}.")
        return dict(MIXES[mix])
    mix = mix.to_dict() if hasattr(mix, "to_dict") else mix
    if not isinstance(mix, Mapping):
        raise UserError(
            f"a mix is a name, or a mapping from conditions to probabilities. Got {mix!r}."
        )
    if not mix:
        raise UserError("a mix names at least one condition. Got none.")
    shares = {check_condition(name): number_of(share) for name, share in mix.items()}
    for condition, share in shares.items():
        if not 0 < share <= 1:
            raise UserError(
                f"the probability of {condition} must be above 0 and at most 1. Got "
                f"{mix[condition]!r}."
            )
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise UserError(f"the probabilities of a mix sum to 1. Got {sum(shares.values()):g}.")
    return shares


def draw(
    mix: Mapping[str, float], condition_at: float, shake_at: float, scale: float = 1.0
) -> np.ndarray | None:
    """The PSF that two uniform numbers in [0, 1) draw from a mix (Sec. 4.1).

    Args:
        mix: condition -> probability.
        condition_at: picks the condition.
        shake_at: picks one of the ten thousand training trajectories.
        scale: canonical scale in use, divided by 384.

    Returns:
        float32 ``(h, w)`` of odd sides and unit sum; None for no blur.

    >>> draw({"sharp": 0.5, "D8": 0.5}, 0.7, 0.0).shape
    (17, 17)
    """
    shares = np.cumsum(list(mix.values()))
    place = np.searchsorted(shares, condition_at, side="right")
    condition = list(mix)[min(place, len(mix) - 1)]  # rounding may leave the sum just below 1
    if condition == SHARP:
        return None
    if condition == SHAKE:
        return shake_bank("train", scale)[int(shake_at * SHAKE_BANKS["train"])]
    return psf(condition, scale)
