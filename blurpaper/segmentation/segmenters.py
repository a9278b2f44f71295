"""Zoomout networks as safetensors files, whose header says what network is below and what labels
are above.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Json

from blurpaper.networks import NetworkSpec, files
from blurpaper.runs.store import Codec
from blurpaper.segmentation.zoomout import ZoomOut


class Header(files.Header):
    """What a file says of a Zoomout network and of the network below."""

    labels: Json[tuple[str, ...]]
    hidden: Json[int]
    levels: Json[tuple[str, ...]]
    stride: Json[int]

    def build(self) -> ZoomOut:
        return ZoomOut(super().build(), self.labels, self.hidden, self.levels, self.stride)


def save(network: ZoomOut, spec: NetworkSpec, path: Path) -> None:
    """Write a Zoomout network and what is needed to build it again."""
    above = {
        "labels": json.dumps(network.labels),
        "hidden": str(len(network.bias)),
        "levels": json.dumps(network.levels),
        "stride": str(network.stride),
    }
    files.write(network, files.header_of(network.backbone, spec) | above, path)


def load(path: Path) -> ZoomOut:
    """Read a Zoomout network from such a file, in evaluation mode.

    Raises:
        WeightsError: if it is not a safetensors file of one.
    """
    return files.load(path, Header)


def codec(spec: NetworkSpec) -> Codec[ZoomOut]:
    """How the store keeps a Zoomout network."""
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load)
