"""Plots of deblurring, one function a figure; each has a panel for each source, which is a figure
by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from blurpaper.book.figures.style import (
    LIGHT,
    NETWORK_COLOURS,
    SERIES_COLOURS,
    SERIES_MARKS,
    band,
    bars,
    figures_of,
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


def accuracy_against_seconds(
    sources: Mapping[str, pd.DataFrame], seconds: Mapping[str, Mapping[str, float]], psf: str
) -> list[Figure]:
    """Top-1 accuracy after deblurring against what it takes, beside networks that look at the
    blurred image (Table 5).
    """
    axes = panels(list(sources), (4.6, 3.6))
    for axis, (title, frame) in zip(axes, sources.items(), strict=True):
        rows = select(frame, metric="top1")
        shown = {
            method: spent
            for method, spent in seconds[title].items()
            if method in set(rows["input"])
        }
        known = sorted(shown.items(), key=lambda item: item[1])
        for number, (method, spent) in enumerate(known):
            for _, row in select(rows, network="original", input=method).iterrows():
                axis.errorbar(
                    spent, row["value"], bars(row), fmt="o", color=LIGHT["ink"], capsize=2
                )
                place, how = (
                    (0, -18 - 14 * (number % 3)),
                    {"textcoords": "offset points", "ha": "center", "fontsize": 8},
                )
                ground = {"facecolor": LIGHT["page"], "edgecolor": "none", "alpha": 0.8, "pad": 0.8}
                leader = {
                    "arrowstyle": "-",
                    "color": LIGHT["ink"],
                    "linewidth": 0.6,
                    "shrinkA": 0,
                    "shrinkB": 3,
                }
                axis.annotate(
                    method, (spent, row["value"]), place, **how, bbox=ground, arrowprops=leader
                )
        levels = {
            "sharp": select(rows, network="original", input=AS_IS, condition="sharp"),
            psf: select(rows, network="original", input=AS_IS, condition=psf),
        }
        for name in ("mix", "mix/agreement", "onlyD8"):
            mix, _, recipe = name.partition("/")
            levels[f"{name} on {psf}"] = select(
                rows, network=mix, recipe=recipe or "labels", input=AS_IS
            )
        found = {name: one.iloc[0] for name, one in levels.items() if not one.empty}
        colours = {
            name: NETWORK_COLOURS.get(name.partition(" on ")[0], LIGHT["ink"]) for name in found
        }
        for name, row in found.items():
            level(axis, row, colours[name], "--" if " on " in name else ":")
        axis.set(xscale="log", ylim=(0, 1), ylabel="top-1 accuracy", xlabel="seconds an image")
        axis.set_xlim(known[0][1] / 2.5, known[-1][1] * 3)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        label_levels(axis, {name: row["value"] for name, row in found.items()}, colours)
    return figures_of(axes)


def psnr_by_noise(sources: Mapping[str, pd.DataFrame]) -> list[Figure]:
    """PSNR of EPLL against the noise that it reckons with; dotted, that of rounding to 8 bits."""
    axes = panels(list(sources))
    for axis, frame in zip(axes, sources.values(), strict=True):
        noise, colour = frame["parameter"].astype(float).to_numpy(), SERIES_COLOURS[0]
        axis.plot(noise, frame["value"], marker="o", color=colour)
        band(axis, noise, frame, colour)
        axis.axvline(ROUNDING, linestyle=":", color=LIGHT["rule"])
        axis.annotate(
            "rounding",
            (ROUNDING, 0.02),
            (4, 0),
            ("data", "axes fraction"),
            "offset points",
            fontsize=8,
        )
        axis.set(xscale="log", xlabel="noise reckoned with, grey levels", ylabel="PSNR, dB")
        axis.xaxis.set_major_formatter("{x:g}")
    return figures_of(axes)


def mistaken_psf(sources: Mapping[str, pd.DataFrame], psf: str) -> list[Figure]:
    """Top-1 accuracy on what EPLL deblurred with a PSF taken for the true one, by what noise it
    reckons with.
    """
    axes = panels(list(sources), (3.5, 3.2))
    for axis, frame in zip(axes, sources.values(), strict=True):
        rows = select(frame, metric="top1")
        taken = rows[rows["parameter"] != ""]
        names = sorted(taken["parameter"].unique(), key=lambda name: PSF.parse(name).size)
        noise = taken["input"].str.partition("noise ")[2]
        ends, colours, place = {}, {}, np.arange(len(names))
        axis.set(
            xticks=place,
            xticklabels=names,
            ylim=(0, 1),
            xlabel="PSF that is taken for the true one",
            ylabel="top-1 accuracy",
        )
        for number, amount in enumerate(sorted(noise.unique(), key=lambda one: float(one or 0))):
            line = taken[noise == amount].set_index("parameter").reindex(names)
            label, colour = (
                f"noise {amount}" if amount else "rounding",
                SERIES_COLOURS[number % len(SERIES_COLOURS)],
            )
            mark = SERIES_MARKS[number % len(SERIES_MARKS)]
            axis.errorbar(
                place,
                line["value"].to_numpy(float),
                bars(line),
                marker=mark,
                capsize=2,
                color=colour,
            )
            ends[label], colours[label] = float(line["value"].iloc[-1]), colour
        for network, recipe, label in (
            ("original", "", f"{psf} as it is"),
            ("mix", "labels", f"mix on {psf}"),
        ):
            found = select(rows, network=network, recipe=recipe, parameter="")
            if len(found):
                level(axis, found.iloc[0], NETWORK_COLOURS[network], "--")
                ends[label], colours[label] = (
                    float(found["value"].iloc[0]),
                    NETWORK_COLOURS[network],
                )
        label_ends(axis, len(names) - 1, ends, colours)
    return figures_of(axes)
