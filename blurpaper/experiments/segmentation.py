"""Segmentation under blur: Table 6 and Figure 5, the sources of errors, and the cost of robustness
on sharp images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from blurpaper import data
from blurpaper.evaluation import results
from blurpaper.evaluation.intervals import of_draws
from blurpaper.experiments import examples
from blurpaper.experiments.fine_tuning import BASELINES
from blurpaper.experiments.measurements import Rows, experiment, on_test_scenes
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.segmentation import networks
from blurpaper.segmentation.metrics import draws, mean_iou, of_labels, shares

REGIONS = ("all", "boundary")
_GIVEN = ("labels given", "regions given")

# --- Table 6 --------------------------------------------------------------------------------------


@experiment(on_test_scenes)
def table6(run: Run) -> Rows:
    """Mean IoU over all pixels and near boundaries, and the IoU of each label (whose name is the
    ``region``).

    With paired differences from the original and from the control (``miou_vs_original``,
    ``miou_vs_sharp-only``), and the share of the loss under each blur that fine-tuning recovers
    (``miou_recovered``).
    """
    found, resamples = _all(run), run.profile.evaluation.bootstrap
    drawn = {
        (*setting, region): draws(counts[region], resamples)
        for setting, counts in found.items()
        for region in REGIONS
    }
    for (mix, condition), counts in found.items():
        columns, n = _columns(mix, condition, run.profile), len(counts["all"])
        for region in REGIONS:
            own, of = drawn[mix, condition, region], columns | {"region": region}
            yield from _rows(of, "miou", of_draws(own), n)
            for baseline in BASELINES[: BASELINES.index(mix) if mix in BASELINES else None]:
                if (baseline, condition) in found:
                    difference = own - drawn[baseline, condition, region]
                    yield from _rows(of, f"miou_vs_{baseline}", of_draws(difference), n)
            if mix != "original" and condition != SHARP:
                before, best = (drawn["original", one, region] for one in (condition, SHARP))
                yield from _rows(of, "miou_recovered", of_draws(_recovered(own, before, best)), n)
        for label, *numbers in zip(
            networks.labels(run.profile), *of_labels(counts["all"], resamples), strict=True
        ):
            yield from _rows(columns | {"region": label}, "iou", numbers, n)


def _recovered(now: np.ndarray, before: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The share of a loss that is recovered; nan where nothing was lost."""
    lost = best - before
    return np.divide(now - before, lost, out=np.full(lost.shape, np.nan), where=lost > 0)


# --- Sources of errors ----------------------------------------------------------------------------


@experiment(on_test_scenes)
def segmentation_errors(run: Run) -> Rows:
    """The error 1 - mIoU as errors of recognition and of localisation (:func:`metrics.shares`), and
    what blur adds to each.

    By ``parameter``: ``miou`` with ``labels given`` and ``regions given`` is the network's mIoU if
    given these; ``error`` of ``recognition`` and ``localisation`` add up to 1 - mIoU, and
    ``loss`` is what blur adds to each (and how much more to the first than to the second).
    """
    found, resamples = _all(run), run.profile.evaluation.bootstrap
    errors = {
        setting: shares(*(draws(counts[kind], resamples) for kind in ("all", *_GIVEN)))
        for setting, counts in found.items()
    }
    for (mix, condition), counts in found.items():
        columns, n = _columns(mix, condition, run.profile), len(counts["all"])
        for kind in _GIVEN:
            miou = of_draws(draws(counts[kind], resamples))
            yield from _rows(columns | {"parameter": kind}, "miou", miou, n)
        own, sharp = errors[mix, condition], errors[mix, SHARP]
        for kind, error, before in zip(("recognition", "localisation"), own, sharp, strict=True):
            of = columns | {"parameter": kind}
            yield from _rows(of, "error", of_draws(error), n)
            if condition != SHARP:
                yield from _rows(of, "loss", of_draws(error - before), n)
        if condition != SHARP:
            of = columns | {"parameter": "recognition less localisation"}
            difference = np.subtract(*own) - np.subtract(*sharp)
            yield from _rows(of, "loss", of_draws(difference), n)


# --- Figure 5 -------------------------------------------------------------------------------------


@experiment(on_test_scenes)
def figure5(run: Run) -> Rows:
    """Mean IoU of each network on each of the embedded scenes of :func:`examples.scenes`."""
    found = _all(run)
    for name, number in examples.scenes(run).items():
        for (mix, condition), counts in found.items():
            of = _columns(mix, condition, run.profile) | {"region": "all", "item": name}
            yield from _rows(of, "miou", (mean_iou(counts["all"][number]), np.nan, np.nan), 1)


# --- Counts of pixels -----------------------------------------------------------------------------


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
    ids = np.array(data.load_segmented(run.profile.segmentation.data, "test", run).ids)
    frames, numbers = [], {"truth": "uint8", "predicted": "uint8", "pixels": "int32"}
    for (mix, condition), by_region in _all(run).items():
        of = _columns(mix, condition, run.profile)
        for region, found in by_region.items():
            image, truth, predicted = np.nonzero(found)
            of |= {"region": region, "image": ids[image], "truth": truth, "predicted": predicted}
            frames.append(pd.DataFrame(of | {"pixels": found[image, truth, predicted]}))
    whole = pd.concat(frames, ignore_index=True)
    return whole.astype(dict.fromkeys(whole.columns, "category") | numbers)


def _columns(mix: str, condition: str, profile: Profile) -> dict[str, str]:
    return networks.columns(NetworkSpec(profile.model, mix), condition, profile)


def _rows(of: dict[str, str], metric: str, numbers: Sequence[float], n: int | None) -> Rows:
    """A row, unless its value is nan."""
    value, low, high = map(float, numbers)
    if not np.isnan(value):
        yield of | results.number(metric, value, low, high, n)
