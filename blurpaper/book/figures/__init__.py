"""Every plot, one function a figure, by one hand: one palette, intervals drawn, labels at the
lines, vector graphics.

A function gives a figure, or a list of such that a page sets beside one another where there is
room.
"""

from blurpaper.book.figures.deblurring import accuracy_against_seconds, mistaken_psf, psnr_by_noise
from blurpaper.book.figures.exhibits import Verdict, distance_maps, likely_classes, psfs, verdicts
from blurpaper.book.figures.recognition import (
    accuracy_against_entropy,
    accuracy_by_condition,
    by_network,
    distance_by_stage,
    risk_coverage,
    scale_settings,
    transfer_matrix,
)
from blurpaper.book.figures.segmentation import error_shares, iou_by_label, label_maps, miou_by_blur
from blurpaper.book.figures.style import (
    CONDITION_COLOURS,
    NETWORK_COLOURS,
    NETWORK_MARKS,
    PAGE,
    PALETTE,
    SCALE_COLOURS,
    SCALE_MARKS,
    SERIES_COLOURS,
    SERIES_MARKS,
    gallery,
    inline,
    label_ends,
    label_levels,
    variables,
)

__all__ = [
    "CONDITION_COLOURS",
    "NETWORK_COLOURS",
    "NETWORK_MARKS",
    "PAGE",
    "PALETTE",
    "SCALE_COLOURS",
    "SCALE_MARKS",
    "SERIES_COLOURS",
    "SERIES_MARKS",
    "Verdict",
    "accuracy_against_entropy",
    "accuracy_against_seconds",
    "accuracy_by_condition",
    "by_network",
    "distance_by_stage",
    "distance_maps",
    "error_shares",
    "gallery",
    "inline",
    "iou_by_label",
    "label_ends",
    "label_levels",
    "label_maps",
    "likely_classes",
    "miou_by_blur",
    "mistaken_psf",
    "psfs",
    "psnr_by_noise",
    "risk_coverage",
    "scale_settings",
    "transfer_matrix",
    "variables",
    "verdicts",
]
