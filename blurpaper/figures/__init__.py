"""Every plot, one function a figure, by one hand: one palette, intervals drawn, labels at the lines, vector graphics."""

from blurpaper.figures.deblurring import accuracy_against_seconds, mistaken_psf, psnr_by_noise
from blurpaper.figures.recognition import (
    accuracy_against_entropy,
    accuracy_by_condition,
    by_network,
    distance_by_stage,
    distance_maps,
    likely_classes,
    psfs,
    risk_coverage,
    scale_settings,
    transfer_matrix,
    verdicts,
)
from blurpaper.figures.segmentation import error_shares, iou_by_label, label_maps, miou_by_blur
from blurpaper.figures.speed import growth, stages
from blurpaper.figures.style import CONDITION_COLOURS, NETWORK_COLOURS, SCALE_COLOURS, gallery, label_ends, label_levels

__all__ = [
    "CONDITION_COLOURS",
    "NETWORK_COLOURS",
    "SCALE_COLOURS",
    "accuracy_against_entropy",
    "accuracy_against_seconds",
    "accuracy_by_condition",
    "by_network",
    "distance_by_stage",
    "distance_maps",
    "error_shares",
    "gallery",
    "growth",
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
    "stages",
    "transfer_matrix",
    "verdicts",
]
