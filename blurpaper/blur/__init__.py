"""Convolution of 8-bit images with PSFs, and a transform that draws them from a mix (Section 3).

Everywhere convolution is true convolution (the PSF is flipped), the boundary is a whole-sample
mirror (``d c b a b c d``), repeated where the image is narrower than the PSF, and the sum is
computed in exact integers or in floating point and rounded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blurpaper.blur.convolution import PSFLike, apply, kernel_of, read_psf

if TYPE_CHECKING:
    from blurpaper.blur.transform import RandomBlur

__all__ = ["PSFLike", "RandomBlur", "apply", "kernel_of", "read_psf"]


def __dir__() -> list[str]:
    """The public names, the transform too."""
    return __all__


def __getattr__(name: str) -> object:
    """Import the transform when it is first used, because torchvision takes a second."""
    if name == "RandomBlur":
        from blurpaper.blur.transform import RandomBlur

        return RandomBlur
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
