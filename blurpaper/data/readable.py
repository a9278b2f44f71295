"""Which images of a folder can be read: a few broken ones are left out and named, many are an
error.
"""

from __future__ import annotations

import torch

from blurpaper.data.folders import FolderSet, in_threads
from blurpaper.data.images import ImageError
from blurpaper.data.sets import ImageSet
from blurpaper.data.subset import Subset
from blurpaper.runs.progress import progress
from blurpaper.runs.store import TENSORS, Recipe, Store

TOLERATED = 0.01
"""Share of a folder's images that may be broken; of fewer than a hundred images that is none."""

_AT_A_TIME = 500
_NAMED = 3


def readable(images: FolderSet, store: Store) -> tuple[ImageSet, list[str]]:
    """The images of a folder that can be read, and a sentence for each that cannot be and is left
    out.

    Every image is decoded once, before a network sees any, and the store remembers which could not
    be for as long as no file changes. Those that are left keep their ids, and so the kernels drawn
    for them.

    Raises:
        ImageError: if more than 1 % are broken, with their number, the names of the first and what
            the first one has.
    """
    from PIL import __version__ as pillow

    inputs = {"images": images.fingerprint, "pillow": pillow}
    about = {"data": images.fingerprint}
    recipe = Recipe("broken-images", images.name, inputs, ["blurpaper.data.images"], TENSORS, about)
    found = store.get(
        recipe, lambda _: {"numbers": torch.tensor(_broken(images), dtype=torch.int64)}
    )["numbers"].tolist()
    broken = {number: problem for number in found if (problem := _problem(images, number))}
    if len(broken) > TOLERATED * len(images):
        raise ImageError(_too_many(images, broken))
    if not broken:
        return images, []
    return Subset(images, [number for number in range(len(images)) if number not in broken]), list(
        broken.values()
    )


def _broken(images: FolderSet) -> list[int]:
    """Numbers of the images that cannot be read."""
    broken: list[int] = []
    with progress(f"reading {images.name}", len(images), "image") as tick:
        for start in range(0, len(images), _AT_A_TIME):
            numbers = range(start, min(start + _AT_A_TIME, len(images)))
            problems = in_threads(lambda number: _problem(images, number), numbers)
            broken += [number for number, problem in zip(numbers, problems, strict=True) if problem]
            tick(len(numbers))
    return broken


def _problem(images: FolderSet, number: int) -> str:
    try:
        images[number]
    except ImageError as error:
        return str(error)
    return ""


def _too_many(images: FolderSet, broken: dict[int, str]) -> str:
    names = ", ".join(images.ids[number] for number in list(broken)[:_NAMED])
    more = f" and {len(broken) - _NAMED:,} more" if len(broken) > _NAMED else ""
    return (
        f"{len(broken):,} of the {len(images):,} images below {images.root} cannot be read, more "
        f"than the {100 * TOLERATED:g} % "
        f"that may be left out; mend or remove {names}{more} "
        f"({next(iter(broken.values())).removesuffix('.')})."
    )
