"""Recognition under blur: Tables 1, 2 and A, Figure 4, and experiments beyond them."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from blurpaper import data, kernels
from blurpaper.evaluation import intervals, metrics, predictions, results
from blurpaper.experiments import adaptation as adapting
from blurpaper.experiments.measurements import (
    ADAPTED,
    COMPARED,
    DISKS,
    Measurement,
    Rows,
    experiment,
    of_several_seeds,
    on_test_images,
    settings_of,
    specs_of,
)
from blurpaper.networks import STAGES, NetworkSpec, weights
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.training.networks import kept, trained

# --- Tables 1 and 2: a network trained on sharp photographs (Sec. 3) ------------------------------


def _of_table1(profile: Profile) -> list[Measurement]:
    models = filter(None, (profile.model, profile.evaluation.global_pooling_model))
    return on_test_images(map(NetworkSpec, models), profile)


@experiment(_of_table1)
def table1(run: Run) -> Rows:
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
def table2(run: Run) -> Rows:
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


def _confidence(decided: pd.DataFrame, profile: Profile) -> Rows:
    """Calibration error and area under the risk-coverage curve."""
    for key, group in decided.groupby(list(results.DECISION_KEY), sort=False):
        confidence, correct = group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy()
        ece = partial(metrics.calibration_error, confidence, correct)
        found = intervals.of_statistic(ece, len(group), profile.evaluation.bootstrap)
        of = results.columns(key)
        yield of | results.number("ece", *found, len(group))
        aurc = metrics.area_under_risk_coverage(confidence, correct)
        yield of | results.number("aurc", aurc, n=len(group))


@experiment(lambda profile: on_test_images([NetworkSpec(profile.model)], profile, DISKS, ["256"]))
def calibrated(run: Run) -> Rows:
    """Entropy and cross-entropy of the original under defocus after temperature scaling (Guo et al.
    2017): log-probabilities divided by the temperature of the least cross-entropy on sharp images,
    for each half of them that on the other half.
    """
    for one in calibrated.measures(run.profile):
        images, network = data.load_images(one.data, "test", run), trained(one.spec, run)
        _, scales = settings_of(one.spec, run.profile)
        found = predictions.log_probabilities(network, images, one.conditions, scales, run)
        half, sharp = np.arange(len(images)) % 2, found["sharp"]["256"]
        others = [half != own for own in (0, 1)]
        fitted = [metrics.temperature(sharp[chosen], images.labels[chosen]) for chosen in others]
        each = torch.tensor(fitted)[torch.from_numpy(half)]
        for condition in one.conditions:
            scaled = found[condition]["256"] / each[:, None]
            decided = metrics.decide(scaled, images.labels)
            of = predictions.columns_of(one.spec, one.data, scaled.shape[1], "256", condition)
            for metric in ("entropy", "cross_entropy"):
                value = intervals.of_mean(decided[metric], run.profile.evaluation.bootstrap)
                yield of | results.number(metric, *value, len(images))


# --- Table A: a second architecture ---------------------------------------------------------------


def _of_table_a(profile: Profile) -> list[Measurement]:
    second = profile.evaluation.second_model
    return on_test_images([NetworkSpec(second), NetworkSpec(second, "mix")], profile)


@experiment(_of_table_a)
def tableA(run: Run) -> Rows:  # noqa: N802 (the paper's name)
    """Another architecture under defocus at two scale settings, trained on sharp images and
    fine-tuned on the mix.
    """
    for decided in tableA.decisions(run).values():
        yield from intervals.means(decided, ("top1", "top5"), run.profile)


# --- The bundled network --------------------------------------------------------------------------


@experiment()
def bundled(run: Run) -> Rows:
    """The bundled network, in half precision, under every condition at scale 256."""
    settings = run.profile.evaluation
    spec = NetworkSpec(run.profile.model, "mix", recipe="agreement")
    file = weights.bundled(spec) if settings.released_network else None
    for name in settings.test_sets if file else ():
        decided = predictions.decisions(file, name, settings.finetuned_conditions, ["256"], run)
        yield from intervals.means(decided, ("top1", "top5"), run.profile)


# --- Precision ------------------------------------------------------------------------------------


def _of_precision(profile: Profile) -> list[Measurement]:
    first = profile.evaluation.test_sets[:1]
    return on_test_images([NetworkSpec(profile.model)], profile, ["sharp", "D8"], ["256"], first)


@experiment(_of_precision)
def precision(run: Run) -> Rows:
    """The original's accuracy at scale 256 in float32, and the difference of the profile's
    precision from it.
    """
    (one,) = precision.measures(run.profile)
    compute = run.profile.compute.model_copy(update={"precision": "float32"})
    exact = Run(run.profile.model_copy(update={"compute": compute}), run.store)
    same, given = kept(trained(one.spec, run)), precision.decisions(run)[one.spec]
    in_float32 = predictions.decisions(same, one.data, one.conditions, one.scales, exact)
    yield from intervals.means(in_float32, ("top1", "top5"), run.profile)
    yield from intervals.differences(given, in_float32, "float32", run.profile)


# --- Figure 4: invariance of features (Sec. 4.3) --------------------------------------------------


def _of_figure4(profile: Profile) -> list[Measurement]:
    settings = profile.evaluation
    of = settings.test_sets[0], ["sharp", *settings.invariance_conditions], ["256"]
    specs = specs_of(settings.invariance_networks, profile)
    return [Measurement(spec, *of, kind=COMPARED) for spec in specs]


@experiment(_of_figure4)
def figure4(run: Run) -> Rows:
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
            of = predictions.columns_of(one.spec, one.data, 0, "256", condition) | {"classes": ""}
            found = intervals.of_mean(by_stage, run.profile.evaluation.bootstrap)
            for stage, *number in zip(STAGES, *found, strict=True):
                yield of | {"region": stage} | results.number("hamming", *number, len(by_stage))


# --- Adaptation at test time ----------------------------------------------------------------------


def _of_adaptation(profile: Profile) -> list[Measurement]:
    settings, of = profile.adaptation, (profile.evaluation.test_sets[0], adapting.CONDITIONS)
    found = []
    for name in ("original", *settings.networks):
        spec = NetworkSpec.parse(f"{settings.model}:{name}")
        methods = [f"{method} ({seed})" for method, seed in adapting.passes(spec, profile)]
        found.append(Measurement(spec, *of, ["256"], methods, ADAPTED))
    return found


@experiment(_of_adaptation)
def adaptation(run: Run) -> Rows:
    """Accuracy of the original as it adapts to the test images by each method (``parameter``), and
    of fine-tuned networks; with paired differences from the original as it is.

    Orders of the images, or networks fine-tuned from several seeds, are taken together
    (``seed=all``).
    """
    profile = run.profile
    decided = adapting.decided([one.spec for one in adaptation.measures(profile)], run)
    groups = defaultdict(list)
    for (spec, method), frames in decided.items():
        groups[replace(spec, seed=0), method] += frames
    (source,), *_ = groups.values()
    for (_, method), frames in groups.items():
        own = {"parameter": str(method)}
        own |= {"seed": frames[0]["seed"][0]} if len(frames) == 1 else {}
        of_source = [source] * len(frames), "_vs_original"
        for row in intervals.means_over_seeds(frames, profile):
            yield row | own
        for row in intervals.means_over_seeds(frames, profile, *of_source):
            yield row | own


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
def severities(run: Run) -> Rows:
    """The blurs of this paper between the severities of ImageNet-C (``parameter``): the radius of
    the disk of the same variance, in pixels of 384, and the original's accuracy.
    """
    network = trained(NetworkSpec(run.profile.model), run)
    named = {"": ["D2", "D4", "D6", "D8", "H8"]} | {name: [psf] for name, psf in SEVERITIES.items()}
    conditions = list(dict.fromkeys(psf for psfs in named.values() for psf in psfs))
    images = run.profile.evaluation.test_sets[0]
    decided = predictions.decisions(network, images, conditions, ["256"], run)
    for parameter, psfs in named.items():
        for row in intervals.means(results.select(decided, condition=psfs), ("top1",), run.profile):
            radius = 2 * math.sqrt(kernels.axis_variance(kernels.psf(row["condition"])).mean())
            row |= {"parameter": parameter}
            yield row
            yield row | results.number("effective_radius", radius)
