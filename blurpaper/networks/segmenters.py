"""Zoomout networks as safetensors files, whose header says what network is below and what labels are above."""

from __future__ import annotations

import json
from pathlib import Path

from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.zoomout import ZoomOut
from blurpaper.store import Codec

_NEEDED = ("model", "classes", "field", "mean", "std", "labels", "hidden", "levels", "stride")


def save(network: ZoomOut, spec: NetworkSpec, path: Path) -> None:
    """Write a Zoomout network and what is needed to build it again."""
    above = {
        "labels": json.dumps(network.labels),
        "hidden": str(len(network.bias)),
        "levels": json.dumps(network.levels),
        "stride": str(network.stride),
    }
    files.write(network, files.about(network.backbone, spec) | above, path)


def load(path: Path) -> ZoomOut:
    """Read a Zoomout network from such a file, in evaluation mode.

    Raises:
        WeightsError: if it is not a safetensors file of one.
    """
    header, tensors = files.read(path, _NEEDED)
    with files.believing(path):
        labels, levels = (json.loads(header[name]) for name in ("labels", "levels"))
        network = ZoomOut(files.built(header), labels, int(header["hidden"]), levels, int(header["stride"]))
    files.fill(network, tensors, path, f"Zoomout on the model {header['model']}")
    return network.eval()


def codec(spec: NetworkSpec) -> Codec[ZoomOut]:
    """How the store keeps a Zoomout network."""
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load)
