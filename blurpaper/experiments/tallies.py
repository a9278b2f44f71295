"""What is measured, and how it is counted: from the decisions of networks to rows of means,
differences and intervals.

The networks that a profile asks for, and the conditions and scales at which each is measured, are
listed here, once for the tables of :mod:`blurpaper.experiments`, the plan of a run and the workflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.evaluation import intervals, metrics, predictions
from blurpaper.experiments.results import AS_IS
from blurpaper.kernels import CANONICAL
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.training.networks import start_of, trained

if TYPE_CHECKING:
    import pandas as pd

DISKS = ["sharp", "D2", "D4", "D6", "D8"]
"""Defocus in growing degrees."""

DECISION_KEY = (
    "model",
    "network",
    "train_scale",
    "recipe",
    "data",
    "classes",
    "input",
    "scale",
    "condition",
    "seed",
)
"""The columns of a decision that say what it is of, but for the image."""

NETWORK_KEY = ("model", "network", "train_scale", "recipe", "seed")
"""Those that say of which network."""

# --- What is measured -----------------------------------------------------------------------------

CLASSIFICATION = ("table1", "table3", "table4", "tableA")
"""The tables that count decisions on test images as they are."""

SEGMENTATION = "segmentation"
"""The model's place in the name of a segmentation network: ``segmentation:mix``, on the profile's
model.
"""


def by_table(profile: Profile) -> dict[str, list[NetworkSpec]]:
    """Table or figure -> the networks that it measures; those of Table 6 label pixels."""
    settings = profile.evaluation

    def named(names: Iterable[str]) -> list[NetworkSpec]:
        return [NetworkSpec.parse(f"{profile.model}:{name}") for name in names]

    pooled = [settings.global_pooling_model] if settings.global_pooling_model else []
    at_scales = [f"mix@{scale}" for scale in ("256", "512", "256+512", "per-scale")]
    second = settings.second_model
    return {
        "table1": [NetworkSpec(profile.model), *map(NetworkSpec, pooled)],
        "table3": named(settings.finetuned_networks),
        "table4": named(["original", *at_scales]),
        "tableA": [NetworkSpec(second), NetworkSpec(second, "mix")],
        "figure4": named(settings.invariance_networks),
        "table5": named(["original", *profile.deblurring.networks]),
        "table6": named(["original", *profile.segmentation.networks]),
    }


def networks(profile: Profile) -> list[NetworkSpec]:
    """Every network whose decisions the tables count."""
    listed = by_table(profile)
    return list(dict.fromkeys(spec for table in CLASSIFICATION for spec in listed[table]))


def starts(profile: Profile) -> dict[str, str]:
    """Name of every network of a run, as ``blurpaper train`` takes it -> the name of the one that
    it starts from, which comes before it; empty for those that start from no other.
    """
    found: dict[str, str] = {}
    for table, specs in by_table(profile).items():
        for spec in specs:
            if table == "table6":
                start = profile.model if spec.is_original else SEGMENTATION
                found[str(replace(spec, model=SEGMENTATION))] = str(NetworkSpec(start))
            elif spec.scale != "per-scale":  # one network for each scale, listed by itself
                start = start_of(spec)
                found.setdefault(str(start), "")
                if spec != start:
                    found[str(spec)] = str(start)
    return found


@dataclass(frozen=True)
class Measurement:
    """A network applied to a test set: under each of the conditions, at each of the scales 128,
    256 and 512.

    Attributes:
        table: the first table or figure that shows it.
        treatments: what is done to the blurred images first, each by itself.
    """

    table: str
    spec: NetworkSpec
    data: str
    conditions: Sequence[str]
    scales: Sequence[str]
    treatments: Sequence[str] = (AS_IS,)


def measurements(profile: Profile) -> Iterator[Measurement]:
    """All that a run measures on test sets, each once."""
    settings, listed = profile.evaluation, by_table(profile)
    for spec in networks(profile):
        if spec.scale == "per-scale":
            continue
        table = next(table for table in CLASSIFICATION if spec in listed[table])
        conditions, scales = settings_of(spec, profile)
        for name in sets_of(spec, profile):
            yield Measurement(table, spec, name, conditions, predictions.base_scales(scales))
    conditions = ["sharp", *settings.invariance_conditions]
    for spec in listed["figure4"]:
        yield Measurement("figure4", spec, settings.test_sets[0], conditions, ["256"])
    psf, methods = [profile.deblurring.psf], profile.deblurring.methods
    for name in settings.test_sets:
        yield Measurement("table5", listed["table5"][0], name, psf, ["256"], methods)
    scenes = profile.segmentation
    for spec in listed["table6"]:
        yield Measurement("table6", spec, scenes.data, scenes.conditions, [str(CANONICAL)])


def sets_of(spec: NetworkSpec, profile: Profile) -> list[str]:
    """The test sets on which the experiments measure a network: other scales and other models, on
    the first alone.
    """
    first = spec.model != profile.model or spec.scale != "256"
    return profile.evaluation.test_sets[:1] if first else profile.evaluation.test_sets


def settings_of(spec: NetworkSpec, profile: Profile) -> tuple[list[str], list[str]]:
    """The conditions under which, and the scale settings at which, the experiments measure a
    network.
    """
    settings = profile.evaluation
    if spec.model == settings.second_model:
        return settings.second_conditions, ["256", "256+512"] if spec.is_original else ["256"]
    if spec.model == settings.global_pooling_model:
        return settings.second_conditions, ["256", "512", "256+512"]
    if spec.is_original:
        return settings.original_conditions, settings.original_scales
    if spec.scale == "256":
        return settings.finetuned_conditions if spec.seed == 0 else settings.scale_conditions, [
            "256"
        ]
    scales = {"512": ["512"], "256+512": ["256", "512", "256+512"], "per-scale": ["256+512"]}[
        spec.scale
    ]
    return settings.scale_conditions, scales


def decided_by(spec: NetworkSpec, run: Run) -> pd.DataFrame:
    """Decisions of one network, at the scales and under the conditions at which the profile
    measures it.
    """
    import pandas as pd

    conditions, scales = settings_of(spec, run.profile)
    found = [
        predictions.decisions(trained(spec, run), name, conditions, scales, run)
        for name in sets_of(spec, run.profile)
    ]
    return pd.concat(found, ignore_index=True)


# --- Rows -----------------------------------------------------------------------------------------


def means(
    decided: pd.DataFrame, wanted: Iterable[str], profile: Profile
) -> Iterator[dict[str, Any]]:
    """Means over images of some of the metrics of :func:`metrics.per_image`, a row for each
    setting.
    """
    for key, group in decided.groupby(list(DECISION_KEY), sort=False):
        terms = metrics.per_image(group)
        for metric in wanted:
            value, low, high = intervals.of_mean(terms[metric], profile.evaluation.bootstrap)
            yield row(key, metric, value, low, high, len(group))


def widest(decided: pd.DataFrame) -> pd.DataFrame:
    """The decisions among all classes, where some were also made among a test set's own."""
    return decided[
        decided["classes"].astype(int)
        == decided.groupby("data")["classes"].transform(lambda names: names.astype(int).max())
    ]


