"""The protocol, metrics, intervals and the invariance of features (Sections 3 and 4.3)."""

from __future__ import annotations

__all__ = ["evaluate_module"]


def __getattr__(name: str) -> object:
    """What measures a module on a folder, when it is asked for: its import takes seconds."""
    if name in __all__:
        from blurpaper.evaluation.folder import evaluate_module

        return evaluate_module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
