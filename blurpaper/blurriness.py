"""Blind blur estimation: how blurred a photograph is, with no sharp one beside it, in the paper's
units.

The estimate is the radius of the defocus disk, in pixels of 384, that photographs have to be
blurred with to look like this one. What is looked at is how much of the energy of the gradients is
lost when the photograph is blurred further (re-blurring, as in Zhuo and Sim 2011): soft edges lose
little. How these losses are distributed among photographs blurred by a known disk was learnt once
(:mod:`blurpaper.blurriness_reference`); it is committed as a few hundred numbers.

All is seen as a network sees it at scale 256: a photograph whose smaller side was less and was
enlarged has lost detail, and counts as blurred. A photograph without texture says nothing, and gets
no estimate.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import canonical, intervals, predictions, results
from blurpaper import profile as profiles
from blurpaper.data.base import ImageSet
from blurpaper.profile import Profile
from blurpaper.resizing import resized, scaled_shape
from blurpaper.store import TENSORS, Recipe, Store

if TYPE_CHECKING:
    import pandas as pd

SIDE = 256
"""Smaller side at which photographs are looked at, in pixels."""
SIGMAS = (0.0, 0.8, 1.6, 3.2, 6.4)
"""Standard deviations of the further blurs, in those pixels."""
BLOCK = 32
FAINTEST = 0.05
"""Mean squared gradient, in grey levels, below which a photograph (at the middle one of the further
blurs) has no texture.
"""
BLURRED = 2.0
"""Radius above which an image is counted as blurred."""
_STEP = 0.1
_FREEDOM = 5.0
"""Of Student's distribution, which forgives photographs that are like no others."""


# --- What is looked at ----------------------------------------------------------------------------


