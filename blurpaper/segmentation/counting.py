"""Which pixels are counted, and as what: a prediction against the truth, one scene at a time
(Section 5).
"""

from __future__ import annotations

import numpy as np

from blurpaper.data.label_map import VOID


def confusion(
    truth: np.ndarray, predicted: np.ndarray, labels: int, where: np.ndarray | None = None
) -> np.ndarray:
    """How many pixels of each true label were given each label (Sec. 5, Table 6).

    Args:
        truth: label map uint8 ``(H, W)``; pixels of :data:`~blurpaper.data.label_map.VOID` are
            never counted.
        predicted: the labels given, integers ``(H, W)``, never void.
        labels: how many labels there are, at most 255.
        where: the pixels to count, bool ``(H, W)``; without it, all of them.

    Returns:
        Pixels, int64 ``(labels, labels)``: a row a true label, a column a label given.

    Raises:
        ValueError: the shapes differ, ``where`` is not a mask, or a label is not one of 0 to
            ``labels - 1``.

    >>> confusion(np.array([[0, 1, 1, 255]], np.uint8), np.array([[0, 1, 0, 1]], np.uint8), labels=2)
    array([[1, 0],
           [1, 1]])
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if not 1 <= labels <= VOID:
        raise ValueError(f"there are 1 to {VOID} labels. Got {labels}.")
    if truth.shape != predicted.shape:
        raise ValueError(
            f"truth and prediction are of one shape. Got {truth.shape} and {predicted.shape}."
        )
    counted = truth != VOID
    for name, found in (("the truth's labels", truth[counted]), ("predicted labels", predicted)):
        if found.size and not (found.min() >= 0 and found.max() < labels):
            raise ValueError(f"{name} are 0 to {labels - 1}. Got {found.min()} to {found.max()}.")
    if where is not None:
        where = np.asarray(where)
        if where.shape != truth.shape or where.dtype != bool:
            raise ValueError(
                f"where is a bool mask of shape {truth.shape}. Got {where.dtype} {where.shape}."
            )
        counted &= where
    pairs = truth[counted].astype(np.int64) * labels + predicted[counted]
    return (
        np.bincount(pairs, minlength=labels**2).reshape(labels, labels).astype(np.int64, copy=False)
    )


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

    Raises:
        ValueError: the map is not uint8 ``(H, W)``, or the distance is negative or nan.
    """
    import cv2

    truth = np.ascontiguousarray(truth)
    if truth.ndim != 2 or truth.dtype != np.uint8:
        raise ValueError(f"a label map is uint8 (H, W). Got {truth.dtype} {truth.shape}.")
    if not distance >= 0:
        raise ValueError(f"a distance is zero or more pixels. Got {distance}.")
    reach = int(min(distance, max(truth.shape)))
    steps = np.arange(-reach, reach + 1)
    disk = (np.hypot(steps[:, None], steps) <= distance).astype(np.uint8)
    # A disk of one label has the same largest and smallest label. Outside the image cv2 lets
    # neither grow nor shrink.
    return cv2.dilate(truth, disk) != cv2.erode(truth, disk)
