"""Convolution by Fourier transforms: for PSFs of any shape on the CPU, and for whole batches on an
accelerator.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch


def on_cpu(plane: np.ndarray, out: np.ndarray, pixel: int, kernel: np.ndarray) -> None:
    """Blur a plane, uint8 ``(H, W * pixel)``, whose pixels are ``pixel`` elements wide, into
    ``out``, by a PSF ``(h, w)``.
    """
    from scipy import fft

    image = plane.reshape(len(plane), -1, pixel)
    height, width = image.shape[:2]
    (down, across), padded = _reach(kernel.shape), _padded(height, width, kernel.shape)
    channels = (
        image[_mirror(height, down)][:, _mirror(width, across)]
        .transpose(2, 0, 1)
        .astype(np.float32)
    )
    spectrum = fft.rfft2(channels, s=padded)
    spectrum *= fft.rfft2(kernel, s=padded)
    blurred = fft.irfft2(spectrum, s=padded)[
        :, 2 * down : 2 * down + height, 2 * across : 2 * across + width
    ]
    rounded = np.rint(blurred, out=blurred).transpose(1, 2, 0)
    np.clip(rounded, 0, 255, out=out.reshape(image.shape), casting="unsafe")


def on_device(batch: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
    """Blur a batch, uint8 ``(B, 3, H, W)``, where it is, by a PSF ``(h, w)`` (or none) each: one
    transform for all.
    """
    out = batch.clone()
    blurred = [number for number, kernel in enumerate(kernels) if kernel is not None]
    if not blurred:
        return out
    height, width = batch.shape[-2:]
    shape = tuple(max(kernels[number].shape[axis] for number in blurred) for axis in (0, 1))
    (down, across), padded = _reach(shape), _padded(height, width, shape)
    centred = np.zeros((len(blurred), *shape), np.float32)
    for place, number in zip(centred, blurred, strict=True):
        kernel = kernels[number]
        top, left = ((outer - inner) // 2 for outer, inner in zip(shape, kernel.shape, strict=True))
        place[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
    rows = torch.from_numpy(_mirror(height, down)).to(batch.device)
    columns = torch.from_numpy(_mirror(width, across)).to(batch.device)
    chosen = torch.tensor(blurred, device=batch.device)
    planes = batch[chosen][:, :, rows][..., columns].float()
    spectrum = torch.fft.rfft2(planes, s=padded)
    spectrum *= torch.fft.rfft2(torch.from_numpy(centred).to(batch.device), s=padded)[:, None]
    result = torch.fft.irfft2(spectrum, s=padded)[
        ..., 2 * down : 2 * down + height, 2 * across : 2 * across + width
    ]
    out[chosen] = result.round_().clamp_(0, 255).to(torch.uint8)
    return out


def _reach(shape: tuple[int, int]) -> tuple[int, int]:
    return shape[0] // 2, shape[1] // 2


def _padded(height: int, width: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Sides of the transform: room for the mirrored border on both sides, rounded up to a fast
    size.
    """
    from scipy.fft import next_fast_len

    return tuple(
        next_fast_len(side + 2 * reach, real=True)
        for side, reach in zip((height, width), _reach(shape), strict=True)
    )


@lru_cache(maxsize=256)
def _mirror(size: int, reach: int) -> np.ndarray:
    """Indices of a whole-sample mirror: for size 4 and reach 2, ``2 1 0 1 2 3 2 1``."""
    period = max(2 * (size - 1), 1)
    index = np.abs(np.arange(-reach, size + reach)) % period
    return np.where(index < size, index, period - index)
