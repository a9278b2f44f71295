"""Zoomout networks as safetensors files, whose header says what network is below and what labels
are above.
"""

from __future__ import annotations

import json
from pathlib import Path

from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.zoomout import ZoomOut
from blurpaper.store import Codec

_NEEDED = ("model", "classes", "field", "mean", "std", "labels", "hidden", "levels", "stride")


def save(network: ZoomOut, spec: NetworkSpec, path: Path) -> None:
    """Write a Zoomout network and what is needed to build it again.

    >>> import tempfile
    >>> from blurpaper.networks import build
    >>> segmenter = ZoomOut(build("small_vgg", ["cat", "dog"], 64), ["background", "cat"], hidden=8)
    >>> path = Path(tempfile.mkdtemp()) / "segmenter.safetensors"
    >>> save(segmenter, NetworkSpec("small_vgg"), path)
    >>> header, _ = files.read(path, _NEEDED)
    >>> header["network"], header["labels"], header["hidden"]
    ('small_vgg:original', '["background", "cat"]', '8')
    """
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

    >>> import tempfile
    >>> from blurpaper.networks import build
    >>> segmenter = ZoomOut(build("small_vgg", ["cat", "dog"], 64), ["background", "cat"], hidden=8)
    >>> path = Path(tempfile.mkdtemp()) / "segmenter.safetensors"
    >>> save(segmenter, NetworkSpec("small_vgg"), path)
    >>> load(path).labels, bool((load(path).classifier.weight == segmenter.classifier.weight).all())
    (('background', 'cat'), True)
    """
    header, tensors = files.read(path, _NEEDED)
    with files.believing(path):
        labels, levels = (json.loads(header[name]) for name in ("labels", "levels"))
        network = ZoomOut(
            files.built(header), labels, int(header["hidden"]), levels, int(header["stride"])
        )
    files.fill(network, tensors, path, f"Zoomout on the model {header['model']}")
    return network.eval()


def codec(spec: NetworkSpec) -> Codec[ZoomOut]:
    """How the store keeps a Zoomout network.

    >>> import tempfile
    >>> from blurpaper.networks import build
    >>> kept_as = codec(NetworkSpec("small_vgg"))
    >>> segmenter = ZoomOut(build("small_vgg", ["cat", "dog"], 64), ["background", "cat"], hidden=8)
    >>> path = Path(tempfile.mkdtemp()) / f"data{kept_as.suffix}"
    >>> kept_as.save(segmenter, path)
    >>> path.name, kept_as.load(path).labels
    ('data.safetensors', ('background', 'cat'))
    """
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load)
