"""Learns what :mod:`blurpaper.blurriness` needs from photographs, and tries it on others.

``python -m blurpaper.blurriness_reference`` writes ``results/blurriness.json``, in minutes. The
photographs are known sets below ``$BLURPAPER_DATA``; a part of them is enough, as eight means and
their covariances are all that is learnt for a radius.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from blurpaper import blur, blurriness, book, protocol, resizing
from blurpaper.blurriness import Reference
from blurpaper.data import photos
from blurpaper.data.base import ImageSet
from blurpaper.kernels import CANONICAL, SHAKE, SHARP, axis_variance, psf, shake_bank
from blurpaper.writing import written

RADII = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0)
LEARNT_FROM = (
    ("imagenet-sample", "train", 500),
    ("bsds500", "train", 100),
    ("voc-animals", "train", 200),
)
TRIED_ON = (("nips2017-dev", "test", 250), ("imagewoof", "test", 125), ("bsds500", "test", 20))
"""Sets, splits, and how many photographs of each, evenly spaced."""
DISKS = (SHARP, "D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8")
OTHERS = ("H4", "H8", "G2", "G4", SHAKE)
JPEG = (SHARP, "D2", "D4", "D8")
QUALITY = 75
"""Conditions of the trial: disks, blurs of other shapes, and files compressed after the blur."""


def radius_of(condition: str) -> float:
    """Radius of the disk that has the same variance as a condition's PSF, the mean of both axes, in
    pixels of 384.

    >>> radius_of("D8"), round(radius_of("G4"), 1), round(radius_of("H8"), 1), radius_of("sharp")
    (8.0, 8.0, 3.2, 0.0)
    """
    if condition == SHARP:
        return 0.0
    if condition[0] == "D":
        return float(condition[1:])
    kernels = shake_bank("test") if condition == SHAKE else [psf(condition)]
    return float(np.mean([2 * np.sqrt(axis_variance(kernel).mean()) for kernel in kernels]))


def some(sets: Iterable[tuple[str, str, int]]) -> list[tuple[ImageSet, int]]:
    """Photographs of known sets, evenly spaced: (set, number).

    >>> import os
    >>> import tempfile
    >>> from pathlib import Path
    >>> from unittest import mock
    >>> from blurpaper.data.reading import write_image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for number in range(5):
    ...     grey = torch.full((3, 8, 8), number, dtype=torch.uint8)
    ...     write_image(grey, folder / "bsds500" / "test" / f"{number}.png")
    >>> with mock.patch.dict(os.environ, BLURPAPER_DATA=str(folder)):
    ...     [images.ids[number] for images, number in some([("bsds500", "test", 3)])]
    ['0.png', '2.png', '4.png']
    """
    found = []
    for name, split, count in sets:
        images = photos.load(name, split)
        found += [
            (images, int(number))
            for number in np.linspace(0, len(images) - 1, min(count, len(images)))
        ]
    return found


def measured(
    photographs: Sequence[tuple[ImageSet, int]],
    conditions: Sequence[str],
    after: Callable[[torch.Tensor], torch.Tensor] = lambda image: image,
) -> np.ndarray:
    """Features of photographs under conditions: ``(conditions, photographs, F)``.

    >>> from blurpaper.data.examples import CarriedSet
    >>> found = measured([(CarriedSet("test"), 0), (CarriedSet("test"), 1)], ["sharp", "D4"])
    >>> found.shape
    (2, 2, 8)
    >>> bool((found[0, :, 0] > found[1, :, 0]).all())
    True
    """

    def under(image: torch.Tensor, one: str, condition: str) -> np.ndarray:
        kernel = protocol.test_psf(condition, one, 1.0)
        return blurriness.features(after(image if kernel is None else blur.apply(image, kernel)))

    rows = []
    for images, number in photographs:
        image = resizing.to_canonical(images[number], CANONICAL)
        rows.append([under(image, images.ids[number], condition) for condition in conditions])
    return np.array(rows).swapaxes(0, 1)


def learnt(
    photographs: Sequence[tuple[ImageSet, int]], radii: Sequence[float] = RADII
) -> Reference:
    """The distribution of the features of photographs blurred by disks of these radii.

    >>> from blurpaper.data.examples import CarriedSet
    >>> images = CarriedSet("train")
    >>> found = learnt([(images, number) for number in range(4)], radii=(0.0, 4.0))
    >>> found.means.shape, found.covariances.shape
    ((2, 8), (2, 8, 8))
    >>> bool(found.means[0, 0] > found.means[1, 0])
    True
    """
    names = [f"D{radius:g}" if radius else SHARP for radius in radii]
    found = [one[np.isfinite(one).all(axis=1)] for one in measured(photographs, names)]
    means, covariances = (
        [one.mean(axis=0) for one in found],
        [np.cov(one, rowvar=False) for one in found],
    )
    return Reference(np.array(radii), np.array(means), np.array(covariances))


def as_jpeg(image: torch.Tensor) -> torch.Tensor:
    """An image, uint8 ``(3, H, W)``, through a JPEG file.

    >>> from blurpaper import quality
    >>> from blurpaper.data.examples import EXAMPLES, photograph
    >>> image = photograph(EXAMPLES[1])
    >>> again = as_jpeg(image)
    >>> again.shape == image.shape, 30 < quality.psnr(again, image) < 60
    (True, True)
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(file, "JPEG", quality=QUALITY)
    return torch.from_numpy(np.asarray(Image.open(file)).transpose(2, 0, 1).copy())


