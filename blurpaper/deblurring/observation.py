"""A blurred image as an observation, and the least-squares problem of every method (Zoran and
Weiss 2011, Section 4).

The blur is that of :mod:`blurpaper.blur`: convolution of the image and its whole-sample mirror
images, which repeat with the period of twice the image less its border. On that torus convolution
is a product of Fourier coefficients. Where the PSF is symmetric in both axes, the blurred torus is
mirrored like the sharp one, Fourier transforms (that is, cosine transforms of the image, DCT-I)
diagonalise the blur exactly, and least squares are one division; nothing rings at the border,
because there is none. Otherwise only a quarter of the blurred torus is seen, and conjugate
gradients solve for it.

Squares are summed over the torus, so that a pixel of the border, which lies on it once and not
twice, counts half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

_PRECISION, _MOST_STEPS = 1e-5, 200
"""Of conjugate gradients: the residual, relative to the first, at which they end, and their most
steps.
"""


class Observation:
    """Planes that were blurred with one PSF, and least squares for the sharp ones.

    Args:
        observed: float32 ``(B, H, W)``, on any device.
        kernel: the PSF, ``(h, w)`` of odd sides; it may be larger than the image.

    Attributes:
        shape, period: sides of the image and of its torus.
        roughness: weights of the torus's Fourier coefficients of an image in the squared length
            of its gradient.
    """

    def __init__(self, observed: torch.Tensor, kernel: np.ndarray) -> None:
        self.observed, self.kernel, device = observed, kernel, observed.device
        self.shape = tuple(observed.shape[-2:])
        self.period = tuple(max(2 * (side - 1), 1) for side in self.shape)
        self._rows, self._columns = (
            mirrored(side, 0, period).to(device)
            for side, period in zip(self.shape, self.period, strict=True)
        )
        self._transfer = torch.fft.rfft2(wrapped(kernel, self.period)).to(device, torch.complex64)
        self.symmetric = np.allclose(kernel, kernel[::-1]) and np.allclose(kernel, kernel[:, ::-1])
        if self.symmetric:
            self._transfer = self._transfer.real.contiguous()
            self._explained = self._transfer * self._forward(observed)
        self.roughness = _roughness(self.period).to(device)

    def blurred(self, planes: torch.Tensor) -> torch.Tensor:
        """Blur planes ``(B, H, W)`` as the observed ones were, without rounding."""
        return self._backward(self._transfer * self._forward(planes))

    def solve(
        self,
        penalty: float | torch.Tensor,
        pull: torch.Tensor | None = None,
        start: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The planes ``x`` that minimise ``|blurred(x) - observed|^2 + <x, penalty x> - 2 <pull,
        x>``.

        Args:
            penalty: above 0, for each Fourier coefficient of the torus, or one number for all.
            pull: ``(B, H, W)``, nothing by default. With a number ``c`` as penalty, ``pull = c *
                target`` keeps ``x`` near it.
            start: an estimate of ``x``, from which iterations start where there are any.
        """
        if not self.symmetric:
            return self._by_conjugate_gradients(penalty, pull, start)
        right = self._explained if pull is None else self._explained + self._forward(pull)
        return self._backward(right / (self._transfer.square() + penalty))

    # --- Between the image and its torus ----------------------------------------------------------

    def _forward(self, planes: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft2(planes[..., self._rows, :][..., self._columns])

    def _backward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft2(spectrum, s=self.period)[..., : self.shape[0], : self.shape[1]]

    def _adjoint(self, planes: torch.Tensor) -> torch.Tensor:
        """The adjoint of :meth:`blurred` in the inner product of the torus."""
        torus = planes.new_zeros(*planes.shape[:-2], *self.period)
        torus[..., : self.shape[0], : self.shape[1]] = 4 * self._weights * planes
        torus = torch.fft.irfft2(self._transfer.conj() * torch.fft.rfft2(torus), s=self.period)
        for axis, (side, period) in enumerate(zip(self.shape, self.period, strict=True), start=-2):
            opposite = (-torch.arange(side, device=torus.device)) % period
            torus = (torus.narrow(axis, 0, side) + torus.index_select(axis, opposite)) / 2
        return torus

    # --- Where the blurred torus is not mirrored --------------------------------------------------

    @cached_property
    def _weights(self) -> torch.Tensor:
        """Weight of each pixel in the torus's inner product: half on the border, 1 elsewhere."""
        rows, columns = (torch.ones(side, device=self.observed.device) for side in self.shape)
        for line in (rows, columns):
            line[[0, -1]] = 0.5
        return rows[:, None] * columns

    @cached_property
    def _power(self) -> torch.Tensor:
        """Squared transfer, averaged over mirrored coefficients: the part of the blur that Fourier
        transforms diagonalise.
        """
        power = self._transfer.abs().square()
        return (power + power.roll(-1, 0).flip(0)) / 2

    @cached_property
    def _adjoint_of_observed(self) -> torch.Tensor:
        return self._adjoint(self.observed)

    def _by_conjugate_gradients(
        self, penalty: float | torch.Tensor, pull: torch.Tensor | None, start: torch.Tensor | None
    ) -> torch.Tensor:
        def applied(planes: torch.Tensor) -> torch.Tensor:
            spectrum = self._forward(planes)
            data = self._adjoint(self._backward(self._transfer * spectrum))
            if isinstance(penalty, float):
                return data + penalty * planes
            return data + self._backward(penalty * spectrum)

        def preconditioned(planes: torch.Tensor) -> torch.Tensor:
            return self._backward(self._forward(planes) / (self._power + penalty))

        def inner(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            return (self._weights * one * other).sum(dim=(-2, -1), keepdim=True)

        right = self._adjoint_of_observed if pull is None else self._adjoint_of_observed + pull
        found = preconditioned(right) if start is None else start
        residual = right - applied(found)
        direction = closer = preconditioned(residual)
        size = inner(residual, closer)
        enough = _PRECISION**2 * inner(right, preconditioned(right))
        for _ in range(_MOST_STEPS):
            if bool((size <= enough).all()):
                break
            along = applied(direction)
            length = size / inner(direction, along).clamp_min(1e-30)
            found, residual = found + length * direction, residual - length * along
            closer = preconditioned(residual)
            size, previous = inner(residual, closer), size
            direction = closer + size / previous.clamp_min(1e-30) * direction
        return found


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
