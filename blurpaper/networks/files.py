"""Files of weights: safetensors with a header that names their network."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field, Json, PlainValidator, ValidationError
from torch import nn

from blurpaper.networks import NetworkSpec, Reference, build, module_of
from blurpaper.networks.base import Classifier, Network, WeightsError, unfolded
from blurpaper.runs import fingerprint
from blurpaper.runs.files import written
from blurpaper.runs.store import Codec, sha256_of

Channels = Json[tuple[float, float, float]]


class Header(BaseModel):
    """The header of a file: name of the network, its classes, field and normalisation."""

    network: Annotated[NetworkSpec, PlainValidator(NetworkSpec.read)]
    classes: Json[Annotated[tuple[str, ...], Field(min_length=1)]]
    field: Json[Annotated[int, Field(gt=0)]]
    mean: Channels
    std: Channels

    @classmethod
    def of(cls, path: Path) -> Header:
        """The header of a file.

        Raises:
            WeightsError: if it is not a safetensors file, or not one of a network.
        """
        try:
            return cls.model_validate(metadata(path))
        except ValidationError as error:
            first = error.errors()[0]
            raise WeightsError(
                f"{path} does not say in its header what network it is "
                f"({first['loc'][0]}: {first['msg']})."
            ) from None

    def build(self) -> nn.Module:
        """The network, without its weights."""
        network = build(self.network.model, self.classes, self.field)
        for name in ("mean", "std"):
            getattr(network, name).copy_(torch.tensor(getattr(self, name)).view(1, 3, 1, 1))
        return network


@dataclass(frozen=True)
class NetworkFile(Reference):
    """A network in a safetensors file, named as its header says."""

    path: Path = field(kw_only=True)

    @classmethod
    def at(cls, path: Path) -> NetworkFile:
        """The network in a file.

        Raises:
            WeightsError: if it is not a file of a network.
        """
        return cls(**vars(Header.of(path).network), path=path)

    def load(self, plain: bool = False) -> Classifier:
        network = load(self.path)
        return unfolded(network) if plain else network

    @property
    def classes(self) -> Sequence[str]:
        return Header.of(self.path).classes

    @cached_property
    def identity(self) -> str:
        return f"file {sha256_of(self.path)} {fingerprint.fingerprint([module_of(self.model)])}"

    def __str__(self) -> str:
        return f"{self.path.name} ({self.name})"


def save(network: Classifier, spec: NetworkSpec, path: Path, half: bool = False) -> None:
    """Write the weights of a network, under its library's names, and a header to build it from.

    Args:
        half: in float16, not float32.
    """
    write(network.stored.state_dict(), header_of(network, spec), path, half)


def load(path: Path, kind: type[Header] = Header) -> Any:  # noqa: ANN401 (what that header builds)
    """Read a network from such a file, in evaluation mode.

    Raises:
        WeightsError: if header and tensors do not fit together.
    """
    header = kind.of(path)
    with explained(f"{path} does not hold {header.network}, which its header names"):
        network = header.build()
        network.load_state_dict(read(path))
    return network.eval()


def codec(spec: NetworkSpec) -> Codec[Network]:
    """The store's codec for a network."""
    return Codec(".safetensors", lambda network, path: save(network, spec, path), load)


def header_of(network: Classifier, spec: NetworkSpec) -> dict[str, str]:
    """The header of a network's file, as text."""
    return {
        "network": spec.name,
        "classes": json.dumps(network.classes),
        "field": str(network.field),
        "mean": json.dumps(network.mean.flatten().tolist()),
        "std": json.dumps(network.std.flatten().tolist()),
    }


def write(
    tensors: Mapping[str, torch.Tensor], header: Mapping[str, str], path: Path, half: bool = False
) -> None:
    """Write tensors under a header."""
    from safetensors.torch import save_file

    # Copies: tensors that share memory, as tied weights do, cannot be written.
    kept = {name: one.detach().cpu().clone().contiguous() for name, one in tensors.items()}
    if half:
        kept = {name: one.half() if one.is_floating_point() else one for name, one in kept.items()}
    with written(path) as temporary:
        save_file(kept, temporary, metadata=dict(header))


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)


def metadata(path: Path) -> dict[str, str]:
    """The header of a safetensors file."""
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import safe_open

    what = f"{path} cannot be read as a safetensors file"
    advice = "no other is read, for a pickle may run any code"
    with explained(what, advice), safe_open(path, "pt") as file:
        yield file


@contextmanager
def explained(what: str, advice: str = "") -> Iterator[None]:
    """Turn any error of a block that reads a user's file or runs a user's code into one sentence.

    Raises:
        WeightsError: what went wrong, the error itself, and what to do.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        why = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")
        raise WeightsError(f"{what} ({why}){advice and ': ' + advice}.") from error
