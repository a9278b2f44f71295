"""Plots of segmentation under blur, one function a figure; what has a panel for each source is a
list of figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from blurpaper.book.figures.style import (
    LIGHT,
    NETWORK_COLOURS,
    NETWORK_MARKS,
    band,
    bars,
    figures_of,
    framed,
    label_ends,
    panels,
    share_of_page,
)
from blurpaper.data.sets import VOID
from blurpaper.evaluation.results import select
from blurpaper.experiments.measurements import DISKS

if TYPE_CHECKING:
    import pandas as pd
    import torch

_SHARES = {"recognition": (LIGHT["vermilion"], ""), "localisation": (LIGHT["sky"], "////")}
"""Colour and hatching of a kind of error."""


def miou_by_blur(sources: Mapping[str, pd.DataFrame]) -> list[Figure]:
    """Mean IoU against defocus, a line a network with its interval: over all pixels, and dashed
    near boundaries (Table 6).
    """
    axes = panels(list(sources))
    for axis, frame in zip(axes, sources.values(), strict=True):
        rows, ends = select(frame, metric="miou"), {}
        for network in dict.fromkeys(rows["network"]):
            colour, place = NETWORK_COLOURS[network], np.arange(len(DISKS))
            for region, style in (("all", "-"), ("boundary", "--")):
                line = (
                    select(rows, network=network, region=region)
                    .set_index("condition")
                    .reindex(DISKS)
                )
                axis.plot(place, line["value"], style, marker=NETWORK_MARKS[network], color=colour)
                band(axis, place, line, colour)
                if region == "all":
                    ends[network] = float(line["value"].iloc[-1])
        axis.set(xticks=range(len(DISKS)), xticklabels=DISKS, ylim=(0, 1))
        axis.set(xlabel="blur, radius in pixels of 384", ylabel="mean IoU")
        label_ends(axis, len(DISKS) - 1, ends, NETWORK_COLOURS)
    return figures_of(axes)


def iou_by_label(sources: Mapping[str, pd.DataFrame], condition: str) -> list[Figure]:
    """IoU of each label, with intervals: of the original on sharp scenes, and of the original and
    the mix on blurred ones.
    """
    shown = [
        ("original", "sharp", LIGHT["page"]),
        ("original", condition, None),
        ("mix", condition, None),
    ]
    frames = {title: select(frame, metric="iou") for title, frame in sources.items()}
    found = []
    for title, frame in frames.items():
        (axis,) = panels([title], (3.6, 1.5 + 0.24 * frame["region"].nunique()))
        sharp = select(frame, network="original", condition="sharp").sort_values("value")
        labels = sharp["region"].tolist()
        for number, (network, seen, face) in enumerate(shown):
            rows = (
                select(frame, network=network, condition=seen).set_index("region").reindex(labels)
            )
            colour, place = NETWORK_COLOURS[network], np.arange(len(labels)) + 0.24 * (number - 1)
            axis.errorbar(
                rows["value"], place, xerr=bars(rows), fmt=NETWORK_MARKS[network], color=colour,
                markerfacecolor=face or colour, markersize=4.5, linewidth=1, label=f"{network}, {seen}",
            )  # fmt: skip
        axis.set(yticks=range(len(labels)), yticklabels=labels, xlim=(0, 1), xlabel="IoU")
        axis.figure.legend(
            *axis.get_legend_handles_labels(),
            frameon=False,
            loc="upper center",
            fontsize=8,
            bbox_to_anchor=(0.5, 0.0),
        )
        found += figures_of([axis])
    return found


def error_shares(sources: Mapping[str, pd.DataFrame], networks: Sequence[str]) -> list[Figure]:
    """The error 1 - mIoU under each degree of defocus, as errors of recognition and of
    localisation, a bar a network.
    """
    axes = panels(list(sources))
    for axis, frame in zip(axes, sources.values(), strict=True):
        rows, width = select(frame, metric="error"), 0.8 / len(networks)
        for number, network in enumerate(networks):
            place, below = (
                np.arange(len(DISKS)) + width * (number - (len(networks) - 1) / 2),
                np.zeros(len(DISKS)),
            )
            for kind, (colour, hatch) in _SHARES.items():
                bar = (
                    select(rows, network=network, parameter=kind)
                    .set_index("condition")
                    .reindex(DISKS)
                )
                edge = {"edgecolor": NETWORK_COLOURS[network], "linewidth": 1.2, "hatch": hatch}
                axis.bar(place, bar["value"], 0.92 * width, bottom=below, color=colour, **edge)
                axis.errorbar(
                    place,
                    below + bar["value"],
                    bars(bar),
                    fmt="none",
                    color=LIGHT["text"],
                    linewidth=1,
                )
                below = below + bar["value"].to_numpy()
        axis.set(
            xticks=range(len(DISKS)), xticklabels=DISKS, ylim=(0, 1), ylabel="error, 1 − mean IoU"
        )
        kinds = [
            Patch(facecolor=c, hatch=hatch, edgecolor=LIGHT["text"], label=kind)
            for kind, (c, hatch) in _SHARES.items()
        ]
        edges = [
            Patch(facecolor="none", edgecolor=NETWORK_COLOURS[name], label=f"{name} (edge)")
            for name in networks
        ]
        axis.figure.legend(
            handles=[*kinds, *edges],
            loc="upper center",
            ncols=2,
            frameon=False,
            bbox_to_anchor=(0.5, 0.0),
            fontsize=8,
        )
    return figures_of(axes)


def label_maps(
    rows: Sequence[Sequence[tuple[torch.Tensor, np.ndarray | None, str]]], labels: Sequence[str]
) -> list[Figure]:
    """Scenes with label maps laid over them, a row a scene: (picture ``(3, H, W)``, map or None,
    title); then the key (Fig. 5).

    Args:
        labels: names of the labels; the first, the background, is left clear.
    """
    palette = np.array([(0, 0, 0), *sns.color_palette("husl", len(labels) - 1)])
    found, seen = [], set()
    for image, given, title in (one for row in rows for one in row):
        shown = image.permute(1, 2, 0).numpy() / 255
        names = ""
        if given is not None:
            coloured = palette[np.where(given == VOID, 0, given)]
            marked = ((given != 0) & (given != VOID))[..., None]
            shown = np.where(marked, 0.4 * shown + 0.6 * coloured, shown)
            shown = np.where((given == VOID)[..., None], 1.0, shown)
            share = np.bincount(given[given != VOID].ravel(), minlength=len(labels)) / given.size
            present = [number for number in np.argsort(-share) if number and share[number] >= 0.01]
            seen |= set(present)
            names = ", ".join(labels[number] for number in present[:2]) + ", …" * (len(present) > 2)
        axes = framed(shown.shape[1] / shown.shape[0], share_of_page(max(map(len, rows))))
        axes.imshow(shown, interpolation="none")
        axes.set_title(title, fontsize=9)
        axes.annotate(
            names,
            (0.5, 0),
            (0, -4),
            "axes fraction",
            "offset points",
            ha="center",
            va="top",
            fontsize=8,
        )
        found.append(axes.figure)
    if seen:
        handles = [Patch(color=palette[number], label=labels[number]) for number in sorted(seen)]
        key = plt.figure(figsize=(6.8, 0.3 + 0.2 * (len(handles) // 6)))
        key.legend(handles=handles, loc="center", ncols=6, frameon=False, fontsize=9)
        found.append(key)
    return found
