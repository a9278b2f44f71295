"""A report on a network under blur: one HTML file with its figure, tables and examples in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blurpaper import __version__
from blurpaper.book.tables import render
from blurpaper.cli.base import ADVICE
from blurpaper.cli.finetune import mix_of
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import protocol, results
from blurpaper.evaluation.folder import Measured, measure
from blurpaper.experiments.measurements import DISKS
from blurpaper.kernels import SHARP
from blurpaper.networks import Reference
from blurpaper.runs import Run
from blurpaper.runs.files import written
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import surroundings

EXAMPLES = 12
_SIDE = 240
"""Pixels of the larger side of an example."""


@dataclass(frozen=True)
class Line:
    """The results of one network: a line of the figure, and a table."""

    name: str
    measured: Measured

    def value(self, metric: str, scale: str, condition: str) -> tuple[float, float, float]:
        """One number of its results, and the bounds of its 95 % interval."""
        rows = results.select(self.measured.rows, metric=metric, scale=scale, condition=condition)
        return tuple(rows[["value", "low", "high"]].iloc[0])


def before_and_after(
    start: Reference, tuned: Reference, folder: Path, mix: str, run: Run
) -> list[Line]:
    """Measure a network before and after fine-tuning on the images of a folder."""
    conditions = list(dict.fromkeys([SHARP, *DISKS, *mix_of(mix)[1]]))
    first = measure(start, folder, conditions, ["256"], run)
    last = measure(tuned, folder, conditions, ["256"], run, like=first)
    return [Line("before", first), Line("after", last)]


def write(
    path: Path,
    spec: Reference,
    folder: Path,
    lines: Sequence[Line],
    profile: Profile,
    done: str = "",
    seen: bool = False,
) -> None:
    """Write a report.

    Args:
        lines: one network, or the same before and after it was tuned, measured on the same images.
        done: the fine-tuning in words.
        seen: whether the network was tuned on the same images.
    """
    from blurpaper.book.style import variables

    conditions, scales = (
        list(lines[0].measured.rows[column].unique()) for column in ("condition", "scale")
    )
    metric = "top1" if lines[0].measured.labelled else "consistency"
    blurs = [name for name in conditions if name != SHARP] or conditions
    content = render(
        "report.html",
        spec=spec,
        folder=folder,
        lines=lines,
        conditions=conditions,
        scales=scales,
        protocol=profile.protocol,
        seen=seen,
        done=done,
        metric=metric,
        worst=min(blurs, key=lambda name: lines[0].value(metric, scales[0], name)[0]),
        figure=_drawn(lines, conditions, scales, metric),
        examples=list(examples(lines, conditions, scales[0], profile)),
        advice=ADVICE,
        machine=surroundings(),
        version=__version__,
        light=variables("light"),
        dark=variables("dark"),
    )
    with written(path) as temporary:
        temporary.write_text(content, encoding="utf-8", errors="backslashreplace")


def _drawn(
    lines: Sequence[Line], conditions: Sequence[str], scales: Sequence[str], metric: str
) -> str:
    """The metric under each condition with 95 % intervals; lines join the disks, which grow."""
    from blurpaper.book import style

    figure, axis = style.subplots(figsize=(4.7, 3.3))
    places = np.arange(len(conditions))
    grow = [place for place in places if conditions[place] == SHARP or conditions[place][0] == "D"]
    for network, line in zip(("original", "mix"), lines):
        for scale in scales:
            colour, mark = style.SCALE_COLOURS[scale], style.SCALE_MARKS[scale]
            if len(lines) > 1:
                colour, mark = style.NETWORK_COLOURS[network], style.NETWORK_MARKS[network]
            value, low, high = np.transpose([line.value(metric, scale, one) for one in conditions])
            bars = np.clip([value - low, high - value], 0, None)
            name = line.name if len(lines) > 1 else f"scale {scale}"
            axis.plot(grow, value[grow], color=colour)
            axis.errorbar(places, value, bars, fmt=mark, color=colour, label=name, capsize=2)
    label = "top-1 accuracy" if metric == "top1" else "consistency with the sharp image"
    axis.set(ylim=(0, 1.03), ylabel=label)
    axis.set_xticks(places, conditions)
    if len(lines) * len(scales) > 1:
        axis.legend(frameon=False, loc="lower left")
    figure.tight_layout()
    return style.inline(figure)


# --- Examples -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """The prediction of a network on a picture: a class, and its probability."""

    network: str
    name: str
    confidence: float
    right: bool


@dataclass(frozen=True)
class Example:
    """An image whose prediction changes with blur, or with tuning.

    Attributes:
        image: its name.
        label: its class, or None if it has no label.
        pictures: condition -> a data URI, and the predictions on it.
    """

    image: str
    label: str | None
    pictures: Mapping[str, tuple[str, Sequence[Answer]]]


def examples(
    lines: Sequence[Line], conditions: Sequence[str], scale: str, profile: Profile
) -> Iterator[Example]:
    """Up to a dozen images whose prediction is right sharp and wrong blurred, or wrong before
    tuning and right after, from each blur in turn, the most confident mistakes first; each image
    once.
    """
    from blurpaper.book.style import data_uri

    first, canonical_side = lines[0].measured, profile.protocol.canonical
    images, truth = first.images, first.truth[scale]
    for number, condition in _chosen(lines, conditions, scale).items():
        canonical = to_canonical(images[number], canonical_side)
        blurred = protocol.blurred(
            canonical[None], [images.ids[number]], condition, canonical_side
        )[0]
        pictures = {}
        for shown, image in ((SHARP, canonical), (condition, blurred)):
            answers = []
            for line in lines:
                if shown in line.measured.log_probabilities:
                    classes, confidence = _answers(line.measured, shown, scale)
                    name, right = images.classes[classes[number]], classes[number] == truth[number]
                    answers.append(Answer(line.name, name, confidence[number], right))
            pictures[shown] = (data_uri(image, _SIDE), answers)
        label = images.classes[truth[number]] if first.labelled else None
        yield Example(images.ids[number], label, pictures)


def _chosen(lines: Sequence[Line], conditions: Sequence[str], scale: str) -> dict[int, str]:
    """Index of an image -> the condition under which it is shown."""
    waiting = {name: _misled(lines, name, scale) for name in conditions if name != SHARP}
    chosen: dict[int, str] = {}
    while any(waiting.values()) and len(chosen) < EXAMPLES:
        for condition, numbers in waiting.items():
            numbers[:] = [number for number in numbers if number not in chosen]
            if numbers and len(chosen) < EXAMPLES:
                chosen[numbers.pop(0)] = condition
    return chosen


def _misled(lines: Sequence[Line], condition: str, scale: str) -> list[int]:
    """Indices of the images that show a condition's effect, the most confident mistakes first."""
    first, last = lines[0].measured, lines[-1].measured
    classes, confidence = _answers(first, condition, scale)
    wrong = classes != first.truth[scale]
    if len(lines) > 1:
        wrong &= _answers(last, condition, scale)[0] == first.truth[scale]
    elif SHARP in first.log_probabilities:
        wrong &= _answers(first, SHARP, scale)[0] == first.truth[scale]
    numbers = np.flatnonzero(wrong)
    return numbers[np.argsort(-confidence[numbers], kind="stable")].tolist()


def _answers(measured: Measured, condition: str, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """The first class of each image, and its probability."""
    best = measured.log_probabilities[condition][scale].float().log_softmax(dim=1).max(dim=1)
    return best.indices.numpy(), best.values.exp().numpy()
