"""VGG as the paper applies it: the classifier as convolutions over the map of the fifth pooling
(Simonyan and Zisserman 2015).

One class makes both VGG-16 and ``small_vgg``, its sibling for the embedded data: five pooling
stages, stride 32, then a classifier whose first layer spans the field. Where the input is smaller
than the field, the last map is padded with zeros to that span (Section 3: the scale 128).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks.base import IMAGENET_MEAN, IMAGENET_STD, STRIDE, ConvNorm, Dropout, Network

MEAN, STD = (tuple(255 * level for level in of) for of in (IMAGENET_MEAN, IMAGENET_STD))
CAFFE_MEAN = (123.68, 116.779, 103.939)


class VGG(Network):
    """Five stages of 3x3 convolutions, each ended by a 2x2 max pooling, and a fully convolutional
    classifier with dropout after each hidden layer.

    Args:
        widths: channels of each stage.
        depths: convolutions in each stage.
        hidden: channels of the classifier's hidden layers.
        batch_norm: normalise after each convolution of the stages (the original VGG-16 does not).
    """

    def __init__(
        self,
        classes: Sequence[str],
        field: int,
        widths: Sequence[int],
        depths: Sequence[int],
        hidden: Sequence[int],
        batch_norm: bool,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__(classes, field, mean, std)
        self.span = field // STRIDE
        channels, stages = 3, []
        for width, depth in zip(widths, depths, strict=True):
            layers: list[nn.Module] = []
            for _ in range(depth):
                conv = nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm)
                relu = nn.ReLU(inplace=True)
                if batch_norm:
                    layers.append(ConvNorm(conv, nn.BatchNorm2d(width), relu))
                else:
                    layers += [conv, relu]
                channels = width
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.stages = nn.ModuleList(stages)
        head: list[nn.Module] = []
        for number, width in enumerate(hidden):
            conv = nn.Conv2d(channels, width, 1 if number else self.span)
            head += [conv, nn.ReLU(inplace=True), Dropout()]
            channels = width
        self.classifier = nn.Sequential(*head, nn.Conv2d(channels, len(self.classes), 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.classifier[-1].weight, std=0.01)

    def classify(self, last: torch.Tensor) -> torch.Tensor:
        missing = [max(0, self.span - side) for side in last.shape[-2:]]
        if any(missing):
            (top, left), (bottom, right) = (m // 2 for m in missing), (m - m // 2 for m in missing)
            last = functional.pad(last, (left, right, top, bottom))
        return self.classifier(last)


def vgg16(classes: Sequence[str], field: int = 224, **normalisation: Sequence[float]) -> VGG:
    """VGG-16 (Simonyan and Zisserman 2015, configuration D), 138 million parameters with 1,000
    classes.
    """
    widths, depths, hidden = (64, 128, 256, 512, 512), (2, 2, 3, 3, 3), (4096, 4096)
    return VGG(classes, field, widths, depths, hidden, batch_norm=False, **normalisation)


def small_vgg(classes: Sequence[str], field: int = 64) -> VGG:
    """A VGG of about a million parameters with batch normalisation, for the embedded data; trains
    in minutes on a CPU.
    """
    return VGG(classes, field, (16, 32, 64, 128, 192), (1, 1, 2, 2, 2), (256,), batch_norm=True)


def vgg16_caffe(classes: Sequence[str], field: int = 224) -> VGG:
    """VGG-16 for the weights that Simonyan and Zisserman published for Caffe: grey levels less
    their mean, not scaled.
    """
    return vgg16(classes, field, mean=CAFFE_MEAN, std=(1.0,) * 3)
