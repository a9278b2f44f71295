"""Plots that hold pictures: PSFs, images beside what networks see in them (Figures 1 and 3), and
label maps (Figure 5).

A figure of the paper takes a source of numbers, and gives its panels with their caption and text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from blurpaper import data, kernels
from blurpaper.book import style
from blurpaper.book.chapter import title_of
from blurpaper.book.tables import rounded
from blurpaper.data.emoji import ATTRIBUTION
from blurpaper.data.examples import EXAMPLES, SEGMENTED, photograph
from blurpaper.data.images import scenes_of, to_canonical
from blurpaper.data.sets import VOID
from blurpaper.evaluation import protocol
from blurpaper.evaluation.results import select
from blurpaper.experiments.examples import SCIKIT_IMAGE, SHOWN, scenes_named
from blurpaper.experiments.sources import Source
from blurpaper.runs import CANONICAL, Run
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store
from blurpaper.segmentation.networks import labels as labels_of


def gallery(
    images: Sequence[torch.Tensor], titles: Sequence[str], columns: int = 5
) -> list[Figure]:
    """Images, uint8 ``(3, H, W)``, or maps of shares, ``(h, w)``, black at 0 and brightest from a
    half on, each a figure with a title; about so many ``columns`` fit a page.
    """
    width, of_maps = style.share_of_page(columns), {"cmap": "magma", "vmin": 0, "vmax": 0.5}
    shown = [image.permute(1, 2, 0) if image.ndim == 3 else image for image in images]
    return [
        style.picture(image.numpy(), title, width, **of_maps).figure
        for image, title in zip(shown, titles, strict=True)
    ]


def psfs(names: Sequence[str]) -> list[Figure]:
    """PSFs on the smallest pixel grid that holds all of them, each scaled to its own maximum (Fig.
    2).
    """
    given = [kernels.psf(name) / kernels.psf(name).max() for name in names]
    side = max(max(one.shape) for one in given)
    shown = [np.pad(one, [((side - size) // 2,) * 2 for size in one.shape]) for one in given]
    # Camera shake has an array larger than its path.
    filled = np.argwhere(np.any(shown, axis=0))
    margin = max(0, min(filled.min(), side - 1 - filled.max()) - 1)
    inside, grey = slice(margin, side - margin), {"cmap": "gray", "vmin": 0, "vmax": 1}
    return [
        style.picture(one[inside, inside], name, style.share_of_page(5), **grey).figure
        for one, name in zip(shown, names, strict=True)
    ]


# --- Figures of the paper -------------------------------------------------------------------------


class Drawn(NamedTuple):
    """A figure of the paper: its panels, its caption, and a text for screen readers."""

    panels: list[Figure]
    caption: str
    alt: str


class Picture(NamedTuple):
    """An image that may be shown: canonical, uint8 ``(3, H, W)``, with its right answers."""

    item: str
    image: torch.Tensor
    answers: tuple[str, ...]
    canonical: int
    source: str

    def blurred(self, condition: str) -> torch.Tensor:
        """The image under a condition."""
        return protocol.blurred(self.image[None], [self.item], condition, self.canonical)[0]


def pictures_of(rows: pd.DataFrame, profile: Profile) -> dict[str, Picture]:
    """The images of some rows that may be shown, by item."""
    found, items = {}, list(dict.fromkeys(rows["item"]))
    if "emoji" in set(rows["data"]):
        images = data.load_images("emoji", "test", Run(profile, Store()))
        for item in items:
            if item in images.ids:
                number, size = images.ids.index(item), profile.protocol.canonical
                answers = (images.classes[images.labels[number]],)
                image = to_canonical(images[number], size)
                found[item] = Picture(item, image, answers, size, ATTRIBUTION)
    for example in EXAMPLES:
        if (item := f"{SCIKIT_IMAGE}/{example.name}") in items:
            image = to_canonical(photograph(example), CANONICAL)
            source = f"{example.name}: {example.source}."
            found[item] = Picture(item, image, example.answers, CANONICAL, source)
    return found


def figure1(source: Source) -> Drawn:
    """Images sharp and under D8, above the original's likeliest classes."""
    rows = select(source.rows("figure1"), network="original")
    pictures, panels, words = pictures_of(rows, source.profile), [], []
    for item, one in pictures.items():
        for condition, here in select(rows, item=item).groupby("condition", sort=False):
            panels.append(_likely_classes(here, one, condition))
            likely = select(here, metric="probability")
            guesses = [
                f"{guess} {rounded(100 * value, 0)} %"
                for guess, value in zip(likely["parameter"], likely["value"], strict=True)
            ]
            words.append(f"{item} {condition}: {', '.join(guesses)}")
    return Drawn(
        panels,
        "The original network's likeliest classes for images sharp and under D8, with the rank "
        "of the truth and the entropy (Figure 1); right answers have a tick. " + _thanks(pictures),
        f"Images, sharp and blurred, each above bars of the likeliest classes. {'; '.join(words)}",
    )


