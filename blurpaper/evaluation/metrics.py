"""From log-probabilities to decisions, one row an image, and from decisions to numbers (Tables 1 to
5); and how near a restored image is to the original.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    import pandas as pd

# --- Decisions ------------------------------------------------------------------------------------

CALIBRATION_BINS = 15


def temperature(log_probabilities: torch.Tensor, labels: np.ndarray) -> float:
    """The number by which log-probabilities ``(N, K)`` are divided for the least mean cross-entropy
    of the truth, ``(N,)``, between a hundredth and a hundred (Guo et al. 2017).

    >>> even = torch.tensor([[0.9, 0.1]] * 4).log()
    >>> round(temperature(even, np.array([0, 0, 0, 1])), 2)  # as sure as it is right
    2.0
    """
    from scipy.optimize import minimize_scalar

    truth, log_p = torch.as_tensor(labels), log_probabilities.double()

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(log_p / math.exp(log_temperature), truth))

    return math.exp(minimize_scalar(loss, bounds=(-math.log(100), math.log(100))).x)


def decide(log_probabilities: torch.Tensor, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Decisions from log-probabilities, an entry an image.

    Args:
        log_probabilities: mean log-probabilities ``(N, K)``, not renormalised.
        labels: true classes ``(N,)``.

    Returns:
        ``rank`` of the truth (0 is first; of equals the lower class number goes first), ``entropy``
        of the renormalised distribution in nats, ``cross_entropy`` of the truth in nats,
        ``confidence`` (probability of the first class), each ``(N,)``.

    Raises:
        UserError: if there is not one label a row, a label is no class, or a log-probability is no
            number.

    >>> decided = decide(torch.tensor([[0.5, 0.25, 0.25]]).log(), np.array([1]))
    >>> int(decided["rank"][0]), round(float(decided["confidence"][0]), 3)
    (1, 0.5)
    """
    if len(log_probabilities) != len(labels):
        raise UserError(
            f"one label per row. Got {len(labels)} labels for {len(log_probabilities)} rows."
        )
    log_p = log_probabilities.float().log_softmax(dim=1)
    if bool(log_p.isnan().any()):
        raise UserError(
            f"log-probabilities are numbers. Got nan in {int(log_p.isnan().any(dim=1).sum())} of "
            f"{len(log_p)} rows."
        )
    truth = torch.as_tensor(np.asarray(labels))[:, None]
    if len(truth) and not (int(truth.min()) >= 0 and int(truth.max()) < log_p.shape[1]):
        raise UserError(
            f"labels are 0 to {log_p.shape[1] - 1}. Got {int(truth.min())} to {int(truth.max())}."
        )
    own = log_p.gather(1, truth)
    before = torch.arange(log_p.shape[1]) < truth
    rank = ((log_p > own) | ((log_p == own) & before)).sum(dim=1)
    return {
        "rank": rank.numpy().astype(np.int32),
        "entropy": torch.special.entr(log_p.exp()).sum(dim=1).numpy(),
        "cross_entropy": -own[:, 0].numpy(),
        "confidence": log_p.max(dim=1).values.exp().numpy(),
    }


def per_image(decided: Mapping[str, np.ndarray] | pd.DataFrame) -> dict[str, np.ndarray]:
    """The metrics that are means over images, as their terms: metric -> float64 ``(N,)``.

    >>> per_image({"rank": np.array([0, 4]), "entropy": np.array([0.1, 2.0])})["top1"]
    array([1., 0.])
    """
    rank = np.asarray(decided["rank"])
    terms = {"top1": rank < 1, "top5": rank < 5}
    for metric in ("entropy", "cross_entropy", "js_divergence", "psnr", "ssim"):
        if metric in decided:
            terms[metric] = decided[metric]
    return {metric: np.asarray(each, np.float64) for metric, each in terms.items()}


