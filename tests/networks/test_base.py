"""Layers of our own against torch's: the same values and the same gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from blurpaper.networks import depthwise
from blurpaper.networks.base import ConvNorm, Dropout, shared_batch


def normalisation(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return norm


def gradients(
    out: torch.Tensor, x: torch.Tensor, layers: tuple[nn.Module, ...]
) -> list[torch.Tensor]:
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    return torch.autograd.grad((out * weight).sum(), [x, *parameters])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("side", [1, 3, 5, 7])
@pytest.mark.parametrize(
    ("stride", "depthwise"), [(1, True), (2, True), (3, True), (1, False), (2, False)]
)
def test_a_layer_is_convolution_then_normalisation_then_activation(
    training, side, stride, depthwise
) -> None:
    torch.manual_seed(0)
    groups = 6 if depthwise else 1
    conv = nn.Conv2d(
        6, 6, side, stride=stride, padding=side // 2, groups=groups, bias=False
    ).double()
    norm = normalisation(6).train(training)
    x = torch.randn(2, 6, 17, 20, dtype=torch.float64, requires_grad=True)
    expected = functional.relu6(norm(conv(x)))
    given = ConvNorm(conv, norm, nn.ReLU6())(x)
    torch.testing.assert_close(given, expected)
    for own, theirs in zip(
        gradients(given, x, (conv, norm)), gradients(expected, x, (conv, norm)), strict=True
    ):
        torch.testing.assert_close(own, theirs)


@pytest.mark.parametrize("shape", [(17, 20), (8, 9), (5, 5), (2, 3)])
@pytest.mark.parametrize("side", [3, 5])
def test_padding_the_same_is_tensorflows(shape, side) -> None:
    """ceil(side / stride) positions; the first lies so that what is missing is shared, the odd
    pixel at the end.
    """
    conv = nn.Conv2d(4, 4, side, stride=2, groups=4, bias=False).double()
    x = torch.randn(1, 4, *shape, dtype=torch.float64)
    given = ConvNorm(conv, normalisation(4).eval(), nn.Identity(), same=True)
    given.norm = nn.BatchNorm2d(4, eps=0.0).double().eval()
    found = given(x)
    assert tuple(found.shape[-2:]) == tuple(-(-length // 2) for length in shape)
    wide = functional.pad(x, (side,) * 4)
    for row in range(found.shape[2]):
        for column in range(found.shape[3]):
            before = [max(0, (-(-length // 2) - 1) * 2 + side - length) // 2 for length in shape]
            top, left = (side + 2 * at - pad for at, pad in zip((row, column), before, strict=True))
            window = wide[0, :, top : top + side, left : left + side]
            torch.testing.assert_close(
                found[0, :, row, column], (window * conv.weight[:, 0]).sum(dim=(1, 2))
            )


def test_a_depthwise_layer_learns_under_autocast() -> None:
    """bfloat16 gradients are those of float32, to its precision, and arrive in float32."""
    torch.manual_seed(0)
    conv, norm = (
        nn.Conv2d(16, 16, 5, stride=2, padding=2, groups=16, bias=False),
        nn.BatchNorm2d(16).eval(),
    )
    layer = ConvNorm(conv, norm, nn.Identity())
    x = torch.randn(4, 16, 28, 28)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = layer(x)
        found.append(torch.autograd.grad(out.float().square().sum(), conv.weight)[0])
    assert found[1].dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(*(one.flatten() for one in found), dim=0) > 0.999


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(14, 14), (31, 31), (3, 5), (46, 7), (1, 1)])
@pytest.mark.parametrize(
    ("groups", "side", "stride", "same"),
    [
        (1, 1, 1, False),
        (1, 3, 2, True),
        (16, 3, 1, False),
        (16, 5, 1, False),
        (16, 3, 2, True),
        (16, 5, 2, True),
    ],
)
def test_an_activation_in_the_convolution_is_one_after_it(
    dtype, shape, groups, side, stride, same
) -> None:
    """Both without gradients, where a convolution, its bias and its activation are one call, and
    with.
    """
    torch.manual_seed(0)
    conv = nn.Conv2d(
        16, 16, side, stride=stride, padding=0 if same else side // 2, groups=groups, bias=False
    )
    conv, norm = conv.to(memory_format=torch.channels_last), normalisation(16).float().eval()
    x = (3 * torch.randn(8, 16, *shape)).contiguous(memory_format=torch.channels_last)
    for act in (nn.ReLU6(inplace=True), nn.ReLU()):
        found = []
        for layer, after in (
            (ConvNorm(conv, norm, act, same), nn.Identity()),
            (ConvNorm(conv, norm, nn.Identity(), same), act),
        ):
            inputs = x.clone().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                with torch.inference_mode():
                    seen = after(layer(x))
                out = after(layer(inputs))
            found.append([seen, out, *gradients(out, inputs, (conv, norm))])
        for own, theirs in zip(*found, strict=True):
            torch.testing.assert_close(own, theirs)


@pytest.mark.parametrize("shape", [(14, 14), (31, 31), (3, 5), (4, 46), (1, 1)])
@pytest.mark.parametrize(("side", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2), (7, 3)])
def test_depthwise_gradients_do_not_depend_on_who_pads(shape, side, stride) -> None:
    """Zeros around the input that are there before, or that the convolution puts there."""
    torch.manual_seed(0)
    pad, x, weight = side // 2, torch.randn(4, 32, *shape), torch.randn(32, 1, side, side)
    whole = functional.pad(x, (pad,) * 4).contiguous(memory_format=torch.channels_last)
    x = x.contiguous(memory_format=torch.channels_last)
    found = []
    for inputs, around in ((x, (pad, pad)), (x, (pad,) * 4), (whole, (0, 0))):
        kernel = weight.clone().requires_grad_()
        out = depthwise.convolution(inputs, kernel, None, stride, around)
        found.append(
            torch.autograd.grad(
                out, kernel, torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
            )[0]
        )
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_processes_that_share_a_batch_drop_what_one_would() -> None:
    layer, x = Dropout(0.5), torch.ones(5, 64, 1, 1)
    torch.manual_seed(7)
    whole = layer(x)
    parts = []
    for places in (slice(0, 2), slice(2, 5)):
        torch.manual_seed(7)
        with shared_batch(places, 5):
            parts.append(layer(x[places]))
    assert torch.equal(torch.cat(parts), whole)
    assert 0.3 < (whole == 0).double().mean() < 0.7
    assert torch.equal(layer.eval()(x), x)
