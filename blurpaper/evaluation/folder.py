"""Measure a network under blur on a folder of one's own images."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blurpaper.data import folders
from blurpaper.data.folders import readable
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import intervals, metrics, predictions, results
from blurpaper.kernels import SHARP
from blurpaper.networks import MODELS, Reference
from blurpaper.networks.base import IMAGENET_MEAN, IMAGENET_STD
from blurpaper.networks.external import FIELD, External, ExternalNetwork
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from torch import nn


@dataclass(frozen=True)
class Measured:
    """What a network made of the images of a folder.

    Attributes:
        rows: tidy results.
        left_out: a sentence for each image that cannot be read.
        images: the others.
        labelled: whether they have labels; if not, predictions on the sharp images stand in for
            them.
        truth: scale setting -> labels, or what stands in for them, int64 ``(N,)``.
        log_probabilities: condition -> scale setting -> ``(N, K)``; of the sharp images, too, if
            there are no labels.
        seconds: what classifying took, now or when it was kept.
    """

    rows: pd.DataFrame
    left_out: list[str]
    images: ImageSet
    labelled: bool
    truth: Mapping[str, np.ndarray]
    log_probabilities: Mapping[str, Mapping[str, torch.Tensor]]
    seconds: float


def home_profile(model: str) -> str:
    """The profile whose protocol a model is applied with unless another is named."""
    return "emoji" if model in MODELS and model not in ORIGINALS else "photos"


def fitted(run: Run, network: Reference) -> Run:
    """The run for a network: one with a field of its own has scales that stand to it as the paper's
    to 224.
    """
    own, side = run.profile.protocol, network.own_field
    if side in (None, own.field):
        return run
    scales = {name: math.ceil(pixels * side / own.field) for name, pixels in own.scales.items()}
    protocol = own.model_copy(update={"field": side, "scales": scales})
    return replace(run, profile=run.profile.model_copy(update={"protocol": protocol}))


def evaluate(
    network: Reference,
    folder: Path,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
) -> tuple[pd.DataFrame, list[str]]:
    """Tidy rows: accuracy, entropy and calibration of a network on the images of a folder, by the
    paper's protocol.

    Where the folder names no classes, the network's own predictions on the sharp images stand in
    for them (metric ``agreement``). A broken image is in no number.

    Returns:
        the rows, and a sentence for each image that cannot be read and was left out.

    Raises:
        ImageError: if the folder cannot be read, or more than 1 % of its images.

    >>> from blurpaper.data.examples import album
    >>> from blurpaper.networks.weights import named
    >>> folder, store = album(Path(tempfile.mkdtemp()), ["espresso/coffee"]), Store(tempfile.mkdtemp())
    >>> network, photos = named("efficientnet_lite0:mix/agreement"), profiles.load("photos")
    >>> rows, left_out = evaluate(network, folder, ["D8"], ["256"], Run(photos, store))
    >>> rows.set_index("metric")["value"][["top1", "top5"]].to_dict(), left_out
    ({'top1': 1.0, 'top5': 1.0}, [])
    """
    found = measure(network, folder, conditions, scales, run)
    return found.rows, found.left_out


def evaluate_module(
    module: nn.Module,
    folder: Path | str,
    conditions: Sequence[str] = ("sharp", "D2", "D4", "D6", "D8"),
    scales: Sequence[str] = ("256",),
    classes: Sequence[str] | None = None,
    field: int = FIELD,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    profile: str = "photos",
    overrides: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """The same for a module in memory, which is left as it was. Nothing is kept: a module does not
    tell whether its code changed.

    Args:
        module: gives logits ``(B, K)`` for normalised RGB images ``(B, 3, H, W)``; if it takes one
            size alone, it is given the centre of each image at its scale.
        classes: their names; ImageNet's if there are a thousand, else the folder's subfolders if
            there are as many.
        field: side of its training crops, in pixels.
        mean, std: that it wants its input normalised with, per channel, grey levels from 0 to 1.
        profile: whose protocol is followed; ``overrides`` as in :func:`profile.load`.

    Raises:
        ImageError: if the folder cannot be read.
        WeightsError: if the module cannot be applied to such images.

    >>> from torch import nn
    >>> from blurpaper.data.examples import album
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = album(folder)
    >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    >>> rows = evaluate_module(module, folder, ["sharp", "D8"], classes=["cat", "cup"], overrides={"evaluation.bootstrap": 50})
    >>> sorted(set(rows["condition"]))
    ['D8', 'sharp']
    """
    own = copy.deepcopy(module)
    network = External(own, "in-memory", field, mean, std, classes or (), Path(folder))
    spec, settings = (
        ExternalNetwork("in-memory", network=network),
        profiles.load(profile, overrides),
    )
    with tempfile.TemporaryDirectory() as kept:
        return evaluate(spec, Path(folder), conditions, scales, Run(settings, Store(kept)))[0]


def measure(
    network: Reference,
    folder: Path,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
    like: Measured | None = None,
) -> Measured:
    """The rows of :func:`evaluate` and all that they are made from.

    Args:
        like: what another network made of the same images, whose predictions on the sharp ones
            stand in for missing labels.
    """
    run = fitted(Run(run.profile, Store(run.store.root)), network)
    conditions, scales = list(dict.fromkeys(conditions)), list(dict.fromkeys(scales))
    listed = folders.load_folder(folder, network.classes, tolerant=True)
    images, left_out = readable(listed, run.store)
    labelled = bool((images.labels >= 0).all())
    wanted = conditions if labelled else list(dict.fromkeys([SHARP, *conditions]))
    found = predictions.log_probabilities(network, images, wanted, scales, run)
    own = {
        scale: images.labels if labelled else found[SHARP][scale].argmax(dim=1).numpy()
        for scale in scales
    }
    truth = own if like is None else like.truth
    rows: list[dict[str, Any]] = []
    for condition in conditions:
        for scale, log_p in found[condition].items():
            decided = metrics.decide(log_p, truth[scale])
            of = predictions.columns_of(network, images.name, log_p.shape[1], scale, condition)
            numbers = _numbers(decided, labelled, run.profile.evaluation.bootstrap)
            rows += (of | {"experiment": "evaluate"} | row for row in numbers)
    seconds = run.store.seconds("log-probabilities")
    return Measured(results.table(rows), left_out, images, labelled, truth, found, seconds)


def _numbers(decided: dict[str, Any], labelled: bool, resamples: int) -> Iterator[dict[str, Any]]:
    count = len(decided["rank"])
    terms = metrics.per_image(decided)
    wanted = (
        {name: name for name in terms} if labelled else {"top1": "agreement", "entropy": "entropy"}
    )
    for metric, name in wanted.items():
        value, low, high = intervals.of_mean(terms[metric], resamples)
        yield {"metric": name, "value": value, "low": low, "high": high, "n": count}
    if labelled:
        correct = decided["rank"] < 1
        value, low, high = intervals.of_statistic(
            lambda weights: metrics.calibration_error(decided["confidence"], correct, weights),
            count,
            resamples,
        )
        yield {"metric": "ece", "value": value, "low": low, "high": high, "n": count}
