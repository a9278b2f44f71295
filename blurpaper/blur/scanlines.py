"""Convolution row by row on the CPU: each row of the image is prepared once and held while it is
within reach of the PSF.

Three ways, of which :func:`method_of` chooses the one with the fewest operations for a PSF: its
non-zero taps one by one, in integers if they are all equal (small disks, boxes, camera shake); two
differences of running sums for each run of equal taps in a row (disks); down the columns, then
along the row (Gaussians). All take an image as rows of bytes, the channels of a pixel side by side
or not, and compute any band of rows by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from blurpaper.blur import loops

_ONE = np.float32(1)

_RUNNING_SUM = 40
"""Cost of a running sum, which cannot be computed several values at a time, in operations that can
be.
"""

_MOST_OPERATIONS = 400
"""Above this many operations a value, Fourier transforms are faster."""


def method_of(kernel: np.ndarray) -> Taps | Separable | None:
    """The fastest way of convolving with a PSF, float32 ``(h, w)``; None if that is by Fourier
    transforms.
    """
    return _method_of(kernel.tobytes(), kernel.shape)


@lru_cache(maxsize=1024)
def _method_of(content: bytes, shape: tuple[int, int]) -> Taps | Separable | None:
    flipped = np.frombuffer(content, np.float32).reshape(shape)[::-1, ::-1]
    ways = (Taps.of(flipped), Taps.of_runs(flipped), Separable.of(flipped))
    best = min((way for way in ways if way is not None), key=lambda way: way.operations)
    return best if best.operations <= _MOST_OPERATIONS else None


@dataclass(frozen=True, eq=False)
class Taps:
    """A weighted sum of a row's neighbourhood, or of the running sums along its rows, times a
    factor.

    Attributes:
        reach: rows above and below, and pixels left and right, that are looked at.
        rows, columns: where each tap lies, in pixels from the middle.
        weights: their weights, float32; or of unsigned integers, whose sums may wrap around on the
            way but not at the end.
    """

    reach: tuple[int, int]
    rows: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    factor: np.float32 = _ONE
    of_running_sums: bool = False

    @classmethod
    def of(cls, flipped: np.ndarray) -> Taps:
        """The non-zero taps of a PSF; as integers, if they are all equal."""
        rows, columns = np.nonzero(flipped)
        weights, factor = flipped[rows, columns], _ONE
        if common := _common_weight(flipped):
            weights, factor = np.ones(len(weights), _sum_type(flipped)), common
        return cls(_reach(flipped), *_placed(flipped, rows, columns), _filled(weights), factor)

    @classmethod
    def of_runs(cls, flipped: np.ndarray) -> Taps | None:
        """The runs of equal taps in the rows of a PSF: of each, the running sum at its last less
        that before its first.
        """
        if not (common := _common_weight(flipped)):
            return None
        edges = np.diff((flipped != 0).astype(np.int8), axis=1, prepend=0, append=0)
        rows, columns = np.nonzero(edges)
        weights = (-edges[rows, columns]).astype(_sum_type(flipped))  # minus one wraps around
        down, across = _reach(flipped)
        return cls(
            (down, across + 1),
            *_placed(flipped, rows, columns - 1),
            _filled(weights),
            common,
            of_running_sums=True,
        )

    @property
    def operations(self) -> float:
        return (len(self.rows) + _RUNNING_SUM * self.of_running_sums) * self.weights.itemsize / 4

    def __call__(
        self, plane: np.ndarray, out: np.ndarray, pixel: int, top: int, bottom: int
    ) -> None:
        taps = self.rows, self.columns, self.weights
        loops.by_taps(
            plane, out, pixel, top, bottom, *self.reach, *taps, self.factor, self.of_running_sums
        )


@dataclass(frozen=True, eq=False)
class Separable:
    """The outer product of two lists of weights, float32."""

    reach: tuple[int, int]
    vertical: np.ndarray
    horizontal: np.ndarray

    @classmethod
    def of(cls, flipped: np.ndarray) -> Separable | None:
        vertical = flipped.sum(axis=1, dtype=np.float64)
        horizontal = flipped.sum(axis=0, dtype=np.float64)
        vertical /= vertical.sum()
        # At most 0.003 grey levels.
        if np.abs(np.outer(vertical, horizontal) - flipped).sum() > 1e-5:
            return None
        vertical, horizontal = vertical.astype(np.float32), horizontal.astype(np.float32)
        return cls(_reach(flipped), _filled(vertical), _filled(horizontal))

    @property
    def operations(self) -> float:
        return len(self.vertical) + len(self.horizontal) + 2

    def __call__(
        self, plane: np.ndarray, out: np.ndarray, pixel: int, top: int, bottom: int
    ) -> None:
        loops.by_columns_and_rows(
            plane, out, pixel, top, bottom, *self.reach, self.vertical, self.horizontal
        )


def _reach(kernel: np.ndarray) -> tuple[int, int]:
    return kernel.shape[0] // 2, kernel.shape[1] // 2


def _common_weight(kernel: np.ndarray) -> np.float32 | None:
    """The weight that all taps have which are not zero, if they have one."""
    weights = np.unique(kernel[kernel != 0])
    return weights[0] if len(weights) == 1 and weights[0] > 0 else None


def _sum_type(kernel: np.ndarray) -> type[np.unsignedinteger]:
    """The smallest integers that hold the sum of as many bytes as there are taps; those of 16 bits
    are twice as fast.
    """
    return np.uint16 if np.count_nonzero(kernel) * 255 < 2**16 else np.uint32


def _placed(
    kernel: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    down, across = _reach(kernel)
    return _filled(rows - down), _filled(columns - across)


def _filled(values: np.ndarray) -> np.ndarray:
    """A list padded by zeros to a multiple of the taps in one pass."""
    return np.concatenate([values, np.zeros(-len(values) % loops.AT_ONCE, values.dtype)])
