"""Plots of deblurring first (Sec. 4.4) and of segmentation (Sec. 5), one function a figure, with a
panel for each source, which is a figure by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from blurpaper.book.figures.style import (
    LIGHT,
    NETWORK_COLOURS,
    NETWORK_MARKS,
    SERIES_COLOURS,
    SERIES_MARKS,
    axes_of_conditions,
    bars,
    curve,
    figures_of,
    in_order,
    label_ends,
    label_levels,
    level,
    panels,
)
from blurpaper.deblurring import ROUNDING
from blurpaper.evaluation.results import AS_IS, select
from blurpaper.kernels import PSF

if TYPE_CHECKING:
    import pandas as pd

# --- Deblurring -----------------------------------------------------------------------------------


def accuracy_against_seconds(
    sources: Mapping[str, pd.DataFrame], seconds: Mapping[str, Mapping[str, float]], psf: str
) -> list[Figure]:
    """Top-1 accuracy after deblurring against what it takes, beside networks that look at the
    blurred image (Table 5).
    """
    axes = panels(list(sources), (4.6, 3.6))
    for axis, (title, frame) in zip(axes, sources.items(), strict=True):
        rows = select(frame, metric="top1")
        known = sorted(
            (spent, method)
            for method, spent in seconds[title].items()
            if method in set(rows["input"])
        )
        for number, (spent, method) in enumerate(known):
            for _, row in select(rows, network="original", input=method).iterrows():
                _point(axis, spent, row, method, -18 - 14 * (number % 3))
        as_is = select(rows, input=AS_IS)
        levels = {one: select(as_is, network="original", condition=one) for one in ("sharp", psf)}
        for name in ("mix", "mix/agreement", "onlyD8"):
            mix, _, recipe = name.partition("/")
            levels[f"{name} on {psf}"] = select(as_is, network=mix, recipe=recipe or "labels")
        heights, colours = {}, {}
        for name, found in levels.items():
            if len(found):
                colours[name] = NETWORK_COLOURS.get(name.partition(" on ")[0], LIGHT["ink"])
                style = "--" if " on " in name else ":"
                heights[name] = level(axis, found.iloc[0], colours[name], style)
        axis.set(xscale="log", ylim=(0, 1), ylabel="top-1 accuracy", xlabel="seconds an image")
        axis.set_xlim(known[0][0] / 2.5, known[-1][0] * 3)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        label_levels(axis, heights, colours)
    return figures_of(axes)


def _point(axis: Axes, place: float, row: pd.Series, name: str, below: float) -> None:
    """A result with its interval, and its name so many points below it, at the end of a line."""
    ink = LIGHT["ink"]
    axis.errorbar(place, row["value"], bars(row), fmt="o", color=ink, capsize=2)
    ground = {"facecolor": LIGHT["page"], "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
    leader = {"arrowstyle": "-", "color": ink, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    letters = {"ha": "center", "fontsize": 8, "bbox": ground, "arrowprops": leader}
    axis.annotate(name, (place, row["value"]), (0, below), textcoords="offset points", **letters)


def psnr_by_noise(sources: Mapping[str, pd.DataFrame]) -> list[Figure]:
    """PSNR of EPLL against the assumed noise; dotted, that of rounding to 8 bits."""
    axes = panels(list(sources))
    for axis, frame in zip(axes, sources.values(), strict=True):
        noise = frame["parameter"].astype(float).to_numpy()
        curve(axis, frame, SERIES_COLOURS[0], mark="o", place=noise)
        axis.axvline(ROUNDING, linestyle=":", color=LIGHT["rule"])
        where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axis.annotate("rounding", (ROUNDING, 0.02), (4, 0), fontsize=8, **where)
        axis.set(xscale="log", xlabel="assumed noise, grey levels", ylabel="PSNR, dB")
        axis.xaxis.set_major_formatter("{x:g}")
    return figures_of(axes)


def mistaken_psf(sources: Mapping[str, pd.DataFrame], psf: str) -> list[Figure]:
    """Top-1 accuracy on images that EPLL deblurred with an assumed PSF, a line for each assumed
    noise.
    """
    axes = panels(list(sources), (3.5, 3.2))
    for axis, frame in zip(axes, sources.values(), strict=True):
        rows = select(frame, metric="top1")
        taken = rows[rows["parameter"] != ""]
        names = sorted(taken["parameter"].unique(), key=lambda name: PSF.parse(name).size)
        noise = taken["input"].str.partition("noise ")[2]
        ends, colours = {}, {}
        axes_of_conditions(axis, names, "top-1 accuracy", "assumed PSF")
        axis.set_ylim(0, 1)
        amounts = sorted(noise.unique(), key=lambda one: float(one or 0))
        # More amounts than colours begin anew.
        for amount, colour, mark in zip(amounts, cycle(SERIES_COLOURS), cycle(SERIES_MARKS)):
            line = in_order(taken[noise == amount], names, "parameter")
            value, label = (
                line["value"].to_numpy(float),
                f"noise {amount}" if amount else "rounding",
            )
            sign = {"marker": mark, "color": colour, "capsize": 2}
            axis.errorbar(np.arange(len(names)), value, bars(line), **sign)
            ends[label], colours[label] = value[-1], colour
        for network, recipe, label in (
            ("original", "", f"{psf} as it is"),
            ("mix", "labels", f"mix on {psf}"),
        ):
            found = select(rows, network=network, recipe=recipe, parameter="")
            if len(found):
                colours[label] = NETWORK_COLOURS[network]
                ends[label] = level(axis, found.iloc[0], colours[label], "--")
        label_ends(axis, len(names) - 1, ends, colours)
    return figures_of(axes)


# --- Segmentation ---------------------------------------------------------------------------------


def iou_by_label(sources: Mapping[str, pd.DataFrame], condition: str) -> list[Figure]:
    """IoU of each label, with intervals: of the original on sharp scenes, and of the original and
    the mix on blurred ones.
    """
    shown = [("original", "sharp"), ("original", condition), ("mix", condition)]
    found = []
    for title, frame in sources.items():
        rows = select(frame, metric="iou")
        (axis,) = panels([title], (3.6, 1.5 + 0.24 * rows["region"].nunique()))
        sharp = select(rows, network="original", condition="sharp").sort_values("value")
        labels = sharp["region"].tolist()
        for number, (network, seen) in enumerate(shown):
            line = in_order(select(rows, network=network, condition=seen), labels, "region")
            colour, place = NETWORK_COLOURS[network], np.arange(len(labels)) + 0.24 * (number - 1)
            sign = {"fmt": NETWORK_MARKS[network], "color": colour, "markersize": 4.5}
            sign["markerfacecolor"] = LIGHT["page"] if seen == "sharp" else colour
            label = f"{network}, {seen}"
            axis.errorbar(line["value"], place, xerr=bars(line), linewidth=1, label=label, **sign)
        axis.set(yticks=range(len(labels)), yticklabels=labels, xlim=(0, 1), xlabel="IoU")
        _legend_below(axis, axis.get_legend_handles_labels()[0])
        found += figures_of([axis])
    return found


def _legend_below(axis: Axes, handles: Iterable[Any], ncols: int = 1) -> None:
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
    axis.figure.legend(handles=handles, ncols=ncols, frameon=False, fontsize=8, **place)
