"""Networks in files: those that come with blurpaper, and one's own."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blurpaper.networks.base import Network, WeightsError
from blurpaper.networks.spec import ORIGINAL, NetworkSpec
from blurpaper.store import sha256_of

FOLDERS = (Path(__file__).parent.parent.parent / "results" / "weights", Path(__file__).parent.parent / "weights")
"""Where the released networks are: in a checkout, and in an installed package."""

PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".bin", ".tar")
"""Suffixes of files of weights that are not read."""


@dataclass(frozen=True)
class NetworkFile:
    """A network in a safetensors file, which goes wherever a :class:`NetworkSpec` goes.

    Its model, mix, train scale, recipe and seed are what its header says.
    """

    path: Path

    @cached_property
    def header(self) -> dict[str, str]:
        """What the file says of itself.

        Raises:
            WeightsError: if it is not a file of one of our networks.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as file:
                header = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{self.path} cannot be read as a safetensors file: {error}.") from None
        if "network" not in header or "model" not in header:
            raise WeightsError(f"{self.path} does not say in its header what network it is.")
        for name, (holds, what) in _SAID.items():
            if name in header and not holds(_value(header[name])):
                raise WeightsError(
                    f"{self.path}: {name} in its header must be {what}. Got {textwrap.shorten(header[name], 60)!r}."
                )
        return header

    def load(self) -> Network:
        """The network, in evaluation mode.

        Raises:
            WeightsError: if what the file says and the tensors it holds do not fit together.
        """
        from blurpaper.networks import files, module_of

        try:
            module_of(self.header["model"])
            return files.load(self.path)
        except WeightsError as error:  # torch lists every tensor that does not fit
            raise WeightsError(textwrap.shorten(str(error), 300, placeholder=" ...")) from None
        except ValueError as error:
            raise WeightsError(f"{self.path}: {error}") from None

    @cached_property
    def sha256(self) -> str:
        """Checksum of the file."""
        return sha256_of(self.path)

    @cached_property
    def _spec(self) -> NetworkSpec | None:
        try:
            return NetworkSpec.parse(self.header["network"])
        except ValueError:  # a mix of one's own
            return None

    @property
    def model(self) -> str:
        return self.header["model"]

    @property
    def mix(self) -> str:
        return self._spec.mix if self._spec else self.header["network"].partition(":")[2]

    @property
    def train_scale(self) -> str:
        return self._spec.train_scale if self._spec else "256"

    @property
    def recipe(self) -> str:
        return self._spec.recipe if self._spec else ""

    @property
    def seed(self) -> int:
        return self._spec.seed if self._spec else 0

    @property
    def is_original(self) -> bool:
        return self.mix == ORIGINAL

    def __str__(self) -> str:
        return f"{self.path.name} ({self.header['network']})"


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _are_channels(value: object) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(one) in (int, float) for one in value)


_SAID: dict[str, tuple[Callable[[object], bool], str]] = {
    "classes": (_are_names, "a list of names"),
    "field": (lambda value: type(value) is int and value > 0, "a number of pixels"),
    "mean": (_are_channels, "three numbers"),
    "std": (_are_channels, "three numbers"),
}
"""Parts of a header that are read as JSON: what holds of each, in code and in words."""


def released(model: str, mix: str) -> NetworkFile | None:
    """The network of that model and mix that comes with blurpaper, if one does."""
    paths = (folder / file_name(model, mix) for folder in FOLDERS)
    return next((NetworkFile(path) for path in paths if path.is_file()), None)


def file_name(model: str, mix: str) -> str:
    """Its name in the folder of released networks."""
    return f"{model}.{mix}.safetensors"


def named(text: str, model: str | None = None) -> NetworkSpec | NetworkFile:
    """The network that a user names: a file, or MODEL[:MIX]; without a recipe, the released one if there is one.

    Raises:
        ValueError: for a string that names no network.
        WeightsError: for a file that is not there or holds none, or is a pickle.
    """
    if text.lower().endswith(PICKLES):
        raise WeightsError(f"{text} is a pickle, which may run any code when it is read: save the network as .safetensors.")
    if text.endswith(".safetensors"):
        found = NetworkFile(Path(text))
        if not found.path.is_file():
            raise WeightsError(f"no network at {found.path.absolute()}.")
        return found
    spec = NetworkSpec.parse(text, model)
    usual = NetworkSpec(spec.model, spec.mix)
    return (released(spec.model, spec.mix) if spec == usual and "/" not in text else None) or spec
