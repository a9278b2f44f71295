"""A fingerprint of code: what a module and all it imports from this library say, comments and docstrings left out."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_PACKAGE = __package__
_ROOT = Path(__file__).parent
_NOT_SCIENCE = {f"{_PACKAGE}.{name}" for name in ("store", "code", "profile", "progress", "data.sources")}
"""Modules that carry values without making them: what they hold is in the inputs of an artifact already."""


def fingerprint(modules: Iterable[str]) -> str:
    """Hexadecimal hash of the syntax trees of modules and, transitively, of what they import from the library."""
    text = "\n".join(_normal_form(module) for module in sorted(closure(modules)))
    return hashlib.sha256(text.encode()).hexdigest()


def closure(modules: Iterable[str]) -> set[str]:
    """The modules and everything of this library that they import, directly or not.

    >>> sorted(closure(["blurpaper.kernels"]))
    ['blurpaper.kernels', 'blurpaper.randomness', 'blurpaper.shake']
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module not in _NOT_SCIENCE:
            found.add(module)
            waiting += _imports(module)
    return found


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    path = _ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(module: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_imported(_tree(module))))


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == _PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if _file(submodule).is_file() else node.module


@cache
def _normal_form(module: str) -> str:
    tree = _tree(module)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [s for s in body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
            node.body = kept or [ast.Pass()]
    return f"# {module}\n{ast.unparse(tree)}"
