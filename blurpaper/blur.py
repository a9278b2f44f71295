"""Applying PSFs to 8-bit images: one PSF or one per image, a batch at a time, 8 bits in and out (Sec. 3).

Three layers: :func:`apply` checks and dispatches; below it one function blurs a batch on an accelerator and one on the
CPU; around it :class:`RandomBlur` draws the PSFs, for other people's pipelines. Everywhere convolution is true
convolution (the PSF is flipped), the boundary is a whole-sample mirror (``d c b a b c d``), repeated where the image is
narrower than the PSF, and the sum is computed in floating point and rounded once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from blurpaper.kernels import PSF, SHAKE, SHAKE_BANKS, SHARP, check_condition, psf, shake_bank

PSFLike = str | PSF | np.ndarray | torch.Tensor | None
"""A PSF by name, by value or as an array of odd sides; ``None`` or ``"sharp"`` leaves an image as it is."""

_DIRECT_TAPS = 11 * 11
"""Up to this many taps a direct convolution on the CPU is faster than one by Fourier transforms."""


def apply(images: torch.Tensor, psfs: PSFLike | Sequence[PSFLike]) -> torch.Tensor:
    """Blur images: each is convolved with its PSF and rounded to 8 bits (Sec. 3).

    Args:
        images: uint8 ``(B, 3, H, W)`` or ``(3, H, W)``, on any device.
        psfs: one PSF for all, or a sequence (or an array ``(B, h, w)``) with one per image.

    Returns:
        uint8 of the same shape, on the same device.

    Raises:
        TypeError: if the images are not 8-bit.
        ValueError: for another shape, a PSF that is not finite, of odd sides and of unit sum, or a wrong number of PSFs.

    >>> apply(torch.zeros(2, 3, 32, 48, dtype=torch.uint8), ["D4", None]).shape
    torch.Size([2, 3, 32, 48])
    """
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8:
        raise TypeError(f"images must be a uint8 tensor. Got {getattr(images, 'dtype', type(images).__name__)}.")
    if images.ndim not in (3, 4) or images.shape[-3] != 3 or 0 in images.shape[-2:]:
        raise ValueError(f"images must be (B, 3, H, W) or (3, H, W). Got {tuple(images.shape)}.")
    batch = images if images.ndim == 4 else images[None]
    kernels = _one_each(psfs, len(batch))
    blurred = _on_cpu(batch, kernels) if batch.device.type == "cpu" else _on_device(batch, kernels)
    return blurred if images.ndim == 4 else blurred[0]


def _one_each(psfs: PSFLike | Sequence[PSFLike], count: int) -> list[np.ndarray | None]:
    several = isinstance(psfs, (list, tuple)) or (isinstance(psfs, (np.ndarray, torch.Tensor)) and psfs.ndim == 3)
    if not several:
        return [_kernel(psfs)] * count
    if len(psfs) != count:
        raise ValueError(f"one PSF for all, or one per image. Got {len(psfs)} PSFs for {count} images.")
    return [_kernel(one) for one in psfs]


def _kernel(one: PSFLike) -> np.ndarray | None:
    if one is None or (isinstance(one, str) and one == SHARP):
        return None
    if isinstance(one, str):
        return psf(one)
    if isinstance(one, PSF):
        return one.array()
    kernel = np.asarray(one.detach().cpu() if isinstance(one, torch.Tensor) else one, dtype=np.float32)
    if kernel.ndim != 2 or any(side % 2 == 0 for side in kernel.shape):
        raise ValueError(f"a PSF is an array (height, width) of odd sides. Got {kernel.shape}.")
    if not np.isfinite(kernel).all() or abs(kernel.sum(dtype=np.float64) - 1) > 1e-3:
        raise ValueError(f"a PSF is finite and of unit sum. Got sum {kernel.sum(dtype=np.float64):g}.")
    return kernel


# --- On the CPU: image by image on all threads --------------------------------------------------------------------------


def _on_cpu(batch: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
    images = batch.permute(0, 2, 3, 1).contiguous().numpy()
    out = np.empty_like(images)

    def blur(number: int) -> None:
        kernel = kernels[number]
        if kernel is None:
            out[number] = images[number]
        elif kernel.size <= _DIRECT_TAPS and min(images.shape[1:3]) > 1:
            _direct(images[number], kernel, out[number])
        else:
            _by_fourier(images[number], kernel, out[number])

    list(_threads().map(blur, range(len(images))))
    return torch.from_numpy(out).permute(0, 3, 1, 2)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    import cv2

    cv2.setNumThreads(1)
    return ThreadPoolExecutor(max_workers=torch.get_num_threads())


if hasattr(os, "register_at_fork"):  # a forked worker of a data loader inherits the pool, but none of its threads
    os.register_at_fork(after_in_child=lambda: _threads.cache_clear())


def _direct(image: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
    import cv2

    cv2.filter2D(image, -1, kernel[::-1, ::-1], dst=out, borderType=cv2.BORDER_REFLECT_101)


def _by_fourier(image: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
    from scipy import fft

    height, width = image.shape[:2]
    (down, across), padded = _reach(kernel.shape), _padded(height, width, kernel.shape)
    planes = image[_mirror(height, down)][:, _mirror(width, across)].transpose(2, 0, 1).astype(np.float32)
    spectrum = fft.rfft2(planes, s=padded)
    spectrum *= fft.rfft2(kernel, s=padded)
    blurred = fft.irfft2(spectrum, s=padded)[:, 2 * down : 2 * down + height, 2 * across : 2 * across + width]
    np.clip(np.rint(blurred, out=blurred).transpose(1, 2, 0), 0, 255, out=out, casting="unsafe")


# --- On an accelerator: a batch of Fourier transforms -------------------------------------------------------------------


def _on_device(batch: torch.Tensor, kernels: list[np.ndarray | None]) -> torch.Tensor:
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
    result = torch.fft.irfft2(spectrum, s=padded)[..., 2 * down : 2 * down + height, 2 * across : 2 * across + width]
    out[chosen] = result.round_().clamp_(0, 255).to(torch.uint8)
    return out


def _reach(shape: tuple[int, int]) -> tuple[int, int]:
    return shape[0] // 2, shape[1] // 2


def _padded(height: int, width: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Sides of the transform: room for the mirrored border on both sides, rounded up to a fast size."""
    from scipy.fft import next_fast_len

    return tuple(next_fast_len(side + 2 * reach, real=True) for side, reach in zip((height, width), _reach(shape), strict=True))


