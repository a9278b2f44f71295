"""Plots of recognition under blur, one function a figure; what has a panel for each source is a
list of figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from blurpaper.book.figures.style import (
    CONDITION_COLOURS,
    NETWORK_COLOURS,
    NETWORK_MARKS,
    ROW,
    SCALE_COLOURS,
    SCALE_MARKS,
    SERIES_COLOURS,
    SERIES_MARKS,
    axes_of_conditions,
    curve,
    figures_of,
    in_order,
    key,
    label_ends,
    panels,
    under_defocus,
)
from blurpaper.evaluation import intervals, metrics
from blurpaper.evaluation.results import select
from blurpaper.experiments.measurements import DISKS

if TYPE_CHECKING:
    import pandas as pd

_ONE = (4.8, 3.7)
"""Inches of a plot that stands alone."""
_RESAMPLES = 1000
_COVERAGES = np.linspace(0.05, 1, 96)
"""Coverages at which the interval of a risk is drawn; at lower ones it is too wide to be read."""


def curves(sources: Mapping[str, pd.DataFrame], by: str, label: str) -> list[Figure]:
    """One metric against defocus: the key, then a panel a source, all on one scale, with a line for
    each value of a column (Tables 1 to 4). The original network is dashed.

    Args:
        sources: heading -> rows of that metric.
        label: of the metric; shares are drawn in per cent if it ends so.
    """
    factor = 100 if label.endswith("%") else 1
    names = list(dict.fromkeys(name for rows in sources.values() for name in rows[by]))
    signs = {name: _sign(by, name, number) for number, name in enumerate(names)}
    axes = panels(list(sources), ROW)
    for axis, rows in zip(axes, sources.values(), strict=True):
        for name, (colour, mark, style) in signs.items():
            line = factor * under_defocus(rows, **{by: name})[["value", "low", "high"]]
            known = line["value"].notna().to_numpy()
            if known.any():
                curve(axis, line[known], colour, style, mark, np.arange(len(DISKS))[known])
        axes_of_conditions(axis, DISKS, "", "")
    top = max(axis.get_ylim()[1] for axis in axes)
    top = 100 if factor > 1 and top > 50 else top
    for axis in axes:
        axis.set_ylim(0, top)
    lines = [
        Line2D([], [], color=colour, marker=mark, linestyle=style, label=name)
        for name, (colour, mark, style) in signs.items()
    ]
    return [key(label, lines), *figures_of(axes)]


def _sign(by: str, name: str, number: int) -> tuple[str, str, str]:
    """Colour, mark and style of a line."""
    colours, marks = (
        (SCALE_COLOURS, SCALE_MARKS) if by == "scale" else (NETWORK_COLOURS, NETWORK_MARKS)
    )
    turn = number % len(SERIES_MARKS)
    style = "--" if name.partition(",")[0] == "original" else "-"
    return colours.get(name, SERIES_COLOURS[turn]), marks.get(name, SERIES_MARKS[turn]), style


def risk_coverage(sources: Mapping[str, pd.DataFrame], conditions: Sequence[str]) -> list[Figure]:
    """Error among the most confident predictions against the share kept, with 95 % intervals: a
    panel a source of decisions, a curve a condition (Sec. 1's suggestion).
    """
    axes = panels(list(sources), ROW)
    for axis, decided in zip(axes, sources.values(), strict=True):
        for condition in conditions:
            group = select(decided, condition=condition)
            confidence, correct = group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy()
            coverage, risk = metrics.risk_coverage(confidence, correct)
            colour = CONDITION_COLOURS[condition]
            axis.plot(coverage, risk, color=colour)
            low, high = _risk_bounds(confidence, correct)
            axis.fill_between(_COVERAGES, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel="share of predictions kept", xlim=(0, 1), ylim=(0, 1))
    lines = [Line2D([], [], color=CONDITION_COLOURS[one], label=one) for one in conditions]
    return [key("error among the predictions kept", lines), *figures_of(axes)]


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
