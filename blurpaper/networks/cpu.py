"""A convolution, its bias and its activation on a CPU, in as few passes over the maps as give the
same numbers, bit for bit.

On a CPU a pass over the maps costs about as much as a convolution's arithmetic. Where oneDNN
computes a convolution, it is asked for the activation too (``_Activated``); the gradient of the
activation is told by its outcome. A depthwise convolution gets a backward pass of its own
(``_Depthwise``), because those that torch has for CPUs take most of the time of fine-tuning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

Padding = tuple[int, int] | tuple[int, int, int, int]
"""Down and across, done by the convolution itself; or left, right, top and bottom, as torch's
``pad`` has it, done before.
"""


@dataclass(frozen=True)
class _Activation:
    """One that oneDNN applies as it writes a convolution's outcome: its name and numbers there, and
    its gradient.
    """

    name: str
    numbers: tuple[float, ...]
    in_place: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Of the input, by the gradient of the outcome and the outcome."""


_ACTIVATIONS = {
    nn.ReLU: _Activation(
        "relu",
        (),
        torch.relu_,
        lambda gradient, out: torch.ops.aten.threshold_backward(gradient, out, 0),
    ),
    nn.ReLU6: _Activation(
        "hardtanh",
        (0.0, 6.0),
        lambda out: functional.hardtanh_(out, 0.0, 6.0),
        lambda gradient, out: torch.ops.aten.hardtanh_backward(gradient, out, 0, 6),
    ),
}


def convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: int,
    padding: Padding,
    act: nn.Module,
) -> torch.Tensor:
    """``act(conv2d(x, weight, bias, stride, padding))``, in as many groups as the shapes of ``x``
    and ``weight`` make.

    Args:
        x: ``(B, C, H, W)``.
        weight: ``(K, C / groups, side, side)``.

    >>> x, weight, bias = torch.ones(1, 1, 3, 3), torch.full((1, 1, 3, 3), -1.0), torch.tensor([5.0])
    >>> convolution(x, weight, bias, stride=1, padding=(1, 1), act=nn.ReLU())[0, 0].tolist()
    [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    """
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    learns, activation = torch.is_grad_enabled(), _ACTIVATIONS.get(type(act))
    if learns and len(weight) == x.shape[1] and weight.shape[1] == 1:
        out = _Depthwise.apply(x, weight, bias, stride, padding, activation)
        return out if activation else act(out)
    if len(padding) == 4:
        x, padding = (
            functional.pad(x, padding) if learns and x.requires_grad else _padded(x, padding),
            (0, 0),
        )
    groups = x.shape[1] // weight.shape[1]
    if activation is None or not _by_onednn(x, weight, bias, stride, padding, groups):
        return act(functional.conv2d(x, weight, bias, stride, padding, 1, groups))
    apply = _Activated.apply if learns else _activated
    return apply(x, weight, bias, stride, padding, groups, activation)


def _by_onednn(x, weight, bias, stride, padding, groups) -> bool:  # noqa: ANN001 (as of a convolution)
    chosen = torch._C._select_conv_backend(
        x, weight, bias, [stride] * 2, padding, [1, 1], False, [0, 0], groups
    )
    return chosen == torch._C._ConvBackend.Mkldnn


def _activated(x, weight, bias, stride, padding, groups, activation) -> torch.Tensor:  # noqa: ANN001
    return torch.ops.mkldnn._convolution_pointwise(
        x,
        weight,
        bias,
        padding,
        [stride] * 2,
        [1, 1],
        groups,
        activation.name,
        list(activation.numbers),
        "",
    )


class _Activated(torch.autograd.Function):
    """A convolution, its bias and its activation; what is between them is never written."""

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, groups, activation) -> torch.Tensor:  # noqa: ANN001
        out = _activated(x, weight, bias, stride, padding, groups, activation)
        ctx.save_for_backward(x, weight, out)
        ctx.stride, ctx.padding, ctx.groups, ctx.activation = stride, padding, groups, activation
        return out

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN001
        x, weight, out = ctx.saved_tensors
        gradient, asked = ctx.activation.gradient(gradient, out), list(ctx.needs_input_grad[:3])
        found = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            [len(weight)],
            [ctx.stride] * 2,
            ctx.padding,
            [1, 1],
            False,
            [0, 0],
            ctx.groups,
            asked,
        )
        return *found, None, None, None, None


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution, its bias and its activation, whose gradients are made of
    convolutions that are fast on CPUs.

    The gradient of the input at each phase of the stride is one convolution of stride 1 of the
    output's gradient with the taps of that phase; the gradient of a kernel is put together from
    those of three of its columns at a time, or of 3 x 3 of its taps.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, stride, padding, activation) -> torch.Tensor:  # noqa: ANN001
        ctx.stride, ctx.padding, ctx.shape, ctx.activation = stride, padding, x.shape, activation
        x, ctx.around = (x, padding) if len(padding) == 2 else (_padded(x, padding), (0, 0))
        out = functional.conv2d(x, weight, None, stride, ctx.around, 1, len(weight))
        if bias is not None:
            out.add_(bias[:, None, None])
        if activation:
            activation.in_place(out)
        ctx.save_for_backward(x, weight, out if activation else None)
        return out

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # noqa: ANN001
        (x, weight, out), (of_x, of_weight, of_bias) = ctx.saved_tensors, (None,) * 3
        if ctx.activation:
            gradient = ctx.activation.gradient(gradient, out)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum_to_size(len(weight), 1, 1).flatten()
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", enabled=False):
            if ctx.needs_input_grad[0]:
                of_x = _input_gradient(gradient, ctx.shape, weight, ctx.stride, ctx.padding)
            if ctx.needs_input_grad[1]:
                of_weight = _kernel_gradient(gradient, x, weight, ctx.stride, ctx.around)
        return of_x, of_weight, of_bias, None, None, None


