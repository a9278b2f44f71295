"""What fine-tuning asks for: the right label, as in the paper, or agreement with the sharp network,
without labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks.base import Classifier
from blurpaper.runs import devices
from blurpaper.runs.profile import Protocol
from blurpaper.training.batches import Batch, Task, make_batch


class Objective(nn.Module, ABC):
    """What a network is trained for: a module that holds it, so that it can be trained in one
    process or in many.

    Attributes:
        network: to be trained.
    """

    network: nn.Module

    @abstractmethod
    def batch(
        self,
        task: Task,
        numbers: Sequence[int],
        epoch: int,
        settings: Protocol,
        flip: bool,
        device: torch.device,
    ) -> Any:  # noqa: ANN401 (what its own forward takes; it has ``labels``, one an image)
        """The batch that it learns from: of those images in that epoch."""

    def groups(self) -> list[dict[str, Any]]:
        """Parameters that learn alike, as torch's optimizers take them; ``lr_scale`` is how fast, 1
        being the schedule's rate.
        """
        return [{"params": list(self.network.parameters()), "lr_scale": 1.0}]

    @abstractmethod
    def forward(self, batch: Any) -> torch.Tensor:  # noqa: ANN401
        """The mean loss of a batch: a tensor of no dimension, ``()``."""


class Labels(Objective):
    """Cross-entropy with the labels: the paper's recipe (Sec. 4)."""

    def __init__(self, network: Classifier, smoothing: float = 0.0) -> None:
        super().__init__()
        self.network, self.smoothing = network, smoothing

    def batch(
        self,
        task: Task,
        numbers: Sequence[int],
        epoch: int,
        settings: Protocol,
        flip: bool,
        device: torch.device,
    ) -> Batch:
        return make_batch(task, numbers, epoch, settings, flip, device)

    def forward(self, batch: Batch) -> torch.Tensor:
        logits = self.network(batch.seen).mean(dim=(2, 3))
        return functional.cross_entropy(
            logits.float(), batch.labels, label_smoothing=self.smoothing
        )


class Agreement(Objective):
    """The network on a blurred crop agrees with the sharp network on the same crop, sharp; no label
    is used.

    The loss is the Kullback-Leibler divergence from the teacher's prediction to the network's at
    each position, in nats, plus ``features`` times the squared difference of the last stage's maps
    relative to the teacher's mean square. It is what the paper's closing sentence leaves as future
    work.

    Args:
        network: to be trained, a copy of the teacher at first.
        teacher: the network trained on sharp images; it is not trained.
        features: weight of the features' term.
    """

    def __init__(self, network: Classifier, teacher: Classifier, features: float) -> None:
        super().__init__()
        self.network, self.teacher, self.features = network, teacher.requires_grad_(False), features

    def batch(
        self,
        task: Task,
        numbers: Sequence[int],
        epoch: int,
        settings: Protocol,
        flip: bool,
        device: torch.device,
    ) -> Batch:
        return make_batch(task, numbers, epoch, settings, flip, device, with_sharp=True)

    def train(self, mode: bool = True) -> Agreement:
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            wanted, logits = self._seen(self.teacher, batch.sharp)
            right = logits.float().log_softmax(dim=1)
        found, logits = self._seen(self.network, batch.seen)
        given = logits.float().log_softmax(dim=1)
        loss = functional.kl_div(given, right, log_target=True, reduction="none").sum(dim=1).mean()
        if self.features:
            wanted = wanted.float()
            whole = devices.mean(wanted.square().mean(), len(wanted))
            loss = loss + self.features * (found.float() - wanted).square().mean() / whole
        return loss

    @staticmethod
    def _seen(network: Classifier, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return network.features_and_logits(network.normalised(images))
