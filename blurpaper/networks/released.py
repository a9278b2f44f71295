"""Networks as a user names them: by model and mix, by a file, ours or one's own, or by where else
they come from.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from blurpaper.blur import MIXES
from blurpaper.errors import UserError
from blurpaper.house import HOME
from blurpaper.networks import MODELS, headers, origins
from blurpaper.networks.base import Network, WeightsError
from blurpaper.networks.origins import is_foreign
from blurpaper.networks.spec import ORIGINAL, NetworkSpec
from blurpaper.store import sha256_of

if TYPE_CHECKING:
    from blurpaper.networks.foreign_spec import ForeignSpec

FOLDER = HOME / "results" / "weights"
"""Where the released networks are."""

PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".bin", ".tar")
"""Suffixes of files of weights that are not read."""


@dataclass(frozen=True)
class NetworkFile:
    """A network in a safetensors file, which goes wherever a :class:`NetworkSpec` goes.

    Its model, mix, train scale, recipe and seed are what its header says.

    >>> import tempfile
    >>> from blurpaper.networks import build, files
    >>> path = Path(tempfile.mkdtemp()) / "mine.safetensors"
    >>> files.save(build("small_vgg", ["cat", "dog"], 64), NetworkSpec("small_vgg", "mix", seed=2), path)
    >>> file = NetworkFile(path)
    >>> str(file), file.mix, file.seed, file.load().classes
    ('mine.safetensors (small_vgg:mix#2)', 'mix', 2, ('cat', 'dog'))
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
            raise WeightsError(
                f"{self.path} cannot be read as a safetensors file: {error}."
            ) from None
        if "network" not in header or "model" not in header:
            raise WeightsError(f"{self.path} does not say in its header what network it is.")
        headers.check(header, self.path)
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


def released(model: str, mix: str) -> NetworkFile | None:
    """The network of that model and mix that comes with blurpaper, if one does.

    >>> released("efficientnet_lite0", "mix").recipe, released("small_vgg", "mix")
    ('agreement', None)
    """
    path = path_of(model, mix)
    return NetworkFile(path) if path.is_file() else None


def path_of(model: str, mix: str) -> Path:
    """The file of a released network."""
    return FOLDER / f"{model}.{mix}.safetensors"


def named(
    text: str, model: str | None = None, **wanted: object
) -> NetworkSpec | NetworkFile | ForeignSpec:
    """The network that a user names: a file, MODEL[:MIX], or one from elsewhere
    (:mod:`blurpaper.networks.origins`).

    Without a recipe, MODEL:MIX is the released one if there is one.

    Args:
        model: of a mix that is named alone.
        wanted: for one from elsewhere, what :func:`foreign_spec.foreign` takes: ``weights``,
            ``classes``, ``field``, ``mean``, ``std``.

    Raises:
        UserError: for a string that names no network, or for what is said of one that is the
            project's.
        WeightsError: for a file that is not there or holds none, or is a pickle, or for weights
            that cannot be had.

    >>> str(named("small_vgg:mix@512")), str(named("mix", model="small_vgg"))
    ('small_vgg:mix@512', 'small_vgg:mix')
    >>> named("efficientnet_lite0:mix").path.name
    'efficientnet_lite0.mix.safetensors'
    """
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if "weights" in wanted:
        wanted["weights"] = _file(str(wanted["weights"]))
    if text.lower().endswith((*PICKLES, ".safetensors")):
        found = NetworkFile(_file(text))
        if is_foreign(found.model):
            from blurpaper.networks import foreign_spec

            return foreign_spec.from_file(found.path, found.model, **wanted)
        return _ours(found, wanted)
    if (model is None or text not in (*MIXES, ORIGINAL)) and (origin := _origin_of(text)):
        from blurpaper.networks import foreign_spec

        return foreign_spec.foreign(origin, **wanted)
    spec = NetworkSpec.parse(text, model)
    usual = NetworkSpec(spec.model, spec.mix)
    return _ours(
        (released(spec.model, spec.mix) if spec == usual and "/" not in text else None) or spec,
        wanted,
    )


def _ours(
    found: NetworkSpec | NetworkFile, wanted: Mapping[str, object]
) -> NetworkSpec | NetworkFile:
    if wanted:
        raise UserError(
            f"--{next(iter(wanted))} is for a network of timm, of torchvision or of a function of yours. Got {found}, which says "
            "that itself."
        )
    return found


def _origin_of(text: str) -> str | None:
    """Where a network that is not the project's comes from; None for one of its own.

    Raises:
        UserError: for what is neither.
    """
    model = re.split("[:@/#]", text)[0]
    if ":" in text or model in MODELS or model in (*MIXES, ORIGINAL):
        return None
    if origin := origins.origin_of(text):
        return origin
    raise UserError(
        f"a model is one of {', '.join(MODELS)}, timm/NAME, torchvision/NAME or package.module.function. Got {text!r}."
    )


def _file(text: str) -> Path:
    """The file of weights that a user names.

    Raises:
        WeightsError: if it is a pickle, or is not there, or is called otherwise than what is read
            here.
    """
    if text.lower().endswith(PICKLES):
        raise WeightsError(
            f"{text} is a pickle, which may run any code when it is read: save the network as .safetensors."
        )
    if not text.endswith(".safetensors"):
        raise WeightsError(f"weights are read from a .safetensors file. Got {text!r}.")
    path = Path(text)
    if not path.is_file():
        raise WeightsError(f"no network at {path.absolute()}.")
    return path