def _input_gradient(
    gradient: torch.Tensor, shape: torch.Size, weight: torch.Tensor, stride: int, padding: Padding
) -> torch.Tensor:
    side = weight.shape[-1]
    if stride == 1 and len(padding) == 2:
        return functional.conv2d(
            gradient,
            weight.flip(2, 3),
            None,
            1,
            [side - 1 - one for one in padding],
            1,
            len(weight),
        )
    left, right, top, bottom = (
        padding if len(padding) == 4 else (padding[1], padding[1], padding[0], padding[0])
    )
    taps = -(-side // stride)
    whole = (shape[2] + top + bottom, shape[3] + left + right)
    down, across = (
        max(0, -(-length // stride) - out)
        for length, out in zip(whole, gradient.shape[-2:], strict=True)
    )
    spread = _padded(gradient, (taps - 1, across, taps - 1, down))
    result = torch.empty(shape, dtype=gradient.dtype, memory_format=torch.channels_last)
    for row in range(stride):
        for column in range(stride):
            phase = weight[:, :, row::stride, column::stride].flip(2, 3)
            kernel = functional.pad(phase, (taps - phase.shape[3], 0, taps - phase.shape[2], 0))
            found = functional.conv2d(spread, kernel, None, 1, 0, 1, len(weight))
            # The first ones of a phase may lie in the padding, whose gradient nobody asks for.
            above, before = max(0, -(-(top - row) // stride)), max(0, -(-(left - column) // stride))
            place = result[
                :,
                :,
                row + above * stride - top :: stride,
                column + before * stride - left :: stride,
            ]
            place.copy_(
                found[:, :, above : above + place.shape[2], before : before + place.shape[3]]
            )
    return result


def _kernel_gradient(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: int,
    padding: tuple[int, int],
) -> torch.Tensor:
    side, (rows, columns), (top, left) = weight.shape[-1], gradient.shape[-2:], padding
    wide = min(3, side)
    # Elsewhere, padding done by the convolution itself would change the order of oneDNN's sums,
    # which depends on the shape.
    tall, inside = (side, True) if rows > 4 and columns % 15 != 1 else (wide, False)
    result = torch.empty_like(weight)
    for row in _starts(side, tall):
        for column in _starts(side, wide):
            seen, around = x, padding
            if (
                wide < side or not inside
            ):  # the part of the input that meets these taps, its border of zeros with it
                right = (columns - 1) * stride + column + wide - left - x.shape[3]
                bottom = (rows - 1) * stride + row + tall - top - x.shape[2]
                above, below = (0, 0) if inside else (top - row, bottom)
                seen, around = (
                    _padded(x, (left - column, right, above, below)),
                    (top if inside else 0, 0),
                )
            taps = (..., slice(row, row + tall), slice(column, column + wide))
            result[taps] = torch.ops.aten.convolution_backward(
                gradient, seen, weight[taps].contiguous(), None, [stride] * 2, around, [1, 1], False, [0, 0], len(weight),
                [False, True, False],
            )[1]  # fmt: skip
    return result


def _starts(side: int, part: int) -> list[int]:
    """Where parts begin that cover a side, each sharing one tap at most with the next but the last."""
    return [*range(0, side - part, max(1, part - 1)), side - part]


def _padded(x: torch.Tensor, padding: tuple[int, int, int, int]) -> torch.Tensor:
    """Zeros around a batch of maps, channels last, or what is negative cut off; torch's ``pad``
    would write all of it twice.
    """
    left, right, top, bottom = padding
    height, width = x.shape[2] + top + bottom, x.shape[3] + left + right
    out = torch.empty(
        (*x.shape[:2], height, width), dtype=x.dtype, memory_format=torch.channels_last
    )
    inner = out[:, :, max(0, top) : height - max(0, bottom), max(0, left) : width - max(0, right)]
    inner.copy_(x[:, :, max(0, -top) :, max(0, -left) :][:, :, : inner.shape[2], : inner.shape[3]])
    for border in (out[:, :, : max(0, top)], out[:, :, height - max(0, bottom) :]):
        border.zero_()
    for border in (out[..., : max(0, left)], out[..., width - max(0, right) :]):
        border.zero_()
    return out
