"""A fingerprint of code that survives a move.

It hashes the syntax of the modules that compute something and, transitively, of those whose
functions they use. Left out is whatever computes nothing: comments, docstrings, layout, import
statements, and the names of modules. A file may thus be moved, renamed or imported in another way,
and Python be updated, without a change. A name from another module stands for the code of that
module, wherever it lies. :mod:`blurpaper.runs.store` adds the versions of libraries that compute.
"""

from __future__ import annotations

import ast
import hashlib
import re
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from blurpaper.runs.files import PACKAGE

_PACKAGE = "blurpaper"
_IN_RUNS = ("files", "fingerprint", "profile", "progress", "store", "threads")
CARRIERS = {f"{_PACKAGE}.{name}" for name in ("runs", "data.catalogue", "evaluation.results")} | {
    f"{_PACKAGE}.runs.{name}" for name in _IN_RUNS
}
"""Modules that carry values without computing them: what they hold is in an artifact's inputs."""

_SAME = ("torch", "torchvision", "timm", "numpy", "numba", "scipy", "matplotlib", "seaborn")
_OTHER = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "resvg_py": "resvg-py",
    "skimage": "scikit-image",
}
LIBRARIES = {name: name for name in _SAME} | _OTHER
"""Libraries whose version may change a result: the name they are imported by, and PyPI's."""


def fingerprint(modules: Iterable[str]) -> str:
    """Hexadecimal hash of modules of the library and of everything in it that they use."""
    parts = sorted({_whole(module) for module in closure(modules)})
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def versions(modules: Iterable[str]) -> dict[str, str]:
    """The versions of the :data:`LIBRARIES` that modules use, directly or not; without the local
    part that tells a build for CUDA from one for CPUs.
    """
    used = set().union(*(_form(module).libraries for module in closure(modules)))
    return {LIBRARIES[name]: version_of(LIBRARIES[name]) for name in LIBRARIES if name in used}


def version_of(distribution: str) -> str:
    """The version of an installed package, without its local part; empty if it is not installed, as
    those of the extra ``book`` need not be.
    """
    try:
        return version(distribution).partition("+")[0]
    except PackageNotFoundError:
        return ""


def hash_of(module: str) -> str | None:
    """Sixteen hexadecimal digits of one module's own code; None if there is no such module."""
    return _own(module) if path_of(module).is_file() else None


