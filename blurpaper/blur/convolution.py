"""Applying PSFs to 8-bit images: one PSF or one per image, a batch at a time, 8 bits in and out
(Section 3).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import torch

from blurpaper.blur import fourier
from blurpaper.kernels import PSF, SHARP, psf
from blurpaper.runs.errors import UserError

PSFLike = str | PSF | np.ndarray | torch.Tensor | None
"""A PSF by name, by value or as an array of odd sides; ``None`` or ``"sharp"`` leaves an image as
it is.
"""


def apply(images: torch.Tensor, psfs: PSFLike | Sequence[PSFLike]) -> torch.Tensor:
    """Blur images: each is convolved with its PSF and rounded to 8 bits (Sec. 3).

    Args:
        images: uint8 ``(B, 3, H, W)`` or ``(3, H, W)``, on any device.
        psfs: one PSF for all, or a sequence (or an array ``(B, h, w)``) with one per image.

    Returns:
        uint8 of the same shape, on the same device.

    Raises:
        TypeError: if the images are not 8-bit.
        UserError: for another shape, a PSF that is not finite, of odd sides and of unit sum, or a
            wrong number of PSFs.

    >>> apply(torch.zeros(2, 3, 32, 48, dtype=torch.uint8), ["D4", None]).shape
    torch.Size([2, 3, 32, 48])
    """
    check_eight_bits(images)
    if images.ndim not in (3, 4) or images.shape[-3] != 3 or 0 in images.shape[-2:]:
        raise ValueError(f"images must be (B, 3, H, W) or (3, H, W). Got {tuple(images.shape)}.")
    batch = images if images.ndim == 4 else images[None]
    kernels = _one_each(psfs, len(batch))
    blurred = (
        _on_cpu(batch, kernels) if batch.device.type == "cpu" else fourier.on_device(batch, kernels)
    )
    return blurred if images.ndim == 4 else blurred[0]


def check_eight_bits(images: torch.Tensor) -> None:
    """A TypeError unless these are images of eight bits, in a tensor of any shape."""
    if not isinstance(images, torch.Tensor):
        raise TypeError(
            "images must be a uint8 tensor of torch. Got "
            f"{type(images).__module__}.{type(images).__name__}."
        )
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be a uint8 tensor of torch. Got {images.dtype}.")


def _one_each(psfs: PSFLike | Sequence[PSFLike], count: int) -> list[np.ndarray | None]:
    several = isinstance(psfs, (list, tuple)) or (
        isinstance(psfs, (np.ndarray, torch.Tensor)) and psfs.ndim == 3
    )
    if not several:
        return [kernel_of(psfs)] * count
    if len(psfs) != count:
        raise ValueError(
            f"one PSF for all, or one per image. Got {len(psfs)} PSFs for {count} images."
        )
    return [kernel_of(one) for one in psfs]


def kernel_of(one: PSFLike) -> np.ndarray | None:
    """The array of a PSF, float32 ``(h, w)`` of odd sides; None for no blur.

    Raises:
        UserError: for a name that means no PSF, or an array that is not finite, of odd sides and
            of unit sum.
    """
    if one is None or (isinstance(one, str) and one == SHARP):
        return None
    if isinstance(one, str):
        return psf(one)
    if isinstance(one, PSF):
        return one.array()
    kernel = np.asarray(one.detach().cpu() if isinstance(one, torch.Tensor) else one)
    if kernel.dtype.kind not in "buif":
        raise UserError(f"a PSF is an array of real numbers. Got {kernel.dtype}.")
    kernel = kernel.astype(np.float32, copy=False)
    if kernel.ndim != 2 or any(side % 2 == 0 for side in kernel.shape):
        raise UserError(f"a PSF is an array (height, width) of odd sides. Got {kernel.shape}.")
    if not np.isfinite(kernel).all() or abs(kernel.sum(dtype=np.float64) - 1) > 1e-3:
        raise UserError(
            "a PSF is finite and of unit sum: divide it by its sum, "
            f"{kernel.sum(dtype=np.float64):g}."
        )
    return kernel


# --- On the CPU: plane by plane, on all threads ---------------------------------------------------


def _on_cpu(batch: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
    """Blur in the memory layout that the images have: with the channels of a pixel side by side, or
    plane after plane.
    """
    interleaved = batch.permute(0, 2, 3, 1)
    if together := interleaved.is_contiguous():
        planes = interleaved.flatten(2).unsqueeze(1).numpy()
    else:
        planes = batch.contiguous().numpy()
    out = np.empty_like(planes)
    pixel = planes.shape[-1] // batch.shape[-1]
    _in_threads(list(_parts(planes, out, kernels, pixel)))
    blurred = torch.from_numpy(out)
    return blurred.reshape(interleaved.shape).permute(0, 3, 1, 2) if together else blurred


def _parts(
    planes: np.ndarray, out: np.ndarray, kernels: list[np.ndarray | None], pixel: int
) -> Iterator[Callable[[], None]]:
    """The work in parts that do not depend on each other: planes, or bands of rows where there are
    few images.
    """
    from blurpaper.blur import scanlines

    count, height = len(planes), planes.shape[2]
    bands = 1 if count >= 2 * torch.get_num_threads() else torch.get_num_threads()
    edges = [height * band // bands for band in range(bands + 1)]
    for number, kernel in enumerate(kernels):
        if kernel is None:
            out[number] = planes[number]
            continue
        method = scanlines.method_of(kernel)
        for plane, blurred in zip(planes[number], out[number], strict=True):
            if method is None:
                yield partial(fourier.on_cpu, plane, blurred, pixel, kernel)
            else:
                yield from (
                    partial(method, plane, blurred, pixel, *rows) for rows in pairwise(edges)
                )


def _in_threads(parts: list[Callable[[], None]]) -> None:
    """Run the parts, this thread and those of the pool each taking the next one when it is done
    with one.
    """
    remaining = iter(parts)

    def work() -> None:
        for part in remaining:
            part()

    helpers = min(torch.get_num_threads(), len(parts)) - 1
    others = [_threads().submit(work) for _ in range(helpers)]
    work()
    for other in others:
        other.result()


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=torch.get_num_threads())


# A forked worker of a data loader inherits the pool, but none of its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _threads.cache_clear())
