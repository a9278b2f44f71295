"""The blurs of the slider: for each kind of PSF, eight of growing size after the sharp image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blurpaper.kernels import PSF, SHAKE, SHARP, axis_variance, shake_bank

STEPS = 8
"""Blurs of each kind; the slider's zero is the sharp image."""


@dataclass(frozen=True)
class Kind:
    """A kind of PSF.

    Attributes:
        key: as names of PSFs have it.
        title: for people.
        conditions: one a notch of the slider, sharp first.
    """

    key: str
    title: str
    conditions: tuple[str, ...]


def kinds() -> list[Kind]:
    """The kinds, those with a size up to about the variance of ``D8`` along an axis."""
    return [
        Kind("D", "Defocus", _sizes("D", 1)),
        Kind("H", "Horizontal motion", _sizes("H", 2)),
        Kind("G", "Gaussian", _sizes("G", 0.5)),
        Kind(SHAKE, "Camera shake", (SHARP, *_trajectories())),
    ]


def conditions() -> list[str]:
    """Every condition of the slider once, sharp first."""
    return list(dict.fromkeys(name for kind in kinds() for name in kind.conditions))


def said(condition: str) -> str:
    """A condition in words; sizes are in pixels of an image whose smaller side is 384."""
    if condition == SHARP:
        return "sharp"
    psf = PSF.parse(condition)
    if psf.kind == SHAKE:
        return f"{condition}, a trajectory that spreads {_extents()[psf.index]:.1f} pixels about its centre"
    unit = "pixel" if psf.size == 1 else "pixels"
    return {
        "D": f"{condition}, a disk of radius {psf.size:g} {unit}",
        "H": f"{condition}, motion over {psf.size:g} {unit}",
        "G": f"{condition}, a Gaussian of standard deviation {psf.size:g} {unit}",
    }[psf.kind]


def _sizes(letter: str, pace: float) -> tuple[str, ...]:
    return (SHARP, *(f"{letter}{pace * step:g}" for step in range(1, STEPS + 1)))


def _extents() -> np.ndarray:
    """Root mean square distance of each test trajectory from its centre of mass, in pixels: float64
    (100,).
    """
    return np.sqrt([axis_variance(kernel).sum() for kernel in shake_bank("test")])


def _trajectories() -> list[str]:
    """Trajectories of camera shake from the most compact on, as far apart in their order as can be."""
    order = np.argsort(_extents())
    return [f"{SHAKE}:{order[round(place)]}" for place in np.linspace(0, len(order) - 1, STEPS)]
