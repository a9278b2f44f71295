"""Networks: models by name, networks as values that can be loaded, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from blurpaper.networks.base import STAGES, Network, unfolded
from blurpaper.networks.reference import NetworkSpec, Reference
from blurpaper.runs.files import UserError

__all__ = [
    "MODELS",
    "STAGES",
    "Network",
    "NetworkSpec",
    "Reference",
    "build",
    "load",
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


def load(name: str, plain: bool = False) -> Network:
    """The network of a name, in evaluation mode: with the weights that were published for ImageNet,
    bundled, or in a file.

    Args:
        name: as the command line takes it, such as ``efficientnet_lite0:mix/agreement``.
        plain: an ordinary module of torch, in which nothing is folded.

    Raises:
        UserError: for a name without weights that need no training.
    """
    from blurpaper.networks.weights import ORIGINALS, named

    network = named(name)
    if isinstance(network, Reference):
        return network.load(plain)
    if not network.is_original or network.model not in ORIGINALS:
        raise UserError(f"{network} comes without weights: it has to be trained first.")
    found = ORIGINALS[network.model]()
    return unfolded(found) if plain else found
