"""Photographs that may be shown: two that scikit-image carries, with the ImageNet classes that name what is in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Example:
    """A photograph to show.

    Attributes:
        what: for captions.
        answers: names of the ImageNet classes that are right.
        source: whom to thank.
    """

    name: str
    what: str
    answers: tuple[str, ...]
    source: str


EXAMPLES = (
    Example("chelsea", "a cat", ("tabby", "tiger cat", "Egyptian cat"), "Stéfan van der Walt, CC0, from scikit-image"),
    Example("coffee", "a cup of coffee", ("espresso", "cup", "coffee mug"), "Rachel Michetti, CC0, from scikit-image"),
)


def photograph(example: Example) -> torch.Tensor:
    """The pixels of an example: uint8 ``(3, H, W)``."""
    from skimage import data

    return torch.from_numpy(getattr(data, example.name)().transpose(2, 0, 1).copy())
