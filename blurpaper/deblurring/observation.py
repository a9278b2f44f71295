"""A blurred image as an observation, and the least-squares problem of every method (Zoran and
Weiss 2011, Section 4).

A *scene* is convolved with the PSF, and a *frame* of it is seen. Scenes lie on a torus, where
convolution is a product of Fourier coefficients. Two borders of the frame are known:

- ``unknown``, a camera's. The scene reaches as far around the frame as the PSF does, and nothing is
  known of it there but what it sends into the frame (Reeves 2005; Almeida and Figueiredo 2013;
  Matakos, Ramani and Fessler 2013).
- ``mirror``, that of :mod:`blurpaper.blur`: the image and its whole-sample mirror images, which
  repeat with the period of twice the image less its border. The scene has the size of the frame.
  Squares are summed over the torus, so that a pixel of the border, which lies on it once and not
  twice, counts half.

Where a mirrored PSF is symmetric in both axes, the blurred torus is mirrored like the sharp one,
and least squares are one division of Fourier coefficients (that is, cosine transforms of the image,
DCT-I). Everything else is solved by conjugate gradients on the Fourier coefficients of the scene,
preconditioned by the blur of the whole torus: two transforms a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

UNKNOWN, MIRROR = "unknown", "mirror"
_PRECISION, MOST_STEPS = 1e-6, 300
"""Of conjugate gradients: the residual, relative to the right side, at which they end, and their
most steps.
"""


class Observation:
    """Planes that were blurred with one PSF, and least squares for the sharp ones.

    Args:
        observed: float32 ``(B, H, W)``, on any device.
        kernel: the PSF, ``(h, w)`` of odd sides; it may be larger than the image.
        border: ``unknown`` or ``mirror``.
        clipped: bool ``(B, H, W)``, pixels whose true value may be above the observed one; none by
            default.

    Attributes:
        shape, period: sides of the scene ``(Y, X)`` and of its torus.
        direct: whether least squares are one division.
        roughness: weights of the torus's Fourier coefficients of a scene in the squared length of
            its gradient.
    """

    def __init__(
        self,
        observed: torch.Tensor,
        kernel: np.ndarray,
        border: str = UNKNOWN,
        clipped: torch.Tensor | None = None,
    ) -> None:
        from scipy.fft import next_fast_len

        self.observed, self.kernel = observed, _trimmed(kernel)
        self.clipped = clipped if clipped is not None and clipped.any() else None
        self.mirrors, device = border == MIRROR, observed.device
        frame = tuple(observed.shape[-2:])
        if self.mirrors:
            self.shape, self._corner = frame, (0, 0)
            self.period = tuple(max(2 * (side - 1), 1) for side in frame)
        else:
            self._corner = tuple(side // 2 for side in self.kernel.shape)
            self.shape = self.period = tuple(
                next_fast_len(side + 2 * reach, real=True)
                for side, reach in zip(frame, self._corner, strict=True)
            )
        self._transfer = torch.fft.rfft2(wrapped(kernel, self.period)).to(device, torch.complex64)
        symmetric = np.allclose(kernel, kernel[::-1]) and np.allclose(kernel, kernel[:, ::-1])
        self.direct = self.mirrors and symmetric
        if self.direct:
            self._transfer = self._transfer.real.contiguous()
        self.roughness = _roughness(self.period).to(device)

    def blurred(self, scene: torch.Tensor) -> torch.Tensor:
        """Blur scenes ``(B, Y, X)`` as the observed one was, without rounding: ``(B, Y, X)``."""
        return self._backward(self._transfer * self._forward(scene))

    def framed(self, scene: torch.Tensor) -> torch.Tensor:
        """The part of scenes ``(B, Y, X)`` that lies in the frame: ``(B, H, W)``."""
        (top, left), (height, width) = self._corner, self.observed.shape[-2:]
        return scene[..., top : top + height, left : left + width]

    def completed(self, scene: torch.Tensor) -> torch.Tensor:
        """The observed planes, and around them and where they are clipped the blurred scene:
        ``(B, Y, X)``.
        """
        whole = self.blurred(scene)
        frame = self.framed(whole)
        frame.copy_(torch.where(self.exceeded(scene), frame, self.observed))
        return whole

    def exceeded(self, scene: torch.Tensor | None) -> torch.Tensor:
        """The clipped pixels that a scene, blurred, is above, where they tell nothing of it: bool
        ``(B, H, W)``; without a scene, all that are clipped.
        """
        if self.clipped is None:
            return torch.zeros_like(self.observed, dtype=torch.bool)
        if scene is None:
            return self.clipped
        return self.clipped & (self.framed(self.blurred(scene)) > self.observed)

    def lines(self, starts: Sequence[int], stops: Sequence[int]) -> list[torch.Tensor]:
        """Indices into the rows and the columns of a scene, from starts to stops beyond it, as its
        torus continues them: int64, two of ``(stop - start,)``.
        """
        sides = zip(self.shape, starts, stops, strict=True)
        if self.mirrors:
            return [mirrored(*line) for line in sides]
        return [torch.arange(start, stop) % side for side, start, stop in sides]

    def solve(
        self,
        penalty: float | torch.Tensor,
        pull: torch.Tensor | None = None,
        start: torch.Tensor | None = None,
        steps: int = MOST_STEPS,
    ) -> torch.Tensor:
        """The scenes ``x`` ``(B, Y, X)`` that minimise ``|framed(blurred(x)) - observed|^2 + <x,
        penalty x> - 2 <pull, x>``.

        Args:
            penalty: above 0, for each Fourier coefficient of the torus, or one number for all.
            pull: ``(B, Y, X)``, nothing by default. With a number ``c`` as penalty, ``pull = c *
                target`` keeps ``x`` near it.
            start: an estimate of ``x``, from which iterations start where there are any, and which
                says what clipped pixels count: those that it does not exceed.
            steps: most iterations.
        """
        if self.direct:
            right = self._explained if pull is None else self._explained + self._forward(pull)
            return self._backward(right / (self._transfer.square() + penalty))
        weights = self._weights * ~self.exceeded(start)
        pulled = None if pull is None else self._forward(pull)
        right = self._correlated(weights * self.observed)
        right = right if pulled is None else right + pulled
        inverse = 1 / (self._power + penalty)

        def applied(spectrum: torch.Tensor) -> torch.Tensor:
            seen = self.framed(torch.fft.irfft2(self._transfer * spectrum, s=self.period))
            return self._correlated(weights * seen) + penalty * spectrum

        found = inverse * right if start is None else self._forward(start)
        residual = right - applied(found)
        direction = closer = inverse * residual
        size = self._inner(residual, closer)
        enough = _PRECISION**2 * self._inner(right, inverse * right)
        for _ in range(steps):
            if bool((size <= enough).all()):
                break
            along = applied(direction)
            length = size / self._inner(direction, along).clamp_min(1e-30)
            found, residual = found + length * direction, residual - length * along
            closer = inverse * residual
            size, previous = self._inner(residual, closer), size
            direction = closer + size / previous.clamp_min(1e-30) * direction
        return self._backward(found)

    # --- Between a scene and its torus ------------------------------------------------------------

    def _forward(self, scene: torch.Tensor) -> torch.Tensor:
        if self.mirrors:
            rows, columns = self._mirror
            scene = scene[..., rows, :][..., columns]
        return torch.fft.rfft2(scene)

    def _backward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(spectrum, s=self.period)[..., : self.shape[0], : self.shape[1]]

    @cached_property
    def _mirror(self) -> list[torch.Tensor]:
        return [line.to(self.observed.device) for line in self.lines((0, 0), self.period)]

    @cached_property
    def _explained(self) -> torch.Tensor:
        return self._transfer * self._forward(self.observed)

    # --- For conjugate gradients ------------------------------------------------------------------

    def _correlated(self, frame: torch.Tensor) -> torch.Tensor:
        """Fourier coefficients of the adjoint of blurring and framing, of ``(B, H, W)``; where the
        torus is mirrored, of its part that is mirrored too.
        """
        torus = frame.new_zeros(*frame.shape[:-2], *self.period)
        self.framed(torus).copy_(frame)
        spectrum = self._transfer.conj() * torch.fft.rfft2(torus)
        return _even(spectrum.real) + 0j if self.mirrors else spectrum

    @cached_property
    def _weights(self) -> torch.Tensor:
        """Weight of each pixel of the frame: 1, or how often it lies on the mirrored torus."""
        rows, columns = (
            torch.full((side,), 2.0 if self.mirrors else 1.0, device=self.observed.device)
            for side in self.observed.shape[-2:]
        )
        for line in (rows, columns):
            line[[0, -1]] = 1.0
        return rows[:, None] * columns

    @cached_property
    def _power(self) -> torch.Tensor:
        """Squared transfer; where the torus is mirrored, its part that is diagonal there."""
        power = self._transfer.abs().square()
        return _even(power) if self.mirrors else power

    @cached_property
    def _counts(self) -> torch.Tensor:
        """How often each column of the half spectrum is in the whole."""
        column = torch.arange(self.period[1] // 2 + 1, device=self.observed.device)
        return torch.where((column == 0) | (2 * column == self.period[1]), 1.0, 2.0)

    def _inner(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        products = (torch.view_as_real(one) * torch.view_as_real(other)).sum(dim=-1)
        return (self._counts * products).sum(dim=(-2, -1), keepdim=True)


def _trimmed(kernel: np.ndarray) -> np.ndarray:
    """A PSF without margins of zeros that surround it evenly."""
    sides = zip(kernel.nonzero(), kernel.shape, strict=True)
    down, across = (min(at.min(), side - 1 - at.max()) for at, side in sides)
    return kernel[down : kernel.shape[0] - down, across : kernel.shape[1] - across]


def _even(spectrum: torch.Tensor) -> torch.Tensor:
    """Mean of real coefficients and of those mirrored from row to row."""
    return (spectrum + spectrum.roll(-1, -2).flip(-2)) / 2


def mirrored(size: int, start: int, stop: int) -> torch.Tensor:
    """Indices into a line of ``size`` pixels of its whole-sample mirror from ``start`` to ``stop``:
    int64 ``(stop - start,)``.
    """
    period = max(2 * (size - 1), 1)
    place = torch.arange(start, stop) % period
    return torch.where(place < size, place, period - place)


def wrapped(kernel: np.ndarray, period: Sequence[int]) -> torch.Tensor:
    """A PSF ``(h, w)`` around the origin of the torus, wrapped where it is longer: float64, of the
    torus's shape.
    """
    torus = torch.zeros(*period, dtype=torch.float64)
    rows, columns = (
        torch.arange(-(side // 2), side // 2 + 1) % turn
        for side, turn in zip(kernel.shape, period, strict=True)
    )
    places = (rows[:, None].expand(kernel.shape), columns.expand(kernel.shape))
    values = torch.from_numpy(np.asarray(kernel, np.float64))
    return torus.index_put(places, values, accumulate=True)


def _roughness(period: tuple[int, int]) -> torch.Tensor:
    """Fourier coefficients of the negative Laplacian of five points."""
    rows, columns = (2 - 2 * torch.cos(2 * math.pi * torch.arange(turn) / turn) for turn in period)
    return rows[:, None] + columns[: period[1] // 2 + 1]
