"""Measure a network under blur on a folder of one's own images."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from blurpaper.data import folders
from blurpaper.data.folders import readable
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import intervals, metrics, predictions, results
from blurpaper.kernels import SHARP
from blurpaper.networks import MODELS, Reference
from blurpaper.networks.base import IMAGENET_MEAN, IMAGENET_STD
from blurpaper.networks.external import FIELD, External, ExternalNetwork
from blurpaper.networks.files import explained
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import names_of
from blurpaper.runs.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch


@dataclass(frozen=True)
class Measured:
    """A network's measurement on the images of a folder.

    Attributes:
        rows: tidy results.
        left_out: a sentence for each image that cannot be read.
        images: the others.
        labelled: whether they have labels; if not, predictions on the sharp images stand in.
        truth: scale setting -> labels or their stand-ins, int64 ``(N,)``.
        log_probabilities: condition -> scale setting -> ``(N, K)``; of the sharp images, too, if
            there are no labels.
        seconds: time of classifying, now or when the predictions were first computed.
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
    """The run for a network: for a field of its own, the scales are in proportion to it, as the
    paper's are to 224.
    """
    own, side = run.profile.protocol, network.own_field
    if side in (None, own.field):
        return run
    scales = {name: math.ceil(pixels * side / own.field) for name, pixels in own.scales.items()}
    protocol = own.model_copy(update={"field": side, "scales": scales})
    return replace(run, profile=run.profile.model_copy(update={"protocol": protocol}))


def evaluate_module(
    module: nn.Module,
    folder: Path | str,
    conditions: Sequence[str] | str = ("sharp", "D2", "D4", "D6", "D8"),
    scales: Sequence[str | int] | str | int = ("256",),
    classes: Sequence[str] | None = None,
    field: int = FIELD,
    mean: Sequence[float] | float = IMAGENET_MEAN,
    std: Sequence[float] | float = IMAGENET_STD,
    profile: str = "photos",
    overrides: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Tidy rows of :func:`measure` for a module in memory, which is not changed. Nothing is kept,
    because a module does not show whether its code changed.

    Args:
        module: gives logits ``(B, K)`` for normalised RGB images ``(B, 3, H, W)``, in the precision
            of its weights; if it takes one size alone, it is given the centre of each image at its
            scale.
        conditions, scales, classes: names in a sequence, an array or a Series, or in one string
            with commas.
        classes: ImageNet's by default if there are a thousand, else the folder's subfolders if
            there are as many.
        field: side of its training crops, in pixels.
        mean, std: mean and standard deviation of its input, one for all or each channel's, grey
            levels from 0 to 1.
        profile: of the protocol; ``overrides`` as in :func:`profile.load`.

    Raises:
        ImageError: if the folder cannot be read.
        WeightsError: if the module cannot be applied to such images.

    >>> from torch import nn
    >>> from blurpaper.data.examples import album
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = album(folder)
    >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    >>> few = {"evaluation.bootstrap": 50}
    >>> rows = evaluate_module(module, folder, classes=["cat", "cup"], overrides=few)
    >>> sorted(set(rows["condition"]))
    ['D2', 'D4', 'D6', 'D8', 'sharp']
    """
    folder = folders.folder_of(folder)
    advice = "call what makes one, and give it values that are parameters or buffers"
    with explained("what is measured must be a torch.nn.Module that can be copied", advice):
        if not isinstance(module, nn.Module):
            raise TypeError(f"got {module!r:.80}")
        own = copy.deepcopy(module)
    network = External(own, "in-memory", field, mean, std, classes, folder)
    reference = ExternalNetwork("in-memory", network=network)
    with tempfile.TemporaryDirectory() as kept:
        run = Run(profiles.load(profile, overrides), Store(kept))
        return measure(reference, folder, conditions, scales, run).rows


def measure(
    network: Reference,
    folder: Path,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
    like: Measured | None = None,
) -> Measured:
    """Measure a network on the images of a folder by the paper's protocol: accuracy, entropy and
    calibration.

    Where the folder names no classes, the network's own predictions on the sharp images stand in
    for the labels: the metric ``consistency`` is the share of predictions that equal the one on the
    sharp image. A broken image is in no number.

    Args:
        like: another network's measurement of the same images, whose predictions on the sharp ones
            stand in for missing labels.

    Raises:
        ImageError: if the folder cannot be read, or more than 1 % of its images.

    >>> from blurpaper.data.examples import album
    >>> from blurpaper.networks.weights import named
    >>> folder = album(Path(tempfile.mkdtemp()), ["espresso/coffee"])
    >>> run = Run(profiles.load("photos"), Store(tempfile.mkdtemp()))
    >>> found = measure(named("efficientnet_lite0:mix/agreement"), folder, ["D8"], ["256"], run)
    >>> found.rows.set_index("metric")["value"][["top1", "top5"]].to_dict(), found.left_out
    ({'top1': 1.0, 'top5': 1.0}, [])
    """
    run = fitted(Run(run.profile, Store(run.store.root)), network)
    conditions = list(dict.fromkeys(names_of("conditions", conditions)))
    scales = list(dict.fromkeys(names_of("scales", scales)))
    for scale in "+".join(scales).split("+"):
        run.profile.protocol.pixels(scale)
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
    terms = metrics.per_image(decided)
    if not labelled:
        terms = {"consistency": terms["top1"], "entropy": terms["entropy"]}
    for metric, each in terms.items():
        yield results.number(metric, *intervals.of_mean(each, resamples), len(each))
    if labelled:
        confidence, correct = decided["confidence"], decided["rank"] < 1
        ece = partial(metrics.calibration_error, confidence, correct)
        found = intervals.of_statistic(ece, len(correct), resamples)
        yield results.number("ece", *found, len(correct))
