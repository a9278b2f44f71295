"""Recognition under blur: Tables 1 to 4 and A, Figure 4, and experiments beyond them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import kernels
from blurpaper.evaluation import intervals, metrics, predictions, results
from blurpaper.experiments import adaptation as adapting
from blurpaper.experiments.measurements import (
    ADAPTED,
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
    yield from _compared(table3.decisions(run), run.profile)


def _compared(
    decided: Mapping[NetworkSpec, pd.DataFrame], profile: Profile
) -> Iterator[dict[str, Any]]:
    """Accuracy of networks, and of fine-tuned ones the differences from their baselines."""
    tuned = [spec for spec in decided if not spec.is_original]
    for spec, by_spec in decided.items():
        yield from intervals.means(by_spec, ("top1", "top5"), profile)
        for name, baseline in baselines_of(spec, decided).items() if spec in tuned else ():
            yield from intervals.differences(by_spec, baseline, name, profile)
    for alike in of_several_seeds(tuned):
        of_seeds = [decided[spec] for spec in alike]
        yield from intervals.means_over_seeds(of_seeds, profile)
        baselines = [baselines_of(spec, decided) for spec in alike]
        for name in baselines[0]:
            yield from intervals.means_over_seeds(
                of_seeds, profile, [of_seed[name] for of_seed in baselines], f"_vs_{name}"
            )


# --- The loss that fine-tuning on the mix recovers, with labels and without -----------------------

LEAST_LOSS = 0.05
"""The smallest loss of accuracy of which a share is given; of smaller ones it is mostly noise."""


@experiment(lambda profile: _tuned(profile, "mix"))
def recovery(run: Run) -> Iterator[dict[str, Any]]:
    """The share of the loss under each blur that fine-tuning on the mix recovers, over all seeds.

    ``top5_recovered`` is (tuned - original) under the blur over (original sharp - original under
    it), of losses of 5 points and more; and ``top5_vs_original`` the paired difference it costs or
    gains; likewise for top-1.
    """
    yield from _recovered(recovery.decisions(run), run.profile)


def _recovered(
    decided: Mapping[NetworkSpec, pd.DataFrame], profile: Profile
) -> Iterator[dict[str, Any]]:
    """The share of the loss that each network tuned on the mix recovers, with what it gains."""
    resamples, terms, columns = profile.evaluation.bootstrap, {}, {}
    for spec, own in decided.items():
        for setting, group in own.groupby(["data", "condition"], sort=False):
            terms[spec, setting] = metrics.per_image(group)
            columns[spec, setting] = group.iloc[0][list(results.DECISION_KEY)].to_dict()
    groups: dict[tuple, list[NetworkSpec]] = {}
    for spec, (data, condition) in terms:
        if spec.mix == "mix" and spec.recipe != "batch-norm":
            groups.setdefault((spec.recipe, data, condition), []).append(spec)
    for (_, data, condition), alike in groups.items():
        starts = [start_of(spec) for spec in alike]
        of = columns[alike[0], (data, condition)]
        of |= {"seed": "all"} if len(alike) > 1 else {}
        for metric in ("top1", "top5"):
            now = np.array([terms[spec, (data, condition)][metric] for spec in alike])
            before = np.array([terms[spec, (data, condition)][metric] for spec in starts])
            best = np.array([terms[spec, (data, "sharp")][metric] for spec in starts])
            found = intervals.of_mean_over_seeds(now - before, resamples)
            yield of | results.number(f"{metric}_vs_original", *found, now.size)
            if (best - before).mean() >= LEAST_LOSS:
                found = intervals.of_ratio_over_seeds(now - before, best - before, resamples)
                yield of | results.number(f"{metric}_recovered", *found, now.size)


# --- Each test set by itself ----------------------------------------------------------------------


def _of_test_sets(profile: Profile) -> list[Measurement]:
    if not any("+" in name for name in profile.evaluation.test_sets):
        return []
    specs = [one.spec for one in _of_table2(profile)]
    return on_test_images(dict.fromkeys([*map(start_of, specs), *specs]), profile, DISKS, ["256"])


@experiment(_of_test_sets)
def test_sets(run: Run) -> Iterator[dict[str, Any]]:
    """Accuracy on each of the sets of photographs that a test set joins, with differences from the
    original; and the mean over classes of the accuracy on each (``top1_balanced``), as some
    classes have many of a set's images.
    """
    decided = test_sets.decisions(run)
    names = [name for joined in run.profile.evaluation.test_sets for name in joined.split("+")]
    for name in names if decided else ():
        own = {
            spec: found[found["image"].str.startswith(f"{name}/")].assign(data=name)
            for spec, found in decided.items()
        }
        yield from _compared(own, run.profile)
        for found in own.values():
            yield from _balanced(found, run.profile)


def _balanced(decided: pd.DataFrame, profile: Profile) -> Iterator[dict[str, Any]]:
    """Mean over classes of a network's accuracy on the images of each."""
    for key, group in decided.groupby(list(results.DECISION_KEY), sort=False):
        weight = 1 / group.groupby("label")["label"].transform("size").to_numpy(float)
        right = weight * metrics.per_image(group)["top1"]
        found = intervals.of_statistic(
            lambda counts, right=right, weight=weight: (counts @ right) / (counts @ weight),
            len(group),
            profile.evaluation.bootstrap,
        )
        yield results.columns(key) | results.number("top1_balanced", *found, len(group))


# --- Fewer labels ---------------------------------------------------------------------------------


