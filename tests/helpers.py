"""Small stand-ins that several tests build from."""

from __future__ import annotations

import numpy as np
import torch

from blurpaper.data.base import ImageSet


class MemorySet(ImageSet):
    """Images given as tensors of any shapes."""

    def __init__(self, images: list[torch.Tensor], labels: list[int], classes: tuple[str, ...]) -> None:
        ids = [f"test/{number}" for number in range(len(images))]
        super().__init__("memory", classes, np.array(labels, np.int64), ids, "memory")
        self.images = images

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.images[number]
