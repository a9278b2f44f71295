"""Images that blur misleads a network on, or that tuning put right: which ones, and what was said
of each.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from blurpaper import protocol, resizing
from blurpaper.evaluation import Measured
from blurpaper.kernels import SHARP
from blurpaper.profile import Profile

EXAMPLES = 12
_SIDE = 240
"""Pixels of the larger side of an example."""


@dataclass(frozen=True)
class Line:
    """What one network made of the images: a line of the figure and a table of the report."""

    name: str
    measured: Measured


@dataclass(frozen=True)
class Said:
    """What a network said of a picture: a class, and the probability it gave it."""

    network: str
    name: str
    confidence: float
    right: bool


@dataclass(frozen=True)
class Example:
    """An image of which something else is said once it is blurred, or once the network was tuned.

    Attributes:
        image: its name.
        label: its class, or None if it has no label.
        pictures: condition -> a data URI, and what is said of it.
    """

    image: str
    label: str | None
    pictures: Mapping[str, tuple[str, Sequence[Said]]]


def examples(
    lines: Sequence[Line], conditions: Sequence[str], scale: str, profile: Profile
) -> Iterator[Example]:
    """Up to a dozen images whose answer is right sharp and wrong blurred, or wrong before tuning
    and right after.

    They are taken from each blur in turn, the most confident mistakes first; each image once.
    """
    taken: set[int] = set()
    ranked = {
        condition: _flips(lines, condition, scale) for condition in conditions if condition != SHARP
    }
    ranked = {condition: numbers for condition, numbers in ranked.items() if numbers}
    chosen: list[tuple[int, str]] = []
    while any(ranked.values()) and len(chosen) < EXAMPLES:
        for condition, numbers in ranked.items():
            number = next((one for one in numbers if one not in taken), None)
            numbers[:] = numbers[numbers.index(number) + 1 :] if number is not None else []
            if number is not None and len(chosen) < EXAMPLES:
                taken.add(number)
                chosen.append((number, condition))
    for number, condition in chosen:
        yield _example(lines, number, condition, scale, profile)


def _flips(lines: Sequence[Line], condition: str, scale: str) -> list[int]:
    first, last = lines[0].measured, lines[-1].measured
    truth = first.truth[scale]
    blurred = _answers(first, condition, scale)
    wrong = blurred[0] != truth
    if len(lines) > 1:
        wrong &= _answers(last, condition, scale)[0] == truth
    elif SHARP in first.log_probabilities:
        wrong &= _answers(first, SHARP, scale)[0] == truth
    numbers = np.flatnonzero(wrong)
    return numbers[np.argsort(-blurred[1][numbers], kind="stable")].tolist()


def _answers(measured: Measured, condition: str, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """The first class of each image, and the probability it has."""
    best = measured.log_probabilities[condition][scale].float().log_softmax(dim=1).max(dim=1)
    return best.indices.numpy(), best.values.exp().numpy()


def _example(
    lines: Sequence[Line], number: int, condition: str, scale: str, profile: Profile
) -> Example:
    first = lines[0].measured
    truth, names = int(first.truth[scale][number]), first.images.classes
    canonical = resizing.to_canonical(first.images[number], profile.protocol.canonical)
    blurred = protocol.blurred(
        canonical[None], [first.images.ids[number]], condition, profile.protocol.canonical
    )[0]
    pictures = {}
    for shown, image in ((SHARP, canonical), (condition, blurred)):
        said = []
        for line in lines:
            if shown in line.measured.log_probabilities:
                classes, confidences = _answers(line.measured, shown, scale)
                right = int(classes[number]) == truth
                said.append(
                    Said(line.name, names[classes[number]], float(confidences[number]), right)
                )
        pictures[shown] = (_data_uri(image), said)
    return Example(first.images.ids[number], names[truth] if first.labelled else None, pictures)


def _data_uri(image: torch.Tensor) -> str:
    """A small JPEG of an image, uint8 ``(3, H, W)``."""
    from PIL import Image

    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
