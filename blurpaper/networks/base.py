"""Base classes of classifiers and of the paper's networks, and the layers that these share.

A classifier is applied fully convolutionally; a network also shows its five stages (Sections 3 and
4.3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks import depthwise
from blurpaper.runs.files import UserError

M = TypeVar("M", bound=nn.Module)

STAGES = ("pool1", "pool2", "pool3", "pool4", "pool5")
STRIDE = 32
"""Pixels of the input between neighbouring positions of the last map, in every network here."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's photographs per channel, in grey levels from 0 to 1."""


class WeightsError(UserError):
    """Weights that are missing or invalid, in one sentence."""


class Classifier(nn.Module, ABC):
    """A classifier of images of any size, which normalises its own input.

    Args:
        classes: names of the classes, in the order of the logits.
        field: side of the crops that it is trained on, in pixels.
        mean, std: of its training images, per channel, in grey levels 0..255.
    """

    def __init__(
        self, classes: Sequence[str], field: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.classes = tuple(classes)
        self.field = field
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, tensor, persistent=False)

    @property
    def stored(self) -> nn.Module:
        """The module whose tensors are kept in a file."""
        return self

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        """RGB images in grey levels 0..255, ``(B, 3, H, W)``, normalised for the layers."""
        return ((images.float() - self.mean) / self.std).contiguous(
            memory_format=torch.channels_last
        )

    @abstractmethod
    def features_and_logits(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The last features that have positions, and the logits made of them.

        Args:
            inputs: normalised, float32 ``(B, 3, H, W)``.

        Returns:
            a tensor with the batch first, and logits ``(B, K, h, w)``.
        """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, K, h, w)`` of RGB images in grey levels 0..255, ``(B, 3, H, W)`` of any
        size.
        """
        return self.features_and_logits(self.normalised(images))[1]

    def log_probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """Mean over positions of the log-probabilities, not renormalised: ``(B, K)`` (Sec. 3)."""
        return self(images).float().log_softmax(dim=1).mean(dim=(2, 3))


class Network(Classifier):
    """A classifier that gives a map of logits, one vector at each position of its field over the
    image.

    Subclasses define ``classify``, and ``stages``, five modules applied one after another, or
    ``stage_maps`` of their own.

    Attributes:
        head: names of the modules that ``classify`` alone applies.
    """

    head: Sequence[str] = ("classifier",)

    def stage_maps(self, inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features after each of the five stages that halve the resolution, of normalised input.

        Args:
            inputs: float32 ``(B, 3, H, W)``.

        Returns:
            stage -> ``(B, C, h, w)``.
        """
        maps = {}
        for name, stage in zip(STAGES, self.stages, strict=True):
            maps[name] = inputs = stage(inputs)
        return maps

    @abstractmethod
    def classify(self, last: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, K, h, w)`` at every position of the last stage's map."""

    def features_and_logits(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        last = self.stage_maps(inputs)[STAGES[-1]]
        return last, self.classify(last)

    def with_weights(self, weights: Mapping[str, torch.Tensor]) -> Network:
        """Itself, in evaluation mode, with weights that another library lists in the same order
        under other names, with linear layers where these are convolutions.
        """
        pairs = zip(self.state_dict().items(), weights.values(), strict=True)
        self.load_state_dict({name: other.reshape(one.shape) for (name, one), other in pairs})
        return self.eval()


# --- Layers ---------------------------------------------------------------------------------------

_SHARE: ContextVar[tuple[slice, int] | None] = ContextVar("share", default=None)


@contextmanager
def shared_batch(places: slice, size: int) -> Iterator[None]:
    """Let :class:`Dropout` draw for a batch of that size, of which this process computes those
    places.
    """
    token = _SHARE.set((places, size))
    try:
        yield
    finally:
        _SHARE.reset(token)


class Dropout(nn.Dropout):
    """Dropout that draws for the whole batch, so that processes that share it drop what a single
    process would.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return x
        places, size = _SHARE.get() or (slice(None), len(x))
        return x * functional.dropout(x.new_ones((size, *x.shape[1:])), self.p)[places]


class ConvNorm(nn.Module):
    """Convolution, batch normalisation, activation.

    Args:
        conv: a convolution without bias.
        norm: its normalisation.
        act: what follows.
        same: pad as TensorFlow's SAME does, at the size of each input, as ``conv`` does if it is
            called itself.

    Attributes:
        plain: whether each of the three is applied by itself.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, act: nn.Module, same: bool = False
    ) -> None:
        super().__init__()
        self.conv, self.norm, self.act, self.same = conv, norm, act, same
        self.plain = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.plain:
            return self.act(self.norm(self.conv(x)))
        if self.norm.training:
            return self.act(self.norm(self._convolved(x, self.conv.weight, None, _NOTHING)))
        scale = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()
        bias = self.norm.bias - self.norm.running_mean * scale
        return self._convolved(x, self.conv.weight * scale[:, None, None, None], bias, self.act)

    def _convolved(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, act: nn.Module
    ) -> torch.Tensor:
        stride, groups = self.conv.stride[0], self.conv.groups
        padding = _same_padding(x, self.conv) if self.same else self.conv.padding
        is_depthwise = groups == x.shape[1] == len(weight)
        if is_depthwise and x.device.type == "cpu" and torch.is_grad_enabled():
            return act(depthwise.convolution(x, weight, bias, stride, padding))
        if self.same:
            x, padding = functional.pad(x, padding), (0, 0)
        return act(functional.conv2d(x, weight, bias, stride, padding, 1, groups))


_NOTHING = nn.Identity()


def _same_padding(x: torch.Tensor, conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Left, right, top, bottom: so that the output has ceil(side / stride) positions, the odd pixel
    right and below.
    """
    missing = []
    for side, kernel, stride in zip(x.shape[-2:], conv.kernel_size, conv.stride, strict=True):
        missing.append(max(0, (-(-side // stride) - 1) * stride + kernel - side))
    down, across = missing
    return across // 2, across - across // 2, down // 2, down - down // 2


class MixedNorm(nn.Module):
    """Batch normalisation by the statistics of the batch, mixed with those of training as if these
    came from some number of images (Schneider et al. 2020).

    Args:
        norm: the layer in whose place it stands, and whose parameters it has.
        source: that number, N of the paper; 0 takes the batch's statistics alone.
    """

    def __init__(self, norm: nn.BatchNorm2d, source: int) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.source = norm.weight, norm.bias, norm.eps, source
        self.register_buffer("mean", norm.running_mean, persistent=False)
        self.register_buffer("var", norm.running_var, persistent=False)
        self.act = getattr(norm, "act", _NOTHING)  # in timm's layers

    def train(self, mode: bool = True) -> MixedNorm:
        """Stay in training mode, in which :class:`ConvNorm` does not fold it."""
        return super().train()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        affine = self.weight, self.bias
        if not self.source:  # the gradient flows through the statistics as well
            return self.act(functional.batch_norm(x, None, None, *affine, True, 0.0, self.eps))
        with torch.no_grad():
            # As running statistics, ten times faster than by var_mean on a CPU; unbiased at first.
            mean, var, count = self.mean.clone(), self.var.clone(), x.numel() / x.shape[1]
            functional.batch_norm(x, mean, var, None, None, True, 1.0, self.eps)
            var, share = var * (count - 1) / count, len(x) / (self.source + len(x))
            mixed = self.mean.lerp(mean, share), self.var.lerp(var, share)
        return self.act(functional.batch_norm(x, *mixed, *affine, False, 0.0, self.eps))


def with_mixed_norms(network: M, source: int) -> M:
    """A network each of whose batch normalisations became a :class:`MixedNorm`, in place.

    Raises:
        UserError: if it has none.
    """
    found = [one for one in network.named_modules() if isinstance(one[1], nn.BatchNorm2d)]
    if not found:
        raise UserError(f"{type(network).__name__} has no batch normalisation that could adapt.")
    for name, norm in found:
        network.set_submodule(name, MixedNorm(norm, source).train())
    return network


def unfolded(network: M) -> M:
    """A network with each layer applied by itself, so that hooks on it are called."""
    for part in network.modules():
        if isinstance(part, ConvNorm):
            part.plain = True
    return network