def _likely_classes(rows: pd.DataFrame, shown: Picture, condition: str) -> Figure:
    """An image under a condition above the probabilities of its five likeliest classes."""
    entropy, rank = (select(rows, metric=metric)["value"].item() for metric in ("entropy", "rank"))
    figure, (top, bottom) = style.subplots(2, 1, figsize=(2.45, 2.75), height_ratios=(1.5, 1))
    top.imshow(shown.blurred(condition).permute(1, 2, 0).numpy(), interpolation="none")
    top.set_title(f"{condition}: rank {rank:.0f}, {entropy:.2f} nats", fontsize=9)
    top.axis("off")
    likely = select(rows, metric="probability")
    right = likely["parameter"].isin(shown.answers)
    names = likely["parameter"].mask(right, "✓ " + likely["parameter"])
    colours = [style.RIGHT if one else style.LIGHT["grey"] for one in right]
    places = np.arange(len(names))
    bars = bottom.barh(places, likely["value"], color=colours)
    shares = [f"{100 * value:.0f} %" for value in likely["value"]]
    bottom.bar_label(bars, shares, padding=3, fontsize=8)
    names = [name if len(name) < 16 else f"{name[:14]}…" for name in names]
    bottom.set_yticks(places, names, fontsize=8)
    bottom.invert_yaxis()
    bottom.set(xlim=(0, 1.3), xticks=[])
    figure.tight_layout()
    return figure


def figure3(source: Source) -> Drawn:
    """The first image of each condition that may be shown, with the verdicts of networks."""
    rows = source.rows("figure3")
    of = "emoji" if "emoji" in set(rows["data"]) else SCIKIT_IMAGE
    rows = select(rows, data=of).drop_duplicates(["condition", "network"])
    guesses = source.rows("figure3_guesses").set_index(["item", "condition", "network"])
    pictures, panels, words = pictures_of(rows, source.profile), [], []
    for (item, condition), here in rows.groupby(["item", "condition"], sort=False):
        lines, one = {}, pictures[item]
        for network, rank in zip(here["network"], here["value"], strict=True):
            guess = guesses.loc[(item, condition, network)]
            lines[network] = Verdict(rank <= 5, guess["parameter"], guess["value"])
        title = f"{one.answers[0]}, {condition}"
        panels.append(verdicts(one.blurred(condition), title, lines))
        right = (f"{name} {'right' if of.right else 'wrong'}" for name, of in lines.items())
        words.append(f"{title}: {', '.join(right)}")
    return Drawn(
        panels,
        "The first guess of each network and its probability (Figure 3); a tick where the truth is "
        "among its five likeliest classes. " + _thanks(pictures),
        f"Blurred images, each above the verdicts of networks. {'; '.join(words)}",
    )


def _thanks(pictures: Mapping[str, Picture]) -> str:
    return " ".join(dict.fromkeys(one.source for one in pictures.values()))


class Verdict(NamedTuple):
    """What a network says of one image: whether the truth is among its five likeliest classes, its
    first guess, and the probability of that.
    """

    right: bool
    guess: str
    confidence: float


