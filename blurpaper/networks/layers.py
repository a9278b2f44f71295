"""Layers that networks share: a convolution with its batch normalisation, and dropout that several processes agree on.

:class:`ConvNorm` is the usual function, faster where a CPU leaves time on the table. Where the statistics are fixed
(evaluation, and fine-tuning that freezes them), the normalisation is folded into the kernel and a bias, in float32, at each
call: the same numbers to rounding, one pass over the maps instead of two, and gradients reach the same parameters. A
depthwise convolution gets a backward pass of its own (:class:`_Depthwise`), because those that torch has for CPUs take most
of the time of fine-tuning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import nn
from torch.nn import functional

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
    """Dropout that draws for the whole batch, so that processes that share one drop together what one alone would."""

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
        same: pad as TensorFlow's SAME does, at the size of each input, instead of by ``conv.padding``.
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, act: nn.Module, same: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.act, self.same = conv, norm, act, same

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = self.conv.padding
        if self.same:
            x, padding = functional.pad(x, _same_padding(x, self.conv)), (0, 0)
        if self.norm.training:
            return self.act(self.norm(self._convolved(x, self.conv.weight, None, padding)))
        scale = self.norm.weight * (self.norm.running_var + self.norm.eps).rsqrt()
        bias = self.norm.bias - self.norm.running_mean * scale
        return self.act(self._convolved(x, self.conv.weight * scale[:, None, None, None], bias, padding))

    def _convolved(
        self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, padding: tuple[int, int]
    ) -> torch.Tensor:
        stride, groups = self.conv.stride, self.conv.groups
        if torch.is_grad_enabled() and x.device.type == "cpu" and groups == x.shape[1] == len(weight):
            if torch.is_autocast_enabled("cpu"):
                x, weight = (tensor.to(torch.get_autocast_dtype("cpu")) for tensor in (x, weight))
            out = _Depthwise.apply(x, weight, stride[0], padding[0])
            return out if bias is None else out + bias.to(out.dtype)[:, None, None]
        return functional.conv2d(x, weight, bias, stride, padding, 1, groups)


def _same_padding(x: torch.Tensor, conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """Left, right, top, bottom: so that the output has ceil(side / stride) positions, the odd pixel right and below."""
    missing = []
    for side, kernel, stride in zip(x.shape[-2:], conv.kernel_size, conv.stride, strict=True):
        missing.append(max(0, (-(-side // stride) - 1) * stride + kernel - side))
    down, across = missing
    return across // 2, across - across // 2, down // 2, down - down // 2


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution whose gradients are made of 3 x 3 depthwise convolutions of stride 1, which are fast on CPUs.

    The gradient of the input at each phase of the stride is one convolution of the output's gradient with the taps of that
    phase; the gradient of a kernel is put together from its 3 x 3 blocks.
    """

    @staticmethod
    def forward(ctx, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:  # noqa: ANN001
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, None, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN001
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", enabled=False):
            of_x = _input_gradient(gradient, x, weight, ctx.stride, ctx.padding) if ctx.needs_input_grad[0] else None
            of_weight = _kernel_gradient(gradient, x, weight, ctx.stride, ctx.padding) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, None, None


def _input_gradient(gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    side = weight.shape[-1]
    if stride == 1:
        return functional.conv2d(gradient, weight.flip(2, 3), None, 1, side - 1 - padding, 1, len(weight))
    whole = [length + 2 * padding for length in x.shape[-2:]]
    taps = -(-side // stride)
    down, across = (max(0, -(-length // stride) - out) for length, out in zip(whole, gradient.shape[-2:], strict=True))
    padded = functional.pad(gradient, (taps - 1, across, taps - 1, down))
    result = torch.empty((*x.shape[:2], *whole), dtype=x.dtype, memory_format=torch.channels_last)
    for row in range(stride):
        for column in range(stride):
            phase = weight[:, :, row::stride, column::stride].flip(2, 3)
            kernel = functional.pad(phase, (taps - phase.shape[3], 0, taps - phase.shape[2], 0))
            place = result[:, :, row::stride, column::stride]
            place.copy_(functional.conv2d(padded, kernel, None, 1, 0, 1, len(weight))[:, :, : place.shape[2], : place.shape[3]])
    return result[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


def _kernel_gradient(gradient: torch.Tensor, x: torch.Tensor, weight: torch.Tensor, stride: int, padding: int) -> torch.Tensor:
    side, block = weight.shape[-1], min(3, weight.shape[-1])
    x = functional.pad(x, (padding,) * 4)
    spans = [(length - 1) * stride + block for length in gradient.shape[-2:]]
    starts = [*range(0, side - block, block - 1), side - block] if side > block else [0]
    result = torch.empty_like(weight)
    for row in starts:
        for column in starts:
            part = x[:, :, row : row + spans[0], column : column + spans[1]].contiguous(memory_format=torch.channels_last)
            like = weight[:, :, :block, :block].contiguous()
            result[:, :, row : row + block, column : column + block] = torch.ops.aten.convolution_backward(
                gradient, part, like, None, [stride] * 2, [0, 0], [1, 1], False, [0, 0], len(weight), [False, True, False]
            )[1]
    return result
