"""Objectives of training: cross-entropy with labels, as in the paper, or agreement with the sharp
network, without labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks.base import Classifier
from blurpaper.runs import devices
from blurpaper.training.batches import Batch, make_batch


class Objective(nn.Module, ABC):
    """A loss and the network that it trains, as one module, for one process or several.

    Attributes:
        network: to be trained.
        batch: makes the batch of some images in an epoch, as :func:`make_batch` does; its attribute
            ``labels`` has one row an image.
    """

    network: nn.Module
    batch: Callable[..., Any]

    def groups(self) -> list[dict[str, Any]]:
        """Groups of parameters, as torch's optimizers take them; ``lr_scale`` multiplies the
        schedule's learning rate.
        """
        return [{"params": list(self.network.parameters()), "lr_scale": 1.0}]

    @abstractmethod
    def forward(self, batch: Any) -> torch.Tensor:  # noqa: ANN401
        """The mean loss of a batch: a tensor of no dimension, ``()``."""


class Labels(Objective):
    """Cross-entropy with the labels: the paper's recipe (Sec. 4).

    Args:
        classes: those among which the network is to tell, by number and in order; all by default.
    """

    def __init__(
        self, network: Classifier, smoothing: float = 0.0, classes: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.network, self.smoothing, self.batch = network, smoothing, make_batch
        self.register_buffer("classes", torch.tensor(classes, dtype=torch.int64), persistent=False)

    def forward(self, batch: Batch) -> torch.Tensor:
        logits, labels = self.network(batch.seen).mean(dim=(2, 3)).float(), batch.labels
        if len(self.classes):
            logits, labels = logits[:, self.classes], torch.searchsorted(self.classes, labels)
        return functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)


class AugMixed(Labels):
    """The same on crops that AugMix distorts, which does not blur: a control (Hendrycks et al.
    2020, without their term of consistency).
    """

    @cached_property
    def augment(self) -> nn.Module:
        """AugMix without the operations of which one changes the sharpness."""
        from torchvision.transforms import v2  # takes two seconds, and few are trained so

        return v2.AugMix(all_ops=False)

    def forward(self, batch: Batch) -> torch.Tensor:
        crops = batch.seen.round().clamp(0, 255).to(torch.uint8)
        return super().forward(replace(batch, seen=torch.stack(list(map(self.augment, crops)))))


class Agreement(Objective):
    """Agreement of the network on a blurred crop with the sharp network on the same crop, sharp; no
    label is used.

    The loss is the Kullback-Leibler divergence from the teacher's prediction to the network's at
    each position, in nats, plus ``features`` times the squared difference of the last stage's maps
    relative to the teacher's mean square. The paper's closing sentence leaves this as future work.

    Args:
        network: to be trained, a copy of the teacher at first.
        teacher: the network trained on sharp images; it is not trained.
        features: weight of the features' term.
        with_sharp: show the teacher the sharp crop; otherwise it sees the blurred one, too.
    """

    def __init__(
        self, network: Classifier, teacher: Classifier, features: float, with_sharp: bool = True
    ) -> None:
        super().__init__()
        self.network, self.teacher, self.features = network, teacher.requires_grad_(False), features
        self.batch = partial(make_batch, with_sharp=with_sharp)

    def train(self, mode: bool = True) -> Agreement:
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(self, batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            shown = batch.seen if batch.sharp is None else batch.sharp
            wanted, logits = self.teacher.features_and_logits(self.teacher.normalised(shown))
            right = logits.float().log_softmax(dim=1)
        found, logits = self.network.features_and_logits(self.network.normalised(batch.seen))
        given = logits.float().log_softmax(dim=1)
        loss = functional.kl_div(given, right, log_target=True, reduction="none").sum(dim=1).mean()
        if self.features:
            wanted = wanted.float()
            whole = devices.mean(wanted.square().mean(), len(wanted))
            loss = loss + self.features * (found.float() - wanted).square().mean() / whole
        return loss
