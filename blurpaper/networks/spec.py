"""The name of a network: which model, fine-tuned on which mix, at which scale, by which recipe,
from which seed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from blurpaper.blur import MIXES
from blurpaper.errors import UserError

ORIGINAL = "original"
DEFAULT_SCALE = "256"
TRAIN_SCALES = ("128", "256", "512", "256+512", "per-scale")
RECIPES = ("labels", "agreement", "batch-norm")
"""How a network was made robust: by fine-tuning with labels (the paper), by fine-tuning without
labels to agree with the sharp network's predictions, or by new batch-norm statistics alone."""


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
        if self.mix != ORIGINAL and self.mix not in MIXES:
            raise UserError(f"a mix is original or one of {', '.join(MIXES)}. Got {self.mix!r}.")
        if self.train_scale not in TRAIN_SCALES:
            raise UserError(
                f"a train scale is one of {', '.join(TRAIN_SCALES)}. Got {self.train_scale!r}."
            )
        if self.recipe not in RECIPES:
            raise UserError(f"a recipe is one of {', '.join(RECIPES)}. Got {self.recipe!r}.")

    @classmethod
    def parse(cls, text: str, model: str | None = None) -> NetworkSpec:
        """Read ``MODEL[:MIX][@SCALE][/RECIPE][#SEED]``; with a default ``model``, the mix alone
        will do.

        Raises:
            UserError: for a string that names no network, saying what it got.
        """
        pattern = r"(?:(?P<model>\w+):)?(?P<mix>[\w+-]+)(?:@(?P<train_scale>[\w+-]+))?(?:/(?P<recipe>[\w-]+))?(?:#(?P<seed>\d{1,9}))?"
        match = re.fullmatch(pattern, text)
        if not match:
            raise UserError(
                "a network is MODEL[:MIX][@SCALE][/RECIPE][#SEED], as in "
                f"efficientnet_lite0:mix@512/agreement. Got {text!r}."
            )
        parts = {name: value for name, value in match.groupdict().items() if value is not None}
        if "model" not in parts:
            is_mix = parts["mix"] in MIXES or parts["mix"] == ORIGINAL
            if not is_mix:
                parts["model"], parts["mix"] = parts["mix"], ORIGINAL
            elif model is None:
                raise UserError(
                    f"name the model too, as in efficientnet_lite0:{text}. Got {text!r}."
                )
            else:
                parts["model"] = model
        parts["seed"] = int(parts.get("seed", 0))
        return cls(**parts)

    def __str__(self) -> str:
        scale = "" if self.train_scale == DEFAULT_SCALE else f"@{self.train_scale}"
        recipe = "" if self.recipe == RECIPES[0] else f"/{self.recipe}"
        seed = f"#{self.seed}" if self.seed else ""
        return f"{self.model}:{self.mix}{scale}{recipe}{seed}"

    @property
    def is_original(self) -> bool:
        return self.mix == ORIGINAL
