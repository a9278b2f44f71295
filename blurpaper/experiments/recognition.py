"""Recognition under blur: Tables 1 to 4 and A, Figure 4, and experiments beyond them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.evaluation import intervals, metrics, predictions, results
from blurpaper.experiments.measurements import (
    COMPARED,
    DISKS,
    Measurement,
    experiment,
    on_test_images,
    specs_of,
)
from blurpaper.networks import STAGES, NetworkSpec, weights
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.training.networks import kept, start_of, trained

if TYPE_CHECKING:
    import pandas as pd

# --- Tables 1 and 2: a network trained on sharp photographs (Sec. 3) ------------------------------


def _of_table1(profile: Profile) -> list[Measurement]:
    pooled = profile.evaluation.global_pooling_model
    return on_test_images(
        [NetworkSpec(model) for model in (profile.model, pooled) if model], profile
    )


@experiment(_of_table1)
def table1(run: Run) -> Iterator[dict[str, Any]]:
    """Accuracy of the original network under every condition, at every scale setting; and with
    global pooling of its last map.
    """
    for decided in table1.decisions(run).values():
        yield from intervals.means(decided, ("top1", "top5"), run.profile)


def _of_table2(profile: Profile) -> list[Measurement]:
    compared = specs_of(["original", "sharp-only", "mix", "mix/agreement"], profile)
    again = specs_of(profile.evaluation.finetuned_networks, profile)
    again = [spec for spec in again if spec.seed and replace(spec, seed=0) in compared]
    return on_test_images([*compared, *again], profile, DISKS, ["256"])


@experiment(_of_table2)
def table2(run: Run) -> Iterator[dict[str, Any]]:
    """Entropy, cross-entropy, calibration and risk-coverage under defocus, before and after
    fine-tuning.

    ``js_divergence`` is that between a network's predictions on an image sharp and blurred: the
    paper finds the fine-tuned network's much alike. Where a network was fine-tuned from several
    seeds there are rows for all of them too.
    """
    wanted, decided = ("entropy", "cross_entropy", "js_divergence"), table2.decisions(run)
    for by_spec in decided.values():
        yield from intervals.means(by_spec, wanted, run.profile)
        yield from _confidence(by_spec, run.profile)
    for alike in of_several_seeds(decided):
        of_seeds = [decided[spec] for spec in alike]
        yield from intervals.means_over_seeds(of_seeds, run.profile, wanted=wanted)


def _confidence(decided: pd.DataFrame, profile: Profile) -> Iterator[dict[str, Any]]:
    """Calibration error and area under the risk-coverage curve."""
    for key, group in decided.groupby(list(results.DECISION_KEY), sort=False):
        confidence, correct = group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy()
        ece = partial(metrics.calibration_error, confidence, correct)
        found = intervals.of_statistic(ece, len(group), profile.evaluation.bootstrap)
        of = results.columns(key)
        yield of | results.number("ece", *found, len(group))
        aurc = metrics.area_under_risk_coverage(confidence, correct)
        yield of | results.number("aurc", aurc, n=len(group))


# --- Table 3: fine-tuning on blur (Sec. 4.1) ------------------------------------------------------

BASELINES = ("original", "sharp-only")
"""The networks that fine-tuned ones are compared with, image by image or scene by scene: the start,
and as much training without blur.
"""


def _tuned(profile: Profile, *mixes: str) -> list[Measurement]:
    """Networks of Table 3, of some mixes or all, after those that they start from."""
    tuned = [
        spec
        for spec in specs_of(profile.evaluation.finetuned_networks, profile)
        if spec.mix in mixes or not mixes
    ]
    specs = [NetworkSpec(profile.model), *map(start_of, tuned), *tuned]
    conditions = ["sharp", *profile.evaluation.finetuned_conditions]
    return on_test_images(dict.fromkeys(specs), profile, conditions, ["256"])


def baselines_of(
    spec: NetworkSpec, tuned: Mapping[NetworkSpec, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """Decisions of a network's baselines: its start, and the control, from its own seed if there is
    one.

    Args:
        tuned: decisions by network, those of :func:`networks.start_of` among them.
    """
    found = {"original": tuned[start_of(spec)]}
    control = NetworkSpec(spec.model, "sharp-only", seed=spec.seed)
    control = control if control in tuned else replace(control, seed=0)
    if spec.mix != "sharp-only" and control in tuned:
        found["sharp-only"] = tuned[control]
    return found


def of_several_seeds(specs: Iterable[NetworkSpec]) -> list[list[NetworkSpec]]:
    """Networks that differ in their seed alone."""
    groups: dict[NetworkSpec, list[NetworkSpec]] = {}
    for spec in specs:
        groups.setdefault(replace(spec, seed=0), []).append(spec)
    return [group for group in groups.values() if len(group) > 1]


@experiment(_tuned)
def table3(run: Run) -> Iterator[dict[str, Any]]:
    """Every network under every condition, and its paired differences from the baselines
    (``top1_vs_original``, ...).

    Where a network was fine-tuned from several seeds there is a row for each, and one for all of
    them (``seed=all``).
    """
    decided = table3.decisions(run)
    tuned = [spec for spec in decided if not spec.is_original]
    for spec, by_spec in decided.items():
        yield from intervals.means(by_spec, ("top1", "top5"), run.profile)
        for name, baseline in baselines_of(spec, decided).items() if spec in tuned else ():
            yield from intervals.differences(by_spec, baseline, name, run.profile)
    for alike in of_several_seeds(tuned):
        of_seeds = [decided[spec] for spec in alike]
        yield from intervals.means_over_seeds(of_seeds, run.profile)
        baselines = [baselines_of(spec, decided) for spec in alike]
        for name in baselines[0]:
            yield from intervals.means_over_seeds(
                of_seeds, run.profile, [of_seed[name] for of_seed in baselines], f"_vs_{name}"
            )


# --- The loss that fine-tuning on the mix recovers, with labels and without -----------------------

LEAST_LOSS = 0.05
"""The smallest loss of accuracy of which a share is given; of smaller ones it is mostly noise."""


@experiment(lambda profile: _tuned(profile, "mix"))
def recovery(run: Run) -> Iterator[dict[str, Any]]:
    """The share of the loss under each blur that fine-tuning on the mix recovers, over all test
    images and seeds.

    ``top5_recovered`` is (tuned - original) under the blur over (original sharp - original under
    it), of losses of 5 points and more; and ``top5_vs_original`` the paired difference it costs or
    gains; likewise for top-1.
    """
    every, resamples = "+".join(run.profile.evaluation.test_sets), run.profile.evaluation.bootstrap
    decided = recovery.decisions(run)
    terms = {
        (spec, condition): metrics.per_image(group)
        for spec, own in decided.items()
        for condition, group in results.widest(own).groupby("condition", sort=False)
    }
    specs = [spec for spec in decided if spec.mix == "mix" and spec.recipe != "batch-norm"]
    for recipe in dict.fromkeys(spec.recipe for spec in specs):
        for condition in run.profile.evaluation.finetuned_conditions:
            alike = [spec for spec in specs if spec.recipe == recipe and (spec, condition) in terms]
            starts = [start_of(spec) for spec in alike]
            of = predictions.columns_of(alike[0], every, 0, "256", condition)
            of |= {"classes": "", "seed": "all" if len(alike) > 1 else alike[0].seed}
            for metric in ("top1", "top5"):
                now = np.array([terms[spec, condition][metric] for spec in alike])
                before = np.array([terms[spec, condition][metric] for spec in starts])
                best = np.array([terms[spec, "sharp"][metric] for spec in starts])
                found = intervals.of_mean_over_seeds(now - before, resamples)
                yield of | results.number(f"{metric}_vs_original", *found, now.size)
                if (best - before).mean() >= LEAST_LOSS:
                    found = intervals.of_ratio_over_seeds(now - before, best - before, resamples)
                    yield of | results.number(f"{metric}_recovered", *found, now.size)


# --- Table 4: fine-tuning at other scales (Sec. 4.2) ----------------------------------------------


def _of_table4(profile: Profile) -> list[Measurement]:
    names = ["original", "mix@256", "mix@512", "mix@256+512", "mix@per-scale"]
    conditions = profile.evaluation.scale_conditions
    return on_test_images(specs_of(names, profile), profile, conditions, ["256", "512", "256+512"])


@experiment(_of_table4)
def table4(run: Run) -> Iterator[dict[str, Any]]:
    """The original and networks fine-tuned at 256, 512, both, or one for each, applied at those
    scales; with entropies.
    """
    for decided in table4.decisions(run).values():
        yield from intervals.means(decided, ("top1", "top5", "entropy"), run.profile)


# --- Table A: a second architecture ---------------------------------------------------------------


def _of_table_a(profile: Profile) -> list[Measurement]:
    second = profile.evaluation.second_model
    return on_test_images([NetworkSpec(second), NetworkSpec(second, "mix")], profile)


@experiment(_of_table_a)
def tableA(run: Run) -> Iterator[dict[str, Any]]:  # noqa: N802 (the paper's name)
    """Another architecture under defocus at two scale settings, trained on sharp images and
    fine-tuned on the mix.
    """
    for decided in tableA.decisions(run).values():
        yield from intervals.means(decided, ("top1", "top5"), run.profile)


# --- The bundled network --------------------------------------------------------------------------


@experiment()
def bundled(run: Run) -> Iterator[dict[str, Any]]:
    """The bundled network, in half precision, under every condition at scale 256."""
    settings, spec = (
        run.profile.evaluation,
        NetworkSpec(run.profile.model, "mix", recipe="agreement"),
    )
    file = weights.bundled(spec) if settings.released_network else None
    for name in settings.test_sets if file else ():
        decided = predictions.decisions(file, name, settings.finetuned_conditions, ["256"], run)
        yield from intervals.means(decided, ("top1", "top5"), run.profile)


# --- Precision ------------------------------------------------------------------------------------


def _of_precision(profile: Profile) -> list[Measurement]:
    first = profile.evaluation.test_sets[:1]
    return on_test_images([NetworkSpec(profile.model)], profile, ["sharp", "D8"], ["256"], first)


@experiment(_of_precision)
def precision(run: Run) -> Iterator[dict[str, Any]]:
    """The original's accuracy at scale 256 in float32, and the difference of the profile's
    precision from it.
    """
    (one,) = precision.measures(run.profile)
    compute = run.profile.compute.model_copy(update={"precision": "float32"})
    exact = Run(run.profile.model_copy(update={"compute": compute}), run.store)
    same, given = kept(trained(one.spec, run)), results.widest(precision.decisions(run)[one.spec])
    decided = predictions.decisions(same, one.data, one.conditions, one.scales, exact)
    in_float32 = results.widest(decided)
    yield from intervals.means(in_float32, ("top1", "top5"), run.profile)
    yield from intervals.differences(given, in_float32, "float32", run.profile)


# --- Figure 4: invariance of features (Sec. 4.3) --------------------------------------------------


def _of_figure4(profile: Profile) -> list[Measurement]:
    settings = profile.evaluation
    conditions = ["sharp", *settings.invariance_conditions]
    return [
        Measurement(spec, settings.test_sets[0], conditions, ["256"], kind=COMPARED)
        for spec in specs_of(settings.invariance_networks, profile)
    ]


@experiment(_of_figure4)
def figure4(run: Run) -> Iterator[dict[str, Any]]:
    """Mean Hamming distance between features of the sharp and the blurred image, after each of the
    five stages.

    On the first test set.
    """
    for one in figure4.measures(run.profile):
        network = trained(one.spec, run)
        for condition, by_stage in predictions.distances(network, one.data, run).items():
            # An image alone of its shape has no other to compare with.
            by_stage = by_stage[~np.isnan(by_stage).any(axis=1)]
            if not len(by_stage):
                continue
            key = predictions.columns_of(one.spec, one.data, 0, "256", condition)
            found = intervals.of_mean(by_stage, run.profile.evaluation.bootstrap)
            for stage, *number in zip(STAGES, *found, strict=True):
                of = key | {"classes": "", "region": stage}
                yield of | results.number("hamming", *number, len(by_stage))
