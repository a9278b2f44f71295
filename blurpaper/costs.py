"""What a network costs: arithmetic and memory, counted on torch's meta device, where tensors have a
shape and no numbers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from blurpaper.networks import Network, build
from blurpaper.networks.zoomout import ZoomOut
from blurpaper.profile import Schedule, Segmentation

TRAINING = 3
"""Arithmetic of a training step in forward passes: one forward, two (of inputs and of weights)
backward.
"""


@dataclass(frozen=True)
class Pass:
    """What a forward pass costs.

    Attributes:
        flops: of one image, a multiplication and an addition being two.
        activations: most bytes of the batch's tensors that are alive at once, the network's own not
            counted; in training all that the backward pass needs.
    """

    flops: int
    activations: int


@lru_cache(maxsize=8)
def skeleton(model: str, classes: int, field: int) -> Network:
    """A network without numbers, on the meta device."""
    with torch.device("meta"):
        return build(model, tuple(map(str, range(classes))), field).requires_grad_(True)


@lru_cache(maxsize=64)
def forward(
    model: str,
    classes: int,
    field: int,
    shape: tuple[int, int],
    batch: int = 1,
    training: bool = False,
    half: bool = False,
) -> Pass:
    """The cost of a forward pass over a batch of images of one shape (rows, columns).

    Args:
        training: of a crop in training; otherwise as an image is classified, by five crops where
            the model does so.
        half: maps of 16 bits, as under autocast; parameters are float32 anyway.
    """
    network = skeleton(model, classes, field)
    images = torch.empty(batch, 3, *shape, device="meta")
    return _counted(
        network,
        lambda: network(images) if training else network.log_probabilities(images),
        batch,
        training,
        half,
    )


def _counted(
    network: nn.Module, run: Callable[[], torch.Tensor], batch: int, training: bool, half: bool
) -> Pass:
    network.train(training)
    live = _Live(network, half)
    with torch.set_grad_enabled(training), FlopCounterMode(display=False) as counter, live:
        run()
    return Pass(counter.get_total_flops() // batch, int(live.peak))


def parameters(model: str, classes: int, field: int) -> int:
    """Numbers that a network learns."""
    return weights(skeleton(model, classes, field))


def training_memory(model: str, classes: int, field: int, schedule: Schedule, half: bool) -> int:
    """Bytes for a training step: weights, gradients, the optimizer's moments, a teacher's weights,
    and the activations.
    """
    moments = 2 if schedule.optimizer == "adamw" else int(schedule.momentum > 0)
    copies = 2 + moments + hasattr(schedule, "features")
    kept = forward(
        model, classes, field, (field, field), schedule.batch, training=True, half=half
    ).activations
    return 4 * parameters(model, classes, field) * copies + kept


def evaluation_memory(
    model: str, classes: int, field: int, shape: tuple[int, int], batch: int, half: bool
) -> int:
    """Bytes for classifying a batch of images of one shape."""
    return (
        4 * parameters(model, classes, field)
        + forward(model, classes, field, shape, batch, half=half).activations
    )


# --- Segmentation ---------------------------------------------------------------------------------


def segmenting(
    network: ZoomOut,
    shape: tuple[int, int],
    batch: int = 1,
    points: int | None = None,
    half: bool = False,
) -> Pass:
    """The cost of a pass over scenes of one shape: whole, or in training, where so many ``points``
    of each are classified.

    Args:
        network: on the meta device.
    """
    images = torch.empty(batch, 3, *shape, device="meta")
    if points is None:
        return _counted(
            network, lambda: network.log_probabilities(images, shape), batch, False, half
        )
    places = torch.empty(batch, points, 2, device="meta")
    return _counted(network, lambda: network(images, places), batch, True, half)


def segmenter(model: str, classes: int, field: int, labels: int, settings: Segmentation) -> ZoomOut:
    """A Zoomout network without numbers, on the meta device."""
    with torch.device("meta"):
        backbone = build(model, tuple(map(str, range(classes))), field)
        return ZoomOut(
            backbone, tuple(map(str, range(labels))), settings.hidden, stride=settings.stride
        )


def weights(network: nn.Module) -> int:
    """Numbers that a module learns."""
    return sum(parameter.numel() for parameter in network.parameters())


class _Live(TorchDispatchMode):
    """Bytes of the tensors made inside that are alive, now and at most."""

    def __init__(self, network: nn.Module, half: bool) -> None:
        super().__init__()
        self.now = self.peak = 0.0
        self._half = half
        own = [*network.parameters(), *network.buffers()]
        self._known = {tensor.untyped_storage()._cdata for tensor in own}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:  # noqa: ANN001, ANN401
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._see, result)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        size = storage.nbytes() * (0.5 if self._half and tensor.dtype == torch.float32 else 1.0)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, storage._cdata, size)

    def _gone(self, identity: int, size: float) -> None:
        self._known.discard(identity)
        self.now -= size
