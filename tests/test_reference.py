"""The reference: every module of the library on one page, every public name on exactly one, each
told with its shapes.
"""

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from blurpaper import book, code

API = book.ROOT / "book" / "api"
UNTOLD = {
    "what starts the others": r"blurpaper|blurpaper\.__main__",
    "verbs, whose --help tells of them": r"blurpaper\.cli(\..+)?",
    "code for numba": r"blurpaper\.blur\.compiled",
    "plots, told of by the package that has them all": r"blurpaper\.figures\..+",
    "single claims, which the ledger tells": r"blurpaper\.claims\.(deblur|finetun|invariance|pretrained|scales|segment).*",
    "what only makes pages": r"blurpaper\.(browser|claims\.html|csp|deciding_html|exhibits|flips|pdf|play(\..+)?|provenance)",
    "what only plans and publishes runs": r"blurpaper\.(doctor|plan|publishing)",
    "what only makes or fetches data": r"blurpaper\.data\.(artwork|listing|unpacking)",
}
"""Modules that the reference leaves out, and why."""
WITHOUT_EXAMPLE = {
    "execution.execute": "a kernel of Jupyter",
    "speed.bench": "minutes",
    "blurriness_reference.main": "photographs, and it writes a committed file",
    "data.voc.load": "VOC 2012",
    "networks.pretrained.original_resnet50": "a download",
    "networks.pretrained.original_vgg16": "a download",
}
"""Public names without an example, and what it would need."""
MODULES = [
    module
    for module in code.library()
    if not any(re.fullmatch(one, module) for one in UNTOLD.values())
]
ARRAYS = re.compile(r"\b(torch\.)?Tensor\b|\bnd?\.?array\b")
CARRIED = re.compile(r"(Recipe|Codec|Callable|Iterator|Mapping|dict)\[")
"""Types that only carry tensors along."""
SHAPE = re.compile(r"``\([^`]*\)``|\bshape\b", re.DOTALL)


def pages() -> dict[str, list[str]]:
    """Page -> the modules that it tells of."""
    return {
        path.stem: re.findall(r"^\.\. automodule:: (\S+)$", path.read_text("utf-8"), re.MULTILINE)
        for path in API.glob("*.md")
    }


def public(module: str) -> dict[str, object]:
    """The functions and classes that a module defines, by name."""
    found = import_module(module)
    own = {
        name: one
        for name, one in vars(found).items()
        if not name.startswith("_") and getattr(one, "__module__", "") == module
    }
    return {
        name: one for name, one in own.items() if inspect.isfunction(one) or inspect.isclass(one)
    }


def functions() -> list[tuple[str, ast.FunctionDef]]:
    """Every public function of the modules told of: (where, its definition)."""
    return [
        (f"{module}.{node.name}", node)
        for module in MODULES
        for node in ast.parse(code.path_of(module).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def test_every_module_is_on_exactly_one_page() -> None:
    told = [module for modules in pages().values() for module in modules]
    assert [module for module in MODULES if module not in told] == [], (
        "name it on a page of book/api"
    )
    assert [module for module in told if module not in MODULES] == [], "there is no such module"
    assert len(told) == len(set(told))


def test_every_page_is_in_the_contents() -> None:
    parts = yaml.safe_load((book.ROOT / "_toc.yml").read_text("utf-8"))["parts"]
    (index,) = next(part["chapters"] for part in parts if part["caption"] == "Reference")
    listed = {Path(entry["file"]).name for entry in (index, *index["sections"])}
    assert listed == set(pages())


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_a_docstring(module) -> None:
    assert [
        name for name, one in public(module).items() if not (inspect.getdoc(one) or "").strip()
    ] == []


def test_every_public_name_has_an_example() -> None:
    """In its own docstring, or in one of its methods."""
    silent = set()
    for module in MODULES:
        for name, one in public(module).items():
            told = [one, *(vars(one).values() if inspect.isclass(one) else ())]
            if not any(">>> " in (getattr(each, "__doc__", "") or "") for each in told):
                silent.add(f"{module}.{name}".removeprefix("blurpaper."))
    assert silent == set(WITHOUT_EXAMPLE)


def test_what_a_package_exports_is_told_under_its_own_name_alone() -> None:
    """A name that two packages export, or one with a module of its name, would be told of twice or
    nowhere.
    """
    packages = [module for module in MODULES if code.path_of(module).name == "__init__.py"]
    exported: dict[int, list[str]] = {}
    for package in packages:
        for name in getattr(import_module(package), "__all__", ()):
            one = getattr(import_module(package), name)
            if inspect.isfunction(one) or inspect.isclass(one):
                exported.setdefault(id(one), []).append(f"{package}.{name}")
    assert [names for names in exported.values() if len(names) > 1] == []


def test_functions_of_tensors_say_their_shapes() -> None:
    silent = []
    for where, node in functions():
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        types = [
            ast.unparse(one)
            for one in (*(argument.annotation for argument in arguments), node.returns)
            if one
        ]
        if any(ARRAYS.search(one) and not CARRIED.match(one) for one in types) and not SHAPE.search(
            ast.get_docstring(node) or ""
        ):
            silent.append(where)
    assert silent == [], "say the shape, as in float32 ``(B, 3, H, W)``"


def test_functions_that_raise_a_sentence_for_bad_arguments_say_so() -> None:
    """What begins by refusing arguments has a section that says when."""
    silent = []
    for where, node in functions():
        body = [one for one in node.body if not isinstance(one, ast.Expr)]
        refuses = (
            bool(body) and isinstance(body[0], ast.If) and isinstance(body[0].body[0], ast.Raise)
        )
        told = ast.get_docstring(node) or ""
        if refuses and not re.search(r"Raises:|Error", told):
            silent.append(where)
    assert silent == []


@pytest.mark.slow
def test_it_is_built_without_a_warning_and_every_public_name_is_in_it_once(tmp_path) -> None:
    """The reference alone, with the book's own settings; the inventory that Sphinx writes for
    others says what is where.
    """
    source = tmp_path / "source"
    shutil.copytree(book.ROOT / "book", source / "book")
    shutil.copy(book.ROOT / "_config.yml", source)
    listed = [{"file": f"book/api/{page}"} for page in sorted(pages()) if page != "index"]
    (source / "_toc.yml").write_text(
        yaml.safe_dump({"format": "jb-book", "root": "book/api/index", "chapters": listed})
    )
    tool = Path(sys.executable).with_name("jupyter-book")
    command = [
        tool,
        "build",
        source,
        "--path-output",
        tmp_path / "out",
        "--all",
        "-W",
        "-n",
        "--keep-going",
    ]
    environment = os.environ | {
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": str(Path(code.__file__).parents[1]),
    }
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]

    html = tmp_path / "out" / "_build" / "html"
    lines = (
        zlib.decompress((html / "objects.inv").read_bytes().split(b"\n", 4)[4])
        .decode()
        .splitlines()
    )
    told = {}  # where -> name; a class that a package exports has a second name there, that of its module
    for name, role, _, place, *_ in (line.split(" ") for line in lines):
        if role in ("py:function", "py:class", "py:exception"):
            told[place.replace("$", name)] = name
    found = Counter(
        id(getattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]))
        for name in told.values()
    )
    wanted = {
        id(one): f"{module}.{name}" for module in MODULES for name, one in public(module).items()
    }
    assert {name: found[one] for one, name in wanted.items() if found[one] != 1} == {}
