"""From what networks said to numbers: decisions on whole images here, labels of pixels in
``overlap`` and ``oracles``.
"""

from blurpaper.metrics.classification import (
    CALIBRATION_BINS,
    area_under_risk_coverage,
    calibration_error,
    decisions,
    js_divergence,
    per_image,
    risk_coverage,
)

__all__ = [
    "CALIBRATION_BINS",
    "area_under_risk_coverage",
    "calibration_error",
    "decisions",
    "js_divergence",
    "per_image",
    "risk_coverage",
]
