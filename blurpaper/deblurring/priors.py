"""Priors in files: the one that comes with blurpaper, and one's own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from blurpaper.deblurring.mixture import Mixture
from blurpaper.runs.errors import UserError
from blurpaper.runs.house import HOME

RELEASED = HOME / "results" / "priors" / "bsds500.safetensors"
"""The prior that comes with blurpaper."""


def load(path: Path) -> Mixture:
    """Read a prior from a safetensors file.

    Raises:
        UserError: if the file is missing, damaged or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return Mixture.of_state(load_file(path))
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as a prior: {error}.") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


@lru_cache(maxsize=1)
def released() -> Mixture:
    """The mixture of 200 components that comes with blurpaper, learnt from the photographs of
    bsds500/train.

    Raises:
        UserError: if this installation lacks it.
    """
    if not RELEASED.is_file():
        raise UserError(
            f"the prior that comes with blurpaper is not at {RELEASED}: install the package again, "
            "or name another."
        )
    return load(RELEASED)
