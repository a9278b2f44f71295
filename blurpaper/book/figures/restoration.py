"""Plots of segmentation (Sec. 5), one function a figure, with a panel for each source, which is a
figure by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from blurpaper.book.figures.style import (
    LIGHT,
    NETWORK_COLOURS,
    NETWORK_MARKS,
    axes_of_conditions,
    bars,
    curve,
    figures_of,
    in_order,
    label_ends,
    panels,
    under_defocus,
)
from blurpaper.evaluation.results import select
from blurpaper.experiments.measurements import DISKS

if TYPE_CHECKING:
    import pandas as pd

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
            everywhere, near = (
                under_defocus(rows, network=network, region=region)
                for region in ("all", "boundary")
            )
            sign = {"colour": NETWORK_COLOURS[network], "mark": NETWORK_MARKS[network]}
            ends[network] = curve(axis, everywhere, **sign)
            curve(axis, near, style="--", **sign)
        axes_of_conditions(axis, DISKS, "mean IoU", "blur, radius in pixels of 384")
        axis.set_ylim(0, 1)
        label_ends(axis, len(DISKS) - 1, ends, NETWORK_COLOURS)
    return figures_of(axes)


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


def error_shares(sources: Mapping[str, pd.DataFrame], networks: Sequence[str]) -> list[Figure]:
    """The error 1 - mIoU under each degree of defocus, as errors of recognition and of
    localisation, a bar a network.
    """
    axes, width = panels(list(sources)), 0.8 / len(networks)
    for axis, frame in zip(axes, sources.values(), strict=True):
        for number, network in enumerate(networks):
            place = np.arange(len(DISKS)) + width * (number - (len(networks) - 1) / 2)
            top = np.zeros(len(DISKS))
            for kind, (colour, hatch) in _SHARES.items():
                share = under_defocus(frame, metric="error", network=network, parameter=kind)
                edge = {"edgecolor": NETWORK_COLOURS[network], "linewidth": 1.2, "hatch": hatch}
                axis.bar(place, share["value"], 0.92 * width, bottom=top, color=colour, **edge)
                top = top + share["value"].to_numpy()
                interval = {"fmt": "none", "color": LIGHT["text"], "linewidth": 1}
                axis.errorbar(place, top, bars(share), **interval)
        axis.set(xticks=range(len(DISKS)), xticklabels=DISKS, ylim=(0, 1))
        axis.set_ylabel("error, 1 − mean IoU")
        kinds = [
            Patch(facecolor=colour, hatch=hatch, edgecolor=LIGHT["text"], label=kind)
            for kind, (colour, hatch) in _SHARES.items()
        ]
        edges = [
            Patch(facecolor="none", edgecolor=NETWORK_COLOURS[name], label=f"{name} (edge)")
            for name in networks
        ]
        _legend_below(axis, [*kinds, *edges], ncols=2)
    return figures_of(axes)


def _legend_below(axis: Axes, handles: Iterable[Any], ncols: int = 1) -> None:
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0)}
    axis.figure.legend(handles=handles, ncols=ncols, frameon=False, fontsize=8, **place)
