"""Mixes: distributions over conditions that training blurs by (Section 4, Table 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from blurpaper.kernels import SHAKE, SHAKE_BANKS, SHARP, check_condition, psf, shake_bank
from blurpaper.runs.errors import UserError

MIXES: dict[str, dict[str, float]] = {
    "sharp-only": {SHARP: 1.0},
    "sharp+D4": {SHARP: 0.5, "D4": 0.5},
    "mix": {SHARP: 0.2, "D2": 0.2, "D4": 0.2, "D6": 0.2, "D8": 0.2},
    "sharp+D8": {SHARP: 0.5, "D8": 0.5},
    "onlyD8": {"D8": 1.0},
    "sharp+shake": {SHARP: 0.2, SHAKE: 0.8},
}
"""The paper's training distributions (Table 3) and a control without blur; shares of the halves are
our choice.
"""


def check_mix(mix: str | Mapping[str, float]) -> dict[str, float]:
    """A mix as condition -> probability: one of :data:`mixes.MIXES` by name, or a mapping of one's
    own.

    Raises:
        UserError: if the name is unknown, or a condition is, or the probabilities are not positive
            and of sum 1.

    >>> check_mix("onlyD8")
    {'D8': 1.0}
    """
    if isinstance(mix, str):
        if mix not in MIXES:
            raise UserError(f"a mix is one of {', '.join(MIXES)}. Got {mix!r}.")
        return dict(MIXES[mix])
    if not isinstance(mix, Mapping):
        raise UserError(
            f"a mix is a name, or a mapping from conditions to probabilities. Got {mix!r}."
        )
    if not mix:
        raise UserError("a mix names at least one condition. Got none.")
    for condition, probability in mix.items():
        check_condition(condition)
        if not (isinstance(probability, (int, float)) and 0 < probability <= 1):
            raise UserError(
                f"the probability of {condition} must be above 0 and at most 1. Got "
                f"{probability!r}."
            )
    if abs(sum(mix.values()) - 1) > 1e-6:
        raise UserError(f"the probabilities of a mix sum to 1. Got {sum(mix.values()):g}.")
    return dict(mix)


def draw(
    mix: Mapping[str, float], condition_at: float, shake_at: float, scale: float = 1.0
) -> np.ndarray | None:
    """The PSF that two uniform numbers in [0, 1) pick from a mix; camera shake comes from the
    training bank (Sec. 4.1).

    Args:
        mix: condition -> probability.
        condition_at: picks the condition.
        shake_at: picks one of the ten thousand trajectories.
        scale: canonical scale in use, divided by 384.

    Returns:
        float32 ``(h, w)`` of odd sides and unit sum; None for no blur.
    """
    cumulative = 0.0
    for condition, probability in mix.items():  # noqa: B007 (the last condition takes what rounding leaves)
        cumulative += probability
        if condition_at < cumulative:
            break
    if condition == SHARP:
        return None
    if condition == SHAKE:
        return shake_bank("train", scale)[int(shake_at * SHAKE_BANKS["train"])]
    return psf(condition, scale)
