"""Plots of what computing takes, one function a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from blurpaper.figures.style import CONDITION_COLOURS

_MARKS = "osD^v"
_MEASURES = {"seconds": "seconds", "megabytes": "peak memory, MB"}


def growth(rows: Sequence[Mapping[str, Any]], powers: Sequence[Mapping[str, Any]] = ()) -> Figure:
    """Time and peak memory against what they grow with, both axes logarithmic; dotted, growth in proportion.

    Args:
        rows: ``series``, ``x``, ``seconds`` and ``megabytes`` of each measurement. What stands before the comma of a series says
            what its x is, and makes a panel; what stands after it names the line.
        powers: of x, with which ``time`` and ``memory`` of a ``series`` grow, to stand beside the names.
    """
    panels: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        axis_of, _, line = row["series"].partition(", ")
        panels.setdefault(axis_of, {}).setdefault(line, []).append(row)
    known = {one["series"]: {"seconds": one["time"], "megabytes": one["memory"]} for one in powers}
    figure, axes = plt.subplots(2, len(panels), figsize=(3.1 * len(panels), 6.0), sharex="col", sharey="row", squeeze=False)
    for column, (axis_of, lines) in enumerate(panels.items()):
        for axis, measure in zip(axes[:, column], _MEASURES, strict=True):
            for number, (name, points) in enumerate(lines.items()):
                points = sorted(points, key=lambda row: row["x"])
                x, y = (np.array([row[what] for row in points], float) for what in ("x", measure))
                y[y <= 0] = np.nan
                power = known.get(f"{axis_of}, {name}", {}).get(measure)
                label = name if power is None else f"{name}: power {power:.2f}"
                colour = list(CONDITION_COLOURS.values())[number % len(CONDITION_COLOURS)]
                axis.plot(x, y, marker=_MARKS[number % len(_MARKS)], color=colour, label=label)
                if number == 0 and measure == "seconds":
                    way = -1.0 if axis_of == "threads" else 1.0
                    axis.plot(x, y[0] * (x / x[0]) ** way, ":", color="#7F7F7F", linewidth=1)
            axis.set(xscale="log", yscale="log")
            ticks = sorted({row["x"] for points in lines.values() for row in points})
            axis.set_xticks(_apart(ticks), labels=[f"{tick:.3g}" for tick in _apart(ticks)])
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
            axis.legend(frameon=False, fontsize=7.5, handlelength=1.5)
        axes[1, column].set_xlabel(axis_of)
    for axis, label in zip(axes[:, 0], _MEASURES.values(), strict=True):
        axis.set_ylabel(label)
    figure.tight_layout()
    return figure


def stages(rows: Sequence[Mapping[str, Any]], name: str, parts: Sequence[str]) -> Figure:
    """Horizontal bars: the seconds of each row, divided into the stages that they were spent in, ``<part>, s`` each."""
    figure, axes = plt.subplots(figsize=(7.0, 0.5 * len(rows) + 1.0))
    places = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for number, part in enumerate(parts):
        spent = np.array([row[f"{part}, s"] for row in rows])
        colour = list(CONDITION_COLOURS.values())[number % len(CONDITION_COLOURS)]
        axes.barh(places, spent, 0.6, left, color=colour, label=part)
        left += spent
    for place, end, row in zip(places, left, rows, strict=True):
        axes.text(end, place, f" {row['seconds']:.0f} s", va="center", fontsize=9)
    axes.set_yticks(places, [row[name] for row in rows])
    axes.set_xlabel("seconds")
    axes.set_xlim(0, 1.12 * left.max())
    axes.legend(frameon=False, ncols=len(parts), loc="lower right", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    return figure


def _apart(ticks: Sequence[float]) -> list[float]:
    """Those places that are far enough from the last, as logarithms go, for both to have a label."""
    found: list[float] = []
    for tick in ticks:
        if not found or tick >= found[-1] * (ticks[-1] / ticks[0]) ** 0.12:
            found.append(tick)
    return found
