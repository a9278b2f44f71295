"""Fine-tuning on blur, at one scale and at others: Tables 3 and 4 (Sec. 4.1, 4.2), on each test set
and with fewer labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from blurpaper.evaluation import intervals, metrics, results
from blurpaper.experiments.measurements import (
    DISKS,
    Decided,
    Measurement,
    Rows,
    experiment,
    of_several_seeds,
    on_test_images,
    specs_of,
)
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.training.networks import start_of

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


def baselines_of(spec: NetworkSpec, tuned: Decided) -> dict[str, pd.DataFrame]:
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


@experiment(_tuned)
def table3(run: Run) -> Rows:
    """Every network under every condition, and its paired differences from the baselines
    (``top1_vs_original``, ...).

    Where a network was fine-tuned from several seeds there is a row for each, and one for all of
    them (``seed=all``). For those of the mix, ``top5_recovered`` is the share of the original's
    loss under a blur, (tuned - original) over (original sharp - original).
    """
    decided = table3.decisions(run)
    yield from _compared(decided, run.profile)
    yield from _recovered(decided, run.profile)


def _compared(decided: Decided, profile: Profile) -> Rows:
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


def _recovered(decided: Decided, profile: Profile) -> Rows:
    """The share of the loss that each network tuned on the mix recovers, over all its seeds."""
    frames, groups = {}, defaultdict(list)
    for spec, own in decided.items():
        for (data, condition), frame in own.groupby(["data", "condition"], sort=False):
            frames[spec, data, condition] = frame
            if spec.mix == "mix" and spec.recipe != "batch-norm":
                groups[spec.recipe, data, condition].append(spec)
    for (_, data, condition), alike in groups.items():
        starts = [start_of(spec) for spec in alike]
        now, before = ([frames[one, data, condition] for one in each] for each in (alike, starts))
        yield from recovered(now, before, [frames[one, data, "sharp"] for one in starts], profile)


def recovered(
    now: Sequence[pd.DataFrame],
    before: Sequence[pd.DataFrame],
    best: Sequence[pd.DataFrame],
    profile: Profile,
) -> Rows:
    """The shares of losses that are recovered, ``(now - before) / (best - before)``, of top-1 and
    top-5 accuracy; none of a loss below :data:`LEAST_LOSS`.

    Args:
        now, before, best: decisions in one setting, one table for each seed.
    """
    of = now[0].iloc[0][list(results.DECISION_KEY)].to_dict()
    of |= {"seed": "all"} if len(now) > 1 else {}
    terms = [[metrics.per_image(one) for one in each] for each in (now, before, best)]
    for metric in ("top1", "top5"):
        upper, lower, highest = (np.array([one[metric] for one in each], float) for each in terms)
        if (highest - lower).mean() >= LEAST_LOSS:
            shares = upper - lower, highest - lower
            found = intervals.of_ratio_over_seeds(*shares, profile.evaluation.bootstrap)
            yield of | results.number(f"{metric}_recovered", *found, upper.size)


# --- Each test set by itself ----------------------------------------------------------------------


def _of_test_sets(profile: Profile) -> list[Measurement]:
    if not any("+" in name for name in profile.evaluation.test_sets):
        return []
    return _tuned(profile, "sharp-only", "mix")


@experiment(_of_test_sets)
def test_sets(run: Run) -> Rows:
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


def _balanced(decided: pd.DataFrame, profile: Profile) -> Rows:
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
    of = profile.density
    specs = [(0, spec) for spec in specs_of(["original", "mix/agreement"], profile)]
    for part in of.parts:
        specs += [(part.labelled, spec) for spec in specs_of(part.networks, profile)]
    conditions = ([*DISKS, "shake", "H8"], DISKS)
    return [
        Measurement(spec, of.data, conditions[spec.seed > 0], ["256"], labelled=labelled)
        for labelled, spec in specs
    ]


@experiment(_of_densities)
def densities(run: Run) -> Rows:
    """Table 3 by the number of training images a class (``parameter``), with labels and without by
    the same schedule on the same images; with the share of the loss that is recovered.
    """
    for parameter, decided in _by_density(densities.decisions(run)).items():
        rows = [*_compared(decided, run.profile), *_recovered(decided, run.profile)]
        yield from (row for row in rows if row["parameter"] == parameter)


def _by_density(decided: Decided) -> dict[str, Decided]:
    """Number of training images a class, as ``parameter`` has it -> decisions of each network tuned
    on so many, after those of the original.
    """
    found = defaultdict(dict)
    for spec, frame in decided.items():
        for parameter, own in frame.groupby("parameter", sort=False):
            found[parameter][spec] = own
    original = {spec: own for spec, own in found[""].items() if spec.is_original}
    return {parameter: original | own for parameter, own in found.items()}


# --- Table 4: fine-tuning at other scales (Sec. 4.2) ----------------------------------------------


def _of_table4(profile: Profile) -> list[Measurement]:
    names = ["original", "mix@256", "mix@512", "mix@256+512", "mix@per-scale"]
    conditions = profile.evaluation.scale_conditions
    return on_test_images(specs_of(names, profile), profile, conditions, ["256", "512", "256+512"])


@experiment(_of_table4)
def table4(run: Run) -> Rows:
    """The original and networks fine-tuned at 256, 512, both, or one for each, applied at those
    scales; with entropies.
    """
    for decided in table4.decisions(run).values():
        yield from intervals.means(decided, ("top1", "top5", "entropy"), run.profile)
