"""The name of a network: which model, fine-tuned on which mix, at which scale, by which recipe,
from which seed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from blurpaper.kernels import MIXES
from blurpaper.runs.files import UserError

ORIGINAL = "original"
DEFAULT_SCALE = "256"
TRAIN_SCALES = ("128", "256", "512", "256+512", "per-scale")
RECIPES = ("labels", "agreement", "batch-norm")
"""How a network was made robust, by fine-tuning with labels (the paper), by fine-tuning without
labels to agree with the sharp network's predictions, or by new batch-norm statistics alone.
"""


@dataclass(frozen=True)
class NetworkSpec:
    """A network as a value with one canonical string, ``model:mix@train_scale/recipe#seed``;
    defaults are left out.

    >>> NetworkSpec.parse("small_vgg:mix@256+512#2")
    NetworkSpec(model='small_vgg', mix='mix', train_scale='256+512', recipe='labels', seed=2)
    >>> str(NetworkSpec("small_vgg", "mix"))
    'small_vgg:mix'
    """

    model: str
    mix: str = ORIGINAL
    train_scale: str = DEFAULT_SCALE
    recipe: str = RECIPES[0]
    seed: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("train scale", self.train_scale, TRAIN_SCALES),
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
        """The network of a whole name, whose mix may be of one's own (``sharp,G4``).

        Raises:
            UserError: for a string that is no such name.
        """
        match = re.fullmatch(
            r"(?P<model>[\w./-]+):(?P<mix>[\w,.:+-]+)(@(?P<train_scale>[\w+-]+))?(/(?P<recipe>[\w-]+))?(#(?P<seed>\d{1,9}))?",
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
        scale = "" if self.train_scale == DEFAULT_SCALE else f"@{self.train_scale}"
        recipe = "" if self.recipe == RECIPES[0] else f"/{self.recipe}"
        seed = f"#{self.seed}" if self.seed else ""
        return f"{self.model}:{self.mix}{scale}{recipe}{seed}"

    @property
    def description(self) -> str:
        """What it is, for its user."""
        return str(self)

    @property
    def is_original(self) -> bool:
        return self.mix == ORIGINAL

    def __str__(self) -> str:
        return self.name
