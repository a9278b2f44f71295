"""What a set of images with a label at every pixel is to the rest of the library (Sec. 5)."""

from __future__ import annotations

from abc import abstractmethod

import torch

from blurpaper.data.base import ImageSet

VOID = 255
"""The label of pixels that are never scored and never learnt from, as in PASCAL VOC."""

BACKGROUND = "background"
"""The name of label 0 in every set."""


class SegmentedSet(ImageSet):
    """Images with a map of labels each; ``classes`` are the labels' names, ``BACKGROUND`` first,
    and ``labels`` unused.

    >>> class Halves(SegmentedSet):
    ...     def __getitem__(self, number):
    ...         return torch.zeros(3, 4, 6, dtype=torch.uint8)
    ...     def label_map(self, number):
    ...         return torch.tensor([0, 0, 0, VOID, 1, 1], dtype=torch.uint8).expand(4, 6)
    >>> halves = Halves("halves", (BACKGROUND, "cat"), [-1], ["0.png"], "fingerprint")
    >>> {name: (halves.label_map(0) == label).sum().item() for label, name in enumerate(halves.classes)}
    {'background': 12, 'cat': 8}
    """

    @abstractmethod
    def label_map(self, number: int) -> torch.Tensor:
        """The labels of one image's pixels: uint8 ``(H, W)`` of the image's own size, ``VOID``
        where there is none.
        """
