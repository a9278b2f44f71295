"""What a set of images is to the rest of the library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass
class ImageSet(ABC):
    """Labelled images by number; subclasses say where the pixels come from.

    Attributes:
        name: of the set, such as ``emoji`` or ``nips2017-dev``.
        classes: names of the classes, in the order of the networks' outputs.
        labels: int64 ``(N,)``; -1 where the class is not known.
        ids: relative path of each image, which names it in random draws and in the results.
        fingerprint: changes whenever the images do.
    """

    name: str
    classes: tuple[str, ...]
    labels: np.ndarray
    ids: Sequence[str]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def __getitem__(self, number: int) -> torch.Tensor:
        """One image: uint8 ``(3, H, W)``, RGB."""

    def batch(self, numbers: Sequence[int]) -> list[torch.Tensor]:
        """Several images, each uint8 ``(3, H, W)``."""
        return [self[number] for number in numbers]
