"""PSFs of one's own from files: measured, drawn, or made by another program."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blurpaper.data.images import SUFFIXES, ImageError, decoding
from blurpaper.kernels import check_condition


def is_meant(name: str) -> bool:
    """Whether a PSF is called by a file: by what is no name of a PSF, and is there or is named like
    a file that could be read.
    """
    try:
        check_condition(name)
    except ValueError:
        return Path(name).suffix.lower() in (".npy", *SUFFIXES) or Path(name).is_file()
    return False


def read(path: str | Path) -> np.ndarray:
    """Read a PSF that was measured or drawn: numpy's ``.npy``, or a picture whose grey levels are
    its weights.

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
    if weights.ndim != 2:
        raise ImageError(
            f"a PSF is an array of two dimensions, height and width. {path} has {weights.ndim}."
        )
    if any(side % 2 == 0 for side in weights.shape):
        raise ImageError(
            f"a PSF has odd sides, so that it has a middle. {path} is "
            f"{' x '.join(map(str, weights.shape))}: add a row or column "
            "of zeros."
        )
    if not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() == 0:
        raise ImageError(
            "the weights of a PSF are finite, none is negative and some are above zero. Those of "
            f"{path} are not."
        )
    return (weights / weights.sum()).astype(np.float32)


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
    if (channels[..., 3] < 255).any():
        raise ImageError(
            f"the weights of a PSF are grey levels, and {path} is transparent: save it on a black "
            "ground."
        )
    if (channels[..., :3] != channels[..., :1]).any():
        raise ImageError(
            f"the weights of a PSF are grey levels, and {path} is coloured: save the channel that "
            "is meant."
        )
    return channels[..., 0]
