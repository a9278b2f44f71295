"""Segmentation under blur: Table 6 and Figure 5, where the errors come from, and what robustness
costs on sharp images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import data
from blurpaper.evaluation import intervals, metrics
from blurpaper.experiments import examples, tallies
from blurpaper.experiments.measurements import (
    Measurement,
    experiment,
    named,
    on_test_images,
    on_test_scenes,
)
from blurpaper.experiments.recognition import BASELINES
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.segmentation import networks
from blurpaper.segmentation.metrics import (
    difference_of_sets,
    draws,
    mean_iou,
    of_labels,
    of_set,
    of_sets,
    shares,
)

if TYPE_CHECKING:
    import pandas as pd

REGIONS = ("all", "boundary")

# --- Table 6 --------------------------------------------------------------------------------------


@experiment(on_test_scenes)
def table6(run: Run) -> Iterator[dict[str, Any]]:
    """Mean IoU over all pixels and near boundaries, and the IoU of each label (whose name is the
    ``region``).

    With paired differences from the original and from the control (``miou_vs_original``,
    ``miou_vs_sharp-only``), and the share of the loss under each blur that fine-tuning brings back
    (``miou_recovered``).
    """
    found, resamples = _all(run), run.profile.evaluation.bootstrap
    for (mix, condition), counts in found.items():
        columns, n = _columns(mix, condition, run.profile), len(counts["all"])
        for region in REGIONS:
            own, of = counts[region], columns | {"region": region}
            yield from _rows(of, "miou", of_set(own, resamples), n)
            for baseline in BASELINES[: BASELINES.index(mix) if mix in BASELINES else None]:
                if (baseline, condition) in found:
                    difference = difference_of_sets(
                        own, found[baseline, condition][region], resamples
                    )
                    yield from _rows(of, f"miou_vs_{baseline}", difference, n)
            if mix != "original" and condition != SHARP:
                sets = [own, found["original", condition][region], found["original", SHARP][region]]
                yield from _rows(of, "miou_recovered", of_sets(_recovered, sets, resamples), n)
        for label, *numbers in zip(
            networks.labels(run.profile), *of_labels(counts["all"], resamples), strict=True
        ):
            yield from _rows(columns | {"region": label}, "iou", numbers, n)


def _recovered(now: np.ndarray, before: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The share of a loss that is brought back; nan where nothing was lost."""
    lost = best - before
    return np.divide(now - before, lost, out=np.full(lost.shape, np.nan), where=lost > 0)


# --- Where errors come from -----------------------------------------------------------------------


@experiment(on_test_scenes)
def segmentation_errors(run: Run) -> Iterator[dict[str, Any]]:
    """The error 1 - mIoU as errors of recognition and of localisation (``oracles.shares``), and
    what blur adds to each.

    By ``parameter``: ``miou`` with ``labels given`` and ``regions given`` is what the network
    reaches if told these; ``error`` of ``recognition`` and ``localisation`` add up to 1 - mIoU, and
    ``loss`` is what the blur adds to either (and how much more to the first than to the second).
    """
    found, resamples = _all(run), run.profile.evaluation.bootstrap
    kinds = ("all", "labels given", "regions given")
    for (mix, condition), counts in found.items():
        columns, n = _columns(mix, condition, run.profile), len(counts["all"])
        blurred, sharp = ([found[mix, one][kind] for kind in kinds] for one in (condition, SHARP))
        for kind in kinds[1:]:
            yield from _rows(
                columns | {"parameter": kind}, "miou", of_set(counts[kind], resamples), n
            )
        for place, kind in enumerate(("recognition", "localisation")):

            def error(*mious: np.ndarray, place: int = place) -> np.ndarray:
                return shares(*mious)[place]

            def loss(*mious: np.ndarray, place: int = place) -> np.ndarray:
                return shares(*mious[:3])[place] - shares(*mious[3:])[place]

            of = columns | {"parameter": kind}
            yield from _rows(of, "error", of_sets(error, blurred, resamples), n)
            if condition != SHARP:
                yield from _rows(of, "loss", of_sets(loss, [*blurred, *sharp], resamples), n)
        if condition != SHARP:
            difference = of_sets(_more_misnamed, [*blurred, *sharp], resamples)
            of = columns | {"parameter": "recognition less localisation"}
            yield from _rows(of, "loss", difference, n)


def _more_misnamed(*mious: np.ndarray) -> np.ndarray:
    """By how much a blur adds more to errors of recognition than to those of localisation."""
    return np.subtract(*shares(*mious[:3])) - np.subtract(*shares(*mious[3:]))


# --- What robustness costs on sharp images --------------------------------------------------------


def _of_sharp_cost(profile: Profile) -> list[Measurement]:
    specs, first = named([*BASELINES, "mix"], profile), profile.evaluation.test_sets[:1]
    classified = on_test_images(specs, profile, [SHARP, "D8"], ["256"], first)
    return [*classified, *on_test_scenes(profile)]


