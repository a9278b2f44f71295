"""Plots of recognition under blur, one function a figure; what has a panel for each source is a
list of figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from blurpaper.book.figures.style import (
    CONDITION_COLOURS,
    NETWORK_COLOURS,
    NETWORK_MARKS,
    SCALE_COLOURS,
    SCALE_MARKS,
    axes_of_conditions,
    curve,
    figures_of,
    in_order,
    label_ends,
    panels,
    subplots,
    under_defocus,
)
from blurpaper.evaluation import intervals, metrics
from blurpaper.evaluation.results import select
from blurpaper.experiments.measurements import DISKS

if TYPE_CHECKING:
    import pandas as pd

_ONE = (4.8, 3.7)
"""Inches of a plot that stands alone."""
_RADIUS = "blur, radius in pixels of 384"
_RESAMPLES = 1000
_COVERAGES = np.linspace(0.05, 1, 96)
"""Coverages at which the interval of a risk is drawn; at lower ones it is too wide to be read."""


def accuracy_by_condition(
    rows: pd.DataFrame, sources: Mapping[str, pd.DataFrame], metric: str = "top5"
) -> list[Figure]:
    """Accuracy under growing defocus at every scale setting: a panel a source (Table 1)."""
    scales = [scale for scale in SCALE_MARKS if scale in set(rows["scale"])]
    axes = panels(list(sources))
    for axis, frame in zip(axes, sources.values(), strict=True):
        ends: dict[str, float] = {}
        axis.set_ylim(0, 1)
        for scale in scales:
            line = under_defocus(frame, scale=scale, metric=metric)
            if line["value"].notna().any():
                sign = {"colour": SCALE_COLOURS[scale], "mark": SCALE_MARKS[scale]}
                ends[scale] = curve(axis, line, **sign)
        axes_of_conditions(axis, DISKS, f"top-{metric[-1]} accuracy", _RADIUS)
        label_ends(axis, len(DISKS) - 1, ends, SCALE_COLOURS)
    return figures_of(axes)


def accuracy_against_entropy(decided: pd.DataFrame) -> Figure:
    """Each condition as a point: mean entropy against accuracy, at each scale, with 95 % intervals
    of both (Sec. 3).

    At scale 256 those have a name that have room for it.
    """
    figure, axis = subplots(figsize=_ONE)
    named: list[tuple[float, float]] = []
    for scale in SCALE_MARKS:
        sign = {"fmt": SCALE_MARKS[scale], "color": SCALE_COLOURS[scale], "linewidth": 0.8}
        group = select(decided, scale=scale)
        for number, (name, images) in enumerate(group.groupby("condition", sort=False)):
            terms = np.stack(
                [images["entropy"].to_numpy(float), (images["rank"] < 5).to_numpy(float)], axis=1
            )
            middle, low, high = np.array(intervals.of_mean(terms, _RESAMPLES))
            across, up = np.array([middle - low, high - middle]).T[..., None]
            label = None if number else f"scale {scale}"
            axis.errorbar(*middle, up, across, label=label, **sign)
            x, y = middle
            if scale == "256" and all(abs(x - a) > 0.35 or abs(y - b) > 0.05 for a, b in named):
                named.append((x, y))
                place = {"xytext": (6, 4), "textcoords": "offset points"}
                axis.annotate(name, (x, y), fontsize=8, color=sign["color"], **place)
    axis.set(xlabel="mean entropy of the prediction, nats", ylabel="top-5 accuracy", ylim=(0, 1.02))
    axis.legend(frameon=False, loc="lower left")
    figure.tight_layout()
    return figure


def risk_coverage(sources: Mapping[str, pd.DataFrame], conditions: Sequence[str]) -> list[Figure]:
    """Error among the most confident predictions against the share kept, with 95 % intervals: a
    panel a source of decisions, a curve a condition (Sec. 1's suggestion).
    """
    axes = panels(list(sources))
    for axis, decided in zip(axes, sources.values(), strict=True):
        ends: dict[str, float] = {}
        for condition in conditions:
            group = select(decided, condition=condition)
            confidence, correct = group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy()
            coverage, risk = metrics.risk_coverage(confidence, correct)
            colour = CONDITION_COLOURS[condition]
            axis.plot(coverage, risk, color=colour)
            low, high = _risk_bounds(confidence, correct)
            axis.fill_between(_COVERAGES, low, high, color=colour, alpha=0.15, linewidth=0)
            ends[condition] = float(risk[-1])
        axis.set(xlabel="share of predictions kept", ylabel="error among those kept (top-1)")
        axis.set(xlim=(0, 1), ylim=(0, None))
        label_ends(axis, 1, ends, CONDITION_COLOURS)
    return figures_of(axes)


def _risk_bounds(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Percentile interval of the risk at each of the coverages: ``(2, coverages)``, images being
    resampled.
    """
    drawn = []
    for counts in intervals.resampling(len(confidence), _RESAMPLES)[: _RESAMPLES // 5]:
        again = np.repeat(np.arange(len(confidence)), counts.astype(int))
        curve = metrics.risk_coverage(confidence[again], correct[again])
        drawn.append(np.interp(_COVERAGES, *curve))
    return np.quantile(drawn, [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2], axis=0)


def by_network(rows: pd.DataFrame, metric: str, label: str, networks: Sequence[str]) -> Figure:
    """One metric against defocus, a line for each network with its interval (Tables 2 and 3)."""
    (axis,) = panels([""], _ONE)
    ends: dict[str, float] = {}
    for network in networks:
        line = under_defocus(rows, network=network, metric=metric)
        ends[network] = curve(axis, line, NETWORK_COLOURS[network], mark=NETWORK_MARKS[network])
    axis.set_ylim(0, 1 if metric in ("top1", "top5") else None)
    axes_of_conditions(axis, DISKS, label, _RADIUS)
    label_ends(axis, len(DISKS) - 1, ends, NETWORK_COLOURS)
    return figures_of([axis])[0]


def transfer_matrix(
    rows: pd.DataFrame, networks: Sequence[str], conditions: Sequence[str], metric: str
) -> Figure:
    """Accuracy of networks fine-tuned on one mix under each test condition, as a heat map (Table
    3).

    Each number has below it half the width of its 95 % interval.
    """
    rows = 100 * select(rows, metric=metric).pivot(
        index="network", columns="condition", values=["value", "low", "high"]
    ).reindex(index=networks)
    values, low, high = (
        rows[name].reindex(columns=conditions) for name in ("value", "low", "high")
    )
    figure, axis = subplots(figsize=(1.3 + 0.62 * len(conditions), 0.9 + 0.46 * len(networks)))
    told = values.map("{:.0f}".format) + "\n±" + ((high - low) / 2).map("{:.0f}".format)
    letters = {"annot": told, "fmt": "", "annot_kws": {"fontsize": 8, "linespacing": 0.95}}
    colours = {"cmap": "cividis", "vmin": 0, "vmax": 100}
    bar = {"label": f"top-{metric[-1]} accuracy, %"}
    sns.heatmap(values, ax=axis, linewidths=0.5, cbar_kws=bar, **letters, **colours)
    axis.set(xlabel="tested on", ylabel="fine-tuned on")
    axis.tick_params(axis="y", rotation=0)
    figure.tight_layout()
    return figure


def scale_settings(sources: Mapping[str, pd.DataFrame], conditions: Sequence[str]) -> list[Figure]:
    """Top-5 accuracy at each scale setting before and after fine-tuning there, with intervals
    (Table 4).
    """
    tuned = {"256": "256", "512": "512", "256+512": "256+512", "per-scale": "256+512"}
    axes = panels(list(sources))
    for axis, frame in zip(axes, sources.values(), strict=True):
        ends: dict[str, float] = {}
        axis.set_ylim(0, 1)
        for name, scale in tuned.items():
            rows = select(frame, scale=scale, metric="top5")
            before = select(rows, network="original") if name == scale else rows[:0]
            after = select(rows, network="mix", train_scale=name)
            for line, style in ((before, ":"), (after, "-")):
                line = in_order(line, conditions)
                known = line["value"].notna()
                if not known.any():
                    continue
                place = np.arange(len(conditions))[known]
                sign = SCALE_COLOURS[name], style, SCALE_MARKS[name]
                curve(axis, line[known], *sign, place)
                if style == "-":
                    ends[name] = float(line["value"].iloc[-1])
        axes_of_conditions(axis, conditions, "top-5 accuracy")
        label_ends(axis, len(conditions) - 1, ends, SCALE_COLOURS)
    return figures_of(axes)


def distance_by_stage(rows: pd.DataFrame, condition: str, unrelated: str) -> Figure:
    """Mean Hamming distance after each stage, with intervals; dotted, that between different
    images.
    """
    (axis,) = panels([""], _ONE)
    ends: dict[str, float] = {}
    for network in dict.fromkeys(rows["network"]):
        colour = NETWORK_COLOURS[network]
        lines = (select(rows, network=network, condition=one) for one in (condition, unrelated))
        blurred, different = lines
        ends[network] = curve(axis, blurred, colour, mark=NETWORK_MARKS[network])
        curve(axis, different, colour, ":")
        axis.set_xticks(range(len(blurred)), blurred["region"])
    axis.set(ylabel="share of channels that differ", ylim=(0, None))
    label_ends(axis, 4, ends, NETWORK_COLOURS)
    return figures_of([axis])[0]
