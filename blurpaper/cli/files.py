"""Blur and deblur image files and folders of them, with PSFs from files too."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blurpaper.blur import read_psf
from blurpaper.data.images import (
    SUFFIXES,
    ImageError,
    image_files,
    jpeg_steps,
    read_image,
    write_image,
)
from blurpaper.kernels import CANONICAL, SHAKE, check_condition, psf_of
from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    import torch

    from blurpaper.deblurring import Mixture

_LOWEST = (0, 1, 8, 16, 9, 2)
"""Places, row by row, of the six lowest frequencies of a block of 8 x 8."""

Change = Callable[["torch.Tensor", Path, str], "torch.Tensor"]
"""From an image, its path and its name, to the image to write."""

Chooser = Callable[["torch.Tensor", str], "np.ndarray | None"]
"""From an image and its name to its PSF; None for sharp."""


def blur(source: Path, target: Path, condition: str, pixels: bool = False) -> tuple[int, list[str]]:
    """Blur a file into a file, or a folder into a folder with the same names.

    Args:
        condition: name of a PSF, ``shake`` for a test kernel an image, or the file of a PSF
            (:func:`blurpaper.blur.read_psf`).
        pixels: take the PSF's size in the image's own pixels, as that of a file always is;
            otherwise in those of its smaller side scaled to 384.

    Returns:
        how many were blurred, and a sentence for each that could not be.

    Raises:
        UserError: for an unknown PSF.
        ImageError: if there is nothing to blur, or the PSF's file cannot be read.
    """
    chosen = _chooser(condition, pixels)

    def change(image: torch.Tensor, _: Path, name: str) -> torch.Tensor:
        from blurpaper import blur as blurring

        return blurring.apply(image, chosen(image, name))

    return _each(source, target, f"blurring with {condition}", change)


def deblur(
    source: Path,
    target: Path,
    condition: str,
    method: str = "epll",
    noise: float | None = None,
    prior: Mixture | None = None,
    pixels: bool = False,
    border: str = "unknown",
    report: Callable[[float], object] = lambda noise: None,
) -> tuple[int, list[str]]:
    """Deblur a file into a file, or a folder into a folder with the same names, the PSF being
    known.

    Args:
        condition: name of the PSF, or its file (:func:`blurpaper.blur.read_psf`); ``shake`` for a
            folder that :func:`blur` wrote so.
        method: one of :data:`deblurring.METHODS`.
        noise: standard deviation of the noise in grey levels; :func:`assumed_noise` of each file by
            default.
        prior: of EPLL; the bundled one by default.
        pixels: as for :func:`blur`.
        border: as for :func:`deblurring.restore`.
        report: is given the noise assumed in each image.

    Returns:
        how many were deblurred, and a sentence for each that could not be.

    Raises:
        UserError: for an unknown PSF, method or border, or noise that is not above 0.
        ImageError: if there is nothing to deblur, or the PSF's file cannot be read.
    """
    from blurpaper import deblurring

    chosen, measured = _chooser(condition, pixels), _is_file(condition)
    deblurring.check_method(method, noise, border)
    if condition == SHAKE and not source.is_dir():
        raise UserError(
            "the name of a file chooses one of a hundred kernels for shake: name the kernel, as in "
            "shake:17."
        )

    def change(image: torch.Tensor, path: Path, name: str) -> torch.Tensor:
        assumed = assumed_noise(image, path, measured) if noise is None else noise
        report(assumed)
        return deblurring.restore(image, chosen(image, name), method, assumed, prior, border)

    return _each(source, target, f"deblurring {condition} by {method}", change)


def assumed_noise(image: torch.Tensor, path: Path, measured: bool = False) -> float:
    """Standard deviation of the noise to assume in an image, in grey levels.

    It is the noise in its pixels (:func:`deblurring.estimated_noise`), or what its format leaves
    where that is more. The error of JPEG on a blurred photograph grows more slowly than its steps
    of quantisation, because the higher frequencies are lost whole; on photographs the assumed noise
    with which EPLL did best was near 0.85 times the root of the mean of the six lowest frequencies'
    steps, at qualities from 70 to 95. Other lossy formats do not state their error: name their
    noise.

    Args:
        image: uint8 ``(C, H, W)``.
        path: its file.
        measured: whether the PSF was, which is never exact (:data:`deblurring.PSF_ERROR`).
    """
    from blurpaper.deblurring import PSF_ERROR, estimated_noise

    noise, steps = estimated_noise(image), jpeg_steps(path)
    if steps is not None:
        noise = max(noise, 0.85 * (sum(steps[place] for place in _LOWEST) / len(_LOWEST)) ** 0.5)
    return math.hypot(noise, PSF_ERROR) if measured else noise


def _is_file(condition: str) -> bool:
    """Whether this is not a PSF's name, but may be the path of its file.

    Raises:
        UserError: if it is neither.
    """
    try:
        check_condition(condition)
    except UserError:
        path = Path(condition)
        if path.suffix.lower() not in (".npy", *SUFFIXES) and not path.is_file():
            raise
        return True
    return False


def _chooser(condition: str, pixels: bool) -> Chooser:
    if _is_file(condition):
        own = read_psf(condition)
        return lambda image, name: own
    return lambda image, name: psf_of(
        condition, name, 1.0 if pixels else min(image.shape[-2:]) / CANONICAL
    )


def _each(source: Path, target: Path, what: str, change: Change) -> tuple[int, list[str]]:
    """Change a file into a file, or every image of a folder: how many, and a message for each that
    failed.
    """
    from blurpaper.runs.progress import progress

    if source.is_dir():
        names = [path.relative_to(source) for path in image_files(source)]
        if not names:
            raise ImageError(f"no image below {source}.")
        if target.is_file():
            raise ImageError(
                f"{source} is a folder and {target} a file: name a folder to write to."
            )
        pairs = [(source / name, target / name, name.as_posix()) for name in names]
    else:
        pairs = [(source, target / source.name if target.is_dir() else target, source.name)]
    if any(path.exists() and out.exists() and path.samefile(out) for path, out, _ in pairs):
        raise ImageError(
            f"{source} would be written over and lost: name another place for the output."
        )
    done, broken = 0, []
    with progress(what, len(pairs), "image") as tick:
        for path, out, name in pairs:
            try:
                write_image(change(read_image(path), path, name), out)
                done += 1
            except ImageError as error:
                if len(pairs) == 1:
                    raise
                broken.append(str(error))
            tick(1)
    return done, broken
