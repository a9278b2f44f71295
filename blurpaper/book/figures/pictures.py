"""Plots that hold pictures, one function a figure: kernels, images beside what networks see in
them, and label maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from blurpaper import kernels
from blurpaper.book.figures.style import (
    LIGHT,
    NETWORK_COLOURS,
    RIGHT,
    WRONG,
    set_style,
    subplots,
)
from blurpaper.data.sets import VOID
from blurpaper.evaluation.results import select

if TYPE_CHECKING:
    import pandas as pd
    import torch


def gallery(
    images: Sequence[torch.Tensor], titles: Sequence[str], columns: int = 5
) -> list[Figure]:
    """Images, uint8 ``(3, H, W)``, or maps of shares, ``(h, w)``, black at 0 and brightest from a
    half on, each a figure with a title; about so many ``columns`` fit a page.
    """
    width, of_maps = share_of_page(columns), {"cmap": "magma", "vmin": 0, "vmax": 0.5}
    shown = [image.permute(1, 2, 0) if image.ndim == 3 else image for image in images]
    return [
        picture(image.numpy(), title, width, **of_maps).figure
        for image, title in zip(shown, titles, strict=True)
    ]


def share_of_page(columns: int) -> float:
    """Inches that one of so many figures beside one another has, on a page of 772 pixels with gaps
    of 26.
    """
    return (772 / columns - 26) / 96


def picture(
    image: np.ndarray,
    title: str,
    width: float,
    **options: Any,  # noqa: ANN401 (as pyplot has it)
) -> Axes:
    """Axes alone in a figure, without ticks, that hold an image ``(H, W)`` or ``(H, W, 3)`` pixel
    for pixel, so many inches wide.
    """
    set_style()
    figure = plt.figure(figsize=(width, width / (image.shape[1] / image.shape[0])))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(image, interpolation="none", **options)
    axes.set_title(title, fontsize=9)
    return axes


def psfs(names: Sequence[str], columns: int = 5) -> list[Figure]:
    """PSFs on the smallest pixel grid that holds all of them, each scaled to its own maximum (Fig.
    2); about so many ``columns`` fit a page.
    """
    given = [kernels.psf(name) / kernels.psf(name).max() for name in names]
    side = max(max(one.shape) for one in given)
    shown = [np.pad(one, [((side - size) // 2,) * 2 for size in one.shape]) for one in given]
    # Camera shake has an array larger than its path.
    filled = np.argwhere(np.any(shown, axis=0))
    margin = max(0, min(filled.min(), side - 1 - filled.max()) - 1)
    inside, grey = slice(margin, side - margin), {"cmap": "gray", "vmin": 0, "vmax": 1}
    return [
        picture(one[inside, inside], name, share_of_page(columns), **grey).figure
        for one, name in zip(shown, names, strict=True)
    ]


def likely_classes(
    rows: pd.DataFrame, image: str, pictures: dict[str, torch.Tensor], answers: set[str]
) -> list[Figure]:
    """An image sharp and blurred, each above the probabilities of its five likeliest classes; right
    ones have a tick (Fig. 1).
    """
    found = []
    for condition, shown in pictures.items():
        here = select(rows, item=image, condition=condition)
        entropy = select(here, metric="entropy")["value"].item()
        rank = select(here, metric="rank")["value"].item()
        figure, (top, bottom) = subplots(2, 1, figsize=(2.45, 2.75), height_ratios=(1.5, 1))
        top.imshow(shown.permute(1, 2, 0).numpy(), interpolation="none")
        top.set_title(f"{condition}: rank {rank:.0f}, {entropy:.2f} nats", fontsize=9)
        top.axis("off")
        likely = select(here, metric="probability")
        names = [f"✓ {name}" if name in answers else name for name in likely["parameter"]]
        colours = [RIGHT if name in answers else LIGHT["grey"] for name in likely["parameter"]]
        places = np.arange(len(names))
        bars = bottom.barh(places, likely["value"], color=colours)
        bottom.bar_label(
            bars, [f"{100 * value:.0f} %" for value in likely["value"]], padding=3, fontsize=8
        )
        names = [name if len(name) < 16 else f"{name[:14]}…" for name in names]
        bottom.set_yticks(places, names, fontsize=8)
        bottom.invert_yaxis()
        bottom.set(xlim=(0, 1.3), xticks=[])
        figure.tight_layout()
        found.append(figure)
    return found


@dataclass(frozen=True)
class Verdict:
    """What a network says of one image: whether the truth is among its five likeliest classes, and
    its first guess.

    Attributes:
        guess: the likeliest class, or nothing where that is not known.
        confidence: its probability, nan where that is not known.
    """

    right: bool
    guess: str = ""
    confidence: float = float("nan")

    @property
    def words(self) -> str:
        """The guess and its probability, such as ``teapot 83 %``, as far as they are known."""
        return f"{self.guess} {self.share}".strip()

    @property
    def share(self) -> str:
        """The probability in per cent, or nothing where it is not known."""
        return "" if np.isnan(self.confidence) else f"{100 * self.confidence:.0f} %"


def verdicts(
    images: Sequence[torch.Tensor],
    titles: Sequence[str],
    said: Sequence[Mapping[str, Verdict]],
    columns: int = 4,
) -> list[Figure]:
    """Blurred images ``(3, H, W)``, below each a line for each network (Fig. 3).

    A line has a tick where the truth is among the five likeliest classes and else a cross, the
    network's name in its colour, its first guess and the probability that it gives it.
    """
    found = gallery(images, titles, columns)
    for figure, lines in zip(found, said, strict=True):
        for number, (network, verdict) in enumerate(lines.items()):
            _verdict(figure.axes[0], network, verdict, -9.0 - 24.0 * number)
    return found


def _verdict(axes: Axes, network: str, verdict: Verdict, points: float) -> None:
    """Two lines of letters below an image, so many points from its lower edge."""
    mark, colour = ("✓", RIGHT) if verdict.right else ("✗", WRONG)
    words, bold = verdict.words, {"fontweight": "bold"}
    if len(words) >= 26:
        words = f"{verdict.guess[:18]}… {verdict.share}"
    for text, place, style in (
        (mark, (0, points), {"color": colour, "fontsize": 11} | bold),
        (network, (13, points), {"color": NETWORK_COLOURS[network], "fontsize": 8} | bold),
        (words, (13, points - 10), {"color": LIGHT["text"], "fontsize": 8}),
    ):
        below = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
        axes.annotate(text, (0, 0), place, annotation_clip=False, **below, **style)


def label_maps(
    rows: Sequence[Sequence[tuple[torch.Tensor, np.ndarray | None, str]]], labels: Sequence[str]
) -> list[Figure]:
    """Scenes with label maps laid over them, a row a scene: (picture ``(3, H, W)``, map or None,
    title); then the key (Fig. 5).

    Args:
        labels: names of the labels; the first, the background, is left clear.
    """
    maps = [given for row in rows for _, given, _ in row if given is not None]
    shares = [np.bincount(one[one != VOID], minlength=len(labels)) / one.size for one in maps]
    seen = [number for number in range(1, len(labels)) if np.max(shares, axis=0)[number] >= 0.01]
    palette = np.full((len(labels), 3), 0.5)
    palette[seen] = sns.color_palette("husl", len(seen))  # as far apart as these few allow
    width, found = share_of_page(max(map(len, rows))), []
    for image, given, title in (one for row in rows for one in row):
        shown = image.permute(1, 2, 0).numpy() / 255
        names = ""
        if given is not None:
            share = np.bincount(given[given != VOID], minlength=len(labels)) / given.size
            present = [number for number in np.argsort(-share) if number and share[number] >= 0.01]
            names = ", ".join(labels[number] for number in present[:2]) + ", …" * (len(present) > 2)
            given = _fitted(given, shown.shape[:2])[..., None]
            coloured = 0.4 * shown + 0.6 * palette[np.where(given == VOID, 0, given)[..., 0]]
            shown = np.where((given != 0) & (given != VOID), coloured, shown)
            shown = np.where(given == VOID, 1.0, shown)
        axes = picture(shown, title, width)
        below = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
        axes.annotate(names, (0.5, 0), (0, -4), ha="center", fontsize=8, **below)
        found.append(axes.figure)
    if seen:
        handles = [Patch(color=palette[number], label=labels[number]) for number in seen]
        key = plt.figure(figsize=(6.8, 0.3 + 0.2 * (len(handles) // 6)))
        key.legend(handles=handles, loc="center", ncols=6, frameon=False, fontsize=9)
        found.append(key)
    return found


def _fitted(found: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """A label map at another size: each pixel has the label of the nearest one."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(shape, found.shape, strict=True)
    )
    return found[np.ix_(rows, columns)]
