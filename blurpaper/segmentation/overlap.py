"""Intersection over union of label maps, of all scenes together, with intervals over scenes
(Section 5, Table 6).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from blurpaper.evaluation import intervals


def ious(confusions: np.ndarray) -> np.ndarray:
    """Intersection over union of each label (Sec. 5, Table 6).

    Args:
        confusions: pixels, integers or floats ``(..., K, K)``, rows truth, columns prediction.

    Returns:
        Fractions, float64 ``(..., K)``; nan for a label that occurs neither in the truth nor in the
        prediction.

    Raises:
        ValueError: the matrices are not square.
    """
    confusions = np.asarray(confusions, np.float64)
    if confusions.ndim < 2 or confusions.shape[-1] != confusions.shape[-2]:
        raise ValueError(f"confusion matrices are square, (..., K, K). Got {confusions.shape}.")
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

    Raises:
        ValueError: the matrices are not square.

    >>> round(float(mean_iou([[3, 1], [0, 4]])), 3)
    0.775
    """
    each = ious(confusions)
    known = ~np.isnan(each)
    count = np.asarray(known.sum(axis=-1))
    return np.divide(
        np.where(known, each, 0).sum(axis=-1),
        count,
        out=np.full(count.shape, np.nan),
        where=count > 0,
    )[()]


def of_set(confusions: np.ndarray, resamples: int) -> tuple[float, float, float]:
    """Mean IoU of the pixels of all images together, with its interval over images (Sec. 5, Table
    6).

    Args:
        confusions: one matrix an image, pixels ``(N, K, K)``.
        resamples: how many resamples of the images.

    Returns:
        value, low and high, as fractions. The bounds are nan if some resample has no pixel that
        counts.

    Raises:
        ValueError: not ``(N, K, K)`` with at least one image.
    """
    return of_sets(lambda miou: miou, [confusions], resamples)


def of_labels(confusions: np.ndarray, resamples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """IoU of each label, of the pixels of all images together, with its interval over images (Sec.
    5, Table 6).

    Args:
        confusions: one matrix an image, pixels ``(N, K, K)``.
        resamples: how many resamples of the images.

    Returns:
        value, low and high, as fractions ``(K,)``. Resamples without a label say nothing of it; a
        label that occurs in no image is nan.

    Raises:
        ValueError: not ``(N, K, K)`` with at least one image.
    """
    confusions = _per_image(confusions)
    counts = intervals.resampling(len(confusions), resamples).astype(np.float64)
    with warnings.catch_warnings():
        # A label without a pixel, which is to be nan.
        warnings.filterwarnings("ignore", "All-NaN slice")
        low, high = np.nanquantile(
            ious(_pooled(confusions, counts)),
            [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2],
            axis=0,
        )
    return ious(confusions.sum(axis=0)), low, high


def difference_of_sets(
    one: np.ndarray, other: np.ndarray, resamples: int
) -> tuple[float, float, float]:
    """Mean IoU of one network less that of another on the same images, with its interval over
    images (Sec. 5, Table 6).

    Args:
        one: one matrix an image, pixels ``(N, K, K)``.
        other: those of the other network, of the same images in the same order.
        resamples: how many resamples of the images, both networks alike.

    Returns:
        value, low and high, as fractions. The bounds are nan if some resample has no pixel that
        counts.

    Raises:
        ValueError: the shapes differ, or are not ``(N, K, K)`` with at least one image.
    """
    return of_sets(lambda own, their: own - their, [one, other], resamples)


def of_sets(
    statistic: Callable[..., np.ndarray], sets: Sequence[np.ndarray], resamples: int
) -> tuple[float, float, float]:
    """A statistic of several mean IoUs on the same images, with its interval over images.

    Args:
        statistic: of as many arrays as there are sets, what :func:`draws` gives of each; gives one
            of that shape.
        sets: each one matrix an image, pixels ``(N, K, K)``, of the same images in the same order.
        resamples: how many resamples of the images, the same for all.

    Returns:
        value, low and high. The bounds are nan if the statistic is in some resample.

    Raises:
        ValueError: the shapes differ, or are not ``(N, K, K)`` with at least one image.
    """
    shapes = list(dict.fromkeys(np.shape(one) for one in sets))
    if len(shapes) > 1:
        raise ValueError(
            f"paired statistics need the same images. Got {shapes[0]} and {shapes[1]}."
        )
    return intervals.of_draws(statistic(*(draws(one, resamples) for one in sets)))


def draws(confusions: np.ndarray, resamples: int) -> np.ndarray:
    """Mean IoU of all images together, then of each resample of them: float64 ``(1 + R,)``, as
    :func:`intervals.draws`.
    """
    confusions = _per_image(confusions)
    return intervals.draws(
        lambda counts: mean_iou(_pooled(confusions, counts)), len(confusions), resamples
    )


def _per_image(confusions: np.ndarray) -> np.ndarray:
    confusions = np.asarray(confusions, np.float64)
    if confusions.ndim != 3 or confusions.shape[1] != confusions.shape[2] or not len(confusions):
        raise ValueError(
            f"one confusion matrix an image, (N, K, K), and at least one. Got {confusions.shape}."
        )
    return confusions


def _pooled(confusions: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums over images that count so often: ``(N, K, K)`` and ``(R, N)`` to ``(R, K, K)``."""
    return (counts @ confusions.reshape(len(confusions), -1)).reshape(-1, *confusions.shape[1:])
