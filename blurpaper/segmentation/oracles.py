"""What a network would have made of a scene had it been told part of the truth, and so where its
errors come from (Section 5).

The paper sees both kinds of error in examples (Figure 5): objects found and taken for another
label, and labels that are right within a wrong outline. Told which labels the scene has, a network
can only mislocate; told where the regions are, only misname.
"""

from __future__ import annotations

import numpy as np

from blurpaper.data.label_map import VOID


def given_labels(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The prediction if one is told which labels the image has: the best of those at every pixel
    (Sec. 5, Table 6).

    Args:
        scores: log-probabilities ``(K, H, W)``; of equals the lower label goes first.
        truth: label map uint8 ``(H, W)``; void is no label. Where all is void, all labels may be
            predicted.

    Returns:
        uint8 ``(H, W)``.

    Raises:
        ValueError: scores and truth do not fit, a true label has no score, or a score is nan.
    """
    scores, truth, present = _checked(scores, truth)
    if not len(present):
        return scores.argmax(axis=0).astype(np.uint8)
    return present[scores[present].argmax(axis=0)]


def given_regions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The prediction if one is told where the regions are, but not what: one label for each (Sec.
    5, Table 6).

    Regions are the 8-connected parts of the truth that have one label. All pixels of a region get
    the label whose mean score over the region is highest. Void is no region: its pixels, which are
    never scored, keep the label that is best at each.

    Args:
        scores: log-probabilities ``(K, H, W)``; of equals the lower label goes first.
        truth: label map uint8 ``(H, W)``.

    Returns:
        uint8 ``(H, W)``.

    Raises:
        ValueError: scores and truth do not fit, a true label has no score, or a score is nan.
    """
    scores, truth, present = _checked(scores, truth)
    regions, count = _regions(truth, present)
    # The sums over a region have the order of the means.
    sums = np.stack(
        [np.bincount(regions.ravel(), plane.ravel(), minlength=count + 1) for plane in scores]
    )
    return np.where(regions == 0, scores.argmax(axis=0), sums.argmax(axis=0)[regions]).astype(
        np.uint8
    )


def _checked(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and truth that fit, and the labels that occur."""
    scores, truth = np.asarray(scores), np.asarray(truth)
    if scores.ndim != 3 or scores.shape[1:] != truth.shape or not 1 <= len(scores) <= VOID:
        raise ValueError(
            f"scores are (K, H, W) of truth (H, W), K from 1 to {VOID}. Got {scores.shape} of "
            f"{truth.shape}."
        )
    if truth.dtype != np.uint8:
        raise ValueError(f"a label map is uint8. Got {truth.dtype}.")
    if np.isnan(scores).any():
        raise ValueError(
            f"scores are numbers. Got nan at {int(np.isnan(scores).any(axis=0).sum())} of "
            f"{truth.size} pixels."
        )
    present = np.flatnonzero(np.bincount(truth.ravel(), minlength=VOID + 1)[:VOID]).astype(np.uint8)
    if len(present) and present[-1] >= len(scores):
        raise ValueError(
            f"the truth's labels are 0 to {len(scores) - 1}. Got {present[0]} to {present[-1]}."
        )
    return scores, truth, present


def _regions(truth: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, int]:
    """The number of each pixel's region, from 1, or 0 in void; and how many regions there are."""
    from scipy import ndimage

    regions, count = np.zeros(truth.shape, np.int32), 0
    for label in present:
        parts, more = ndimage.label(truth == label, np.ones((3, 3)))
        np.add(parts, count, out=regions, where=parts > 0)
        count += more
    return regions, count


def shares(
    plain: np.ndarray, labels_given: np.ndarray, regions_given: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The error 1 - mIoU as what is due to recognition plus what is due to localisation (Sec. 5,
    Table 6).

    These are the Shapley values of two pieces of knowledge, the image's true labels and its true
    regions; with both, mIoU is taken to be 1. Each is what its piece adds, averaged over the two
    orders in which they can be told.

    Args:
        plain: mIoU of the prediction itself, a fraction, of any shape ``(...)``.
        labels_given: mIoU of :func:`given_labels`, of that shape.
        regions_given: mIoU of :func:`given_regions`, of that shape.

    Returns:
        recognition and localisation, float64 of that shape, which add up to ``1 - plain``.

    Raises:
        ValueError: the shapes differ.
    """
    plain, labels_given, regions_given = (
        np.asarray(v, np.float64) for v in (plain, labels_given, regions_given)
    )
    if not plain.shape == labels_given.shape == regions_given.shape:
        raise ValueError(
            f"shares are of one shape. Got {plain.shape}, {labels_given.shape} and "
            f"{regions_given.shape}."
        )
    recognition = ((labels_given - plain) + (1 - regions_given)) / 2
    localisation = ((regions_given - plain) + (1 - labels_given)) / 2
    return recognition, localisation
