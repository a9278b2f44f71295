"""Plots of segmentation under blur, one function a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from blurpaper.data.label_map import VOID
from blurpaper.figures.style import NETWORK_COLOURS, label_ends
from blurpaper.results import select
from blurpaper.tallies import DISKS

if TYPE_CHECKING:
    import pandas as pd
    import torch

_SHARES = {"recognition": "#D55E00", "localisation": "#56B4E9"}


def miou_by_blur(sources: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean IoU against defocus, a line a network with its interval: over all pixels, and dashed near boundaries (Table 6)."""
    figure, axes = plt.subplots(1, len(sources), figsize=(4.4 * len(sources), 3.8), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        rows, ends = select(frame, metric="miou"), {}
        for network in dict.fromkeys(rows["network"]):
            colour, place = NETWORK_COLOURS[network], np.arange(len(DISKS))
            for region, style in (("all", "-"), ("boundary", "--")):
                line = select(rows, network=network, region=region).set_index("condition").reindex(DISKS)
                axis.plot(place, line["value"], style, marker="o", color=colour)
                axis.fill_between(place, line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)
                if region == "all":
                    ends[network] = float(line["value"].iloc[-1])
        axis.set(title=title, xticks=range(len(DISKS)), xticklabels=DISKS, xlim=(-0.2, len(DISKS) + 0.2), ylim=(0, 1))
        axis.set_xlabel("blur, radius in pixels of 384")
        label_ends(axis, len(DISKS) - 1, ends, NETWORK_COLOURS)
    axes[0, 0].set_ylabel("mean IoU")
    figure.tight_layout()
    return figure


def iou_by_label(sources: Mapping[str, pd.DataFrame], condition: str) -> Figure:
    """IoU of each label, with intervals: of the original on sharp scenes, and of the original and the mix on blurred ones."""
    shown = [("original", "sharp", "o", "white"), ("original", condition, "o", None), ("mix", condition, "D", None)]
    frames = {title: select(frame, metric="iou") for title, frame in sources.items()}
    heights = [frame["region"].nunique() for frame in frames.values()]
    figure, axes = plt.subplots(
        1, len(frames), figsize=(4.8 * len(frames), 1.2 + 0.27 * max(heights)), sharex=True, squeeze=False
    )
    for axis, (title, frame) in zip(axes.flat, frames.items(), strict=True):
        sharp = select(frame, network="original", condition="sharp").sort_values("value")
        labels = sharp["region"].tolist()
        for number, (network, seen, mark, face) in enumerate(shown):
            rows = select(frame, network=network, condition=seen).set_index("region").reindex(labels)
            bars = np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]]).clip(0)
            colour, place = NETWORK_COLOURS[network], np.arange(len(labels)) + 0.2 * (number - 1)
            axis.errorbar(
                rows["value"], place, xerr=bars, fmt=mark, color=colour, markerfacecolor=face or colour, markersize=5,
                linewidth=1, label=f"{network}, {seen}",
            )  # fmt: skip
        axis.set(title=title, yticks=range(len(labels)), yticklabels=labels, xlim=(0, 1), xlabel="IoU")
    axes[0, -1].legend(frameon=False, loc="lower right", fontsize=8)
    figure.tight_layout()
    return figure


def error_shares(sources: Mapping[str, pd.DataFrame], networks: Sequence[str]) -> Figure:
    """The error 1 - mIoU under each degree of defocus, as errors of recognition and of localisation, a bar a network."""
    figure, axes = plt.subplots(1, len(sources), figsize=(4.6 * len(sources), 3.8), sharey=True, squeeze=False)
    for axis, (title, frame) in zip(axes.flat, sources.items(), strict=True):
        rows, width = select(frame, metric="error"), 0.8 / len(networks)
        for number, network in enumerate(networks):
            place, below = np.arange(len(DISKS)) + width * (number - (len(networks) - 1) / 2), np.zeros(len(DISKS))
            for kind, colour in _SHARES.items():
                bar = select(rows, network=network, region=kind).set_index("condition").reindex(DISKS)
                edge = {"edgecolor": NETWORK_COLOURS[network], "linewidth": 1.2}
                axis.bar(place, bar["value"], 0.92 * width, bottom=below, color=colour, **edge)
                error = np.stack([bar["value"] - bar["low"], bar["high"] - bar["value"]]).clip(0)
                axis.errorbar(place, below + bar["value"], error, fmt="none", color="#333333", linewidth=1)
                below = below + bar["value"].to_numpy()
        axis.set(title=title, xticks=range(len(DISKS)), xticklabels=DISKS, ylim=(0, 1))
    axes[0, 0].set_ylabel("error, 1 − mean IoU")
    kinds = [Patch(color=colour, label=kind) for kind, colour in _SHARES.items()]
    edges = [Patch(facecolor="white", edgecolor=NETWORK_COLOURS[name], label=f"{name} (edge)") for name in networks]
    figure.legend(handles=[*kinds, *edges], loc="lower center", ncols=4, frameon=False, bbox_to_anchor=(0.5, -0.06), fontsize=9)
    figure.tight_layout()
    return figure


def label_maps(rows: Sequence[Sequence[tuple[torch.Tensor, np.ndarray | None, str]]], labels: Sequence[str]) -> Figure:
    """Scenes with label maps laid over them, a row a scene: (picture, its map or None, title) (Fig. 5).

    Args:
        labels: names of the labels; the first, the background, is left clear.
    """
    columns = max(map(len, rows))
    palette = np.array([(0, 0, 0), *sns.color_palette("husl", len(labels) - 1)])
    figure, axes = plt.subplots(len(rows), columns, figsize=(2.3 * columns, 2.2 * len(rows)), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    seen: set[int] = set()
    for line, row in zip(axes, rows, strict=True):
        for axis, (picture, found, title) in zip(line, row, strict=False):
            image = picture.permute(1, 2, 0).numpy() / 255
            if found is not None:
                coloured = palette[np.where(found == VOID, 0, found)]
                marked = ((found != 0) & (found != VOID))[..., None]
                image = np.where(marked, 0.4 * image + 0.6 * coloured, image)
                image = np.where((found == VOID)[..., None], 1.0, image)
                seen |= set(np.unique(found).tolist()) - {0, VOID}
            axis.imshow(image)
            axis.set_title(title, fontsize=9)
    handles = [Patch(color=palette[number], label=labels[number]) for number in sorted(seen)]
    figure.tight_layout()
    figure.legend(handles=handles, loc="upper center", ncols=6, frameon=False, bbox_to_anchor=(0.5, 0.0), fontsize=9)
    return figure
