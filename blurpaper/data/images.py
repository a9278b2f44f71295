"""Images: read from files of any kind as 8-bit RGB, resized to the canonical scale (Sections 3 and
5), and held in memory a part of a set at a time.

Resizing is bicubic with antialiasing, our choice, as the paper does not say. An image of a set is
decoded once for all conditions.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.nn import functional

from blurpaper.data.sets import ImageSet
from blurpaper.runs.files import UserError, written
from blurpaper.runs.profile import Protocol
from blurpaper.runs.progress import progress
from blurpaper.runs.threads import in_threads

T = TypeVar("T")

# --- Files ----------------------------------------------------------------------------------------

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
"""Suffixes of the files that are read as images from a folder."""

OTHER_PICTURES = (".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl")
"""Suffixes of other pictures, which are skipped there."""


class ImageError(UserError):
    """A file that cannot be read as an image, or a folder that holds none, in one sentence."""


def read_image(path: str | Path) -> torch.Tensor:
    """Read an image file: uint8 ``(3, H, W)``, upright (EXIF), 16 bits scaled to 8, transparency on
    white.

    Raises:
        ImageError: if the file is missing, empty, truncated or no image, naming it.
    """
    from PIL import Image, ImageOps

    with decoding(path), Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        return torch.from_numpy(_rgb(image).transpose(2, 0, 1).copy())


def jpeg_steps(path: str | Path) -> list[int] | None:
    """The 64 quantisation steps of a JPEG file's luminance, row by row; None for another format.

    Raises:
        ImageError: as :func:`read_image`.
    """
    from PIL import Image

    with decoding(path), Image.open(path) as opened:
        tables = getattr(opened, "quantization", None)
    return list(tables[min(tables)]) if tables else None


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
    if weights.ndim != 2:
        raise ImageError(
            f"a PSF is an array of two dimensions, height and width. {path} has {weights.ndim}."
        )
    if any(side % 2 == 0 for side in weights.shape):
        height, width = weights.shape
        raise ImageError(
            f"a PSF has odd sides, so that it has a centre. {path} is {height} x {width}: add a "
            "row or column of zeros."
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


def write_image(image: torch.Tensor, path: str | Path) -> None:
    """Write uint8 ``(3, H, W)`` to a file; its suffix says the format."""
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ImageError(
            f"the suffix of {path} names no image format that is written here; use one of "
            f"{', '.join(SUFFIXES)}."
        )
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
    with written(path) as temporary:
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(temporary, **options)


def image_files(folder: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[Path]:
    """Image files below a folder, by relative path, in a fixed order; links are not followed into
    folders.

    Args:
        suffixes: of the files that are meant, in small letters.
    """
    return (Path(folder, name) for name in image_names(folder, suffixes))


def image_names(folder: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[str]:
    """Relative paths of :func:`image_files`, with slashes; a million of them take seconds."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        place = "" if parent == str(folder) else f"{Path(parent).relative_to(folder).as_posix()}/"
        for one in sorted(files):
            if one.lower().endswith(suffixes) and not one.startswith("."):
                yield place + one


@contextmanager
def decoding(path: str | Path) -> Iterator[None]:
    """Turn whatever is wrong with a file that a block decodes into an :class:`ImageError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except FileNotFoundError:
        raise ImageError(f"no image file at {path}.") from None
    except UnidentifiedImageError:
        raise ImageError(
            f"{path} is not an image that can be read (its content, not its name, decides)."
        ) from None
    except Image.DecompressionBombError:
        raise ImageError(f"{path} claims to have too many pixels to be a photograph.") from None
    except MemoryError:
        raise  # says nothing about the file
    except Exception as error:  # a decoder may stumble over nonsense with an error of any type
        if isinstance(error, OSError) and error.strerror:
            raise ImageError(f"{path} cannot be opened: {error.strerror}.") from None
        what = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
        raise ImageError(f"{path} is a damaged image: {what}.") from None


def problems(read: Callable[[T], object], items: Sequence[T], title: str) -> dict[T, str]:
    """Why ``read`` cannot read an image, for each of the items of which that is so.

    Args:
        title: of the progress bar.
    """

    def problem(item: T) -> str:
        try:
            read(item)
        except ImageError as error:
            return str(error)
        finally:
            tick(1)
        return ""

    with progress(title, len(items), "image") as tick:
        found = zip(items, in_threads(problem, items), strict=True)
    return {item: why for item, why in found if why}


def _rgb(image) -> np.ndarray:  # noqa: ANN001 (a PIL image)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        sixteen_bits = image.mode.startswith("I;16") or values.max() > 255
        if sixteen_bits:
            values = values / 257
        elif image.mode == "F" and values.max() <= 1:
            values = values * 255
        return np.repeat(np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        from PIL import Image

        image = image.convert("RGBA")
        return np.asarray(
            Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        )
    return np.asarray(image.convert("RGB"))


# --- Sizes ----------------------------------------------------------------------------------------


def resized(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Resize uint8 ``(B, 3, H, W)`` to float32 grey levels ``(B, 3, *shape)``, not rounded."""
    images = images.contiguous().float()
    if tuple(images.shape[-2:]) == shape:
        return images
    return functional.interpolate(images, shape, mode="bicubic", antialias=True)


