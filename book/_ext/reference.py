"""What autodoc needs to know of this library: types imported for checking only, and where a
re-exported name is told of.
"""

from __future__ import annotations

import ast
import sys
from contextlib import suppress
from importlib import import_module
from inspect import isclass, isfunction
from types import ModuleType
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util.nodes import make_refnode

PACKAGE = "blurpaper"


def _give_types(_: object) -> None:
    """Import what the modules import only ``if TYPE_CHECKING``, so that their annotations can be
    resolved.
    """
    from blurpaper import code

    for name in code.library():
        if name.endswith("__main__"):
            continue
        module, tree = (
            import_module(name),
            ast.parse(code.path_of(name).read_text(encoding="utf-8")),
        )
        for block in tree.body:
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
                for one in (
                    node
                    for node in ast.walk(block)
                    if isinstance(node, (ast.Import, ast.ImportFrom))
                ):
                    for alias in one.names:
                        with suppress(ModuleNotFoundError):  # of an extra that is not installed
                            setattr(module, alias.asname or alias.name, _imported(one, alias.name))


def _imported(node: ast.Import | ast.ImportFrom, name: str) -> object:
    if isinstance(node, ast.Import):
        return import_module(name)
    source = import_module(node.module)
    return (
        getattr(source, name) if hasattr(source, name) else import_module(f"{node.module}.{name}")
    )


def _is_told_elsewhere(
    app: Any,  # noqa: ANN401
    what: str,
    name: str,
    obj: object,
    skip: bool,
    _: object,
) -> bool | None:
    """Leave out the functions and classes that a package re-exports: they are told of there, under
    the name that users import.
    """
    module = app.env.temp_data.get("autodoc:module") or ""
    if what != "module" or not module.startswith(PACKAGE) or not (isfunction(obj) or isclass(obj)):
        return None
    if (
        f"{module}.{name}" in sys.modules
    ):  # named like the module that it is in, where it can be told of but once
        return True
    while module := module.rpartition(".")[0]:
        package: ModuleType = import_module(module)
        is_exported = name in getattr(package, "__all__", ()) and getattr(package, name) is obj
        if is_exported and f"{module}.{name}" not in sys.modules:
            return True
    return None


def _without_fields(
    app: Any,  # noqa: ANN401
    what: str,
    name: str,
    obj: object,
    *_: object,
) -> tuple[str, None] | None:
    """A section of a profile without its signature, which would list the fields that follow below
    it.
    """
    return ("", None) if what == "class" and issubclass(obj, BaseModel) else None


_consume_fields = GoogleDocstring._consume_fields


def _several(
    docstring: GoogleDocstring,
    parse_type: bool = True,
    prefer_type: bool = False,
    multiple: bool = False,
) -> list:
    """Fields of which several may share a line, ``rows, columns: ...``, attributes too."""
    return _consume_fields(docstring, parse_type, prefer_type, multiple=True)


def _said(docstring: GoogleDocstring) -> tuple[str, list[str]]:
    """What is said below a constant: what stands before a colon in it is no type."""
    return "", docstring._consume_to_end()


def _returned(
    docstring: GoogleDocstring, preprocess_types: bool = False
) -> list[tuple[str, str, list[str]]]:
    """What a function returns is said in words: what stands before a colon in them is no type."""
    return [("", "", docstring._dedent(docstring._consume_to_next_section()))]


def _found(app: Any, env: Any, node: Any, content: nodes.Node) -> nodes.Node | None:  # noqa: ANN401
    """What a name within the library means: ``resizing.to_canonical``, or
    ``networks.base.Network``, told of one level up.
    """
    target, place = node.get("reftarget", ""), node.get("py:module") or PACKAGE
    if node.get("refdomain") != "py" or not target:
        return None
    objects = env.get_domain("py").objects
    names = [target, *_outwards(place, target)]
    names += [
        one for name in names for one in _outwards(name.rpartition(".")[0], name.rpartition(".")[2])
    ]
    for name in (name for name in names if name in objects and name.startswith(f"{PACKAGE}.")):
        entry = objects[name]
        return make_refnode(
            app.builder, node["refdoc"], entry.docname, entry.node_id, content, name
        )
    return (
        content if any(map(_exists, names)) else None
    )  # in a module that the reference leaves out


def _outwards(place: str, name: str) -> list[str]:
    """A name in a module, in the package around it, and so on."""
    parts = place.split(".")
    return [".".join((*parts[:end], name)) for end in range(len(parts), 0, -1)]


def _exists(name: str) -> bool:
    """Whether something of the library has this name."""
    module, _, attribute = name.rpartition(".")
    return name.startswith(f"{PACKAGE}.") and (
        name in sys.modules or attribute in vars(sys.modules.get(module, object))
    )


def setup(app: Any) -> dict[str, bool]:  # noqa: ANN401
    """Connect to Sphinx."""
    GoogleDocstring._consume_fields = _several
    GoogleDocstring._consume_inline_attribute = _said
    GoogleDocstring._consume_returns_section = _returned
    app.connect("builder-inited", _give_types)
    app.connect("autodoc-process-signature", _without_fields)
    app.connect("autodoc-skip-member", _is_told_elsewhere)
    app.connect("missing-reference", _found)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
