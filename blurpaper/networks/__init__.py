"""Networks: models by name, networks as values that can be loaded, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
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
    "build",
    "module_of",
]

MODELS: dict[str, str] = {
    "small_vgg": "blurpaper.networks.vgg",
    "vgg16": "blurpaper.networks.vgg",
    "vgg16_caffe": "blurpaper.networks.vgg",
    "efficientnet_lite0": "blurpaper.networks.residual",
    "efficientnet_lite0_pooled": "blurpaper.networks.residual",
    "efficientnet_lite1": "blurpaper.networks.residual",
    "small_resnet": "blurpaper.networks.residual",
    "resnet50": "blurpaper.networks.residual",
}
"""The models, each with the module whose function of that name builds it."""


def module_of(model: str) -> str:
    """The module that defines a model.

    Raises:
        UserError: for an unknown model, listing those there are.
    """
    if model not in MODELS:
        raise UserError(f"a model is one of {', '.join(MODELS)}. Got {model!r}.")
    return MODELS[model]


def build(model: str, classes: Sequence[str], field: int) -> Network:
    """A model with random weights (from torch's global generator) for these classes.

    >>> import torch
    >>> build("small_vgg", ["cat", "dog"], 64)(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 2, 1, 2])
    """
    return getattr(import_module(module_of(model)), model)(classes, field)