def row(
    key: tuple, metric: str, value: float, low: float | None, high: float | None, n: int
) -> dict[str, Any]:
    """A result: what it is of, in the columns of :data:`DECISION_KEY`, and its number with its
    interval.
    """
    return dict(zip(DECISION_KEY, key, strict=True)) | {
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "n": n,
    }


# --- Differences and seeds ------------------------------------------------------------------------


def baselines_of(
    spec: NetworkSpec, tuned: Mapping[NetworkSpec, pd.DataFrame]
) -> dict[str, pd.DataFrame]:
    """What a network is compared with: the one it started from, and the control, from its own seed
    if there is one.

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


def differences(
    decided: pd.DataFrame,
    baseline: pd.DataFrame,
    name: str,
    profile: Profile,
    wanted: Iterable[str] = ("top1", "top5"),
) -> Iterator[dict[str, Any]]:
    """Paired differences, of accuracy if nothing else is wanted: the same images, resampled
    together.
    """
    others = _by_setting(baseline)
    for key, group in decided.groupby(list(DECISION_KEY), sort=False):
        own, their = (
            metrics.per_image(group),
            metrics.per_image(others[tuple(group.iloc[0][_SETTING])]),
        )
        for metric in wanted:
            found = intervals.paired_difference(
                own[metric], their[metric], profile.evaluation.bootstrap
            )
            yield row(key, f"{metric}_vs_{name}", *found, len(group))


_SETTING = ["data", "classes", "scale", "condition"]


def _by_setting(decided: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    return dict(iter(decided.groupby(_SETTING, sort=False)))


def means_over_seeds(
    decided: list[pd.DataFrame],
    profile: Profile,
    baselines: list[pd.DataFrame] | None = None,
    suffix: str = "",
) -> Iterator[dict[str, Any]]:
    """Accuracy, or its paired difference from a baseline, over images and seeds, in the settings in
    which all were measured.
    """
    own = [_by_setting(one) for one in decided]
    others = [_by_setting(one) for one in baselines] if baselines else None
    for setting, group in own[0].items():
        if not all(setting in of_seed for of_seed in own):
            continue
        key = tuple("all" if column == "seed" else group.iloc[0][column] for column in DECISION_KEY)
        for metric in ("top1", "top5"):
            terms = np.array([metrics.per_image(of_seed[setting])[metric] for of_seed in own])
            if others:
                terms = terms - np.array(
                    [metrics.per_image(of_seed[setting])[metric] for of_seed in others]
                )
            found = intervals.of_mean_over_seeds(terms, profile.evaluation.bootstrap)
            yield row(key, f"{metric}{suffix}", *found, terms.size)
