"""Any classifier of images as a network of the project: an nn.Module that gives logits ``(B, K)``,
wrapped.

A module that takes images of any size is given them whole, and pools over them as it was made to.
One of a fixed size, such as a vision transformer, is given the centre of each image: its own field,
at whatever scale the protocol brought the image to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from blurpaper.errors import UserError
from blurpaper.networks.base import Classifier, WeightsError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's photographs, their grey levels from 0 to 1: what most classifiers were trained
with.
"""
FIELD = 224
"""Side of the crops that most classifiers were trained on, in pixels."""

_LARGEST = 4096

_ODD = (5, 37)
"""By how many pixels the image is larger than the field on which it is tried whether a module takes
any size.
"""


class ForeignNetwork(Classifier):
    """A module as a network; its features are the last map that it makes of all positions.

    Args:
        module: gives logits ``(B, K)``, or an object that has them as ``logits``, for normalised
            RGB ``(B, 3, H, W)``.
        name: for people.
        field: side of its training crops, in pixels.
        mean, std: that it wants its input normalised with, per channel, grey levels from 0 to 1.
        classes: their names; numbers by default.

    Attributes:
        fixed: whether it takes images of its field's size alone, and is given the centre of larger
            ones.
        last: the name of the part that makes its last map; None if none does.

    Raises:
        WeightsError: if it cannot be applied to images of its field's size, or gives something else
            than logits.

    >>> layers = nn.Conv2d(3, 8, 8, stride=8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    >>> network = ForeignNetwork(nn.Sequential(*layers), "mine", field=64, classes=["cat", "dog"])
    >>> network(torch.zeros(1, 3, 64, 96)).shape
    torch.Size([1, 2, 1, 1])
    >>> network.fixed, network.features_and_logits(torch.zeros(1, 3, 64, 96))[0].shape
    (False, torch.Size([1, 8, 8, 12]))
    """

    def __init__(
        self,
        module: nn.Module,
        name: str,
        field: int = FIELD,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        classes: Sequence[str] | None = None,
    ) -> None:
        if not 1 <= field <= _LARGEST:
            raise WeightsError(f"the field of {name} is 1 to {_LARGEST:,} pixels. Got {field:,}.")
        if (
            len(mean) != 3
            or len(std) != 3
            or not (0 <= min(mean) <= max(mean) <= 1 and 0 < min(std) <= max(std) <= 1)
        ):
            raise WeightsError(
                f"{name} needs a mean and a deviation for each of three channels, of grey levels from 0 to 1 (divide those of 0 "
                f"to 255 by 255). Got {mean} and {std}."
            )
        super().__init__((), field, [255 * value for value in mean], [255 * value for value in std])
        self.module, self.name = module, name
        self.eval()
        device = next(
            (tensor.device for tensor in module.state_dict().values()), torch.device("cpu")
        )
        self.to(device)
        self.last, outputs = self._tried(torch.zeros(1, 3, field, field, device=device))
        self.fixed = not self._takes(
            torch.zeros(1, 3, *(field + more for more in _ODD), device=device)
        )
        self.classes = tuple(classes) if classes else tuple(map(str, range(outputs)))
        if len(self.classes) != outputs:
            raise WeightsError(
                f"{name} has {outputs:,} outputs, and {len(self.classes):,} classes were named."
            )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, K, 1, 1)`` of RGB images in grey levels 0..255, ``(B, 3, H, W)``.

        Raises:
            UserError: if the images are smaller than the module can take.
        """
        inputs = self.normalised(images)
        if not self._is_small(inputs):
            return self._logits(self._shown(inputs))
        if not self.fixed:
            try:
                return self._logits(inputs)
            except RuntimeError as error:
                if "out of memory" in str(error):
                    raise
        height, width = inputs.shape[-2:]
        raise UserError(
            f"{self.name} was made for {self.field} x {self.field} pixels and cannot be applied to images of {height} x {width}: "
            "choose larger scales."
        )

    def features_and_logits(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last map, of any shape with the batch first, and logits ``(B, K, 1, 1)``; the logits
        twice if there is no map.
        """
        if self.last is None:
            logits = self._logits(self._shown(inputs))
            return logits, logits
        caught: list[torch.Tensor] = []
        handle = self.module.get_submodule(self.last).register_forward_hook(
            lambda _, __, output: caught.append(output)
        )
        try:
            logits = self._logits(self._shown(inputs))
        finally:
            handle.remove()
        return caught[-1], logits

    def _is_small(self, inputs: torch.Tensor) -> bool:
        return min(inputs.shape[-2:]) < self.field

    def _shown(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the module sees of its input: all of it, or the centre."""
        if not self.fixed:
            return inputs
        top, left = ((side - self.field) // 2 for side in inputs.shape[-2:])
        return inputs[..., top : top + self.field, left : left + self.field].contiguous(
            memory_format=torch.channels_last
        )

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return _as_logits(self.module(inputs))[:, :, None, None]

    def _takes(self, inputs: torch.Tensor) -> bool:
        try:
            with torch.inference_mode():
                return _as_logits(self.module(inputs)).ndim == 2
        except Exception:  # whatever a module says of a size that it was not made for
            return False

    def _tried(self, inputs: torch.Tensor) -> tuple[str | None, int]:
        """Apply the module once: the name of the last part to finish whose output has positions,
        and the number of outputs.
        """
        finished: list[str] = []
        names = {part: name for name, part in self.module.named_modules() if name}
        handles = [
            part.register_forward_hook(
                lambda part, _, output: (
                    finished.append(names[part]) if _has_positions(output) else None
                )
            )
            for part in names
        ]
        try:
            with torch.inference_mode():
                logits = _as_logits(self.module(inputs))
        except Exception as error:
            side, what = self.field, " ".join(f"{type(error).__name__}: {error}".split())
            raise WeightsError(
                f"{self.name} cannot be applied to RGB images of {side} x {side} pixels ({what[:200]})."
            ) from None
        finally:
            for handle in handles:
                handle.remove()
        if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != 1:
            what = (
                tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            )
            raise WeightsError(
                f"{self.name} must give logits (B, K) for images (B, 3, H, W). Got {what} for one image."
            )
        return (finished[-1] if finished else None), logits.shape[1]


def _as_logits(output: object) -> torch.Tensor:
    """What a module gave, or the logits in it: some have auxiliary outputs beside them."""
    return getattr(output, "logits", output)


def _has_positions(output: object) -> bool:
    """Whether it is a map ``(B, C, H, W)`` or a row of tokens ``(B, N, C)``, of more than one
    position.
    """
    if not isinstance(output, torch.Tensor) or output.ndim not in (3, 4):
        return False
    positions = output.shape[1:2] if output.ndim == 3 else output.shape[2:]
    return positions.numel() > 1


def head_of(module: nn.Module) -> str | None:
    """The name of the layer that gives the logits: the last linear or convolutional one that a
    module lists.

    >>> head_of(nn.ModuleDict({"body": nn.Conv2d(3, 8, 3), "head": nn.Linear(8, 2), "act": nn.ReLU()}))
    'head'
    """
    layers = [
        name for name, part in module.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)
    ]
    return layers[-1] if layers else None
