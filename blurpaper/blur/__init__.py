"""Blur of 8-bit images: :func:`apply` convolves them with PSFs, :mod:`mixes` draws the PSFs (Sec. 3 and 4).

Everywhere convolution is true convolution (the PSF is flipped), the boundary is a whole-sample mirror (``d c b a b c d``),
repeated where the image is narrower than the PSF, and the sum is computed in exact integers or in floating point and rounded
once. :mod:`scanlines` does it on the CPU where the PSF has a structure to use, :mod:`fourier` everywhere else.
"""

from blurpaper.blur.convolution import PSFLike, apply, kernel_of
from blurpaper.blur.mixes import MIXES, RandomBlur, check_mix, draw

__all__ = ["MIXES", "PSFLike", "RandomBlur", "apply", "check_mix", "draw", "kernel_of"]