def tried(reference: Reference, photographs: Sequence[tuple[ImageSet, int]]) -> dict[str, Any]:
    """What the estimates are on photographs under known blurs.

    Returns:
        ``rows``, one a condition: ``blur``, ``file``, ``radius`` (true, or of a disk of equal
        variance), ``low``, ``median`` and ``high`` of the estimates (deciles), ``error`` (median of
        its absolute value), the share called ``blurred``, ``n``; and over the disks, ``error`` and
        ``rank correlation`` (Spearman's).

    >>> from blurpaper.data.examples import CarriedSet
    >>> found = tried(blurriness.reference(), [(CarriedSet("test"), 0)])
    >>> [row["blur"] for row in found["rows"]][8:12], found["rank correlation"] > 0.9
    (['D8', 'H4', 'H8', 'G2'], True)
    """
    from scipy.stats import spearmanr

    rows, errors, pairs = [], [], []
    for conditions, after, file in (
        (DISKS, lambda image: image, ""),
        (OTHERS, lambda image: image, ""),
        (JPEG, as_jpeg, f"JPEG {QUALITY}"),
    ):
        for condition, of in zip(conditions, measured(photographs, conditions, after), strict=True):
            estimates = reference.estimates(of)[:, 0]
            estimates = estimates[np.isfinite(estimates)]
            true = radius_of(condition)
            low, middle, high = np.quantile(estimates, [0.1, 0.5, 0.9])
            error = np.abs(estimates - true)
            more = float(np.mean(estimates > blurriness.BLURRED))
            rows.append(
                {
                    "blur": condition,
                    "file": file,
                    "radius": true,
                    "low": low,
                    "median": middle,
                    "high": high,
                }
                | {"error": float(np.median(error)), "blurred": more, "n": len(estimates)}
            )
            if conditions is DISKS:
                errors.append(error)
                pairs += [(true, one) for one in estimates]
    return {
        "error": float(np.median(np.concatenate(errors))),
        "rank correlation": float(spearmanr(*zip(*pairs, strict=True)).statistic),
        "rows": rows,
    }


def main() -> None:
    """Learn, try and write."""
    book.need_checkout("learning a reference for blur estimation")
    reference = learnt(some(LEARNT_FROM))
    about = {
        name: [[one, split, count] for one, split, count in sets] for name, sets in _SETS.items()
    }
    whole = about | {
        name: getattr(reference, name).tolist() for name in ("radii", "means", "covariances")
    }
    whole["trial"] = tried(reference, some(TRIED_ON))
    with written(blurriness.committed_path()) as temporary:
        temporary.write_text(json.dumps(_rounded(whole)) + "\n", encoding="utf-8")


_SETS = {"learnt from": LEARNT_FROM, "tried on": TRIED_ON}


def _rounded(value: object) -> object:
    """Numbers to six digits, which are enough and make the file small."""
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
