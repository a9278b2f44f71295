"""Residual networks (He et al. 2016): ResNet-50, the paper's second architecture (Table A), and a
small one of our own.

Like EfficientNet-Lite they end in global average pooling; applied fully convolutionally, the
average is taken over windows of the map's training size at stride 1 and the classifier applied at
each position. They are tested as the paper tests its residual network, on *five crops* of the
field: the corners and the centre.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks.base import STRIDE, ConvNorm, Network
from blurpaper.networks.vgg import MEAN, STD
from blurpaper.runs.files import UserError


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
        layers = (
            [
                _convolution(channels, narrow, 1),
                _convolution(narrow, narrow, 3, stride),
                _convolution(narrow, width, 1, relu=False),
            ]
            if bottleneck
            else [
                _convolution(channels, width, 3, stride),
                _convolution(width, width, 3, relu=False),
            ]
        )
        self.layers = nn.Sequential(*layers)
        same = stride == 1 and channels == width
        self.shortcut = (
            nn.Identity() if same else _convolution(channels, width, 1, stride, relu=False)
        )

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
        self._initialise()

    def _initialise(self) -> None:
        """He's initialisation; each block begins as the identity, its last normalisation at zero
        (Goyal et al. 2017).
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Residual):
                nn.init.zeros_(module.layers[-1].norm.weight)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def classify(self, last: torch.Tensor) -> torch.Tensor:
        pooled = functional.avg_pool2d(
            last, [min(self.span, side) for side in last.shape[-2:]], stride=1
        )
        return functional.conv2d(
            pooled, self.classifier.weight[:, :, None, None], self.classifier.bias
        )

    def log_probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Log-probabilities averaged over five crops of the field, or of what there is of it:
        float32 ``(B, K)`` (Table A).
        """
        height, width = (min(self.field, side) for side in images.shape[-2:])
        down, across = images.shape[-2] - height, images.shape[-1] - width
        corners = [(0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)]
        # Where the image is no larger than the field, crops coincide and are classified once.
        crops = {
            (top, left): super(ResNet, self).log_probabilities(
                images[..., top : top + height, left : left + width]
            )
            * (count / 5)
            for (top, left), count in Counter(corners).items()
        }
        return torch.stack(list(crops.values())).sum(dim=0)

    def load_torchvision(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of torchvision's ResNet of the same shape, which lists the same layers
        in the same order.
        """
        own = self.state_dict()
        if [tensor.shape for tensor in own.values()] != [
            tensor.shape for tensor in weights.values()
        ]:
            raise UserError(
                "these are not the weights of torchvision's ResNet of this shape: shapes differ."
            )
        self.load_state_dict(dict(zip(own, weights.values(), strict=True)))


def _convolution(
    channels: int, width: int, side: int, stride: int = 1, relu: bool = True
) -> ConvNorm:
    conv = nn.Conv2d(channels, width, side, stride, padding=side // 2, bias=False)
    return ConvNorm(conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True) if relu else nn.Identity())


def resnet50(classes: Sequence[str], field: int = 224) -> ResNet:
    """ResNet-50 as torchvision builds it (stride in the 3x3 convolutions), 25.6 million parameters
    with 1,000 classes.
    """
    return ResNet(
        classes,
        field,
        (64, 256, 512, 1024, 2048),
        (3, 4, 6, 3),
        first=7,
        bottleneck=True,
        pool=True,
    )


def small_resnet(classes: Sequence[str], field: int = 64) -> ResNet:
    """A ResNet of about a million parameters for the embedded data, the second architecture beside
    ``small_vgg``.
    """
    return ResNet(
        classes, field, (32, 48, 96, 144, 152), (2, 1, 1, 1), first=3, bottleneck=False, pool=False
    )
