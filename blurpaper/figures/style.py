"""What all plots share: one palette, labels at the lines, vector graphics, galleries of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    import torch

# Okabe and Ito's colours, which survive colour blindness; grey level falls in the same order.
NETWORK_COLOURS = {
    "original": "#000000",
    "sharp-only": "#7F7F7F",
    "sharp+D4": "#56B4E9",
    "mix": "#009E73",
    "sharp+D8": "#E69F00",
    "onlyD8": "#D55E00",
    "sharp+shake": "#0072B2",
    "mix/agreement": "#CC79A7",
}
CONDITION_COLOURS = {"sharp": "#000000", "D2": "#56B4E9", "D4": "#009E73", "D6": "#E69F00", "D8": "#D55E00"}
SCALE_MARKS = {"128": "v", "256": "o", "256+512": "D", "512": "s"}
SCALE_COLOURS = {"128": "#CC79A7", "256": "#0072B2", "256+512": "#009E73", "512": "#E69F00", "per-scale": "#000000"}

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


def gallery(images: Sequence[torch.Tensor], titles: Sequence[str], columns: int = 5) -> Figure:
    """Images, uint8 ``(3, H, W)``, with a title each."""
    rows = -(-len(images) // columns)
    height = 2.0 + 0.25 * max(title.count("\n") for title in titles)
    figure, axes = plt.subplots(rows, columns, figsize=(1.75 * columns, height * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_title(title, fontsize=9)
    figure.tight_layout()
    return figure


def label_levels(axis: Axes, levels: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Names of horizontal lines at their right, moved apart where they would cover one another."""
    low, high = axis.get_ylim()
    gap, last = 0.065 * (high - low), -np.inf
    for name, value in sorted(levels.items(), key=lambda item: item[1]):
        last = max(value, last + gap)
        place, where = (1.01, last), ("axes fraction", "data")
        axis.annotate(name, place, xycoords=where, va="center", color=colours[name], fontsize=9, annotation_clip=False)


def label_ends(axis: Axes, place: float, ends: dict[str, float], colours: dict[str, str]) -> None:
    """Names at the ends of lines, moved apart where they would cover one another."""
    low, high = axis.get_ylim()
    gap, last = 0.065 * (high - low), -np.inf
    for name, value in sorted(ends.items(), key=lambda item: item[1]):
        last = max(value, last + gap)
        axis.annotate(
            name, (place, value), xytext=(place + 0.1, last), va="center", color=colours[name], fontsize=9, annotation_clip=False
        )
