"""Convolution of 8-bit images with PSFs, one for all or one an image, to 8 bits (Section 3).

On the CPU planes are convolved one by one, by :mod:`scanlines` where the PSF has a structure to
use; all else, and a whole batch on an accelerator, by Fourier transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from blurpaper.data.images import SUFFIXES, ImageError, decoding
from blurpaper.kernels import SHARP, psf
from blurpaper.runs import threads
from blurpaper.runs.files import UserError

PSFLike = str | np.ndarray | torch.Tensor | None
"""A PSF by name or as an array of odd sides; ``None`` or ``"sharp"`` leaves an image as it is."""


def apply(images: torch.Tensor, psfs: PSFLike | Sequence[PSFLike]) -> torch.Tensor:
    """Blur images: each is convolved with its PSF and rounded to 8 bits (Sec. 3). On the CPU, a
    photograph of 24 megapixels needs up to a gigabyte besides itself; ``torch.compile`` leaves a
    call as it is, between two graphs.

    Args:
        images: uint8 ``(B, C, H, W)`` or ``(C, H, W)`` with C = 3 or, for grey ones, 1; on any
            device.
        psfs: one PSF for all, or a sequence (or an array ``(B, h, w)``) with one per image.

    Returns:
        uint8 of the same shape, on the same device.

    Raises:
        TypeError: if the images are not 8-bit.
        UserError: for another shape, a PSF that has a negative weight or is not finite, of odd
            sides and of unit sum, or a wrong number of PSFs.

    >>> apply(torch.zeros(2, 3, 32, 48, dtype=torch.uint8), ["D4", None]).shape
    torch.Size([2, 3, 32, 48])
    """
    if torch.compiler.is_compiling():
        from blurpaper.blur.transform import uncompiled

        return uncompiled(images, psfs)
    check_eight_bits(images)
    if images.ndim not in (3, 4) or images.shape[-3] not in (1, 3) or 0 in images.shape[-2:]:
        got = tuple(images.shape)
        raise UserError(f"images must be (B, C, H, W) or (C, H, W) with C = 1 or 3. Got {got}.")
    batch = images if images.ndim == 4 else images[None]
    kernels = _one_each(psfs, len(batch))
    blurred = (
        _on_cpu(batch, kernels) if batch.device.type == "cpu" else _fourier_batch(batch, kernels)
    )
    return blurred if images.ndim == 4 else blurred[0]


def check_eight_bits(images: torch.Tensor) -> None:
    """Raise a TypeError unless these are 8-bit images, in a tensor of any shape."""
    tensor, kind = isinstance(images, torch.Tensor), type(images)
    if not tensor or images.dtype != torch.uint8:
        got = images.dtype if tensor else f"{kind.__module__}.{kind.__name__}"
        raise TypeError(f"images must be a uint8 tensor of torch. Got {got}.")


def _one_each(psfs: PSFLike | Sequence[PSFLike], count: int) -> list[np.ndarray | None]:
    if getattr(psfs, "ndim", 0) == 1 and all(isinstance(one, str) for one in psfs):
        psfs = list(psfs)  # names in an array of numpy, a Series or an Index
    several = isinstance(psfs, (list, tuple)) or (
        isinstance(psfs, (np.ndarray, torch.Tensor)) and psfs.ndim == 3
    )
    if not several:
        return [kernel_of(psfs)] * count
    if len(psfs) != count:
        raise UserError(
            f"one PSF for all, or one per image. Got {len(psfs)} PSFs for {count} images."
        )
    return [kernel_of(one) for one in psfs]


def kernel_of(one: PSFLike) -> np.ndarray | None:
    """The array of a PSF, float32 ``(h, w)`` of odd sides; None for no blur.

    Raises:
        UserError: for a name that is not a PSF's, or an array that has a negative weight or is not
            finite, of odd sides and of unit sum.
    """
    if one is None or (isinstance(one, str) and one == SHARP):
        return None
    if isinstance(one, str):
        return psf(one)
    one = one.detach().cpu() if isinstance(one, torch.Tensor) else one
    kernel = np.asarray(one.float() if getattr(one, "dtype", 0) == torch.bfloat16 else one)
    if kernel.dtype.kind not in "buif":
        raise UserError(f"a PSF is an array of real numbers. Got {kernel.dtype}.")
    kernel = kernel.astype(np.float32, copy=False)
    if kernel.ndim != 2 or any(side % 2 == 0 for side in kernel.shape):
        raise UserError(
            f"a PSF is an array (height, width) of odd sides. Got {kernel.shape}: add a row or "
            "column of zeros."
        )
    total, least = kernel.sum(dtype=np.float64), kernel.min()
    if not np.isfinite(kernel).all() or abs(total - 1) > 1e-3 or least < 0:
        raise UserError(
            "a PSF is finite, nowhere negative and of unit sum: divide it by its sum, "
            f"{total:g}; its least weight is {least:g}."
        )
    return kernel


def read_psf(path: str | Path) -> np.ndarray:
    """Read a PSF from numpy's ``.npy``, or from a picture whose grey levels are its weights.

    Returns:
        float32 ``(h, w)`` of odd sides and unit sum.

    Raises:
        ImageError: if the file cannot be read, or what it holds is no PSF, naming it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".npy", *SUFFIXES):
        raise ImageError(
            f"the file of a PSF is numpy's .npy or a picture ({', '.join(SUFFIXES)}). Got "
            f"{str(path)!r}."
        )
    weights = _array(path) if suffix == ".npy" else _grey_levels(path)
    try:
        return kernel_of(weights / (weights.sum() or 1))
    except UserError as error:
        raise ImageError(f"{path} is no PSF: {error}") from None


