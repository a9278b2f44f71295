"""Plots of recognition and segmentation under blur, one function a figure, and the ends of their
lines in words; what has a panel for each source is a list of figures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from blurpaper.book import style
from blurpaper.book.tables import rounded
from blurpaper.evaluation import intervals, metrics
from blurpaper.evaluation.results import select
from blurpaper.experiments.measurements import DISKS

_RESAMPLES = 1000
_COVERAGES = np.linspace(0.05, 1, 96)
"""Coverages at which the interval of a risk is drawn; at lower ones it is too wide to be read."""


def curves(
    sources: Mapping[str, pd.DataFrame], by: str, label: str, against: str = "condition"
) -> list[Figure]:
    """One metric against defocus, or against another column: the key, then a panel a source, all on
    one scale, with a line for each value of a column. The original network is dashed, and a line
    whose rows have no value to stand at is level.

    Args:
        sources: heading -> rows of that metric.
        label: of the metric; shares are drawn in per cent if it ends so.
        against: a column of numbers to plot it against instead.
    """
    factor = 100 if label.endswith("%") else 1
    names = list(dict.fromkeys(name for rows in sources.values() for name in rows[by]))
    signs = {name: _sign(by, name, number) for number, name in enumerate(names)}
    places, axes = places_of(sources, against), style.panels(list(sources), style.ROW)
    named = isinstance(places[0], str)
    where = np.arange(len(places)) if named else np.array(places, float)
    for axis, rows in zip(axes, sources.values(), strict=True):
        for name, (colour, mark, dashes) in signs.items():
            line = select(rows, **{by: name})
            at = [""] * len(places) if (line[against] == "").all() else places
            line = factor * line.set_index(against).reindex(at)[["value", "low", "high"]]
            known = line["value"].notna().to_numpy()
            if known.any():
                value, low, high = line[known].to_numpy(float).T
                axis.plot(where[known], value, dashes, marker=mark, color=colour)
                axis.fill_between(where[known], low, high, color=colour, alpha=0.2, linewidth=0)
        if named:
            axis.set_xticks(where, places)
        axis.set_xlabel("" if against == "condition" else against)
    top = 1.03 * max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(0, 100 if factor > 1 and top > 50 else top)
    lines = [
        Line2D([], [], color=colour, marker=mark, linestyle=dashes, label=name)
        for name, (colour, mark, dashes) in signs.items()
    ]
    return [style.key(label, lines), *style.figures_of(axes)]


def places_of(sources: Mapping[str, pd.DataFrame], against: str) -> list[str] | list[float]:
    """The values that a column has in the rows of any source, in order: numbers, or names by the
    number in each; of conditions the degrees of defocus.
    """
    if against == "condition":
        return list(DISKS)
    found = {name for rows in sources.values() for name in rows[against] if name != ""}
    return sorted(found, key=lambda one: float(*re.findall(r"[\d.]+", str(one))[:1] or "0"))


def _sign(by: str, name: str, number: int) -> tuple[str, str, str]:
    """Colour, mark and dashes of a line; a setting, such as ``512 original``, has the colour and
    the mark of its scale.
    """
    colours, marks = style.NETWORK_COLOURS, style.NETWORK_MARKS
    dashes = "--" if name.endswith("original") else "-"
    if by in ("scale", "setting"):
        colours, marks, name = style.SCALE_COLOURS, style.SCALE_MARKS, name.partition(" ")[0]
    turn = number % len(style.SERIES_MARKS)
    colour, mark = style.SERIES_COLOURS[turn], style.SERIES_MARKS[turn]
    return colours.get(name, colour), marks.get(name, mark), dashes


def risk_coverage(sources: Mapping[str, pd.DataFrame], conditions: Sequence[str]) -> list[Figure]:
    """Error among the most confident predictions against the share kept, with 95 % intervals: a
    panel a source of decisions, a curve a condition (Sec. 1's suggestion).
    """
    axes = style.panels(list(sources), style.ROW)
    for axis, decided in zip(axes, sources.values(), strict=True):
        for condition in conditions:
            group = select(decided, condition=condition)
            confidence, correct = group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy()
            coverage, risk = metrics.risk_coverage(confidence, correct)
            colour = style.CONDITION_COLOURS[condition]
            axis.plot(coverage, risk, color=colour)
            low, high = _risk_bounds(confidence, correct)
            axis.fill_between(_COVERAGES, low, high, color=colour, alpha=0.15, linewidth=0)
        axis.set(xlabel="share of predictions kept", xlim=(0, 1), ylim=(0, 1))
    lines = [Line2D([], [], color=style.CONDITION_COLOURS[one], label=one) for one in conditions]
    return [style.key("error among the predictions kept", lines), *style.figures_of(axes)]


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


def iou_by_label(sources: Mapping[str, pd.DataFrame], condition: str) -> list[Figure]:
    """IoU of each label, with intervals: of the original on sharp scenes, and of the original and
    the mix on blurred ones.
    """
    shown = [("original", "sharp"), ("original", condition), ("mix", condition)]
    found = []
    for title, frame in sources.items():
        rows = select(frame, metric="iou")
        (axis,) = style.panels([title], (3.6, 1.5 + 0.24 * rows["region"].nunique()))
        sharp = select(rows, network="original", condition="sharp").sort_values("value")
        labels = sharp["region"].tolist()
        for number, (network, seen) in enumerate(shown):
            line = select(rows, network=network, condition=seen)
            line = line.set_index("region").reindex(labels)
            colour = style.NETWORK_COLOURS[network]
            place = np.arange(len(labels)) + 0.24 * (number - 1)
            sign = {"fmt": style.NETWORK_MARKS[network], "color": colour, "markersize": 4.5}
            sign["markerfacecolor"] = style.LIGHT["page"] if seen == "sharp" else colour
            label = f"{network}, {seen}"
            value, low, high = line[["value", "low", "high"]].to_numpy(float).T
            around = np.clip([value - low, high - value], 0, None)
            axis.errorbar(value, place, xerr=around, linewidth=1, label=label, **sign)
        axis.set(yticks=range(len(labels)), yticklabels=labels, xlim=(0, 1), xlabel="IoU")
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
        axis.figure.legend(frameon=False, fontsize=8, **below)
        found += style.figures_of([axis])
    return found


def in_words(
    sources: Mapping[str, pd.DataFrame],
    line: str,
    places: Sequence[str] = DISKS,
    against: str = "condition",
    percents: bool = True,
) -> str:
    """The ends of the lines of a figure in words, for its alt text, and the highest point between.

    Args:
        sources: heading of a panel -> its rows, of one metric, one for each place of a line.
        line: the column that tells the lines apart.
        places: values of the column ``against``, from the beginning of a line to its end.
    """

    def text(value: float) -> str:
        return f"{rounded(100 * value, 1)} %" if percents else rounded(value, 2)

    panels = []
    for name, frame in sources.items():
        told = []
        for value, rows in frame.groupby(line, sort=False):
            known = rows.set_index(against)["value"]
            if list(known.index) == [""]:
                told.append(f"{value} {text(known.item())} throughout")
            known = known.reindex(list(places)).dropna()
            if len(known) and (known.index[0], known.index[-1]) == (places[0], places[-1]):
                words = f"{value} from {text(known.iloc[0])} to {text(known.iloc[-1])}"
                inner = known.idxmax() not in (places[0], places[-1])
                told.append(words + f" by way of {text(known.max())} at {known.idxmax()}" * inner)
        if told:
            panels.append(f"{name}: {', '.join(told)}")
    return f"From {places[0]} to {places[-1]}, {'; '.join(panels)}."