def features(image: torch.Tensor) -> np.ndarray:
    """Logarithms of how much gradient energy each further blur takes: float64 ``(8,)``, nan without
    texture.

    Four of the whole image, and four of its sharpest parts: the upper decile among the half of its
    blocks that has most texture.

    Args:
        image: uint8 ``(3, H, W)`` at the canonical scale, its smaller side 384.

    >>> features(torch.randint(0, 256, (3, 384, 512), dtype=torch.uint8)).shape
    (8,)
    """
    import cv2

    shape = scaled_shape(image.shape, SIDE / min(image.shape[-2:]))
    grey = resized(image[None], shape)[0].mean(dim=0).numpy()
    blurred = [
        cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) if sigma else grey
        for sigma in SIGMAS
    ]
    energy = [_gradient_energy(one) for one in blurred]
    whole = np.array([one.mean() for one in energy])
    if whole[len(SIGMAS) // 2] < FAINTEST:
        return np.full(2 * (len(SIGMAS) - 1), np.nan)
    blocks = np.stack([_block_means(one) for one in energy])
    middle = blocks[len(SIGMAS) // 2]
    textured = blocks[:, middle >= np.median(middle)]
    floor = 1e-4 * whole[-1]
    losses = -np.diff(np.log(textured + floor), axis=0)
    return np.concatenate([-np.diff(np.log(whole)), np.quantile(losses, 0.9, axis=1)]).astype(
        np.float64
    )


def _gradient_energy(grey: np.ndarray) -> np.ndarray:
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    return across * across + down * down


def _block_means(energy: np.ndarray) -> np.ndarray:
    rows, columns = (side // BLOCK for side in energy.shape)
    cut = energy[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return cut.mean(axis=(1, 3)).ravel()


# --- From that to a radius ------------------------------------------------------------------------


@dataclass(frozen=True)
class Reference:
    """What photographs blurred by known disks look like.

    Attributes:
        radii: float64 ``(R,)``, in pixels of 384, beginning with 0 (sharp) and rising.
        means: of the features, ``(R, F)``.
        covariances: of the features, ``(R, F, F)``.

    >>> from blurpaper import blur, resizing
    >>> from blurpaper.data.examples import EXAMPLES, photograph
    >>> image = resizing.to_canonical(photograph(EXAMPLES[1]), 384)
    >>> seen = np.stack([features(blur.apply(image, name)) for name in ("D2", "D4", "D8")])
    >>> median, low, high = reference().estimates(seen).T
    >>> bool((abs(median - [2, 4, 8]) < 1).all()), bool((low < median).all() and (median < high).all())
    (True, True)
    """

    radii: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def estimates(self, of: np.ndarray) -> np.ndarray:
        """Median, lower and upper decile of the radius of each image, every radius being as likely
        beforehand: ``(N, 3)``.

        Args:
            of: features ``(N, F)``; a row that is nan gets nan.
        """
        grid, means, covariances = self._fine()
        factors = np.linalg.cholesky(covariances)
        halves = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        found = np.full((len(of), 3), np.nan)
        for number in np.flatnonzero(np.isfinite(of).all(axis=1)):
            apart = np.linalg.solve(factors, (of[number] - means)[..., None])[..., 0]
            distance = (apart * apart).sum(axis=1)
            likelihood = -(_FREEDOM + of.shape[1]) / 2 * np.log1p(distance / _FREEDOM) - halves
            share = np.cumsum(np.exp(likelihood - likelihood.max()))
            found[number] = np.interp([0.5, 0.1, 0.9], (share - share[0] / 2) / share[-1], grid)
        return found

    def _fine(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The radii in small steps, with means and covariances in between."""
        grid = np.arange(self.radii[0], self.radii[-1] + _STEP / 2, _STEP)
        after = np.clip(np.searchsorted(self.radii, grid, side="right"), 1, len(self.radii) - 1)
        share = ((grid - self.radii[after - 1]) / (self.radii[after] - self.radii[after - 1]))[
            :, None
        ]
        means = (1 - share) * self.means[after - 1] + share * self.means[after]
        share = share[..., None]
        return (
            grid,
            means,
            (1 - share) * self.covariances[after - 1] + share * self.covariances[after],
        )


def committed_path() -> Path:
    """Where the committed reference is, with how well it did on photographs that it was not learnt
    from.

    >>> committed_path().name, committed_path().is_file()
    ('blurriness.json', True)
    """
    return results.PUBLISHED / "blurriness.json"


@lru_cache(maxsize=1)
def committed() -> dict[str, object]:
    """The committed reference and its trial, as plain data.

    Raises:
        ResultsError: if it is not there.

    >>> sorted(committed())
    ['covariances', 'learnt from', 'means', 'radii', 'trial', 'tried on']
    >>> trial = committed()["trial"]
    >>> trial["error"] < 0.5, trial["rank correlation"] > 0.95
    (True, True)
    """
    path = committed_path()
    if not path.is_file():
        raise results.ResultsError(
            f"no reference for blur estimation at {path}: this copy of blurpaper is not whole."
        )
    return json.loads(path.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def reference() -> Reference:
    """The committed reference.

    >>> float(reference().radii[0])
    0.0
    """
    return Reference(
        *(np.array(committed()[name], np.float64) for name in ("radii", "means", "covariances"))
    )


# --- A folder -------------------------------------------------------------------------------------


def of_images(images: ImageSet, profile: Profile, store: Store) -> pd.DataFrame:
    """How blurred each image of a set is: ``image``, ``radius`` and the deciles of its posterior,
    ``low`` and ``high``.

    Args:
        profile: says how many images are looked at at a time, and how much of the disk may be used.

    >>> import tempfile
    >>> from blurpaper.data.examples import CarriedSet
    >>> found = of_images(CarriedSet("test"), profiles.load("smoke"), Store(tempfile.mkdtemp()))
    >>> found["image"].tolist(), found["radius"].between(found["low"], found["high"]).tolist()
    (['chelsea', 'coffee'], [True, True])
    """
    import pandas as pd

    paper = profiles.load(
        "photos"
    )  # the canonical scale is the paper's, whatever the network's profile makes of it
    settings = paper.model_copy(
        update={"compute": profile.compute, "evaluation": profile.evaluation}
    )
    parts = []
    for numbers in predictions.shards(len(images), settings):
        inputs = {"images": images.fingerprint, "numbers": [numbers.start, numbers.stop]}
        recipe = Recipe(
            "blurriness",
            f"{images.name}.{numbers.start}",
            inputs,
            ["blurpaper.blurriness"],
            TENSORS,
        )

        def measure(_: Path, numbers: range = numbers) -> dict[str, torch.Tensor]:
            shown = canonical.images_of(images, numbers, settings.protocol)
            return {"features": torch.from_numpy(np.stack([features(image) for image in shown]))}

        parts.append(store.get(recipe, measure)["features"].numpy())
    found = reference().estimates(np.concatenate(parts))
    return pd.DataFrame(
        {"image": list(images.ids)} | dict(zip(("radius", "low", "high"), found.T, strict=True))
    )


def told(radii: Sequence[float] | np.ndarray, resamples: int) -> str:
    """What the estimates of some images, radii ``(N,)``, amount to, in one line.

    >>> told([1.0, 2.0, 3.0], resamples=100).partition(" (")[0]
    'blur: about like D2.0'
    """
    radii = np.asarray(radii, np.float64)
    known = radii[np.isfinite(radii)]
    if not len(known):
        return "blur: none of the images has the texture to tell."
    low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
    share, least, most = (100 * float(one) for one in intervals.of_mean(known > BLURRED, resamples))
    error = committed()["trial"]["error"]
    spread = f" (middle 80 %: {low:.1f}–{high:.1f}), {share:.0f} % ({least:.0f}–{most:.0f}) more than D{BLURRED:g}"
    without = f"; {len(radii) - len(known)} without texture" if len(known) < len(radii) else ""
    return (
        f"blur: about like D{middle:.1f}{spread if len(known) > 1 else ''}; estimated from the images alone, each off by some "
        f"{error:.1f} pixels of 384{without}."
    )