def _array(path: str | Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False).astype(np.float64, casting="same_kind")
    except FileNotFoundError:
        raise ImageError(f"no file at {path}.") from None
    except (OSError, ValueError, TypeError, EOFError):
        raise ImageError(f"{path} is no array of numbers as numpy saves one.") from None


def _grey_levels(path: str | Path) -> np.ndarray:
    from PIL import Image

    with decoding(path), Image.open(path) as image:
        if image.mode in ("L", "I", "F") or image.mode.startswith("I;16"):
            return np.asarray(image, np.float64)
        channels = np.asarray(image.convert("RGBA"), np.float64)
    for wrong, remedy in (
        (channels[..., 3] < 255, "transparent: save it on a black ground"),
        (channels[..., :3] != channels[..., :1], "coloured: save the channel that is meant"),
    ):
        if wrong.any():
            raise ImageError(f"the weights of a PSF are grey levels, and {path} is {remedy}.")
    return channels[..., 0]


# --- On the CPU: plane by plane, on all threads ---------------------------------------------------


def _on_cpu(batch: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
    """Blur in the memory layout of the images: channels of a pixel side by side, or plane after
    plane.
    """
    interleaved = batch.permute(0, 2, 3, 1)
    if together := interleaved.is_contiguous():
        planes = interleaved.flatten(2).unsqueeze(1).numpy()
    else:
        planes = batch.contiguous().numpy()
    out = np.empty_like(planes)
    pixel = planes.shape[-1] // batch.shape[-1]
    threads.in_threads(lambda part: part(), _parts(planes, out, kernels, pixel))
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
    bands = 1 if count >= 2 * threads.count() else threads.count()
    edges = [height * band // bands for band in range(bands + 1)]
    for number, kernel in enumerate(kernels):
        if kernel is None:
            out[number] = planes[number]
            continue
        method = scanlines.method_of(kernel)
        for plane, blurred in zip(planes[number], out[number], strict=True):
            if method is None:
                yield partial(_fourier_plane, plane, blurred, pixel, kernel)
            else:
                yield from (
                    partial(method, plane, blurred, pixel, *rows) for rows in pairwise(edges)
                )


# --- By Fourier transforms ------------------------------------------------------------------------


def _fourier_plane(plane: np.ndarray, out: np.ndarray, pixel: int, kernel: np.ndarray) -> None:
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


def _fourier_batch(batch: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
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