def js_divergence(log_probabilities: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """Jensen-Shannon divergence of renormalised predictions, image by image: ``(N,)``, in nats,
    from 0 to log 2.

    >>> one, other = torch.tensor([[0.0, -99.0]]), torch.tensor([[-99.0, 0.0]])
    >>> js_divergence(one, other).round(4), js_divergence(one, one).round(4)
    (array([0.6931]), array([0.]))
    """
    log_p, log_q = (each.double().log_softmax(dim=1) for each in (log_probabilities, other))
    log_m = torch.logaddexp(log_p, log_q) - np.log(2)
    divergence = (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum(dim=1) / 2
    return divergence.clamp_min(0).numpy()


def calibration_error(
    confidence: np.ndarray, correct: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017).

    Args:
        confidence: probability of the first class ``(N,)``.
        correct: whether it was right ``(N,)``.
        weights: resampling counts ``(R, N)``; without them, every image once.

    Returns:
        ``(R,)``, or a scalar array without weights.

    >>> round(float(calibration_error(np.array([0.9, 0.9]), np.array([True, False]))), 3)
    0.4
    """
    bins = np.minimum((np.asarray(confidence) * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.zeros((len(bins), CALIBRATION_BINS))
    gaps[np.arange(len(bins)), bins] = confidence - np.asarray(correct, np.float64)
    counts = np.ones((1, len(bins))) if weights is None else weights
    errors = np.abs(counts @ gaps).sum(axis=1) / counts.sum(axis=1)
    return errors[0] if weights is None else errors


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Risk-coverage curve: shares of predictions kept, most confident first, and of these the
    shares that are wrong, each ``(N,)``.

    Predictions of equal confidence are kept or dropped together: each gets the risk of the whole
    tie.

    >>> correct = np.array([True, True, False, True])
    >>> risk_coverage(np.array([0.9, 0.8, 0.7, 0.6]), correct)[1].round(2)
    array([0.  , 0.  , 0.33, 0.25])
    """
    confidence = np.asarray(confidence)
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(1.0 - np.asarray(correct, np.float64)[order])
    kept = np.arange(1, len(order) + 1)
    last_of_tie = np.searchsorted(-confidence[order], -confidence[order], side="right") - 1
    return kept / len(order), (wrong / kept)[last_of_tie]


def area_under_risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Mean risk over all coverages of predictions ``(N,)``: small if confidence tells right from
    wrong (Geifman et al. 2017).
    """
    return float(risk_coverage(confidence, correct)[1].mean())


# --- Restored images ------------------------------------------------------------------------------

NO_DIFFERENCE = 100.0
"""PSNR, in decibels, of an image that does not differ, at which PSNR is cut so that it can be
averaged.
"""


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Peak signal-to-noise ratio of an 8-bit image ``(C, H, W)`` in decibels, over all its
    channels.

    >>> image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    >>> round(psnr(image, image + 1), 2)
    48.13
    """
    error = (image.double() - reference.double()).square().mean().item()
    return min(10 * math.log10(255**2 / error), NO_DIFFERENCE) if error else NO_DIFFERENCE


_FARTHEST, _LEFT_OUT = 10, 20
"""Of alignment, in pixels: the farthest, and the border that is left out."""


def aligned_psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    """PSNR, in decibels, of a grey image ``(1, H, W)`` that is shifted by up to ten pixels, to the
    nearest quarter; borders of 20 pixels left out (Levin et al. 2009).
    """
    from scipy import ndimage

    seen, true = (one[0].double().numpy() for one in (image, reference))
    inside = (slice(_LEFT_OUT, -_LEFT_OUT),) * 2

    def error(shifted: np.ndarray) -> float:
        return float(np.square(shifted[inside] - true[inside]).mean())

    whole = range(-_FARTHEST, _FARTHEST + 1)
    at = {(y, x): error(np.roll(seen, (y, x), axis=(0, 1))) for y in whole for x in whole}
    down, across = min(at, key=at.__getitem__)
    splines, quarters = ndimage.spline_filter(seen, 3, mode="mirror"), np.arange(-3, 4) / 4
    shifts = [(down + y, across + x) for y in quarters for x in quarters]
    least = min(
        error(ndimage.shift(splines, shift, order=3, mode="mirror", prefilter=False))
        for shift in shifts
    )
    return min(10 * math.log10(255**2 / least), NO_DIFFERENCE) if least else NO_DIFFERENCE


def ssim(image: torch.Tensor, reference: torch.Tensor) -> float:
    """Structural similarity of the means over the channels of 8-bit images ``(C, H, W)`` (Wang et
    al. 2004; scikit-image).
    """
    from skimage.metrics import structural_similarity

    grey = [one.float().mean(dim=0).numpy() for one in (image, reference)]
    return float(
        structural_similarity(
            *grey, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


MEASURES = {"psnr": psnr, "ssim": ssim}
"""By their names in the results."""
