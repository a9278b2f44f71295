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
    iou_by_label,
    places_of,
    risk_coverage,
)

__all__ = [
    "Verdict",
    "curves",
    "gallery",
    "iou_by_label",
    "label_maps",
    "likely_classes",
    "places_of",
    "psfs",
    "risk_coverage",
    "verdicts",
]