@lru_cache(maxsize=256)
def _mirror(size: int, reach: int) -> np.ndarray:
    """Indices of a whole-sample mirror: for size 4 and reach 2, ``2 1 0 1 2 3 2 1``."""
    period = max(2 * (size - 1), 1)
    index = np.abs(np.arange(-reach, size + reach)) % period
    return np.where(index < size, index, period - index)


# --- Mixes: distributions over conditions -------------------------------------------------------------------------------

MIXES: dict[str, dict[str, float]] = {
    "sharp-only": {SHARP: 1.0},
    "sharp+D4": {SHARP: 0.5, "D4": 0.5},
    "mix": {SHARP: 0.2, "D2": 0.2, "D4": 0.2, "D6": 0.2, "D8": 0.2},
    "sharp+D8": {SHARP: 0.5, "D8": 0.5},
    "onlyD8": {"D8": 1.0},
    "sharp+shake": {SHARP: 0.2, SHAKE: 0.8},
}
"""The paper's training distributions (Table 3) and a control without blur; shares of the halves are our choice."""


def check_mix(mix: str | Mapping[str, float]) -> dict[str, float]:
    """A mix as condition -> probability: one of :data:`MIXES` by name, or a mapping of one's own.

    Raises:
        ValueError: if the name is unknown, or a condition is, or the probabilities are not positive and of sum 1.

    >>> check_mix("onlyD8")
    {'D8': 1.0}
    """
    if isinstance(mix, str):
        if mix not in MIXES:
            raise ValueError(f"a mix is one of {', '.join(MIXES)}. Got {mix!r}.")
        return dict(MIXES[mix])
    if not mix:
        raise ValueError("a mix names at least one condition. Got none.")
    for condition, probability in mix.items():
        check_condition(condition)
        if not (isinstance(probability, (int, float)) and 0 < probability <= 1):
            raise ValueError(f"the probability of {condition} must be above 0 and at most 1. Got {probability!r}.")
    if abs(sum(mix.values()) - 1) > 1e-6:
        raise ValueError(f"the probabilities of a mix sum to 1. Got {sum(mix.values()):g}.")
    return dict(mix)


