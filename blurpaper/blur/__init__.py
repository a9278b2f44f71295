"""Blur of 8-bit images.

:func:`apply` convolves them with PSFs, :mod:`mixes` draws the PSFs (Sections 3 and 4), and
:mod:`transform` does both in a pipeline of torchvision's.

Everywhere convolution is true convolution (the PSF is flipped), the boundary is a whole-sample
mirror (``d c b a b c d``), repeated where the image is narrower than the PSF, and the sum is
computed in exact integers or in floating point and rounded once. :mod:`scanlines` does it on the
CPU where the PSF has a structure to use, :mod:`fourier` everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blurpaper.blur.convolution import PSFLike, apply, kernel_of
from blurpaper.kernels import MIXES, check_mix, draw

if TYPE_CHECKING:
    from blurpaper.blur.transform import RandomBlur

__all__ = ["MIXES", "PSFLike", "RandomBlur", "apply", "check_mix", "draw", "kernel_of"]


def __dir__() -> list[str]:
    """What there is to ask for, the transform too."""
    return __all__


def __getattr__(name: str) -> object:
    """The transform when it is asked for, because importing torchvision takes a second."""
    if name == "RandomBlur":
        from blurpaper.blur.transform import RandomBlur

        return RandomBlur
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
