"""Patches of images: 8 x 8 grey levels without their mean, in coordinates in which that mean has no
place.

A patch without its mean has 63 degrees of freedom, not 64. Written in the 63 cosines that are not
constant it has a density, and its covariance an inverse.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from blurpaper.data.sets import ImageSet
from blurpaper.runs.errors import UserError
from blurpaper.runs.randomness import stream

SIDE = 8
MOST_IMAGES = 2000
"""Images of a set that patches are taken from, evenly spread, if it has more."""
PIXELS = SIDE * SIDE
DIMENSIONS = PIXELS - 1


@lru_cache(maxsize=1)
def basis() -> torch.Tensor:
    """The orthonormal cosines (DCT-II) of a patch but the constant one: float32 ``(63, 64)``."""
    place = torch.arange(SIDE, dtype=torch.float64)
    cosines = torch.cos(math.pi * (place + 0.5) * place[:, None] / SIDE) * math.sqrt(2 / SIDE)
    cosines[0] /= math.sqrt(2)
    return torch.kron(cosines, cosines)[1:].float()


def sample(images: ImageSet, count: int, seed: int) -> torch.Tensor:
    """Random patches of a set of images, equally many of each: float32 ``(count, 63)``, grey levels
    of [0, 1], shuffled.

    Noise of half a grey level undoes the rounding to 8 bits, without which a flat patch would have
    no density. Images smaller than a patch are left out.

    Raises:
        UserError: if every image is.
    """
    numbers = range(0, len(images), -(-len(images) // MOST_IMAGES))
    found = []
    for place, number in enumerate(numbers):
        image, name = images[number], images.ids[number]
        share = count // len(numbers) + (place < count % len(numbers))
        if min(image.shape[-2:]) < SIDE:
            continue
        draw = stream(seed, "patches", images.name, name)
        grey = image.float().mean(dim=0) / 255
        rows, columns = (
            torch.from_numpy(draw.randint(0, side - SIDE + 1, share)) for side in grey.shape
        )
        taken = grey.unfold(0, SIDE, 1).unfold(1, SIDE, 1)[rows, columns].reshape(share, PIXELS)
        noise = torch.from_numpy(draw.random_sample((share, PIXELS))).float()
        found.append((taken + (noise - 0.5) / 255) @ basis().T)
    if not found:
        raise UserError(
            f"no image of {images.name} is as large as a patch of {SIDE} x {SIDE} pixels."
        )
    patches = torch.cat(found)
    return patches[torch.from_numpy(stream(seed, "patches", images.name).permutation(len(patches)))]
