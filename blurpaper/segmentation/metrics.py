"""Intersection over union of label maps over all scenes, with intervals over scenes, and where the
errors come from (Section 5, Table 6).

The paper sees two kinds of error in examples (Figure 5): objects that are found and given another
label, and right labels within a wrong outline. Given the labels of the scene, a network can only
mislocate; given its regions, only misname.
"""

from __future__ import annotations

import warnings

import numpy as np

from blurpaper.data.sets import VOID
from blurpaper.evaluation import intervals

# --- Pixels: a prediction against the truth, a scene at a time ------------------------------------


def confusion(
    truth: np.ndarray, predicted: np.ndarray, labels: int, where: np.ndarray | None = None
) -> np.ndarray:
    """Number of pixels by true label and predicted label (Sec. 5, Table 6).

    Args:
        truth: label map uint8 ``(H, W)``; pixels of :data:`~blurpaper.data.sets.VOID` are
            never counted.
        predicted: the predicted labels, integers ``(H, W)``, never void.
        labels: how many labels there are, at most 255.
        where: the pixels to count, bool ``(H, W)``; without it, all of them.

    Returns:
        Pixels, int64 ``(labels, labels)``: a row a true label, a column a predicted one.

    Raises:
        ValueError: a label is not one of 0 to ``labels - 1``.

    >>> confusion(np.array([[0, 1, 1, 255]]), np.array([[0, 1, 0, 1]]), labels=2)
    array([[1, 0],
           [1, 1]])
    """
    counted = truth != VOID
    for name, found in (("the truth's labels", truth[counted]), ("predicted labels", predicted)):
        if found.size and not (found.min() >= 0 and found.max() < labels):
            raise ValueError(f"{name} are 0 to {labels - 1}. Got {found.min()} to {found.max()}.")
    if where is not None:
        counted &= where
    pairs = truth[counted].astype(np.int64) * labels + predicted[counted]
    return np.bincount(pairs, minlength=labels**2).reshape(labels, labels)


def near_boundary(truth: np.ndarray, distance: float) -> np.ndarray:
    """The pixels within so many pixels of a pixel of another label (Sec. 5, Table 6).

    Distances are Euclidean, from centre to centre. Void is a label like any other; the border of
    the image is no boundary. Exact, and quick for small distances: the time grows with the square
    of the distance.

    Args:
        truth: label map uint8 ``(H, W)``.
        distance: in pixels, not negative.

    Returns:
        bool ``(H, W)``.
    """
    import cv2

    truth = np.ascontiguousarray(truth)
    reach = int(min(distance, max(truth.shape)))
    steps = np.arange(-reach, reach + 1)
    disk = (np.hypot(steps[:, None], steps) <= distance).astype(np.uint8)
    # A disk of one label has the same largest and smallest label. Outside the image cv2 lets
    # neither grow nor shrink.
    return cv2.dilate(truth, disk) != cv2.erode(truth, disk)


# --- Scenes: intersection over union and its intervals --------------------------------------------


def ious(confusions: np.ndarray) -> np.ndarray:
    """Intersection over union of each label (Sec. 5, Table 6).

    Args:
        confusions: pixels, integers or floats ``(..., K, K)``, rows truth, columns prediction.

    Returns:
        Fractions, float64 ``(..., K)``; nan for a label that occurs neither in the truth nor in the
        prediction.
    """
    confusions = np.asarray(confusions, np.float64)
    both = np.diagonal(confusions, axis1=-2, axis2=-1)
    either = confusions.sum(axis=-1) + confusions.sum(axis=-2) - both
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def mean_iou(confusions: np.ndarray) -> np.ndarray:
    """Mean intersection over union, over the labels that occur in the truth or in the prediction
    (Sec. 5, Table 6).

    Args:
        confusions: pixels, integers or floats ``(..., K, K)``, rows truth, columns prediction.

    Returns:
        Fractions, float64 ``(...)``; nan where no pixel was counted.

    >>> round(float(mean_iou([[3, 1], [0, 4]])), 3)
    0.775
    """
    each = ious(confusions)
    known = ~np.isnan(each)
    with np.errstate(invalid="ignore"):  # 0 / 0 where no label is known
        return np.where(known, each, 0).sum(axis=-1) / known.sum(axis=-1)


