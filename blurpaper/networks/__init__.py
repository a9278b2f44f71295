"""Networks: the models by name, and networks to and from files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from blurpaper.networks.base import STAGES, Network
from blurpaper.networks.reference import NetworkSpec, Reference
from blurpaper.runs.files import UserError

__all__ = [
    "MODELS",
    "STAGES",
    "Network",
    "NetworkSpec",
    "Reference",
    "architecture",
    "build",
    "module_of",
]

MODELS: dict[str, str] = {
    "small_vgg": "blurpaper.networks.vgg",
    "vgg16": "blurpaper.networks.vgg",
    "vgg16_caffe": "blurpaper.networks.vgg",
    "efficientnet_lite0": "blurpaper.networks.efficientnet",
    "efficientnet_lite0_pooled": "blurpaper.networks.efficientnet",
    "efficientnet_lite1": "blurpaper.networks.efficientnet",
    "small_resnet": "blurpaper.networks.resnet",
    "resnet50": "blurpaper.networks.resnet",
}
"""The models, each with the module whose function of that name builds it."""


def module_of(model: str) -> str:
    """The module that defines a model.

    Raises:
        UserError: for a name that is no model's, with those that are.
    """
    if model not in MODELS:
        raise UserError(f"a model is one of {', '.join(MODELS)}. Got {model!r}.")
    return MODELS[model]


def architecture(model: str) -> Callable[..., Network]:
    """The function that builds a model."""
    return getattr(import_module(module_of(model)), model)


def build(model: str, classes: Sequence[str], field: int) -> Network:
    """A model with random weights (from torch's global generator) for these classes.

    >>> import torch
    >>> build("small_vgg", ["cat", "dog"], 64)(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 2, 1, 2])
    """
    return architecture(model)(classes, field)
