"""Plots of what computing takes, one function a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from blurpaper.figures.palette import LIGHT, SERIES_COLOURS, SERIES_MARKS
from blurpaper.figures.style import figures_of, panels
from blurpaper.tables import rounded

_MEASURES = {"seconds": "seconds", "megabytes": "peak memory, MB"}
_HATCHES = ("", "////", "...", "xxx", "---")


def growth(
    rows: Sequence[Mapping[str, Any]], powers: Sequence[Mapping[str, Any]] = ()
) -> list[Figure]:
    """Time and peak memory against what they grow with, both axes logarithmic; dotted, growth in
    proportion.

    Args:
        rows: ``series``, ``x``, ``seconds`` and ``megabytes`` of each measurement, and ``...,
            least`` and ``..., most`` of those, from which bars go. What stands before the comma of
            a series says what its x is, and makes two panels; what stands after it names the line.
        powers: of x, with which ``time`` and ``memory`` of a ``series`` grow, to stand beside the
            names.
    """
    series: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        axis_of, _, line = row["series"].partition(", ")
        series.setdefault(axis_of, {}).setdefault(line, []).append(row)
    known = {one["series"]: {"seconds": one["time"], "megabytes": one["memory"]} for one in powers}
    wanted = [
        (axis_of, lines, measure) for axis_of, lines in series.items() for measure in _MEASURES
    ]
    axes = panels([""] * len(wanted), (3.3, 2.7))
    for axis, (axis_of, lines, measure) in zip(axes, wanted, strict=True):
        for number, (name, points) in enumerate(lines.items()):
            points = sorted(points, key=lambda row: row["x"])
            names = ("x", measure, f"{measure}, least", f"{measure}, most")
            x, y, least, most = (
                np.array([row.get(what, row[measure]) for row in points], float) for what in names
            )
            y[y <= 0] = np.nan
            power = known.get(f"{axis_of}, {name}", {}).get(measure)
            label = name if power is None else f"{name}: power {rounded(power, 2)}"
            mark, colour = (some[number % len(some)] for some in (SERIES_MARKS, SERIES_COLOURS))
            bars = np.maximum(
                0, [y - np.maximum(least, 0.5 * y), most - y]
            )  # down to half of it: nothing is at minus infinity
            axis.errorbar(
                x, y, bars, marker=mark, color=colour, label=label, elinewidth=1, capsize=2
            )
            if number == 0 and measure == "seconds":
                way = -1.0 if axis_of == "threads" else 1.0
                axis.plot(x, y[0] * (x / x[0]) ** way, ":", color=LIGHT["rule"], linewidth=1)
        axis.set(xscale="log", yscale="log", xlabel=axis_of, ylabel=_MEASURES[measure])
        ticks = sorted({row["x"] for points in lines.values() for row in points})
        axis.set_xticks(
            _apart(ticks),
            labels=[f"{tick:,.0f}" if tick >= 1000 else f"{tick:.3g}" for tick in _apart(ticks)],
        )
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.figure.legend(
            *axis.get_legend_handles_labels(),
            frameon=False,
            fontsize=8,
            handlelength=1.5,
            loc="upper center",
            bbox_to_anchor=(0.5, 0.0),
        )
    return figures_of(axes)


def stages(rows: Sequence[Mapping[str, Any]], name: str, parts: Sequence[str]) -> Figure:
    """Horizontal bars: the seconds of each row, divided into the stages that they were spent in,
    ``<part>, s`` each.
    """
    figure, axes = plt.subplots(figsize=(6.4, 0.45 * len(rows) + 1.2))
    places = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for number, part in enumerate(parts):
        spent = np.array([row[f"{part}, s"] for row in rows])
        colour, hatch = (some[number % len(some)] for some in (SERIES_COLOURS, _HATCHES))
        axes.barh(
            places,
            spent,
            0.6,
            left,
            color=colour,
            label=part,
            hatch=hatch,
            edgecolor=LIGHT["page"],
            linewidth=0.6,
        )
        left += spent
    for place, end, row in zip(places, left, rows, strict=True):
        axes.text(end, place, f" {row['seconds']:.0f} s", va="center", fontsize=9)
    axes.set_yticks(places, [row[name] for row in rows])
    axes.set_xlabel("seconds")
    axes.set_xlim(0, 1.12 * left.max())
    figure.tight_layout()
    figure.legend(
        *axes.get_legend_handles_labels(),
        frameon=False,
        ncols=len(parts),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.02),
    )
    return figure


def _apart(ticks: Sequence[float]) -> list[float]:
    """Those places that are far enough from the last, as logarithms go, for both to have a label."""
    found: list[float] = []
    for tick in ticks:
        if not found or tick >= found[-1] * (ticks[-1] / ticks[0]) ** 0.12:
            found.append(tick)
    return found
