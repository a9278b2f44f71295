"""Every plot, one function a figure, by one hand: one palette, intervals drawn, labels at the lines, vector graphics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from blurpaper import kernels, metrics
from blurpaper.results import select

if TYPE_CHECKING:
    import pandas as pd
    import torch

# Okabe and Ito's colours, which survive colour blindness; grey level falls in the same order.
SOURCE_COLOURS = {"paper": "#000000", "photos": "#0072B2", "run": "#D55E00"}
CONDITION_COLOURS = {"sharp": "#000000", "D2": "#56B4E9", "D4": "#009E73", "D6": "#E69F00", "D8": "#D55E00"}
_SCALE_MARKS = {"128": "v", "256": "o", "256+512": "D", "512": "s"}
_SCALE_COLOURS = {"128": "#CC79A7", "256": "#0072B2", "256+512": "#009E73", "512": "#E69F00"}

sns.set_theme(context="notebook", style="ticks", font_scale=0.9)
matplotlib.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "blurpaper",  # the same figure gives the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "savefig.bbox": "tight",
    "font.family": "DejaVu Sans",
}


def psfs(names: Sequence[str]) -> Figure:
    """Kernels side by side on one pixel grid (Fig. 2)."""
    side = max(max(kernels.psf(name).shape) for name in names) | 1
    figure, axes = plt.subplots(1, len(names), figsize=(1.35 * len(names), 1.7))
    for axis, name in zip(np.atleast_1d(axes), names, strict=True):
        kernel = kernels.psf(name)
        down, across = ((side - size) // 2 for size in kernel.shape)
        shown = np.pad(kernel, ((down, side - down - kernel.shape[0]), (across, side - across - kernel.shape[1])))
        axis.imshow(shown / shown.max(), cmap="gray", vmin=0, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
    figure.tight_layout()
    return figure


def gallery(images: Sequence[torch.Tensor], titles: Sequence[str], columns: int = 5) -> Figure:
    """Images, uint8 ``(3, H, W)``, with a title each."""
    rows = -(-len(images) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.75 * columns, 2.0 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_title(title, fontsize=9)
    figure.tight_layout()
    return figure


def likely_classes(rows: pd.DataFrame, image: str, pictures: dict[str, torch.Tensor], answers: set[str]) -> Figure:
    """An image sharp and blurred, each above the probabilities of its five likeliest classes (Fig. 1)."""
    figure, axes = plt.subplots(2, len(pictures), figsize=(4.2 * len(pictures), 4.6), height_ratios=(1.5, 1), squeeze=False)
    for column, (condition, picture) in enumerate(pictures.items()):
        here = select(rows, data=image, condition=condition)
        entropy = select(here, metric="entropy")["value"].item()
        rank = select(here, metric="rank")["value"].item()
        top, bottom = axes[:, column]
        top.imshow(picture.permute(1, 2, 0).numpy())
        top.set_title(f"{condition}: truth ranked {rank:.0f}, entropy {entropy:.2f} nats", fontsize=10)
        top.axis("off")
        likely = select(here, metric="probability")
        colours = [CONDITION_COLOURS["D4"] if name in answers else "#999999" for name in likely["region"]]
        bottom.barh(likely["region"], likely["value"], color=colours)
        bottom.invert_yaxis()
        bottom.set(xlim=(0, 1), xlabel="probability")
    figure.tight_layout()
    return figure


def accuracy_by_condition(rows: pd.DataFrame, sources: dict[str, pd.DataFrame], metric: str = "top5") -> Figure:
    """Accuracy under growing defocus at every scale setting: the paper and this run (Table 1)."""
    scales = [scale for scale in _SCALE_MARKS if scale in set(rows["scale"])]
    disks = ["sharp", "D2", "D4", "D6", "D8"]
    figure, axes = plt.subplots(1, len(sources), figsize=(4.4 * len(sources), 3.6), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        for scale in scales:
            line = select(frame, scale=scale, metric=metric, condition=disks).set_index("condition").reindex(disks)
            if line["value"].isna().all():
                continue
            place, value = np.arange(len(disks)), line["value"].to_numpy()
            axis.plot(place, value, marker=_SCALE_MARKS[scale], color=_SCALE_COLOURS[scale], label=scale)
            axis.fill_between(place, line["low"], line["high"], color=_SCALE_COLOURS[scale], alpha=0.2, linewidth=0)
            axis.annotate(scale, (place[-1], value[-1]), xytext=(6, -3), textcoords="offset points", color=_SCALE_COLOURS[scale])
        axis.set(title=title, xticks=range(len(disks)), xticklabels=disks, ylim=(0, 1), xlim=(-0.2, len(disks) - 0.1))
        axis.set_xlabel("blur, radius in pixels of 384")
    axes[0, 0].set_ylabel("top-5 accuracy" if metric == "top5" else "top-1 accuracy")
    figure.tight_layout()
    return figure


def accuracy_against_entropy(decided: pd.DataFrame) -> Figure:
    """Each condition as a point: mean entropy against accuracy, at each scale (Sec. 3)."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    for scale, colour in _SCALE_COLOURS.items():
        group = select(decided, scale=scale)
        if group.empty:
            continue
        by_condition = group.groupby("condition", sort=False)
        entropy = by_condition["entropy"].mean()
        accuracy = by_condition["rank"].agg(lambda rank: (rank < 5).mean())
        axis.scatter(entropy, accuracy, color=colour, marker=_SCALE_MARKS[scale], label=f"scale {scale}")
        if scale == "256":
            for name in entropy.index:
                axis.annotate(name, (entropy[name], accuracy[name]), xytext=(5, 3), textcoords="offset points", fontsize=8)
    axis.set(xlabel="mean entropy of the prediction, nats", ylabel="top-5 accuracy", ylim=(0, 1.02))
    axis.legend(frameon=False)
    figure.tight_layout()
    return figure


def risk_coverage(decided: pd.DataFrame, conditions: Sequence[str]) -> Figure:
    """Error among the predictions kept, if the least confident are sent back (Sec. 1's suggestion)."""
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    for condition in conditions:
        group = select(decided, condition=condition)
        coverage, risk = metrics.risk_coverage(group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy())
        colour = CONDITION_COLOURS[condition]
        axis.plot(coverage, risk, color=colour)
        axis.annotate(condition, (1, risk[-1]), xytext=(5, -3), textcoords="offset points", color=colour)
    axis.set(xlabel="share of predictions kept, the most confident first", ylabel="share of the kept that are wrong (top-1)")
    axis.set(xlim=(0, 1.08), ylim=(0, None))
    figure.tight_layout()
    return figure
