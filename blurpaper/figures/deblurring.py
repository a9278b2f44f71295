"""Plots of deblurring, one function a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from blurpaper.deblurring import ROUNDING
from blurpaper.figures.style import NETWORK_COLOURS, label_levels
from blurpaper.kernels import PSF
from blurpaper.results import select
from blurpaper.treatment import AS_IS

if TYPE_CHECKING:
    import pandas as pd

_LINES = ("#0072B2", "#D55E00", "#CC79A7", "#E69F00")


def accuracy_against_seconds(sources: Mapping[str, pd.DataFrame], seconds: Mapping[str, Mapping[str, float]], psf: str) -> Figure:
    """Top-1 accuracy after deblurring against what it takes, beside networks that look at the blurred image (Table 5)."""
    figure, axes = plt.subplots(len(sources), 1, figsize=(7.6, 3.4 * len(sources)), squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        rows = select(frame, metric="top1")
        shown = {method: spent for method, spent in seconds[title].items() if method in set(rows["input"])}
        known = sorted(shown.items(), key=lambda item: item[1])
        for number, (method, spent) in enumerate(known):
            for _, row in select(rows, network="original", input=method).iterrows():
                axis.errorbar(spent, row["value"], _bars(row), fmt="o", color="#000000", capsize=2)
                below = (0, -20 if number % 2 else -32)
                axis.annotate(method, (spent, row["value"]), below, textcoords="offset points", ha="center", fontsize=8)
        levels = {
            "sharp": select(rows, network="original", input=AS_IS, condition="sharp"),
            psf: select(rows, network="original", input=AS_IS, condition=psf),
        }
        for name in ("mix", "mix/agreement", "onlyD8"):
            mix, _, recipe = name.partition("/")
            levels[f"{name} on {psf}"] = select(rows, network=mix, recipe=recipe or "labels", input=AS_IS)
        heights = {name: found["value"].iloc[0] for name, found in levels.items() if not found.empty}
        colours = {name: NETWORK_COLOURS.get(name.partition(" on ")[0], "#000000") for name in heights}
        for name, height in heights.items():
            axis.axhline(height, linestyle="--" if " on " in name else ":", color=colours[name], linewidth=1)
        axis.set(title=title, xscale="log", ylim=(0, 1), ylabel="top-1 accuracy")
        axis.set_xlim(known[0][1] / 2, known[-1][1] * 2)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
        label_levels(axis, heights, colours)
    axes[-1, 0].set_xlabel("seconds an image")
    figure.tight_layout()
    return figure


def psnr_by_noise(sources: Mapping[str, pd.DataFrame]) -> Figure:
    """PSNR of EPLL against the noise that it reckons with; dotted, that of rounding to 8 bits."""
    figure, axes = plt.subplots(1, len(sources), figsize=(4.4 * len(sources), 3.4), squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        noise = frame["region"].astype(float).to_numpy()
        axis.plot(noise, frame["value"], marker="o", color=_LINES[0])
        axis.fill_between(noise, frame["low"], frame["high"], color=_LINES[0], alpha=0.2, linewidth=0)
        axis.axvline(ROUNDING, linestyle=":", color="#555555")
        axis.set(title=title, xscale="log", xlabel="noise reckoned with, grey levels", ylabel="PSNR, dB")
    figure.tight_layout()
    return figure


def mistaken_psf(sources: Mapping[str, pd.DataFrame], psf: str) -> Figure:
    """Top-1 accuracy on what EPLL deblurred with a PSF taken for the true one, by what noise it reckons with."""
    figure, axes = plt.subplots(1, len(sources), figsize=(4.8 * len(sources), 3.6), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        rows = select(frame, metric="top1")
        taken = rows[rows["region"] != ""]
        names = sorted(taken["region"].unique(), key=lambda name: PSF.parse(name).size)
        noise = taken["input"].str.partition("noise ")[2]
        for number, level in enumerate(sorted(noise.unique(), key=lambda one: float(one or 0))):
            line = taken[noise == level].set_index("region").reindex(names)
            label = f"reckoning with noise of {level}" if level else "reckoning with rounding"
            heights, colour = line["value"].to_numpy(float), _LINES[number % len(_LINES)]
            axis.errorbar(np.arange(len(names)), heights, _bars(line), marker="o", capsize=2, color=colour, label=label)
        for network, recipe, label in (("original", "", f"{psf} as it is"), ("mix", "labels", f"mix on {psf}")):
            level = select(rows, network=network, recipe=recipe, region="")["value"]
            if len(level):
                axis.axhline(level.iloc[0], linestyle="--", color=NETWORK_COLOURS[network], linewidth=1, label=label)
        axis.set(
            title=title, xticks=range(len(names)), xticklabels=names, xlabel="PSF that is taken for the true one", ylim=(0, 1)
        )
    axes[0, 0].set_ylabel("top-1 accuracy")
    axes[0, -1].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    return figure


def _bars(rows: pd.Series | pd.DataFrame) -> np.ndarray:
    """Lengths of error bars, below and above."""
    return np.array([rows["value"] - rows["low"], rows["high"] - rows["value"]], float).reshape(2, -1)