@experiment(_of_sharp_cost)
def sharp_cost(run: Run) -> Iterator[dict[str, Any]]:
    """What fine-tuning on the mix costs on sharp images and leaves of the gap under D8, in
    classification and in segmentation.

    As shares of the accuracy itself, so that the two tasks can be compared: ``cost_vs_original``
    and ``cost_vs_sharp-only`` are what the mix loses on sharp images beside these networks; ``gap``
    is what a network loses from sharp to D8. ``parameter`` is the measure, or (``miou less top1``)
    the difference of the two tasks, whose images are resampled independently.
    """
    measures = _accuracies(run)
    for measure in ("miou", "top1", "top5", "miou less top1", "miou less top5"):
        one, _, other = measure.partition(" less ")
        for name in BASELINES:
            cost = _lost(measures[one], (name, SHARP), ("mix", SHARP))
            if other:
                cost = cost - _lost(measures[other], (name, SHARP), ("mix", SHARP))
            of = _columns("mix", SHARP, run.profile) | {"parameter": measure}
            yield from _rows(of, f"cost_vs_{name}", intervals.of_draws(cost), None)
        for name in ("original", "mix"):
            gap = _lost(measures[one], (name, SHARP), (name, "D8"))
            if other:
                gap = gap - _lost(measures[other], (name, SHARP), (name, "D8"))
            of = _columns(name, "D8", run.profile) | {"parameter": measure}
            yield from _rows(of, "gap", intervals.of_draws(gap), None)


_Accuracies = dict[tuple[str, str], np.ndarray]


def _accuracies(run: Run) -> dict[str, _Accuracies]:
    """Measure -> (mix, condition) -> its value and that in each resample, as
    :func:`intervals.draws` gives them.
    """
    found, resamples = _all(run), run.profile.evaluation.bootstrap
    measures: dict[str, _Accuracies] = {"miou": {}, "top1": {}, "top5": {}}
    for spec, decided in sharp_cost.decisions(run).items():
        for condition, group in tallies.widest(decided).groupby("condition", sort=False):
            setting = spec.mix, condition
            measures["miou"][setting] = draws(found[setting]["all"], resamples)
            terms = metrics.per_image(group)
            for metric in ("top1", "top5"):
                measures[metric][setting] = intervals.draws(
                    lambda counts, own=terms[metric]: counts @ own / counts.sum(axis=1),
                    len(terms[metric]),
                    resamples,
                )
    return measures


def _lost(of: _Accuracies, before: tuple[str, str], after: tuple[str, str]) -> np.ndarray:
    return 1 - of[after] / of[before]


# --- Figure 5 -------------------------------------------------------------------------------------


@experiment(on_test_scenes)
def figure5(run: Run) -> Iterator[dict[str, Any]]:
    """Mean IoU of each network on each of the embedded scenes that are shown (:mod:`exhibits`),
    scene by scene.
    """
    found = _all(run)
    for name, number in examples.scenes(run).items():
        for (mix, condition), counts in found.items():
            of = _columns(mix, condition, run.profile) | {"region": "all", "item": name}
            yield from _rows(of, "miou", (mean_iou(counts["all"][number]), np.nan, np.nan), 1)


# --- What is counted ------------------------------------------------------------------------------


def _all(run: Run) -> dict[tuple[str, str], dict[str, np.ndarray]]:
    """(mix, condition) -> counts of pixels of every test scene, as :func:`networks.confusions` has
    them.
    """
    return {
        (one.spec.mix, condition): counts
        for one in on_test_scenes(run.profile)
        for condition, counts in networks.confusions(
            networks.segmenter(one.spec, run), one.conditions
        ).items()
    }


def counts(run: Run) -> pd.DataFrame:
    """All counts of pixels, a row an image, setting, ``region``, true and given label that occur
    together.

    Regions are :data:`protocol.COUNTED`.
    """
    import pandas as pd

    ids = np.array(data.load_segmented(run.profile.segmentation.data, "test", run).ids)
    frames = []
    for (mix, condition), by_region in _all(run).items():
        for region, found in by_region.items():
            image, truth, predicted = np.nonzero(found)
            frame = pd.DataFrame(
                _columns(mix, condition, run.profile) | {"region": region},
                index=range(len(image)),
            )
            frame["image"], frame["truth"], frame["predicted"] = (
                ids[image],
                truth.astype("uint8"),
                predicted.astype("uint8"),
            )
            frames.append(frame.assign(pixels=found[image, truth, predicted].astype("int32")))
    whole = pd.concat(frames, ignore_index=True)
    words = [column for column in whole.columns if column not in ("truth", "predicted", "pixels")]
    return whole.astype(dict.fromkeys(words, "category"))


def _columns(mix: str, condition: str, profile: Profile) -> dict[str, str]:
    return networks.columns(NetworkSpec(profile.model, mix), condition, profile)


def _rows(
    of: dict[str, str], metric: str, numbers: Sequence[float], n: int | None
) -> Iterator[dict[str, Any]]:
    value, low, high = map(float, numbers)
    if not np.isnan(value):
        yield of | {"metric": metric, "value": value, "low": low, "high": high, "n": n}