def draw(mix: Mapping[str, float], condition_at: float, shake_at: float, scale: float = 1.0) -> np.ndarray | None:
    """The PSF that two uniform numbers in [0, 1) pick from a mix; camera shake comes from the training bank (Sec. 4.1)."""
    cumulative = 0.0
    for condition, probability in mix.items():  # noqa: B007 (the last condition takes what rounding leaves)
        cumulative += probability
        if condition_at < cumulative:
            break
    if condition == SHARP:
        return None
    if condition == SHAKE:
        return shake_bank("train", scale)[int(shake_at * SHAKE_BANKS["train"])]
    return psf(condition, scale)


class RandomBlur(v2.Transform):
    """Blur each image with a PSF drawn from a mix: a transform for any torchvision-v2 pipeline (Sec. 4).

    Args:
        mix: condition -> probability, or the name of one of the paper's mixes.
        scale: smaller side of the images it will see, divided by 384, so that PSF names keep their meaning.

    Takes uint8 tensors ``(..., 3, H, W)``, tv_tensors images and PIL images; leaves boxes, masks and labels alone. Each
    image of a batch gets its own PSF.

    >>> transform = RandomBlur({"sharp": 0.2, "D2": 0.2, "D4": 0.2, "D6": 0.2, "D8": 0.2})
    >>> transform(torch.zeros(4, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([4, 3, 32, 32])
    """

    def __init__(self, mix: str | Mapping[str, float] = "mix", scale: float = 1.0) -> None:
        super().__init__()
        self.mix = check_mix(mix)
        self.scale = scale

    def make_params(self, flat_inputs: list) -> dict:
        count = max((_batch_of(one) for one in flat_inputs if _is_image(one)), default=1)
        uniform = torch.rand(count, 2).tolist()
        return {"psfs": [draw(self.mix, *pair, scale=self.scale) for pair in uniform]}

    def transform(self, inpt, params: dict):  # noqa: ANN001, ANN201 (torchvision's own signature)
        if not _is_image(inpt):
            return inpt
        if not isinstance(inpt, torch.Tensor):
            return v2.functional.to_pil_image(self.transform(v2.functional.pil_to_tensor(inpt.convert("RGB")), params))
        plain = inpt.as_subclass(torch.Tensor)
        flat = plain.reshape(-1, *plain.shape[-3:])
        return tv_tensors.wrap(apply(flat, params["psfs"][: len(flat)]).reshape(plain.shape), like=inpt)

    def extra_repr(self) -> str:
        return f"mix={self.mix}, scale={self.scale:g}"


def _is_image(one: object) -> bool:
    if isinstance(one, tv_tensors.TVTensor):
        return isinstance(one, tv_tensors.Image)
    if isinstance(one, torch.Tensor):
        return one.ndim >= 3
    return type(one).__module__.startswith("PIL.")


def _batch_of(one: object) -> int:
    return int(np.prod(one.shape[:-3], dtype=int)) if isinstance(one, torch.Tensor) else 1