def of_labels(confusions: np.ndarray, resamples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IoU of each label, of the pixels of all images together, with its interval over images (Sec.
    5, Table 6).

    Args:
        confusions: one matrix an image, pixels ``(N, K, K)``.
        resamples: how many resamples of the images.

    Returns:
        value, low and high, as fractions ``(K,)``. Resamples without a label say nothing of it; a
        label that occurs in no image is nan.
    """
    counts = intervals.resampling(len(confusions), resamples).astype(np.float64)
    bounds = [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # a label without a pixel gives nan
        low, high = np.nanquantile(ious(_pooled(confusions, counts)), bounds, axis=0)
    return ious(confusions.sum(axis=0)), low, high


def draws(confusions: np.ndarray, resamples: int) -> np.ndarray:
    """Mean IoU of all images together, then of each resample of them: float64 ``(1 + R,)``, as
    :func:`intervals.draws`.
    """
    return intervals.draws(
        lambda counts: mean_iou(_pooled(confusions, counts)), len(confusions), resamples
    )


def _pooled(confusions: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over images that count so often: ``(N, K, K)`` and ``(R, N)`` to ``(R, K, K)``."""
    flat = confusions.reshape(len(confusions), -1).astype(np.float64)
    return (counts @ flat).reshape(-1, *confusions.shape[1:])


# --- Predictions given part of the truth ----------------------------------------------------------


def given_labels(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The prediction given the labels of the image: the best of those at every pixel (Sec. 5,
    Table 6).

    Args:
        scores: log-probabilities ``(K, H, W)``; of equals the lower label goes first.
        truth: label map uint8 ``(H, W)``; void is no label. Where all is void, all labels may be
            predicted.

    Returns:
        uint8 ``(H, W)``.
    """
    present = np.unique(truth[truth != VOID])
    if not len(present):
        return scores.argmax(axis=0).astype(np.uint8)
    return present[scores[present].argmax(axis=0)]


def given_regions(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The prediction given the regions of the image, but not their labels: one label for each
    (Sec. 5, Table 6).

    Regions are the 8-connected parts of the truth that have one label. All pixels of a region get
    the label whose mean score over the region is highest. Void is no region: its pixels, which are
    never scored, keep the label that is best at each.

    Args:
        scores: log-probabilities ``(K, H, W)``; of equals the lower label goes first.
        truth: label map uint8 ``(H, W)``.

    Returns:
        uint8 ``(H, W)``.
    """
    from skimage import measure

    regions = measure.label(truth, background=VOID, connectivity=2)
    # The sums over a region have the order of the means.
    sums = np.stack([np.bincount(regions.ravel(), plane.ravel()) for plane in scores])
    best = sums.argmax(axis=0)[regions]
    return np.where(regions == 0, scores.argmax(axis=0), best).astype(np.uint8)


def shares(
    plain: np.ndarray, labels_given: np.ndarray, regions_given: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The error 1 - mIoU, split into the shares of recognition and of localisation (Sec. 5,
    Table 6).

    These are the Shapley values of two pieces of knowledge, the image's true labels and its true
    regions; with both, mIoU is taken to be 1. Each is the gain from its piece, averaged over the
    two orders in which they can be given.

    Args:
        plain: mIoU of the prediction itself, a fraction, of any shape ``(...)``.
        labels_given: mIoU of :func:`given_labels`, of that shape.
        regions_given: mIoU of :func:`given_regions`, of that shape.

    Returns:
        recognition and localisation, float64 of that shape, which add up to ``1 - plain``.
    """
    recognition = ((labels_given - plain) + (1 - regions_given)) / 2
    localisation = ((regions_given - plain) + (1 - labels_given)) / 2
    return recognition, localisation
