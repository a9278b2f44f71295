"""Every plot, one function a figure, by one hand: one palette, intervals drawn, labels at the
lines, vector graphics.

A function gives a figure, or a list of such that a page sets beside one another where there is
room.
"""

from blurpaper.book.figures.pictures import (
    Verdict,
    distance_maps,
    gallery,
    label_maps,
    likely_classes,
    psfs,
    verdicts,
)
from blurpaper.book.figures.recognition import (
    curves,
    distance_by_stage,
    risk_coverage,
    scale_settings,
)
from blurpaper.book.figures.restoration import (
    accuracy_against_seconds,
    iou_by_label,
    mistaken_psf,
    psnr_by_noise,
)

__all__ = [
    "Verdict",
    "accuracy_against_seconds",
    "curves",
    "distance_by_stage",
    "distance_maps",
    "gallery",
    "iou_by_label",
    "label_maps",
    "likely_classes",
    "mistaken_psf",
    "psfs",
    "psnr_by_noise",
    "risk_coverage",
    "scale_settings",
    "verdicts",
]
