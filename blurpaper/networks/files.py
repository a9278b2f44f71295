"""Networks as safetensors files, whose header says what they are: model, classes, mix, scale, preprocessing."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from blurpaper.networks import Network, NetworkSpec, build
from blurpaper.networks.base import WeightsError
from blurpaper.store import Codec, written


def save(network: Network, spec: NetworkSpec, path: Path, half: bool = False) -> None:
    """Write a network and what is needed to build it again, in float32 or, half as large, in float16."""
    from safetensors.torch import save_file

    header = {
        "network": str(spec),
        "model": spec.model,
        "classes": json.dumps(network.classes),
        "field": str(network.field),
        "mean": json.dumps(network.mean.flatten().tolist()),
        "std": json.dumps(network.std.flatten().tolist()),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    with written(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def load(path: Path) -> Network:
    """Read a network from such a file, in evaluation mode.

    Raises:
        WeightsError: if it is not a safetensors file of one of our models.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as a safetensors file: {error}.") from None
    missing = [name for name in ("model", "classes", "field", "mean", "std") if name not in header]
    if missing:
        raise WeightsError(f"{path} does not say in its header what network it is: no {', '.join(missing)}.")
    network = build(header["model"], json.loads(header["classes"]), int(header["field"]))
    for name in ("mean", "std"):
        getattr(network, name).copy_(torch.tensor(json.loads(header[name])).view(1, 3, 1, 1))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit the model {header['model']}: {str(error).splitlines()[-1].strip()}") from None
    return network.eval()


def codec(spec: NetworkSpec) -> Codec[Network]:
    """How the store keeps a network."""
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load)
