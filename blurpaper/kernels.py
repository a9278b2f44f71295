"""Point-spread functions: the blurs of the paper (Section 3, Figure 2), by name.

A PSF is a float32 array of odd sides, non-negative, of unit sum, centred on its middle element. Its
name says its kind and its size in pixels of an image whose smaller side is 384, the paper's
canonical scale:

============  ===================================================================
``D8``        defocus: a disk of radius 8
``H8``        horizontal motion: eight equal taps in a row (``V8``: in a column)
``G4``        a Gaussian of standard deviation 4, cut at four standard deviations
``shake:17``  camera shake: number 17 of the 100 trajectories for testing
============  ===================================================================

At another canonical scale (``scale`` = that scale / 384) a PSF is its ideal shape, averaged over
each pixel, at the extent whose variance along each axis is ``scale**2`` times that of the paper's
kernel. Plain area-sampling would turn a small disk into no blur at all; the variance is what a blur
keeps of itself when it is resized.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from blurpaper.runs.errors import UserError
from blurpaper.shake import SHAKE_BANKS, check_scale, shake_bank

CANONICAL = 384
"""Smaller side, in pixels, of the images whose pixels PSF names speak of."""

SHARP = "sharp"
SHAKE = "shake"
_LARGEST = CANONICAL / 4


@dataclass(frozen=True)
class PSF:
    """A point-spread function as a value: its kind, its size in pixels of 384, and for camera shake
    its number.

    >>> psf = PSF.parse("H4")
    >>> psf.kind, psf.size
    ('H', 4.0)
    """

    kind: str
    size: float = 0.0
    index: int | None = None

    @classmethod
    def parse(cls, name: str) -> PSF:
        """Read a name such as ``"D8"`` or ``"shake:17"``.

        Raises:
            UserError: if the name is not that of a PSF, with the names that are.
        """
        if not isinstance(name, str):
            raise UserError(f"a PSF is named by a string such as 'D8'. Got {name!r}.")
        if name == SHAKE:
            raise UserError(
                f"'shake' is {SHAKE_BANKS['test']} PSFs: name one, 'shake:0' to 'shake:99'. Got "
                f"{name!r}."
            )
        if match := re.fullmatch(r"shake:([0-9]{1,6})", name):
            return cls(SHAKE, 0.0, int(match[1]))
        if match := re.fullmatch(r"([A-Z])([0-9]{1,4}(?:\.[0-9]{1,4})?)", name):
            return cls(match[1], float(match[2]))
        raise UserError(f"{_EXPECTED} Got {name!r}.")

    def __post_init__(self) -> None:
        name = self.name
        if self.kind == SHAKE:
            if self.index is None or not 0 <= self.index < SHAKE_BANKS["test"]:
                raise UserError(
                    f"camera shake for testing is numbered 0 to {SHAKE_BANKS['test'] - 1}. Got "
                    f"{name!r}."
                )
            return
        if self.kind not in KINDS:
            raise UserError(f"{_EXPECTED} Got {name!r}.")
        kind = KINDS[self.kind]
        if not kind.smallest <= self.size <= _LARGEST:
            raise UserError(
                f"{kind.what} is from {kind.smallest:g} to {_LARGEST:g} pixels. Got {name!r}."
            )
        if kind.whole and self.size != int(self.size):
            raise UserError(f"{kind.what} is a whole number of pixels. Got {name!r}.")

    @property
    def name(self) -> str:
        return f"shake:{self.index}" if self.kind == SHAKE else f"{self.kind}{self.size:g}"

    def array(self, scale: float = 1.0) -> np.ndarray:
        """The PSF at ``scale`` times the canonical size: float32 ``(h, w)``, odd, unit sum."""
        check_scale(scale)
        if self.kind == SHAKE:
            return shake_bank("test", scale)[self.index]
        kernel = KINDS[self.kind].canonical(self.size)
        if scale != 1.0:
            kernel = KINDS[self.kind].sampled(kernel, scale)
        return _finished(kernel)


@lru_cache(maxsize=1024)
def psf(name: str, scale: float = 1.0) -> np.ndarray:
    """The PSF of that name: float32 ``(h, w)`` of odd sides, sum 1 (Sec. 3, Fig. 2). The array is
    read-only.

    Args:
        name: ``"D8"``, ``"H4"``, ``"V4"``, ``"G8"`` or ``"shake:17"``.
        scale: canonical scale in use, divided by the paper's 384.

    Raises:
        UserError: for a name or a scale that means no PSF, saying what it got.

    >>> psf("D8").shape
    (17, 17)
    >>> psf("H8").shape
    (1, 9)
    """
    return PSF.parse(name).array(scale)


def check_condition(name: str) -> str:
    """The name itself, if it is that of a condition; a ValueError that lists what could be meant
    otherwise.

    >>> check_condition("shake")
    'shake'
    """
    if name not in (SHARP, SHAKE):
        PSF.parse(name)
    return name


# --- Shapes with a formula ------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How one letter makes kernels: at the paper's scale, and at any other from the paper's kernel."""

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


def _disk_area(radius: float) -> np.ndarray:
    """Share of each pixel that a disk of this radius covers: exact along y, a fine midpoint rule
    along x.
    """
    reach, fine = math.ceil(radius + 0.5), 256
    x = (np.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    half_chord = np.sqrt(np.maximum(radius**2 - x**2, 0.0))[:, None]
    y = np.abs(np.arange(-reach, reach + 1))[None]
    covered = np.where(
        y == 0, 2 * np.minimum(half_chord, 0.5), np.clip(half_chord - y + 0.5, 0.0, 1.0)
    )
    area = covered.reshape(2 * reach + 1, fine, -1).mean(axis=1)
    return (area + area.T) / 2


def _segment_area(length: float) -> np.ndarray:
    reach = math.ceil(length / 2 + 0.5)
    x = np.abs(np.arange(-reach, reach + 1))
    return np.where(x == 0, min(length, 1.0), np.clip(length / 2 - x + 0.5, 0.0, 1.0))


def _gaussian_area(sigma: float) -> np.ndarray:
    reach = max(1, math.ceil(4 * sigma))
    edges = np.arange(-reach - 0.5, reach + 1.0) / (sigma * math.sqrt(2))
    return np.diff([math.erf(edge) for edge in edges])


def _of_variance(shape: Callable[[float], np.ndarray], target: float) -> np.ndarray:
    """The member of a family of shapes whose variance along x is the target: by bisection, as
    variance grows with extent.
    """
    low, high = 0.0, math.sqrt(target) + 0.5
    while axis_variance(shape(high))[-1] < target:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if axis_variance(shape(middle))[-1] < target else (low, middle)
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

_EXPECTED = f"a PSF is one of {', '.join(kind + '<size>' for kind in KINDS)} or shake:<number>, as in 'D8' or 'shake:17'."


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