def resized_8bit(images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Resize uint8 ``(B, 3, H, W)`` to uint8 ``(B, 3, *shape)``."""
    if tuple(images.shape[-2:]) == shape:
        return images
    # Torch's 8-bit path: ten times faster, and one rounding as well.
    if images.device.type == "cpu":
        images = images.contiguous(memory_format=torch.channels_last)
        return functional.interpolate(images, shape, mode="bicubic", antialias=True)
    return resized(images, shape).round_().clamp_(0, 255).to(torch.uint8)


def scaled_shape(shape: Sequence[int], factor: float) -> tuple[int, int]:
    """The last two sides of a shape, scaled by a factor: at least one pixel each."""
    return max(1, round(shape[-2] * factor)), max(1, round(shape[-1] * factor))


def scene_shape(shape: Sequence[int], mean_side: float) -> tuple[int, int]:
    """The last two sides of a shape, scaled so that their geometric mean is ``mean_side`` pixels
    (Sec. 5).
    """
    return scaled_shape(shape, mean_side / math.sqrt(shape[-2] * shape[-1]))


def to_canonical(image: torch.Tensor, canonical: int) -> torch.Tensor:
    """Resize one uint8 image ``(3, H, W)`` so that its smaller side is ``canonical`` pixels, to 8
    bits (step 1).
    """
    shape = scaled_shape(image.shape, canonical / min(image.shape[-2:]))
    return resized_8bit(image[None], shape)[0]


class Scene(NamedTuple):
    """A scene to label pixel by pixel.

    Attributes:
        image: at the canonical scale, uint8 ``(3, h, w)``.
        shape: height and width of its own, those of its label map.
    """

    image: torch.Tensor
    shape: tuple[int, int]


def to_scene(image: torch.Tensor, canonical: int) -> Scene:
    """Resize one uint8 image ``(3, H, W)`` so that the geometric mean of its sides is
    ``canonical``, to 8 bits (Sec. 5).
    """
    seen = resized_8bit(image[None], scene_shape(image.shape, canonical))[0]
    return Scene(seen, (image.shape[-2], image.shape[-1]))


# --- Batches and parts of a set -------------------------------------------------------------------


def same_shape(images: Sequence[torch.Tensor | Scene], batch: int) -> Iterator[list[int]]:
    """Numbers of images of one shape ``(3, H, W)``, at most so many at a time; of scenes it is
    their own shape that counts.
    """
    groups = defaultdict(list)
    for number, image in enumerate(images):
        groups[tuple(image.shape)].append(number)
    for members in groups.values():
        for start in range(0, len(members), batch):
            yield members[start : start + batch]


def images_of(images: ImageSet, numbers: Sequence[int], protocol: Protocol) -> list[torch.Tensor]:
    """Some images of a set whose smaller side is the canonical one: uint8 ``(3, H, W)`` each."""
    return _made(images, numbers, lambda number: to_canonical(images[number], protocol.canonical))


def scenes_of(images: ImageSet, numbers: Sequence[int], protocol: Protocol) -> list[Scene]:
    """Some scenes of a set the geometric mean of whose sides is the canonical one."""
    return _made(images, numbers, lambda number: to_scene(images[number], protocol.canonical))


class Shard(Generic[T]):
    """The part of a set that is in memory, for all conditions; it is released before the next is
    made.

    Args:
        make: from numbers of images to the part of the set that has them.
    """

    def __init__(self, make: Callable[[range], list[T]]) -> None:
        self._make, self._numbers, self._part = make, range(0), list[T]()

    def __call__(self, numbers: range) -> list[T]:
        """The part of the set that has these numbers."""
        if numbers != self._numbers:
            self._part, self._numbers = [], range(0)
            self._part, self._numbers = self._make(numbers), numbers
        return self._part


def _made(images: ImageSet, numbers: Sequence[int], make: Callable[[int], T]) -> list[T]:
    """Make one thing of each image, in several threads where images are decoded from files."""
    return in_threads(make, numbers) if images.reads_files else list(map(make, numbers))
