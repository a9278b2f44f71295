"""Measure a network under blur on a folder of one's own images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blurpaper import intervals, metrics, predictions, results, trained
from blurpaper.data import photos
from blurpaper.data.readable import readable
from blurpaper.networks import NetworkSpec, module_of
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.networks.released import NetworkFile
from blurpaper.profile import Profile
from blurpaper.store import Store

if TYPE_CHECKING:
    import pandas as pd


def home_profile(model: str) -> str:
    """The profile whose protocol a model is applied with unless another is named.

    Raises:
        ValueError: for a name that is no model's.
    """
    module_of(model)
    return "photos" if model in ORIGINALS else "emoji"


def classes_of(spec: NetworkSpec | NetworkFile, profile: Profile, store: Store) -> Sequence[str] | None:
    """Names of a network's classes; None for ImageNet's, which are known without making the network."""
    if isinstance(spec, NetworkFile) or spec.model not in ORIGINALS:
        return trained.network(spec, profile, store).classes
    return None


def evaluate(
    spec: NetworkSpec | NetworkFile,
    folder: Path,
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
    store: Store,
) -> tuple[pd.DataFrame, list[str]]:
    """Tidy rows: accuracy, entropy and calibration of a network on the images of a folder, by the paper's protocol.

    Where the folder names no classes, the network's own predictions on the sharp images stand in for them (metric
    ``agreement``). A broken image is in no number.

    Returns:
        the rows, and a sentence for each image that cannot be read and was left out.

    Raises:
        ImageError: if the folder cannot be read, or more than 1 % of its images.
    """
    images, left_out = readable(photos.load_folder(folder, classes_of(spec, profile, store), tolerant=True), store)
    labelled = bool((images.labels >= 0).all())
    wanted = list(conditions) if labelled else list(dict.fromkeys(["sharp", *conditions]))
    found = predictions.log_probabilities(spec, images, wanted, scales, profile, store)
    rows: list[dict[str, Any]] = []
    for condition in conditions:
        for scale, log_p in found[condition].items():
            truth = images.labels if labelled else found["sharp"][scale].argmax(dim=1).numpy()
            decided = metrics.decisions(log_p, truth)
            of = predictions.columns_of(spec, images.name, log_p.shape[1], scale, condition) | {"experiment": "evaluate"}
            rows += (of | row for row in _numbers(decided, labelled, profile.evaluation.bootstrap))
    return results.table(rows), left_out


def _numbers(decided: dict[str, Any], labelled: bool, resamples: int) -> Iterator[dict[str, Any]]:
    count = len(decided["rank"])
    terms = metrics.per_image(decided)
    wanted = {name: name for name in terms} if labelled else {"top1": "agreement", "entropy": "entropy"}
    for metric, name in wanted.items():
        value, low, high = intervals.of_mean(terms[metric], resamples)
        yield {"metric": name, "value": value, "low": low, "high": high, "n": count}
    if labelled:
        correct = decided["rank"] < 1
        value, low, high = intervals.of_statistic(
            lambda weights: metrics.calibration_error(decided["confidence"], correct, weights), count, resamples
        )
        yield {"metric": "ece", "value": value, "low": low, "high": high, "n": count}
