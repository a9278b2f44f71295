"""A fingerprint of code: what a module and all it imports from this library say, comments and
docstrings left out.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_PACKAGE = __package__
_ROOT = Path(__file__).parent
_NOT_SCIENCE = {
    f"{_PACKAGE}.{name}"
    for name in ("store", "writing", "code", "profile", "progress", "data.sources")
}
"""Modules that carry values without making them: what they hold is in the inputs of an artifact
already.
"""


def fingerprint(modules: Iterable[str]) -> str:
    """Hexadecimal hash of the syntax trees of modules and, transitively, of what they import from
    the library.

    >>> fingerprint(["blurpaper.kernels"]) == fingerprint(["blurpaper.shake"])
    False
    """
    text = "\n".join(_normal_form(module) for module in sorted(closure(modules)))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_of(module: str) -> str | None:
    """Sixteen hexadecimal digits for what one module says itself; None if there is no such module.

    Unlike a fingerprint it is the same under every version of Python, for it is committed and
    compared elsewhere.

    >>> len(hash_of("blurpaper.kernels"))
    16
    """
    return _hash_of(module) if path_of(module).is_file() else None


def library() -> list[str]:
    """Every module of the library.

    >>> "blurpaper.kernels" in library()
    True
    """
    parts = [path.relative_to(_ROOT).with_suffix("").parts for path in _ROOT.rglob("*.py")]
    return sorted(
        {".".join((_PACKAGE, *(part for part in names if part != "__init__"))) for names in parts}
    )


def imported_by(source: str) -> set[str]:
    """The modules of the library that a script imports, directly or not.

    >>> "blurpaper.kernels" in imported_by("from blurpaper import protocol")
    True
    """
    return closure(imported_directly(source))


def imported_directly(source: str) -> set[str]:
    """The modules of the library that a script names in its own imports; with a cell for the shell,
    the command line as well.

    >>> imported_directly("from blurpaper import kernels")
    {'blurpaper.kernels'}
    """
    shell = {f"{_PACKAGE}.cli"} if ' language="bash"' in source else set()
    return set(_imported(ast.parse(source))) | shell


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


def path_of(module: str) -> Path:
    """The file of a module.

    >>> path_of("blurpaper.kernels").name
    'kernels.py'
    """
    path = _ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(path_of(module).read_text(encoding="utf-8"))


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
                yield submodule if path_of(submodule).is_file() else node.module


@cache
def _normal_form(module: str) -> str:
    tree = _tree(module)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [
                s
                for s in body
                if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
            ]
            node.body = kept or [ast.Pass()]
    return f"# {module}\n{ast.unparse(tree)}"


@cache
def _hash_of(module: str) -> str:
    return hashlib.sha256(_tree_as_text(ast.parse(_normal_form(module))).encode()).hexdigest()[:16]


def _tree_as_text(node: object) -> str:
    """A syntax tree without what is empty: fields that a later Python adds are empty in code that
    an earlier one can read.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_tree_as_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_tree_as_text(value)}"
        for name, value in ast.iter_fields(node)
        if value is not None and value != []
    )
    return f"{type(node).__name__}({','.join(fields)})"
