"""From the decisions of networks to rows of means, differences and intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.evaluation import intervals, metrics, results
from blurpaper.networks import NetworkSpec
from blurpaper.runs.profile import Profile
from blurpaper.training.networks import start_of

if TYPE_CHECKING:
    import pandas as pd

DECISION_KEY = tuple(
    column
    for column in results.KEY
    if column not in ("experiment", "region", "item", "parameter", "metric")
)
"""The columns of a result's key that decisions have."""

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
            found = intervals.of_mean(terms[metric], profile.evaluation.bootstrap)
            yield columns(key) | results.number(metric, *found, len(group))


def widest(decided: pd.DataFrame) -> pd.DataFrame:
    """The decisions among all classes, where some were also made among a test set's own."""
    return decided[
        decided["classes"].astype(int)
        == decided.groupby("data")["classes"].transform(lambda names: names.astype(int).max())
    ]


def columns(key: tuple) -> dict[str, Any]:
    """The columns of :data:`DECISION_KEY` of a result, from their values."""
    return dict(zip(DECISION_KEY, key, strict=True))


# --- Differences and seeds ------------------------------------------------------------------------


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
        own = metrics.per_image(group)
        their = metrics.per_image(others[tuple(group.iloc[0][_SETTING])])
        for metric in wanted:
            found = intervals.paired_difference(
                own[metric], their[metric], profile.evaluation.bootstrap
            )
            yield columns(key) | results.number(f"{metric}_vs_{name}", *found, len(group))


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
        of = group.iloc[0][list(DECISION_KEY)].to_dict() | {"seed": "all"}
        for metric in ("top1", "top5"):
            terms = np.array([metrics.per_image(of_seed[setting])[metric] for of_seed in own])
            if others:
                terms = terms - np.array(
                    [metrics.per_image(of_seed[setting])[metric] for of_seed in others]
                )
            found = intervals.of_mean_over_seeds(terms, profile.evaluation.bootstrap)
            yield of | results.number(f"{metric}{suffix}", *found, terms.size)
