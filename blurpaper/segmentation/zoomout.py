"""Zoomout: a classifier of each pixel by a network's features around it at every level, from the
pixel to the scene (Section 5).

After Mostajabi et al. (2015): the activations of several stages of a network, each normalised, are
interpolated to the image's own pixels and stacked; a small perceptron classifies each pixel by that
column. It is trained together with the network below it. The perceptron's first layer is linear,
and so is interpolation: the two are done in whichever order is cheaper, which gives the same
result. In training, columns are computed for a few pixels only; to segment a whole image, each map
goes through its part of the first layer while it is still small.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import Json
from torch import nn
from torch.nn import functional

from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.base import STAGES, Network
from blurpaper.runs.store import Codec

SCENE = "scene"
"""The widest level, the mean of the last stage's map, which is the same for all pixels."""

LEVELS = (*STAGES, SCENE)


class ZoomOut(nn.Module):
    """A per-pixel classifier on the stages of a network, which becomes part of it.

    Args:
        backbone: any network of the project; it becomes part of this one, and loses its own
            classifier.
        labels: names of the labels.
        hidden: units of the perceptron's hidden layer.
        stride: pixels of the input between neighbouring positions at which a whole image is
            classified.
    """

    def __init__(
        self, backbone: Network, labels: Sequence[str], hidden: int, stride: int = 2
    ) -> None:
        super().__init__()
        self.backbone, self.labels, self.stride = backbone, tuple(labels), stride
        for name in backbone.head:
            backbone.set_submodule(name, nn.Identity())
        widths = _widths(backbone)
        self.columns = nn.ModuleDict(
            {level: nn.Linear(width, hidden, bias=False) for level, width in widths.items()}
        )
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.classifier = nn.Linear(hidden, len(self.labels))
        for column in self.columns.values():
            nn.init.normal_(column.weight, std=(2 / sum(widths.values())) ** 0.5)

    def forward(self, images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, P, K)`` of some pixels of RGB images in grey levels 0..255, ``(B, 3, H,
        W)``.

        Args:
            points: their places ``(B, P, 2)``, x and y in pixels, the centre of the first pixel
                being (0, 0).
        """
        height, width = images.shape[-2:]
        size = torch.tensor([width, height], device=points.device)
        grid = ((2 * points + 1) / size - 1)[:, None]
        hidden = self.bias
        for level, maps in self._normalised(images).items():
            column = functional.grid_sample(
                maps.float(), grid, "bilinear", "border", align_corners=False
            )[:, :, 0]
            hidden = hidden + self.columns[level](column.transpose(1, 2))
        return self.classifier(hidden.relu())

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, K, H / stride, W / stride)`` of RGB images in grey levels 0..255, ``(B, 3,
        H, W)``.
        """
        shape = [-(-side // self.stride) for side in images.shape[-2:]]
        hidden: torch.Tensor | float = 0.0
        for level, maps in self._normalised(images).items():
            small = self.columns[level](maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            hidden = hidden + functional.interpolate(
                small, shape, mode="bilinear", align_corners=False
            )
        hidden = (hidden + self.bias[:, None, None]).relu()
        return self.classifier(hidden.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def log_probabilities(self, images: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Log-probabilities of the labels at every pixel of a label map of that shape: float32
        ``(B, K, *shape)``.
        """
        return functional.interpolate(
            self.logits(images).float(), shape, mode="bilinear", align_corners=False
        ).log_softmax(dim=1)

    def _normalised(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The maps of every level, the vector at each position of mean 0 and variance 1."""
        maps = self.backbone.stage_maps(self.backbone.normalised(images))
        maps[SCENE] = maps[STAGES[-1]].mean(dim=(2, 3), keepdim=True)
        return {level: _standardised(one) for level, one in maps.items()}


def _standardised(maps: torch.Tensor) -> torch.Tensor:
    channels_last = maps.permute(0, 2, 3, 1)
    return functional.layer_norm(channels_last, channels_last.shape[-1:]).permute(0, 3, 1, 2)


def _widths(backbone: Network) -> dict[str, int]:
    """Channels of each level, traced on the meta device, which computes no values."""
    outline = copy.deepcopy(backbone).to("meta").eval()
    side = backbone.field
    with torch.no_grad():
        maps = outline.stage_maps(torch.empty(1, 3, side, side, device="meta"))
    widths = {name: one.shape[1] for name, one in maps.items()}
    return widths | {SCENE: widths[STAGES[-1]]}


# --- Files ----------------------------------------------------------------------------------------


class Header(files.Header):
    """Metadata in the file of a Zoomout network and of the network below."""

    labels: Json[tuple[str, ...]]
    hidden: Json[int]
    stride: Json[int]

    def build(self) -> ZoomOut:
        return ZoomOut(super().build(), self.labels, self.hidden, self.stride)


def save(network: ZoomOut, spec: NetworkSpec, path: Path) -> None:
    """Write a Zoomout network and its architecture."""
    above = {
        "labels": json.dumps(network.labels),
        "hidden": str(len(network.bias)),
        "levels": json.dumps(LEVELS),
        "stride": str(network.stride),
    }
    files.write(network.state_dict(), files.header_of(network.backbone, spec) | above, path)


def load_segmenter(path: Path) -> ZoomOut:
    """Read a Zoomout network from such a file, in evaluation mode.

    Raises:
        WeightsError: if it is not a safetensors file of one.
    """
    return files.load(path, Header)


def codec(spec: NetworkSpec) -> Codec[ZoomOut]:
    """How the store keeps a Zoomout network."""
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load_segmenter)
