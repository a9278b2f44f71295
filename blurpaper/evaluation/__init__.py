"""The protocol, metrics, intervals and the invariance of features (Sections 3 and 4.3)."""

from __future__ import annotations

__all__ = ["evaluate_module"]


def __dir__() -> list[str]:
    """The public names."""
    return __all__


def __getattr__(name: str) -> object:
    """Import the measurement of a module when it is first used, because torch takes a second."""
    if name in __all__:
        from blurpaper.evaluation.folder import evaluate_module

        return evaluate_module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
