"""Names of networks, and references to networks that need not be loaded.

A :class:`NetworkSpec` is a name: a model, fine-tuned on a mix, at a scale, by a recipe, from a
seed. A :class:`Reference` is a network of that name that can be loaded: trained by a run
(:mod:`blurpaper.training.networks`), from a file, or from elsewhere.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from blurpaper.kernels import MIXES
from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    from blurpaper.networks.base import Classifier

ORIGINAL = "original"
DEFAULT_SCALE = "256"
TRAIN_SCALES = ("128", "256", "512", "256+512", "per-scale")
RECIPES = ("labels", "agreement", "batch-norm", "agreement-blurred", "augmix")
"""Ways to make a network robust: fine-tuning with labels (the paper), fine-tuning without labels to
agree with the sharp network's predictions, or new batch-norm statistics alone. Of blurred images
alone, ``agreement-blurred`` is that with the predictions of the sharp network by the statistics of
the batch; and ``augmix`` is fine-tuning with labels on crops that AugMix distorts, a control.
"""


@dataclass(frozen=True)
class NetworkSpec:
    """A network as a value with one canonical string, ``model:mix@scale/recipe#seed``;
    defaults are left out.

    >>> NetworkSpec.parse("small_vgg:mix@256+512#2")
    NetworkSpec(model='small_vgg', mix='mix', scale='256+512', recipe='labels', seed=2)
    >>> str(NetworkSpec("small_vgg", "mix"))
    'small_vgg:mix'
    """

    model: str
    mix: str = ORIGINAL
    scale: str = DEFAULT_SCALE
    recipe: str = RECIPES[0]
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("train scale", self.scale, TRAIN_SCALES),
            ("recipe", self.recipe, RECIPES),
        ):
            if value not in known:
                raise UserError(f"a {what} is one of {', '.join(known)}. Got {value!r}.")

    @classmethod
    def parse(cls, text: str, model: str | None = None) -> NetworkSpec:
        """Read ``MODEL[:MIX][@SCALE][/RECIPE][#SEED]``; with a default ``model``, the mix alone
        will do.

        Raises:
            UserError: for a string that names no network, saying what it got.
        """
        name, first = text, re.split("[@/#]", text)[0]
        if ":" not in first:
            is_mix = first in (ORIGINAL, *MIXES)
            if is_mix and model is None:
                raise UserError(
                    f"name the model too, as in efficientnet_lite0:{text}. Got {text!r}."
                )
            name = f"{model}:{text}" if is_mix else text.replace(first, f"{first}:{ORIGINAL}", 1)
        spec = cls.read(name)
        if spec.mix not in (ORIGINAL, *MIXES):
            raise UserError(f"a mix is original or one of {', '.join(MIXES)}. Got {spec.mix!r}.")
        return spec

    @classmethod
    def read(cls, name: str) -> NetworkSpec:
        """The network of a whole name, whose mix may be the user's (``sharp,G4``).

        Raises:
            UserError: for any other string.
        """
        match = re.fullmatch(
            r"(?P<model>[\w./-]+):(?P<mix>[\w,.:+-]+)"
            r"(@(?P<scale>[\w+-]+))?(/(?P<recipe>[\w-]+))?(#(?P<seed>\d{1,9}))?",
            name,
        )
        if not match:
            raise UserError(
                "a network is MODEL[:MIX][@SCALE][/RECIPE][#SEED], as in "
                f"efficientnet_lite0:mix@512/agreement. Got {name!r}."
            )
        parts = {name: value for name, value in match.groupdict().items() if value is not None}
        return cls(**parts | {"seed": int(parts.get("seed", 0))})

    @property
    def name(self) -> str:
        """The canonical string."""
        scale = "" if self.scale == DEFAULT_SCALE else f"@{self.scale}"
        recipe = "" if self.recipe == RECIPES[0] else f"/{self.recipe}"
        seed = f"#{self.seed}" if self.seed else ""
        return f"{self.model}:{self.mix}{scale}{recipe}{seed}"

    @property
    def is_original(self) -> bool:
        return self.mix == ORIGINAL

    def __str__(self) -> str:
        return self.name

    def reference(self, train: Callable[[NetworkSpec], Reference]) -> Reference:
        """The network of this name: itself if it can be loaded, else what ``train`` returns."""
        return train(self)


class Reference(NetworkSpec, ABC):
    """A network that need not be loaded."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """A string for the keys of artifacts that are computed with it, which changes with its
        weights and the code of its architecture.
        """

    @property
    @abstractmethod
    def classes(self) -> Sequence[str]:
        """Names of its classes, in the order of the logits."""

    @abstractmethod
    def load(self, plain: bool = False) -> Classifier:
        """The network, in evaluation mode.

        Args:
            plain: whether every layer is applied by itself, so that hooks on it are called.
        """

    @cached_property
    def loaded(self) -> Classifier:
        """The network, loaded once, for callers that do not change it."""
        return self.load()

    @property
    def own_field(self) -> int | None:
        """Side, in pixels, of the crops that it was trained on, if that is not the profile's."""
        return None

    @property
    def description(self) -> str:
        """A description for users."""
        return str(self)

    def reference(self, train: Callable[[NetworkSpec], Reference]) -> Reference:
        return self
