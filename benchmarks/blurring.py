"""Blurring a batch of 8-bit images, one PSF an image, beside every library that can: images a
second, and how exactly.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba
import numpy as np
import torch

from benchmarks.timing import side_by_side
from blurpaper import blur
from blurpaper.blur import loops, scanlines
from blurpaper.kernels import psf

COUNT, SIDES = 32, (384, 512)
PSFS = ("D2", "D4", "D6", "D8", "H8", "G4", "G8", "shake")

Blurring = Callable[[], np.ndarray | torch.Tensor]
"""Blurs the whole batch; the last three dimensions of what comes out are those of an image, in the
layout that went in.
"""


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row for each PSF and library: images a second, how far from exact at most, in grey levels,
    and our ratio to it.
    """
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4 if quick else COUNT, *SIDES, 3), dtype=np.uint8)
    rows = []
    for name in PSFS:
        kernels = [
            psf(f"shake:{number}" if name == "shake" else name) for number in range(len(images))
        ]
        works = {"blurpaper": ours(images, kernels), **peers(name, images, kernels)}
        exact = _exact(images[0], kernels[0])
        off = {peer: float(np.abs(_first(work()) - exact).max()) for peer, work in works.items()}
        spent = side_by_side(works, rounds=1 if quick else 7)
        rate = {peer: len(images) / one for peer, one in spent.items()}
        best = max(rate[peer] for peer in works if peer != "blurpaper" and off[peer] <= 1)
        for peer in works:
            row = {"psf": name, "library": peer, "images/s": rate[peer], "off by": off[peer]}
            rows.append(
                row
                | {
                    "blurpaper is": rate["blurpaper"] / rate[peer],
                    "to the best": rate["blurpaper"] / best,
                }
            )
    return rows


def limits(quick: bool = False) -> list[dict[str, object]]:
    """What the machine allows for each PSF: by the bytes that must be moved, and by the operations
    of our way of doing it.
    """
    count = 4 if quick else COUNT
    images = np.random.default_rng(0).integers(0, 256, (count, *SIDES, 3), dtype=np.uint8)
    out = np.empty_like(images)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        copies = side_by_side(
            {"copy": lambda: list(pool.map(np.copyto, out, images))}, rounds=1 if quick else 15
        )
        rates = {kind: _additions(kind, pool, quick) for kind in ("uint16", "float32")}
        running = _running_sums(pool, quick)
    rows = []
    for name in PSFS:
        kernels = [psf(f"shake:{number}" if name == "shake" else name) for number in range(count)]
        spent = 0.0
        for kernel in kernels:
            method = scanlines.method_of(kernel)
            if isinstance(method, scanlines.Taps):
                spent += len(method.rows) * images[0].size / rates[method.weights.dtype.name][0]
                spent += images[0].size / running if method.of_running_sums else 0.0
            else:
                one, two = rates["float32"]
                spent += (len(method.horizontal) / one + len(method.vertical) / two) * images[
                    0
                ].size
        rate = (
            count / side_by_side({"ours": ours(images, kernels)}, rounds=1 if quick else 7)["ours"]
        )
        bytes_only, operations_only = count / copies["copy"], count / spent
        both = 1 / (1 / bytes_only + 1 / operations_only)
        row = {
            "psf": name,
            "images/s": rate,
            "bytes alone": bytes_only,
            "operations alone": operations_only,
        }
        rows.append(row | {"share of both": rate / both})
    return rows


def _additions(kind: str, pool: ThreadPoolExecutor, quick: bool) -> tuple[float, float]:
    """Weighted additions a second of all threads, of lines that stay in the nearest cache: for one
    sum, and for two at a time.
    """
    taps, length, times = 64, 1536, 100 if quick else 4000
    lines, weights, at = (
        np.ones(length + taps, kind),
        np.ones(taps, kind),
        np.arange(taps + 1, dtype=np.uint64),
    )

    def add(sums: int) -> None:
        _add(times, sums, np.empty(length, kind), np.empty(length, kind), lines, at, weights)

    one, two = (
        _calls_a_second(partial(add, sums), pool, quick) * times * sums * taps * length
        for sums in (1, 2)
    )
    return one, two


def _running_sums(pool: ThreadPoolExecutor, quick: bool) -> float:
    """Values a second that running sums along such a line take, of all threads."""
    length, times = 1536, 100 if quick else 20_000
    return (
        _calls_a_second(lambda: _run(times, np.ones(length, np.uint16)), pool, quick)
        * times
        * length
    )


def _calls_a_second(work: Callable[[], object], pool: ThreadPoolExecutor, quick: bool) -> float:
    threads = torch.get_num_threads()
    together = {
        "all": lambda: [one.result() for one in [pool.submit(work) for _ in range(threads)]]
    }
    return threads / side_by_side(together, rounds=1 if quick else 9)["all"]


# Each is repeated within one call: threads that come back to Python every few microseconds wait for
# each other there.


@numba.njit(nogil=True)
def _add(times, sums, one, other, lines, at, weights):
    for _ in range(times):
        if sums == 1:
            loops.weighted_sum(one, lines, at[:-1], weights)
        else:
            loops.two_weighted_sums(one, other, lines, at, weights)


@numba.njit(nogil=True)
def _run(times, line):
    for _ in range(times):
        loops.accumulate(line, 3)


# --- Ours and theirs ------------------------------------------------------------------------------


def ours(images: np.ndarray, kernels: list[np.ndarray]) -> Blurring:
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    return lambda: blur.apply(batch, kernels).permute(0, 2, 3, 1)


