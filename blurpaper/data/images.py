"""Images: read from files of any kind as 8-bit sRGB, resized to the canonical scale (Sections 3 and
5), and held in memory a part of a set at a time.

Resizing is bicubic with antialiasing, our choice, as the paper does not say. An image of a set is
decoded once for all conditions.
"""

from __future__ import annotations

import io
import math
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
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
    """Read an image file: uint8 ``(3, H, W)``, upright (EXIF), in sRGB (ICC), transparency on
    white, deeper levels rounded to 8 bits.

    Raises:
        ImageError: if the file is missing, empty, truncated, no image, or of 32-bit levels, naming
            it.
    """
    from PIL import Image

    with decoding(path), Image.open(path) as opened:
        image = srgb(_eight_bits(path, opened))
        return torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())


def jpeg_steps(path: str | Path) -> list[int] | None:
    """The 64 quantisation steps of a JPEG file's luminance, row by row; None for another format.

    Raises:
        ImageError: as :func:`read_image`.
    """
    from PIL import Image

    with decoding(path), Image.open(path) as opened:
        tables = getattr(opened, "quantization", None)
    return list(tables[min(tables)]) if tables else None


def write_image(image: torch.Tensor, path: str | Path) -> None:
    """Write uint8 ``(3, H, W)`` or ``(1, H, W)`` to a file; its suffix says the format."""
    from PIL import Image

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ImageError(
            f"the suffix of {path} names no image format that is written here; use one of "
            f"{', '.join(SUFFIXES)}."
        )
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
    with written(path) as temporary:
        Image.fromarray(image.expand(3, -1, -1).permute(1, 2, 0).numpy()).save(temporary, **options)


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
    except (MemoryError, ImageError):
        raise  # the one says nothing about the file, the other everything
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


# --- To eight bits in sRGB ------------------------------------------------------------------------


def srgb(image):  # noqa: ANN001, ANN201 (PIL images, here and below)
    """A picture of eight bits in any of Pillow's modes as RGB: the colours of its ICC profile in
    sRGB, transparency on white. A damaged profile, or that of other colours, is passed over.
    """
    from PIL import Image

    if image.mode in ("La", "RGBa"):  # premultiplied
        image = image.convert(image.mode.upper())
    profile = image.info.get("icc_profile")
    transform = profile and _to_srgb(profile, image.mode)
    colours = transform.apply(image.convert(transform.input_mode)) if transform else image
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA"):
        return colours.convert("RGB")
    colours = colours.convert("RGBA")
    colours.putalpha(image.convert("RGBA").getchannel("A"))
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")


@lru_cache(maxsize=16)
def _to_srgb(profile: bytes, mode: str):  # noqa: ANN202
    """What takes the colours of an ICC profile to sRGB; None where it is damaged, of colours that
    are not those of a picture of that mode, or sRGB's own to one grey level.
    """
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        own = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}[source.profile.xcolor_space]
        found = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), own, "RGB")
    except (ImageCms.PyCMSError, OSError, KeyError):
        return None
    if (own == "CMYK") != (mode == "CMYK") or (own == "L" and mode not in ("1", "L", "LA")):
        return None
    grid = np.moveaxis(np.indices((18, 18, 18), np.uint8).reshape(3, 18, -1) * 15, 0, -1)
    colours = Image.fromarray(grid).convert(own)
    moved = np.subtract(found.apply(colours), colours.convert("RGB"), dtype=np.int16)
    return found if np.abs(moved).max() > 1 else None


def _eight_bits(path: str | Path, opened):  # noqa: ANN001, ANN202
    """An opened picture upright, its levels rounded to eight bits where they have more."""
    from PIL import Image, ImageOps

    levels, top, about = sixteen_bits(path, opened), 65535, opened.info
    if levels is None:
        image = ImageOps.exif_transpose(opened)
        if not image.mode.startswith(("I", "F")):
            return image
        if image.mode == "F" or (image.mode == "I" and opened.format not in ("PNG", "PPM")):
            raise ImageError(
                f"{path} has grey levels of 32 bits or with a sign, and does not say which is "
                "white: save it with 8 or 16 bits."
            )
        levels = np.asarray(image, np.float64)[..., None]
        top = 2 ** getattr(opened, "tag_v2", {}).get(258, (16,))[0] - 1  # TIFF's bits of a sample
        if getattr(opened, "tag_v2", {}).get(262) == 0:  # TIFF's photometric: white is zero
            levels = top - levels
    if "transparency" in about:
        levels = np.where((levels != about["transparency"]).any(axis=-1)[..., None], levels, top)
    elif opened.mode == "RGBA":
        share = levels[..., -1:] / top
        levels = share * levels[..., :-1] + (1 - share) * top
    rounded = np.clip(np.rint(levels * 255.0 / top), 0, 255).astype(np.uint8)
    rounded = rounded[..., 0] if rounded.shape[2] == 1 else rounded
    image = Image.fromarray(rounded, "CMYK" if opened.mode == "CMYK" else None)
    image.info["icc_profile"] = about.get("icc_profile")
    return image


_ORDERS = {"B": "BL", "L": "LB", "N": "LB" if sys.byteorder == "little" else "BL"}


def sixteen_bits(path: str | Path, opened) -> np.ndarray | None:  # noqa: ANN001
    """The colours of a picture of 16 bits, upright, of which Pillow keeps the higher byte: uint16
    ``(H, W, C)``, grey with transparency in two channels; None for any other picture.

    The file is decoded twice, as if the bytes were in the one and in the other order.
    """
    from PIL import Image, ImageOps

    raw = next((one[3] if isinstance(one[3], str) else one[3][0] for one in opened.tile), "")
    found = re.fullmatch(r"(RGB|RGBA|RGBX|CMYK);16([BLN])|LA;16B", str(raw))
    if raw == "R" and getattr(opened, "tag_v2", {}).get(258, (8,))[0] == 16:
        raise ImageError(
            f"{path} has 16 bits in separate planes: save it with interleaved colours."
        )
    if not found:
        return None
    parts = []
    # Grey with transparency has the two bytes of both in the four channels of another mode.
    for mode in [f"{found[1]};16{one}" for one in _ORDERS[found[2]]] if found[1] else ["RGBA"]:
        with Image.open(path) as again:
            for number, (*where, args) in enumerate(again.tile):
                way = mode if isinstance(args, str) else (mode, *args[1:])
                make = getattr(type(again.tile[number]), "_make", tuple)
                again.tile[number] = make((*where, way))
            parts.append(np.asarray(ImageOps.exif_transpose(again), np.uint16))
    high, low = parts if found[1] else (parts[0][..., ::2], parts[0][..., 1::2])
    return high << 8 | low


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