def verdicts(image: torch.Tensor, title: str, said: Mapping[str, Verdict]) -> Figure:
    """A blurred image ``(3, H, W)``, below it two lines for each network (Fig. 3).

    Each has a tick where the truth is among the five likeliest classes and else a cross, the
    network's name in its colour, its first guess and the probability that it gives it.
    """
    (figure,) = gallery([image], [title])
    below = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "center"}
    below |= {"annotation_clip": False}
    bold = {"fontweight": "bold"}
    for number, (network, verdict) in enumerate(said.items()):
        mark, colour = ("✓", style.RIGHT) if verdict.right else ("✗", style.WRONG)
        share = f"{100 * verdict.confidence:.0f} %"
        words = f"{verdict.guess} {share}"
        if len(words) >= 26:
            words = f"{verdict.guess[:18]}… {share}"
        hue, points = (
            style.NETWORK_COLOURS[network],
            -9.0 - 24.0 * number,
        )  # from the lower edge of the image
        for text, place, look in (
            (mark, (0, points), {"color": colour, "fontsize": 11} | bold),
            (network, (13, points), {"color": hue, "fontsize": 8} | bold),
            (words, (13, points - 10), {"color": style.LIGHT["text"], "fontsize": 8}),
        ):
            figure.axes[0].annotate(text, (0, 0), place, **below, **look)
    return figure


def figure5(source: Source) -> Drawn:
    """Label maps of scenes, the true one where it is known and those of networks, over the scenes
    as networks see them: a row a scene.
    """
    maps, profile = source.label_maps(), source.profile
    names = list(dict.fromkeys(key.partition(" ")[0] for key in maps))
    images = scenes_named(names, Run(profile, Store()))
    side, labels = profile.protocol.canonical, labels_of(profile)
    rows, words = [], []
    for scene, name in zip(scenes_of(images, range(len(names)), profile.protocol), names):
        seen = {"sharp": scene.image}
        seen["D8"] = protocol.blurred(scene.image[None], [name], "D8", side)[0]
        row = [(seen["sharp"], None, "sharp")]
        if isinstance(images.whole, data.SegmentedSet):
            truth = images.whole.label_map(images.whole.ids.index(name)).numpy()
            row = [(seen["sharp"], truth, "truth")]
        for mix, condition in SHOWN:
            found = maps[f"{name} {mix} {condition}"]
            row.append((seen[condition], found, f"{mix}, {condition}"))
            shares = _shares(found, labels).items()
            told = ", ".join(f"{label} {rounded(100 * share, 0)} %" for label, share in shares)
            words.append(f"{name}, {mix}, {condition}: {told}")
        rows.append(row)
    thanks = " ".join(f"{one.what.capitalize()}: {one.source}." for one in SEGMENTED)
    thanks = thanks if names[0].startswith(SCIKIT_IMAGE) else ATTRIBUTION
    caption = f"Label maps over the scenes that the networks saw ({title_of(source)}, Figure 5). "
    return Drawn(label_maps(rows, labels), caption + thanks, "; ".join(words))


FIGURES = {one.__name__: one for one in (figure1, figure3, figure5)}


def _shares(found: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """The labels that cover at least 1 % of a label map with their shares, the largest first."""
    shares = np.bincount(found[found != VOID], minlength=len(labels)) / found.size
    order = np.argsort(-shares)
    return {labels[number]: shares[number] for number in order if shares[number] >= 0.01}


def label_maps(
    rows: Sequence[Sequence[tuple[torch.Tensor, np.ndarray | None, str]]], labels: Sequence[str]
) -> list[Figure]:
    """Scenes with label maps laid over them, a row a scene: (picture ``(3, H, W)``, map or None,
    title); then the key (Fig. 5).

    Args:
        labels: names of the labels; the first, the background, is left clear.
    """
    panels = [one for row in rows for one in row]
    known = {
        label for _, given, _ in panels if given is not None for label in _shares(given, labels)
    }
    seen = [number for number, label in enumerate(labels) if number and label in known]
    palette = np.full((len(labels), 3), 0.5)
    palette[seen] = sns.color_palette("husl", len(seen))  # as far apart as these few allow
    width, found = style.share_of_page(max(map(len, rows))), []
    for image, given, title in panels:
        shown = image.permute(1, 2, 0).numpy() / 255
        names = ""
        if given is not None:
            present = [label for label in _shares(given, labels) if label != labels[0]]
            names = ", ".join(present[:2]) + ", …" * (len(present) > 2)
            given = _fitted(given, shown.shape[:2])[..., None]
            coloured = 0.4 * shown + 0.6 * palette[np.where(given == VOID, 0, given)[..., 0]]
            shown = np.where((given != 0) & (given != VOID), coloured, shown)
            shown = np.where(given == VOID, 1.0, shown)
        axes = style.picture(shown, title, width)
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
