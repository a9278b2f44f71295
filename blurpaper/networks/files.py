"""Networks as safetensors files, whose header says what they are: model, classes, mix, scale,
preprocessing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from blurpaper.networks import Network, NetworkSpec, build
from blurpaper.networks.base import WeightsError
from blurpaper.store import Codec
from blurpaper.writing import written


def save(network: Network, spec: NetworkSpec, path: Path, half: bool = False) -> None:
    """Write a network and what is needed to build it again, in float32 or, half as large, in
    float16.

    >>> import tempfile
    >>> from blurpaper.networks import build
    >>> path = Path(tempfile.mkdtemp()) / "network.safetensors"
    >>> save(build("small_vgg", ["cat", "dog"], 64), NetworkSpec("small_vgg"), path)
    >>> load(path).classes
    ('cat', 'dog')
    """
    write(network, about(network, spec), path, half)


def load(path: Path) -> Network:
    """Read a network from such a file, in evaluation mode.

    Raises:
        WeightsError: if it is not a safetensors file of one of our models.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> network = build("small_vgg", ["cat", "dog"], 64)
    >>> save(network, NetworkSpec("small_vgg"), path)
    >>> images = torch.rand(1, 3, 64, 96) * 255
    >>> torch.allclose(load(path)(images), network.eval()(images))
    True
    """
    header, tensors = read(path, _NEEDED)
    with believing(path):
        network = built(header)
    fill(network, tensors, path, f"the model {header['model']}")
    return network.eval()


def codec(spec: NetworkSpec) -> Codec[Network]:
    """How the store keeps a network.

    >>> import tempfile
    >>> kept = codec(NetworkSpec("small_vgg"))
    >>> path = Path(tempfile.mkdtemp()) / f"network{kept.suffix}"
    >>> kept.save(build("small_vgg", ["cat", "dog"], 64), path)
    >>> path.name, kept.load(path).classes
    ('network.safetensors', ('cat', 'dog'))
    """
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load)


# --- Parts, for what is built around a network as well --------------------------------------------

_NEEDED = ("model", "classes", "field", "mean", "std")


def about(network: Network, spec: NetworkSpec) -> dict[str, str]:
    """What a file's header says of a network.

    >>> from blurpaper.networks import build
    >>> built(about(build("small_vgg", ["cat", "dog"], 64), NetworkSpec("small_vgg"))).field
    64
    """
    return {
        "network": str(spec),
        "model": spec.model,
        "classes": json.dumps(network.classes),
        "field": str(network.field),
        "mean": json.dumps(network.mean.flatten().tolist()),
        "std": json.dumps(network.std.flatten().tolist()),
    }


def built(header: Mapping[str, str]) -> Network:
    """The network that a header speaks of, without its weights.

    Raises:
        ValueError: if it speaks of none that there is.

    >>> header = {"model": "small_vgg", "classes": '["cat", "dog"]', "field": "64"}
    >>> network = built(header | {"mean": "[127, 127, 127]", "std": "[64, 64, 64]"})
    >>> network.classes, network.field, network.mean.flatten().tolist()
    (('cat', 'dog'), 64, [127.0, 127.0, 127.0])
    """
    network = build(header["model"], json.loads(header["classes"]), int(header["field"]))
    for name in ("mean", "std"):
        getattr(network, name).copy_(torch.tensor(json.loads(header[name])).view(1, 3, 1, 1))
    return network


@contextmanager
def believing(path: Path) -> Iterator[None]:
    """A block that builds what a file's header says.

    Raises:
        WeightsError: if there is no such thing.

    >>> try:
    ...     with believing(Path("mine.safetensors")):
    ...         built({"model": "lenet", "classes": "[]", "field": "64"})
    ... except WeightsError as error:
    ...     print(str(error).partition(":")[0])
    mine.safetensors says in its header that it is what cannot be built
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{path} says in its header that it is what cannot be built: {error}"
        ) from None


def write(module: nn.Module, header: Mapping[str, str], path: Path, half: bool = False) -> None:
    """Write a module's tensors under a header.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "line.safetensors"
    >>> write(nn.Linear(2, 3), {"model": "line"}, path, half=True)
    >>> header, tensors = read(path, ["model"])
    >>> header, tensors["weight"].dtype
    ({'model': 'line'}, torch.float16)
    """
    from safetensors.torch import save_file

    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()
    }
    if half:
        tensors = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }
    with written(path) as temporary:
        save_file(tensors, temporary, metadata=dict(header))


def read(path: Path, needed: Sequence[str]) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Header of a file, and its tensors by name, of whatever shape.

    Raises:
        WeightsError: if it is not a safetensors file, or its header lacks what is needed.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "line.safetensors"
    >>> write(nn.Linear(2, 3), {"model": "line"}, path)
    >>> header, tensors = read(path, ["model"])
    >>> {name: tuple(tensor.shape) for name, tensor in sorted(tensors.items())}
    {'bias': (3,), 'weight': (3, 2)}
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as a safetensors file: {error}.") from None
    if missing := [name for name in needed if name not in header]:
        raise WeightsError(
            f"{path} does not say in its header what network it is: no {', '.join(missing)}."
        )
    return header, tensors


def fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path, what: str) -> None:
    """Give a module the tensors of a file.

    Raises:
        WeightsError: if they do not fit it.

    >>> line, tensors = nn.Linear(2, 1), {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.zeros(1)}
    >>> fill(line, tensors, Path("line.safetensors"), "a line")
    >>> line(torch.tensor([3.0, 4.0])).item()
    11.0
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not fit {what}: {str(error).splitlines()[-1].strip()}"
        ) from None
