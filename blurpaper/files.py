"""Blurring image files and folders of them."""

from __future__ import annotations

from pathlib import Path

from blurpaper.data.reading import ImageError, image_files, read_image, write_image
from blurpaper.kernels import CANONICAL, check_condition


def blur(source: Path, target: Path, condition: str, pixels: bool = False) -> tuple[int, list[str]]:
    """Blur a file into a file, or a folder into a folder with the same names.

    Args:
        condition: name of a PSF, or ``shake`` for a test kernel an image.
        pixels: take the PSF's size in the image's own pixels; otherwise in those of its smaller side scaled to 384.

    Returns:
        how many were blurred, and a sentence for each that could not be.

    Raises:
        ValueError: for the name of no PSF.
        ImageError: if there is nothing to blur.
    """
    from blurpaper.progress import progress

    check_condition(condition)
    if source.is_dir():
        names = [path.relative_to(source) for path in image_files(source)]
        if not names:
            raise ImageError(f"no image below {source}.")
        if target.is_file():
            raise ImageError(f"{source} is a folder and {target} a file: name a folder to write to.")
        pairs = [(source / name, target / name, name.as_posix()) for name in names]
    else:
        pairs = [(source, target / source.name if target.is_dir() else target, source.name)]
    done, broken = 0, []
    with progress(f"blurring with {condition}", len(pairs), "image") as tick:
        for path, out, name in pairs:
            try:
                _blur_file(path, out, condition, name, pixels)
                done += 1
            except ImageError as error:
                if len(pairs) == 1:
                    raise
                broken.append(str(error))
            tick(1)
    return done, broken


def _blur_file(path: Path, out: Path, condition: str, name: str, pixels: bool) -> None:
    from blurpaper import blur as blurring
    from blurpaper.protocol import test_psf

    image = read_image(path)
    scale = 1.0 if pixels else min(image.shape[-2:]) / CANONICAL
    write_image(blurring.apply(image, test_psf(condition, name, scale)), out)
