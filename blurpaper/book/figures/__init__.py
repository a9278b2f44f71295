"""Every plot, one function a figure, by one hand: one palette, intervals drawn, labels at the
lines, vector graphics.

A function gives a figure, or a list of such that a page sets beside one another where there is
room.
"""

from blurpaper.book.figures.pictures import (
    Verdict,
    gallery,
    label_maps,
    likely_classes,
    psfs,
    verdicts,
)
from blurpaper.book.figures.recognition import (
    curves,
    places_of,
    risk_coverage,
)
from blurpaper.book.figures.restoration import (
    error_shares,
    iou_by_label,
    miou_by_blur,
)

__all__ = [
    "Verdict",
    "curves",
    "error_shares",
    "gallery",
    "iou_by_label",
    "label_maps",
    "likely_classes",
    "miou_by_blur",
    "places_of",
    "psfs",
    "risk_coverage",
    "verdicts",
]
