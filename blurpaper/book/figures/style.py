"""What all plots share: panels that a page can put beside or below one another, labels at the
lines, intervals, galleries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blurpaper.book.figures.palette import LIGHT

if TYPE_CHECKING:
    import pandas as pd
    import torch

PANEL = (3.5, 2.9)
"""Inches of one panel, of which two stand side by side on a page, and one on a phone."""
_LETTER = 9.0
"""Points of the names at lines."""

sns.set_theme(context="notebook", style="ticks", font_scale=0.85)
matplotlib.rcParams |= {
    "svg.fonttype": "none",
    "svg.hashsalt": "blurpaper",  # the same figure gives the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.03,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"),
        LIGHT["text"],
    ),
    "axes.titlecolor": LIGHT["text"],
    "patch.edgecolor": LIGHT["page"],
    "legend.labelcolor": LIGHT["text"],
    "axes.titlesize": 10,
    "lines.markersize": 5,
    "figure.max_open_warning": 0,  # every panel is a figure, and a page closes what it has shown
}


def panels(titles: Sequence[str], size: tuple[float, float] = PANEL) -> list[Axes]:
    """Axes with a title each, every one in a figure of its own."""
    found = []
    for title in titles:
        axes = plt.figure(figsize=size).add_subplot()
        axes.set_title(title)
        found.append(axes)
    return found


def figures_of(axes: Sequence[Axes]) -> list[Figure]:
    """The figures of panels, laid out."""
    for one in axes:
        one.figure.tight_layout()
    return [one.figure for one in axes]


def gallery(
    images: Sequence[torch.Tensor], titles: Sequence[str], columns: int = 5
) -> list[Figure]:
    """Images, uint8 ``(3, H, W)``, each a figure with a title; about so many ``columns`` fit a
    page.
    """
    found = []
    for image, title in zip(images, titles, strict=True):
        axes = framed(image.shape[2] / image.shape[1], share_of_page(columns))
        picture(axes, image)
        axes.set_title(title, fontsize=9)
        found.append(axes.figure)
    return found


def share_of_page(columns: int) -> float:
    """Inches that one of so many figures beside one another has, on a page of 772 pixels with gaps
    of 26.
    """
    return (772 / columns - 26) / 96


def framed(aspect: float, width: float) -> Axes:
    """Axes without axes for an image of some ratio of width to height, so many inches wide, alone
    in a figure.
    """
    figure = plt.figure(figsize=(width, width / aspect))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    return axes


def picture(axes: Axes, image: torch.Tensor) -> None:
    """Draw an image, uint8 ``(3, H, W)``, pixel for pixel."""
    axes.imshow(image.permute(1, 2, 0).numpy(), interpolation="none")


def band(axes: Axes, place: np.ndarray, rows: pd.DataFrame, colour: str) -> None:
    """The 95 % intervals of results, a row for each ``place`` ``(N,)``, as a band."""
    axes.fill_between(
        place,
        rows["low"].astype(float),
        rows["high"].astype(float),
        color=colour,
        alpha=0.2,
        linewidth=0,
    )


def level(axes: Axes, row: pd.Series, colour: str, style: str) -> None:
    """A result as a level line across the axes, with its 95 % interval as a band."""
    axes.axhline(row["value"], linestyle=style, color=colour, linewidth=1.2)
    if np.isfinite(row["low"]):
        axes.axhspan(row["low"], row["high"], color=colour, alpha=0.1, linewidth=0)


def bars(rows: pd.Series | pd.DataFrame) -> np.ndarray:
    """Lengths of error bars, below and above: ``(2, N)``."""
    return (
        np.array([rows["value"] - rows["low"], rows["high"] - rows["value"]], float)
        .reshape(2, -1)
        .clip(0)
    )


def label_levels(axis: Axes, levels: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Names of horizontal lines at their right, moved apart where they would cover one another."""
    for name, height in _apart(axis, levels).items():
        place, where = (1.01, height), ("axes fraction", "data")
        axis.annotate(
            name,
            place,
            xycoords=where,
            va="center",
            color=colours[name],
            fontsize=_LETTER,
            annotation_clip=False,
        )


def label_ends(
    axis: Axes, place: float, ends: Mapping[str, float], colours: Mapping[str, str]
) -> None:
    """Names at the ends of lines, moved apart where they would cover one another."""
    low, high = axis.get_xlim()
    for name, height in _apart(axis, ends).items():
        axis.annotate(
            name, (place, ends[name]), xytext=(place + 0.03 * (high - low), height), va="center", color=colours[name],
            fontsize=_LETTER, annotation_clip=False,
        )  # fmt: skip


def _apart(axis: Axes, heights: Mapping[str, float]) -> dict[str, float]:
    """Heights of labels, a line of letters apart at least, none above the axes if there is room
    below.
    """
    low, high = axis.get_ylim()
    tall = axis.get_position().height * axis.figure.get_figheight() * 72
    gap = 1.35 * _LETTER / tall * (high - low)
    known = {name: value for name, value in heights.items() if np.isfinite(value)}
    found, last = {}, -np.inf
    for name, value in sorted(known.items(), key=lambda item: item[1]):
        found[name] = last = max(value, last + gap)
    last = max(high, max(known.values(), default=high)) + gap
    for name in reversed(found):
        found[name] = last = min(found[name], last - gap)
    return found
