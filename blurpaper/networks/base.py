"""What every classifier here can do, and what the paper's networks can besides: be applied fully
convolutionally, and show their five stages (Section 3, 4.3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from blurpaper.runs.errors import UserError

STAGES = ("pool1", "pool2", "pool3", "pool4", "pool5")
STRIDE = 32
"""Pixels of the input between neighbouring positions of the last map, in every network here."""


class WeightsError(UserError):
    """Weights that are missing or are not what they should be, in one sentence."""


class Classifier(nn.Module, ABC):
    """A classifier of images of any size, which normalises its own input.

    Args:
        classes: names of the classes, in the order of the logits.
        field: side of the crops that it is trained on, in pixels.
        mean, std: of its training images, per channel, in grey levels 0..255.
    """

    def __init__(
        self, classes: Sequence[str], field: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.field = field
        self.register_buffer(
            "mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1), persistent=False
        )
        self.register_buffer(
            "std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1), persistent=False
        )

    @property
    def plain(self) -> nn.Module:
        """The module whose tensors a file of the network holds."""
        return self

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """RGB images in grey levels 0..255, ``(B, 3, H, W)``, as the network's layers want them."""
        return ((images.float() - self.mean) / self.std).contiguous(
            memory_format=torch.channels_last
        )

    @abstractmethod
    def features_and_logits(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last features that have positions, and the logits made of them.

        Args:
            inputs: normalised, float32 ``(B, 3, H, W)``.

        Returns:
            a tensor with the batch first, and logits ``(B, K, h, w)``.
        """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, K, h, w)`` of RGB images in grey levels 0..255, ``(B, 3, H, W)`` of any
        size.
        """
        return self.features_and_logits(self.normalised(images))[1]

    def log_probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Log-probabilities averaged over positions: float32 ``(B, K)`` (Sec. 3). Not renormalised."""
        return self(images).float().log_softmax(dim=1).mean(dim=(2, 3))


class Network(Classifier):
    """A classifier that gives a map of logits, one vector at each position of its field over the
    image.

    Subclasses define ``classify``, and ``stages``, five modules applied one after another, or
    ``stage_maps`` of their own.
    """

    def stage_maps(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features after each of the five stages that halve the resolution, of normalised input.

        Args:
            inputs: float32 ``(B, 3, H, W)``.

        Returns:
            stage -> ``(B, C, h, w)``.
        """
        maps = {}
        for name, stage in zip(STAGES, self.stages, strict=True):
            maps[name] = inputs = stage(inputs)
        return maps

    @abstractmethod
    def classify(self, last: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, K, h, w)`` at every position of the last stage's map."""

    def features_and_logits(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        last = self.stage_maps(inputs)[STAGES[-1]]
        return last, self.classify(last)
