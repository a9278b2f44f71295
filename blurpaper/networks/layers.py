"""Layers that networks share: a convolution with its batch normalisation, and dropout that several
processes agree on.

:class:`ConvNorm` is the usual function, faster where a CPU leaves time on the table. Where the
statistics are fixed (evaluation, and fine-tuning that freezes them), the normalisation is folded
into the kernel and a bias, in float32, at each call: the same numbers to rounding, one pass over
the maps instead of two, and gradients reach the same parameters. A depthwise convolution that
learns on a CPU has the backward pass of :mod:`blurpaper.networks.depthwise`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks import depthwise

_SHARE: ContextVar[tuple[slice, int] | None] = ContextVar("share", default=None)


@contextmanager
def shared_batch(places: slice, size: int) -> Iterator[None]:
    """While this process computes those places of a batch of that size."""
    token = _SHARE.set((places, size))
    try:
        yield
    finally:
        _SHARE.reset(token)


class Dropout(nn.Dropout):
    """Dropout that draws for the whole batch, so that processes that share one drop together what
    one alone would.
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
        same: pad as TensorFlow's SAME does, at the size of each input, instead of by
            ``conv.padding``.
    """

    def __init__(
        self, conv: nn.Conv2d, norm: nn.BatchNorm2d, act: nn.Module, same: bool = False
    ) -> None:
        super().__init__()
        self.conv, self.norm, self.act, self.same = conv, norm, act, same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.norm.training:
            return self.act(self.norm(self._convolved(x, self.conv.weight, None, _NOTHING)))
        scale = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()
        bias = self.norm.bias - self.norm.running_mean * scale
        return self._convolved(x, self.conv.weight * scale[:, None, None, None], bias, self.act)

    def _convolved(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, act: nn.Module
    ) -> torch.Tensor:
        stride, padding = (
            self.conv.stride[0],
            _same_padding(x, self.conv) if self.same else self.conv.padding,
        )
        groups = self.conv.groups
        is_depthwise = groups == x.shape[1] == len(weight)
        if is_depthwise and x.device.type == "cpu" and torch.is_grad_enabled():
            return depthwise.convolution(x, weight, bias, stride, padding, act)
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
