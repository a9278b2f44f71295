"""Confidence intervals: bootstrap over images, paired across networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.evaluation import metrics, results
from blurpaper.runs.profile import Profile
from blurpaper.runs.randomness import stream

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.95
HALF_WIDTH = 1.959964
"""Of an interval of that level, in standard deviations of a normal distribution."""


@lru_cache(maxsize=8)
def resampling(count: int, resamples: int) -> np.ndarray:
    """How often each image is drawn in each resample: float32 ``(resamples, count)``, the same for
    the same count.

    Being the same, it pairs the resamples of all networks on one set of images.
    """
    draw = stream("bootstrap", count)
    weights = np.empty((resamples, count), np.float32)
    for row in weights:
        row[:] = np.bincount(draw.randint(0, count, count), minlength=count)
    weights.flags.writeable = False
    return weights


def of_mean(terms: np.ndarray, resamples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over images with its percentile interval.

    Args:
        terms: ``(N,)`` or ``(N, columns)``, one row an image.

    Returns:
        value, low and high, each of the shape of one row.

    >>> value, low, high = of_mean(np.arange(100) < 80, resamples=1000)
    >>> [round(float(one), 2) for one in (value, low, high)]
    [0.8, 0.72, 0.87]
    """
    terms = np.asarray(terms, np.float64)
    means = resampling(len(terms), resamples).astype(np.float64) @ terms / len(terms)
    return terms.mean(axis=0), *_percentiles(means)


def of_mean_over_seeds(terms: np.ndarray, resamples: int) -> tuple[float, float, float]:
    """Mean over networks from several seeds and over images, with its interval: both are resampled.

    Args:
        terms: ``(S, N)``, a row a seed, a column an image.
    """
    terms = np.asarray(terms, np.float64)
    means = sums_over_both(terms, resamples) / terms.size
    return float(terms.mean()), *map(float, _percentiles(means))


def of_ratio_over_seeds(
    above: np.ndarray, below: np.ndarray, resamples: int
) -> tuple[float, float, float]:
    """Ratio of two such means with its interval, both over the same images and the same seeds, each
    ``(S, N)``.

    The interval is nan where the mean below is zero or less in some resample: the ratio is then
    undefined.
    """
    above, below = np.asarray(above, np.float64), np.asarray(below, np.float64)
    upper, lower = (sums_over_both(terms, resamples) for terms in (above, below))
    low, high = (np.nan, np.nan) if lower.min() <= 0 else _percentiles(upper / lower)
    return float(above.mean() / below.mean()), float(low), float(high)


def sums_over_both(terms: np.ndarray, resamples: int) -> np.ndarray:
    """Sums of ``(S, N)`` over resampled seeds and images: ``(R,)``."""
    seeds, images = (resampling(count, resamples).astype(np.float64) for count in terms.shape)
    return np.einsum("rs,sn,rn->r", seeds, terms, images, optimize=True)


def of_statistic(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, resamples: int
) -> tuple[float, float, float]:
    """A statistic of resampling counts ``(R, N) -> (R,)`` on all images, with its percentile
    interval.
    """
    return of_draws(draws(statistic, count, resamples))


def draws(statistic: Callable[[np.ndarray], np.ndarray], count: int, resamples: int) -> np.ndarray:
    """A statistic of resampling counts ``(R, N) -> (R,)``: float64 ``(1 + R,)``, on all images,
    then on each resample.
    """
    counts = resampling(count, resamples).astype(np.float64)
    return np.concatenate([statistic(np.ones((1, count))), statistic(counts)])


def of_draws(drawn: np.ndarray) -> tuple[float, float, float]:
    """A statistic with its percentile interval, from its :func:`draws` or a function of several
    such, ``(1 + R,)``.
    """
    low, high = _percentiles(drawn[1:])
    return float(drawn[0]), float(low), float(high)


def false_discovery_adjusted(p_values: Sequence[float]) -> np.ndarray:
    """p-values adjusted for being many, after Benjamini and Hochberg (1995): float64 ``(N,)``.

    Rejecting all hypotheses whose adjusted value is at most a rate keeps the expected share of
    wrong rejections below it, for independent tests and for such as depend on one another
    positively.

    >>> false_discovery_adjusted([0.01, 0.04, 0.2]).round(3)
    array([0.03, 0.06, 0.2 ])
    """
    from scipy.stats import false_discovery_control

    return false_discovery_control(p_values, method="bh") if len(p_values) else np.zeros(0)


def false_discovery_rates(p_values: Sequence[float], rate: float = 1 - LEVEL) -> np.ndarray:
    """The largest p-value with which each hypothesis would be rejected, the others being as they
    are, so that the false discovery rate is controlled (:func:`false_discovery_adjusted`): float64
    ``(N,)``.

    >>> false_discovery_rates([0.01, 0.03, 0.2]).round(4)
    array([0.0333, 0.0333, 0.05  ])
    """
    count = len(p_values)
    without = np.where(np.eye(count, dtype=bool), 0.0, np.array(p_values, np.float64))
    rejected = [np.count_nonzero(false_discovery_adjusted(row) <= rate) for row in without]
    return rate * np.array(rejected, np.float64) / max(1, count)


def _percentiles(resampled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0))


# --- Rows of results ------------------------------------------------------------------------------


def means(
    decided: pd.DataFrame, wanted: Iterable[str], profile: Profile
) -> Iterator[dict[str, Any]]:
    """Means over images of some of the metrics of :func:`metrics.per_image`, a row for each
    setting.
    """
    for key, group in decided.groupby(list(results.DECISION_KEY), sort=False):
        terms = metrics.per_image(group)
        for metric in wanted:
            found = of_mean(terms[metric], profile.evaluation.bootstrap)
            yield results.columns(key) | results.number(metric, *found, len(group))


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
    for key, group in decided.groupby(list(results.DECISION_KEY), sort=False):
        own = metrics.per_image(group)
        their = metrics.per_image(others[tuple(group.iloc[0][_SETTING])])
        for metric in wanted:
            found = of_mean(own[metric] - their[metric], profile.evaluation.bootstrap)
            yield results.columns(key) | results.number(f"{metric}_vs_{name}", *found, len(group))


_SETTING = ["data", "classes", "scale", "condition"]


def _by_setting(decided: pd.DataFrame) -> dict[tuple[str, ...], pd.DataFrame]:
    return dict(iter(decided.groupby(_SETTING, sort=False)))


def means_over_seeds(
    decided: list[pd.DataFrame],
    profile: Profile,
    baselines: list[pd.DataFrame] | None = None,
    suffix: str = "",
    wanted: Iterable[str] = ("top1", "top5"),
) -> Iterator[dict[str, Any]]:
    """Some metrics, accuracy if nothing else is wanted, or their paired differences from a
    baseline, over images and seeds, in the settings in which all were measured.
    """
    own = [_by_setting(one) for one in decided]
    others = [_by_setting(one) for one in baselines] if baselines else None
    for setting, group in own[0].items():
        if not all(setting in of_seed for of_seed in own):
            continue
        of = group.iloc[0][list(results.DECISION_KEY)].to_dict() | {"seed": "all"}
        for metric in wanted:
            terms = np.array([metrics.per_image(of_seed[setting])[metric] for of_seed in own])
            if others:
                terms = terms - np.array(
                    [metrics.per_image(of_seed[setting])[metric] for of_seed in others]
                )
            found = of_mean_over_seeds(terms, profile.evaluation.bootstrap)
            yield of | results.number(f"{metric}{suffix}", *found, terms.size)
