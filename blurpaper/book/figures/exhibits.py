"""Plots of single things, one function a figure: kernels, and what networks make of single images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blurpaper import kernels
from blurpaper.book.figures.style import (
    LIGHT,
    NETWORK_COLOURS,
    RIGHT,
    WRONG,
    framed,
    picture,
    share_of_page,
    subplots,
)
from blurpaper.evaluation.results import select

if TYPE_CHECKING:
    import pandas as pd
    import torch


def psfs(names: Sequence[str]) -> list[Figure]:
    """Kernels side by side on one pixel grid (Fig. 2)."""
    side = max(max(kernels.psf(name).shape) for name in names) | 1
    found = []
    for name in names:
        kernel = kernels.psf(name)
        down, across = ((side - size) // 2 for size in kernel.shape)
        shown = np.pad(
            kernel,
            ((down, side - down - kernel.shape[0]), (across, side - across - kernel.shape[1])),
        )
        axes = framed(1, 1.1)
        axes.imshow(shown / shown.max(), cmap="gray", vmin=0, vmax=1, interpolation="none")
        axes.set_title(name)
        found.append(axes.figure)
    return found


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
        figure, (top, bottom) = subplots(2, 1, figsize=(3.5, 3.9), height_ratios=(1.6, 1))
        picture(top, shown)
        top.set_title(f"{condition}: truth ranked {rank:.0f}, entropy {entropy:.2f} nats")
        top.axis("off")
        likely = select(here, metric="probability")
        names = [f"✓ {name}" if name in answers else name for name in likely["parameter"]]
        colours = [RIGHT if name in answers else LIGHT["grey"] for name in likely["parameter"]]
        places = np.arange(len(names))
        bottom.barh(places, likely["value"], color=colours)
        bottom.set_yticks(places, [name if len(name) < 24 else f"{name[:22]}…" for name in names])
        for place, value in zip(places, likely["value"], strict=True):
            bottom.annotate(
                f"{100 * value:.0f} %",
                (value, place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        bottom.invert_yaxis()
        bottom.set(xlim=(0, 1.12), xticks=[0, 0.5, 1], xlabel="probability")
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
        known = [self.guess] * bool(self.guess) + [f"{100 * self.confidence:.0f} %"] * bool(
            self.confidence == self.confidence
        )
        return " ".join(known)


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
    found = []
    for image, title, lines in zip(images, titles, said, strict=True):
        axes = framed(image.shape[2] / image.shape[1], share_of_page(columns))
        picture(axes, image)
        axes.set_title(title, fontsize=9)
        for number, (network, verdict) in enumerate(lines.items()):
            _verdict(axes, network, verdict, -9.0 - 24.0 * number)
        found.append(axes.figure)
    return found


def _verdict(axes: Axes, network: str, verdict: Verdict, points: float) -> None:
    """Two lines of letters below an image, so many points from its lower edge."""
    colour = NETWORK_COLOURS[network]
    at = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "center",
        "annotation_clip": False,
    }
    mark = "✓" if verdict.right else "✗"
    axes.annotate(
        mark,
        (0, 0),
        (0, points),
        color=RIGHT if verdict.right else WRONG,
        fontsize=11,
        fontweight="bold",
        **at,
    )
    axes.annotate(network, (0, 0), (13, points), color=colour, fontsize=8, fontweight="bold", **at)
    words = (
        verdict.words
        if len(verdict.words) < 26
        else f"{verdict.guess[:18]}… {100 * verdict.confidence:.0f} %"
    )
    axes.annotate(words, (0, 0), (13, points - 10), color=LIGHT["text"], fontsize=8, **at)


def distance_maps(maps: Mapping[str, Mapping[str, torch.Tensor]]) -> list[Figure]:
    """Hamming distance at every position of every stage, a figure a network: network -> stage ->
    ``(h, w)`` (Fig. 4).
    """
    found = []
    for network, by_stage in maps.items():
        figure, axes = subplots(1, len(by_stage), figsize=(7.0, 1.9), squeeze=False)
        for axis, (stage, distances) in zip(axes.flat, by_stage.items(), strict=True):
            shown = axis.imshow(
                distances.numpy(), cmap="magma", vmin=0, vmax=0.5, interpolation="none"
            )
            axis.set(xticks=[], yticks=[], title=f"{stage}: {float(distances.mean()):.2f}")
        axes[0, 0].set_ylabel(network)
        figure.tight_layout()
        figure.colorbar(shown, ax=axes, shrink=0.8, label="channels\nthat differ")
        found.append(figure)
    return found