def library() -> list[str]:
    """Every module of the library."""
    found = (path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py"))
    return sorted(".".join((_PACKAGE, *parts)).removesuffix(".__init__") for parts in found)


def used_by(source: str) -> set[str]:
    """The modules of the library that a script uses directly."""
    tree = _parsed(source)
    return _Form(tree, dict(_bindings(tree))).uses


def closure(modules: Iterable[str]) -> set[str]:
    """The modules and everything of this library that they use, directly or not."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module not in CARRIERS:
            found.add(module)
            waiting += _form(module).uses
    return found


def path_of(module: str) -> Path:
    """The file of a module."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


_PARSER = threading.Lock()


def _parsed(source: str) -> ast.Module:
    """A syntax tree. Python 3.11's parser counts its depth for all threads together."""
    with _PARSER:
        return ast.parse(source)


_ORIGIN = re.compile(rf"<({_PACKAGE}[.\w]*)>")
"""The module that defines an imported name, as it stands before the name in a normal form."""


# --- The code of one module -----------------------------------------------------------------------


@cache
def _form(module: str) -> _Form:
    bound = _passed_on(module)  # before its imports are taken out of the tree
    return _Form(_tree(module), bound)


@cache
def _tree(module: str) -> ast.Module:
    return _parsed(path_of(module).read_text(encoding="utf-8"))


@cache
def _own(module: str) -> str:
    """Hash of a module's own code, wherever its imported names come from."""
    return hashlib.sha256(_ORIGIN.sub("", _form(module).text).encode()).hexdigest()[:16]


@cache
def _whole(module: str) -> str:
    """Its text, each imported name with the hash of the module that defines it: two modules of the
    same text may have a name from different places.
    """
    return _ORIGIN.sub(
        lambda origin: "" if origin[1] in CARRIERS else _own(origin[1]), _form(module).text
    )


def _bindings(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that imports bind, each with the dotted name of what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (first, first)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


class _Form(ast.NodeTransformer):
    """The normal form of a module: its tree without what computes nothing.

    Args:
        bound: the names that its imports bind, with what they stand for.

    Attributes:
        text: the tree that is left; see :data:`_ORIGIN`.
        uses: the modules of the library that define the names it uses, or that it imports for their
            effects alone.
        libraries: what else it imports, by its first name.
    """

    def __init__(self, tree: ast.Module, bound: dict[str, str]) -> None:
        self.uses: set[str] = set()
        self._bound, self._imported, self._seen = bound, set[str](), set[str]()
        self.text = _tree_as_text(self.visit(tree))
        self.libraries = {one.partition(".")[0] for one in self._imported if not _in_library(one)}
        for_effects = filter(_in_library, self._imported - self._seen)
        self.uses |= {_found(one)[0] for one in for_effects}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        if hasattr(node, "body") and node.body == []:
            node.body = [ast.Pass()]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self._imported |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._imported |= {f"{node.module}.{alias.name}" for alias in node.names}

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and re.fullmatch(rf"{_PACKAGE}(\.\w+)+", node.value):
            return ast.Constant("")  # the name of a module
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._named(node, node.id, [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        attributes, root = [], node
        while isinstance(root, ast.Attribute):
            attributes.append(root.attr)
            root = root.value
        if isinstance(root, ast.Name) and root.id in self._bound:
            return self._named(node, root.id, attributes[::-1])
        return self.generic_visit(node)

    def _named(self, node: ast.AST, name: str, attributes: list[str]) -> ast.AST:
        """A name and its attributes by where they are defined instead of how they were imported."""
        if name not in self._bound:
            return node
        dotted = self._bound[name]
        if not _in_library(dotted):
            return ast.Name(".".join((dotted, *attributes)), ast.Load())
        self._seen.add(dotted)
        module, defined, rest = _found(".".join((dotted, *attributes)))
        self.uses |= {module, *_run_by(".".join((dotted, *attributes)))}
        if dotted == _PACKAGE:  # import blurpaper.kernels; blurpaper.kernels.psf
            self._seen |= {one for one in self._imported if f"{one}.".startswith(f"{module}.")}
        return ast.Name(f"<{module}>" + ".".join((defined, *rest)), ast.Load())


def _in_library(dotted: str) -> bool:
    return dotted.partition(".")[0] == _PACKAGE


def _found(dotted: str) -> tuple[str, str, list[str]]:
    """Where something of the library is defined: the module, its name there, and what follows.

    A package that only passes on a name that it imports is followed to the module it comes from.
    """
    first, *names = dotted.split(".")
    module = first
    while names and path_of(f"{module}.{names[0]}").is_file():
        module = f"{module}.{names.pop(0)}"
    if not names:
        return module, "", []
    passed_on = _passed_on(module).get(names[0], "")
    if _in_library(passed_on) and not f"{dotted}.".startswith(f"{passed_on}."):
        return _found(".".join((passed_on, *names[1:])))
    return module, names[0], names[1:]


def _run_by(dotted: str) -> Iterator[str]:
    """The modules that run on the way to a name because a package imports them as modules, such as
    those that register themselves there.
    """
    module, _, rest = dotted.rpartition(".")
    while module:
        if path_of(module).name == "__init__.py" and not path_of(f"{module}.{rest}").is_file():
            passed_on = _passed_on(module).values()
            yield from (one for one in passed_on if _in_library(one) and path_of(one).is_file())
        module, _, rest = module.rpartition(".")


@cache
def _passed_on(module: str) -> dict[str, str]:
    """The imported names of a module, with what they stand for."""
    return dict(_bindings(_tree(module)))


def _tree_as_text(node: object) -> str:
    """A syntax tree as text, without empty fields: those that a later Python adds are empty in code
    that an earlier one can read.
    """
    if isinstance(node, list):
        return f"[{','.join(map(_tree_as_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = (
        f"{name}={_tree_as_text(value)}"
        for name, value in ast.iter_fields(node)
        if value is not None and value != [] and not isinstance(value, ast.expr_context)
    )
    return f"{type(node).__name__}({','.join(fields)})"
