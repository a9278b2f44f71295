"""Networks as files for other programs: ONNX, whose graph takes images as they are, or safetensors.

The graph of an ONNX file takes RGB in grey levels 0 to 255, float32 ``(B, 3, H, W)`` named
``images``, and gives log-probabilities averaged over positions, float32 ``(B, K)`` named
``log_probabilities`` (Sec. 3; not renormalised). The number of images and their sides are free,
from the field of the network on. Its metadata say which network it is, and its classes.
"""

from __future__ import annotations

import copy
import json
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from blurpaper.networks import Network, NetworkSpec, files
from blurpaper.networks.base import WeightsError
from blurpaper.networks.efficientnet import EfficientNetLite
from blurpaper.networks.layers import ConvNorm
from blurpaper.writing import written

if TYPE_CHECKING:
    from onnx import ModelProto

SUFFIXES = (".onnx", ".safetensors")
OPSET = 17
_HALVED = 256
"""Weights of at least so many elements are kept in half precision; biases and the like are not
worth it.
"""


def export(network: Network, spec: NetworkSpec, path: Path, half: bool = False) -> None:
    """Write a network to a file, whose suffix says as what.

    Args:
        spec: what it is.
        half: keep the weights in float16.

    Raises:
        ValueError: for another suffix.
        RuntimeError: if a package is needed and not installed.
        WeightsError: if torch cannot write it as ONNX.

    >>> import tempfile
    >>> from blurpaper.networks import build
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> export(build("small_vgg", ["cat", "dog"], 64), NetworkSpec("small_vgg", "mix"), path, half=True)
    >>> files.metadata(path)["network"], files.read(path)["classifier.0.weight"].dtype
    ('small_vgg:mix', torch.float16)
    """
    check_suffix(path)
    if path.suffix == ".onnx":
        to_onnx(network, path, spec.name, half)
    else:
        files.save(network, spec, path, half)


def to_onnx(network: Network, path: Path, name: str = "", half: bool = False) -> None:
    """Write a network as ONNX.

    Args:
        name: of the network, for the metadata.
        half: keep the weights in float16, which halves the file; the graph turns them back, and
            computes in float32.

    Raises:
        RuntimeError: if the package onnx is not installed.
        WeightsError: if ONNX has no words for what the network does.

    >>> import tempfile
    >>> from blurpaper.networks import build
    >>> path = Path(tempfile.mkdtemp()) / "mine.onnx"
    >>> to_onnx(build("small_vgg", ["cat", "dog"], 64), path, "mine")
    >>> model = need_onnx().load(path)
    >>> [one.name for one in (*model.graph.input, *model.graph.output)]
    ['images', 'log_probabilities']
    >>> sorted((one.key, one.value) for one in model.metadata_props)
    [('classes', '["cat", "dog"]'), ('field', '64'), ('network', 'mine')]
    """
    onnx = need_onnx()
    module = _Exported(network).eval()
    side = network.field
    with written(path) as temporary:
        with torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of values that the trace takes for constant: they are, from the field on
            try:
                torch.onnx.export(
                    module,
                    (torch.zeros(2, 3, side + 32, side + 64),),
                    str(temporary),
                    dynamo=False,
                    opset_version=OPSET,
                    input_names=["images"],
                    output_names=["log_probabilities"],
                    dynamic_axes={
                        "images": {0: "batch", 2: "height", 3: "width"},
                        "log_probabilities": {0: "batch"},
                    },
                )
            except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
                what = next(iter(str(error).strip().splitlines()), type(error).__name__)
                raise WeightsError(
                    f"{name or 'the network'} cannot be written as ONNX ({what[:200]})."
                ) from None
        model = onnx.load(temporary)
        if half:
            _halve(model)
        onnx.helper.set_model_props(
            model,
            {
                "network": name,
                "classes": json.dumps(list(network.classes)),
                "field": str(network.field),
            },
        )
        onnx.checker.check_model(model)
        onnx.save(model, temporary)


def need_onnx():  # noqa: ANN201 (a module)
    """The package onnx.

    Raises:
        RuntimeError: if it is not installed, saying how to.

    >>> need_onnx().helper.make_node("Relu", ["maps"], ["rectified"]).op_type
    'Relu'
    """
    try:
        import onnx
    except ImportError:
        raise RuntimeError(
            "to write ONNX the package onnx is needed: pip install 'blurpaper[onnx]'."
        ) from None
    return onnx


def check_suffix(path: Path) -> None:
    """A ValueError unless a file's name says what it is to be.

    >>> check_suffix(Path("network.onnx"))
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"a network is exported to a file that ends in {' or '.join(SUFFIXES)}. Got {str(path)!r}."
        )


class _Exported(nn.Module):
    """A network as the graph is to have it: log-probabilities, with normalisations folded into the
    convolutions.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).cpu().float().eval()
        for parent in list(self.network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, ConvNorm):
                    setattr(parent, name, _Folded(child))
        if isinstance(self.network, EfficientNetLite) and not self.network.positions:
            self.network.classify = partial(_classify_mean, self.network.body)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean_over_positions = self.network.log_probabilities(images)
        return mean_over_positions - mean_over_positions.logsumexp(dim=1, keepdim=True)


def _classify_mean(body: nn.Module, last: torch.Tensor) -> torch.Tensor:
    """What an EfficientNet that averages over its whole map does; a window of that size would be no
    constant of the graph.
    """
    pooled = body.bn2(body.conv_head(last)).mean(dim=(2, 3), keepdim=True)
    return nn.functional.conv2d(
        pooled, body.classifier.weight[:, :, None, None], body.classifier.bias
    )


class _Folded(nn.Module):
    """A convolution with the normalisation that follows it, as one convolution with a bias."""

    def __init__(self, layer: ConvNorm) -> None:
        super().__init__()
        conv, norm = layer.conv, layer.norm
        with torch.no_grad():
            scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
            self.weight = nn.Parameter(conv.weight * scale[:, None, None, None])
            self.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
        self.act, self.same = layer.act, layer.same
        self.stride, self.padding, self.groups = conv.stride, conv.padding, conv.groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.same:
            return self.act(
                _SameConvolution.apply(x, self.weight, self.bias, self.stride[0], self.groups)
            )
        return self.act(
            nn.functional.conv2d(
                x, self.weight, self.bias, self.stride, self.padding, 1, self.groups
            )
        )


class _SameConvolution(torch.autograd.Function):
    """A convolution with TensorFlow's SAME padding, which ONNX has a word for: it holds at every
    size of the input.
    """

    @staticmethod
    def forward(
        ctx,  # noqa: ANN001
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        stride: int,
        groups: int,
    ) -> torch.Tensor:
        kernel = weight.shape[-1]
        down, across = (
            max(0, (-(-int(side) // stride) - 1) * stride + kernel - int(side))
            for side in x.shape[-2:]
        )
        x = nn.functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        return nn.functional.conv2d(x, weight, bias, stride, 0, 1, groups)

    @staticmethod
    def symbolic(g, x, weight, bias, stride: int, groups: int):  # noqa: ANN001, ANN205 (torch's own signature)
        return g.op(
            "Conv",
            x,
            weight,
            bias,
            auto_pad_s="SAME_UPPER",
            strides_i=[stride, stride],
            group_i=groups,
        )


def _halve(model: ModelProto) -> None:
    """Keep large weights in float16, each followed by a node that turns it back."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < _HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(
            numpy_helper.from_array(
                numpy_helper.to_array(tensor).astype(np.float16), f"{name}.half"
            )
        )
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
