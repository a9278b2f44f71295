"""A network that is not the project's, as a value beside :class:`NetworkSpec`: from its origin, a
file of weights or memory.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from blurpaper.networks import files, headers
from blurpaper.networks.base import WeightsError
from blurpaper.networks.foreign import IMAGENET_MEAN, IMAGENET_STD, ForeignNetwork
from blurpaper.networks.imagenet import imagenet_names
from blurpaper.networks.origins import LIBRARIES, Made, is_dotted, made, origin_of
from blurpaper.networks.spec import DEFAULT_SCALE, ORIGINAL
from blurpaper.store import sha256_of
from blurpaper.writing import written

IN_MEMORY = "in-memory"
"""The name of a network that was given as a module."""

_VERSIONED = (*LIBRARIES, "torch")
"""Packages whose version stands for their code."""


@dataclass(frozen=True, eq=False)
class ForeignSpec:
    """A network from elsewhere, which goes wherever a :class:`NetworkSpec` goes.

    Attributes:
        model: its origin, ``timm/NAME``, ``torchvision/NAME`` or the dotted path of a function, or
            what it is called.
        network: made once; who trains it gets a copy.
        named: whether the names of its classes are known; else they are numbers.
        weights: the file that its tensors are from, if they did not come with the origin.
        mix, recipe: how it was tuned here, if it was.

    >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    >>> spec = ForeignSpec("mine", ForeignNetwork(module, "mine", field=64), named=False)
    >>> spec.told
    '2 classes, made for 64 pixels, mean 0.485, 0.456, 0.406 and deviation 0.229, 0.224, 0.225; applied to whole images'
    >>> spec.unnamed.partition(":")[0]
    'the names of the 2 outputs of mine are not known'
    """

    model: str
    network: ForeignNetwork
    named: bool
    weights: Path | None = None
    mix: str = ORIGINAL
    recipe: str = "labels"
    train_scale: str = DEFAULT_SCALE
    seed: int = 0

    def load(self) -> ForeignNetwork:
        """The network, in evaluation mode: a copy of its own for each who asks; of a module in
        memory there is but one.
        """
        return self.network if self.model == IN_MEMORY else copy.deepcopy(self.network).eval()

    def with_classes_of(self, folder: Path) -> ForeignSpec:
        """The same, its classes named by a folder's subfolders, in their order, if nothing names
        them and there are as many.
        """
        if self.named or not Path(folder).is_dir():
            return self
        subfolders = sorted(path.name for path in Path(folder).iterdir() if path.is_dir())
        if len(subfolders) != len(self.network.classes):
            return self
        network = copy.copy(self.network)
        network.classes = tuple(subfolders)
        return replace(self, network=network, named=True)

    @property
    def told(self) -> str:
        """What it is and how it is applied, for its user."""
        side, count = self.network.field, len(self.network.classes)
        mean, std = (
            ", ".join(f"{value / 255:.3g}" for value in one.flatten().tolist())
            for one in (self.network.mean, self.network.std)
        )
        seen = (
            f"the {side} x {side} pixels in the middle of each image, all that it can take"
            if self.network.fixed
            else "whole images"
        )
        return f"{count:,} classes, made for {side} pixels, mean {mean} and deviation {std}; applied to {seen}"

    @property
    def unnamed(self) -> str:
        """What to tell of a network whose classes are not known."""
        count = len(self.network.classes)
        return f"the names of the {count:,} outputs of {self} are not known: give them in a file, a name a line (--classes FILE)"

    @property
    def is_original(self) -> bool:
        return self.mix == ORIGINAL

    @cached_property
    def identity(self) -> str:
        """What stands for it in the key of what is computed with it: weights, structure,
        normalisation, code.

        The code of one's own function is that of the files in which it and its layers are defined;
        what those import is not looked at.
        """
        digest = hashlib.sha256(json.dumps(_code_of(self.model, self.network)).encode())
        digest.update(
            f"{self.network.field} {self.network.mean.flatten().tolist()} {self.network.std.flatten().tolist()}".encode()
        )
        digest.update(repr(self.network.module).encode())
        for name, tensor in sorted(self.network.module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        return f"foreign {digest.hexdigest()}"

    def __str__(self) -> str:
        return self.model if self.weights is None else f"{self.model} ({self.weights.name})"


def foreign(
    origin: str,
    weights: Path | None = None,
    classes: Sequence[str] | None = None,
    field: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ForeignSpec:
    """The network of an origin. What is not said is what its library says, or the file of weights
    if it was written here.

    Args:
        weights: a .safetensors file with a state dict; by default those that the origin comes with.
        classes: their names; ImageNet's by default if it has a thousand.
        field: side of the crops it was trained on, in pixels.
        mean, std: per channel, of grey levels from 0 to 1.

    Raises:
        WeightsError: if it cannot be had, saying what and from where.

    >>> import tempfile
    >>> import timm
    >>> from safetensors.torch import save_file
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> save_file(timm.create_model("test_resnet", num_classes=2).state_dict(), path)
    >>> spec = foreign("timm/test_resnet", path, classes=["cat", "dog"])
    >>> str(spec), spec.network.field, spec.network.classes
    ('timm/test_resnet (mine.safetensors)', 160, ('cat', 'dog'))
    """
    header, tensors = files.read(weights, ()) if weights else ({}, None)
    said = {}
    if "model" in header:  # else a plain state dict
        if header["model"] != origin:
            raise WeightsError(
                f"{weights} holds weights of {header['model']}, not of {origin}: name that."
            )
        files.read(weights, _SAID)
        headers.check(header, weights)
        said = {name: json.loads(header[name]) for name in ("classes", "field", "mean", "std")}
    found = made(origin, tensors, len(said["classes"]) if said else None)
    network = wrapped(
        found,
        origin,
        classes or said.get("classes"),
        field or said.get("field"),
        mean or ([value / 255 for value in said["mean"]] if said else None),
        std or ([value / 255 for value in said["std"]] if said else None),
    )
    return ForeignSpec(
        origin,
        network,
        _are_named(network, classes),
        weights,
        header.get("mix", ORIGINAL),
        header.get("recipe", "labels"),
    )


def in_memory(
    module: nn.Module,
    classes: Sequence[str] | None = None,
    field: int | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> ForeignSpec:
    """A module in memory as a network; its code cannot be told from another's, so nothing made with
    it should be kept.

    >>> from torch import nn
    >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    >>> in_memory(module, classes=["cat", "dog"]).network.classes
    ('cat', 'dog')
    """
    network = wrapped(Made(module), IN_MEMORY, classes, field, mean, std)
    return ForeignSpec(IN_MEMORY, network, _are_named(network, classes))


def wrapped(
    found: Made,
    name: str,
    classes: Sequence[str] | None,
    field: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> ForeignNetwork:
    """A module as a network; ImageNet's classes if it has a thousand outputs and no others are
    given.

    >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 1000))
    >>> network = wrapped(Made(module, field=96), "mine", None, None, None, None)
    >>> network.field, network.classes[:2]
    (96, ('tench', 'goldfish'))
    """
    network = ForeignNetwork(
        found.module, name, field or found.field, mean or found.mean, std or found.std, classes
    )
    if not classes and len(network.classes) == len(imagenet_names()):
        network.classes = imagenet_names()
    return network


def _are_named(network: ForeignNetwork, classes: Sequence[str] | None) -> bool:
    return bool(classes) or network.classes != tuple(map(str, range(len(network.classes))))


# --- Files ----------------------------------------------------------------------------------------


_SAID = ("network", "model", "mix", "recipe", "classes", "field", "mean", "std")
"""What the header of a file says that was written here."""


def save(network: ForeignNetwork, model: str, mix: str, recipe: str, path: Path) -> None:
    """Write a network's state dict, as its library reads it, under a header that says how to build
    it again.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    >>> save(ForeignNetwork(module, "mine"), "own.models.tiny", "mix", "agreement", path)
    >>> header, tensors = files.read(path, ["network", "classes"])
    >>> header["network"], header["recipe"], sorted(tensors)
    ('own.models.tiny:mix', 'agreement', ['2.bias', '2.weight'])
    """
    from safetensors.torch import save_file

    header = {
        "network": f"{model}:{mix}",
        "model": model,
        "mix": mix,
        "recipe": recipe,
        "classes": json.dumps(network.classes),
        "field": str(network.field),
        "mean": json.dumps(network.mean.flatten().tolist()),
        "std": json.dumps(network.std.flatten().tolist()),
    }
    # Copies: tensors that share memory, as tied weights do, cannot be written.
    tensors = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in network.module.state_dict().items()
    }
    with written(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def from_file(path: Path, model: str, **wanted: object) -> ForeignSpec:
    """The network of such a file, whose header names its model.

    Raises:
        WeightsError: if that is a function of one's own, which is not called because a file says
            so, or nothing that is known.

    >>> import tempfile
    >>> import timm
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> module = timm.create_model("test_resnet", num_classes=2)
    >>> network = ForeignNetwork(module, "mine", field=96, classes=["cat", "dog"])
    >>> save(network, "timm/test_resnet", "mix", "agreement", path)
    >>> spec = from_file(path, "timm/test_resnet")
    >>> spec.mix, spec.recipe, spec.network.field, spec.network.classes
    ('mix', 'agreement', 96, ('cat', 'dog'))
    """
    if is_dotted(model):
        raise WeightsError(
            f"{path} holds weights of {model}, code that is not run because a file names it: name it yourself if you trust "
            f"it (--network {model} --weights {path})."
        )
    try:
        known = origin_of(model) == model
    except ValueError:
        known = False
    if not known:
        raise WeightsError(
            f"{path} says that it holds weights of {model!r}, which neither timm nor torchvision has here."
        )
    return foreign(model, path, **wanted)


# --- Code -----------------------------------------------------------------------------------------


def _code_of(origin: str, network: ForeignNetwork) -> dict[str, str]:
    """What stands for the code that makes a module what it is: versions of packages, checksums of
    files of one's own.
    """
    modules = {type(part).__module__ for part in network.module.modules()}
    if is_dotted(origin):
        modules.add(origin.rpartition(".")[0])
    return dict(sorted(_versions(modules)))


def _versions(modules: set[str]) -> Iterator[tuple[str, str]]:
    for name in modules:
        package = name.partition(".")[0]
        if package in _VERSIONED:
            yield package, version(package)
        elif (module := sys.modules.get(name)) and (file := inspect.getsourcefile(module)):
            yield name, sha256_of(Path(file))