def _of_densities(profile: Profile) -> list[Measurement]:
    """Networks of each density on the test images of its set; and the original there, and the one
    that was tuned without labels on all images at hand.
    """
    of, settings = profile.density, profile.evaluation
    specs = [(0, spec) for spec in specs_of(["original", "mix/agreement"], profile)]
    for part in of.parts:
        specs += [(part.labelled, spec) for spec in specs_of(part.networks, profile)]
    conditions = settings.finetuned_conditions, settings.scale_conditions
    return [
        Measurement(spec, of.data, conditions[spec.seed > 0], ["256"], labelled=labelled)
        for labelled, spec in specs
    ]


@experiment(_of_densities)
def densities(run: Run) -> Iterator[dict[str, Any]]:
    """Table 3 by the number of training images a class (``parameter``), with labels and without by
    the same schedule on the same images; with the share of the loss that is recovered.
    """
    for parameter, decided in _by_density(densities.decisions(run)).items():
        shares = [row for row in _recovered(decided, run.profile) if "_recovered" in row["metric"]]
        rows = [*_compared(decided, run.profile), *shares]
        yield from (row for row in rows if row["parameter"] == parameter)


def _by_density(
    decided: Mapping[NetworkSpec, pd.DataFrame],
) -> dict[str, dict[NetworkSpec, pd.DataFrame]]:
    """Number of training images a class, as ``parameter`` has it -> decisions of each network tuned
    on so many, after those of the original.
    """
    found: dict[str, dict[NetworkSpec, pd.DataFrame]] = {}
    for spec, frame in decided.items():
        for parameter, own in frame.groupby("parameter", sort=False):
            found.setdefault(parameter, {})[spec] = own
    original = {spec: own for spec, own in found[""].items() if spec.is_original}
    return {parameter: original | own for parameter, own in found.items()}


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
    same, given = kept(trained(one.spec, run)), precision.decisions(run)[one.spec]
    decided = predictions.decisions(same, one.data, one.conditions, one.scales, exact)
    in_float32 = decided
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


# --- Adaptation at test time ----------------------------------------------------------------------


def _of_adaptation(profile: Profile) -> list[Measurement]:
    settings, of = profile.adaptation, (profile.evaluation.test_sets[0], adapting.CONDITIONS)
    names = [f"{settings.model}:{name}" for name in ("original", *settings.networks)]
    return [
        Measurement(spec, *of, ["256"], methods, ADAPTED)
        for spec in map(NetworkSpec.parse, names)
        for methods in [[f"{method} ({seed})" for method, seed in adapting.passes(spec, profile)]]
    ]


@experiment(_of_adaptation)
def adaptation(run: Run) -> Iterator[dict[str, Any]]:
    """Accuracy of the original as it adapts to the test images by each method (``parameter``), and
    of fine-tuned networks; with paired differences from the original as it is.

    Orders of the images, or networks fine-tuned from several seeds, are taken together
    (``seed=all``).
    """
    profile = run.profile
    decided = adapting.decided([one.spec for one in adaptation.measures(profile)], run)
    groups: dict[tuple[NetworkSpec, adapting.Method], list[pd.DataFrame]] = {}
    for (spec, method), frames in decided.items():
        groups.setdefault((replace(spec, seed=0), method), []).extend(frames)
    ((_, _), (source,)), *_ = groups.items()
    for (_, method), frames in groups.items():
        rows = [
            *intervals.means_over_seeds(frames, profile),
            *intervals.means_over_seeds(frames, profile, [source] * len(frames), "_vs_original"),
        ]
        own = {"parameter": str(method)} | (
            {} if len(frames) > 1 else {"seed": frames[0]["seed"][0]}
        )
        yield from (row | own for row in rows)


# --- Severities of ImageNet-C ---------------------------------------------------------------------

SEVERITIES = {
    **{f"C-defocus:{number}": f"D{size:g}" for number, size in enumerate((4.5, 6, 9, 12, 15), 1)},
    **{f"C-motion:{number}": f"H{size}" for number, size in enumerate((10, 16, 25, 36, 45), 1)},
}
"""The PSF of the same variance as each severity of ImageNet-C's blurs (Hendrycks and Dietterich
2019), which are made at 224 of 256 pixels: disks of radius 3, 4, 6, 8 and 10, and halves of
Gaussians, cut off, in a direction of up to 45 degrees.
"""


@experiment()
def severities(run: Run) -> Iterator[dict[str, Any]]:
    """The blurs of this paper between the severities of ImageNet-C (``parameter``): the radius of
    the disk of the same variance, in pixels of 384, and the original's accuracy.
    """
    network = trained(NetworkSpec(run.profile.model), run)
    named = {"": ["D2", "D4", "D6", "D8", "H8"]} | {name: [psf] for name, psf in SEVERITIES.items()}
    conditions = list(dict.fromkeys(psf for psfs in named.values() for psf in psfs))
    data = run.profile.evaluation.test_sets[0]
    decided = predictions.decisions(network, data, conditions, ["256"], run)
    for parameter, psfs in named.items():
        for row in intervals.means(results.select(decided, condition=psfs), ("top1",), run.profile):
            radius = 2 * math.sqrt(kernels.axis_variance(kernels.psf(row["condition"])).mean())
            yield row | {"parameter": parameter}
            of = {column: row[column] for column in results.DECISION_KEY}
            yield of | {"parameter": parameter} | results.number("effective_radius", radius)