def peers(name: str, images: np.ndarray, kernels: list[np.ndarray]) -> dict[str, Blurring]:
    """Every library that can do it, in its best form: those without threads of their own get a pool
    of two.
    """
    found = dict(_of_opencv(name, images, kernels))
    found |= dict(_of_scipy(name, images, kernels))
    found |= dict(_of_torch(name, images, kernels))
    return found


def _pooled(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    images: np.ndarray,
    kernels: list[np.ndarray],
) -> Blurring:
    pool = ThreadPoolExecutor(torch.get_num_threads())
    return lambda: np.stack(list(pool.map(function, images, kernels)))


def _of_opencv(
    name: str, images: np.ndarray, kernels: list[np.ndarray]
) -> Iterator[tuple[str, Blurring]]:
    import cv2

    border = cv2.BORDER_REFLECT_101
    flipped = [np.ascontiguousarray(kernel[::-1, ::-1]) for kernel in kernels]

    def alone(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Blurring:
        pooled = _pooled(function, images, flipped)

        def run() -> np.ndarray:
            cv2.setNumThreads(1)
            return pooled()

        return run

    yield (
        "OpenCV filter2D",
        alone(lambda image, kernel: cv2.filter2D(image, -1, kernel, borderType=border)),
    )
    if name[0] == "G":
        sigma, sides = float(name[1:]), kernels[0].shape
        tap = [kernels[0].sum(axis=axis) for axis in (0, 1)]
        yield (
            "OpenCV sepFilter2D",
            alone(lambda image, _: cv2.sepFilter2D(image, -1, *tap, borderType=border)),
        )
        yield (
            "OpenCV GaussianBlur",
            alone(lambda image, _: cv2.GaussianBlur(image, sides, sigma, borderType=border)),
        )
    if name[0] == "H":
        length = int(name[1:])
        box = partial(
            cv2.boxFilter,
            ddepth=-1,
            ksize=(length, 1),
            anchor=((length - 1) // 2, 0),
            borderType=border,
        )
        yield "OpenCV boxFilter", alone(lambda image, _: box(image))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from albumentations.augmentations.blur import functional
    except ImportError:
        return
    yield "albumentations", alone(functional.convolve)


def _of_scipy(
    name: str, images: np.ndarray, kernels: list[np.ndarray]
) -> Iterator[tuple[str, Blurring]]:
    from scipy import ndimage, signal

    def by_fourier(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        down, across = (side // 2 for side in kernel.shape)
        padded = np.pad(image, ((down, down), (across, across), (0, 0)), "reflect").astype(
            np.float32
        )
        return np.clip(
            np.rint(signal.fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1))),
            0,
            255,
        ).astype(np.uint8)

    yield "scipy fftconvolve", _pooled(by_fourier, images, kernels)
    if kernels[0].size <= 25 or min(kernels[0].shape) == 1:  # else it takes seconds for each image
        yield (
            "scipy ndimage",
            _pooled(
                lambda image, kernel: np.rint(
                    ndimage.convolve(image, kernel[..., None], mode="mirror", output=np.float32)
                ).astype(np.uint8),
                images,
                kernels,
            ),
        )
    if name[0] == "G":
        sigma = float(name[1:])
        yield (
            "scipy gaussian_filter",
            _pooled(
                lambda image, _: np.rint(
                    ndimage.gaussian_filter(
                        image, (sigma, sigma, 0), mode="mirror", truncate=4, output=np.float32
                    )
                ).astype(np.uint8),
                images,
                kernels,
            ),
        )


def _of_torch(
    name: str, images: np.ndarray, kernels: list[np.ndarray]
) -> Iterator[tuple[str, Blurring]]:
    from torchvision.transforms.v2 import functional

    batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    sides = tuple(max(kernel.shape[axis] for kernel in kernels) for axis in (0, 1))
    centred = np.stack(
        [
            np.pad(k, [((o - i) // 2,) * 2 for o, i in zip(sides, k.shape, strict=True)])
            for k in kernels
        ]
    )
    weights = torch.from_numpy(centred)

    def rounded(found: torch.Tensor) -> torch.Tensor:
        return found.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

    if name[0] == "G":
        sigma = float(name[1:])
        sizes = [sides[1], sides[0]]
        yield (
            "torchvision gaussian_blur",
            lambda: functional.gaussian_blur(batch, sizes, [sigma, sigma]).permute(0, 2, 3, 1),
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from kornia.filters import filter2d
    except ImportError:
        pass
    else:
        correlated = weights.flip(-1, -2).contiguous()
        yield (
            "kornia filter2d",
            lambda: rounded(filter2d(batch.float(), correlated, border_type="reflect")),
        )
    try:
        from deepinv.physics.functional import conv2d, conv2d_fft
    except ImportError:
        return
    filters = weights[:, None].expand(-1, 3, -1, -1).contiguous()
    yield "deepinv conv2d", lambda: rounded(conv2d(batch.float(), filters, padding="reflect"))
    yield (
        "deepinv conv2d_fft",
        lambda: rounded(conv2d_fft(batch.float(), filters, padding="reflect")),
    )


# --- How exactly ----------------------------------------------------------------------------------


def _exact(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolution in float64, not rounded."""
    from scipy import signal

    down, across = (side // 2 for side in kernel.shape)
    padded = np.pad(image, ((down, down), (across, across), (0, 0)), "reflect").astype(np.float64)
    return signal.fftconvolve(
        padded, kernel[..., None].astype(np.float64), mode="valid", axes=(0, 1)
    )


def _first(found: np.ndarray | torch.Tensor) -> np.ndarray:
    return np.asarray(found[0]).astype(np.float64)
