"""What a set of images with a label at every pixel is to the rest of the library (Section 5)."""

from __future__ import annotations

from abc import abstractmethod

import torch

from blurpaper.data.sets import ImageSet

VOID = 255
"""The label of pixels that are never scored and never learnt from, as in PASCAL VOC."""

BACKGROUND = "background"
"""The name of label 0 in every set."""


class SegmentedSet(ImageSet):
    """Images with a map of labels each; ``classes`` are the labels' names, ``BACKGROUND`` first,
    and ``labels`` unused.
    """

    @abstractmethod
    def label_map(self, number: int) -> torch.Tensor:
        """The labels of one image's pixels: uint8 ``(H, W)`` of the image's own size, ``VOID``
        where there is none.
        """
