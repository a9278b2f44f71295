"""Blur and recognition: the library of a reproducible paper.

``blurpaper.kernels`` makes point-spread functions, ``blurpaper.blur`` applies them; the other
modules follow the paper, one idea each. Modules are imported when first used, so that this import
is cheap.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
