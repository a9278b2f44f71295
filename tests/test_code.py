"""Fingerprints of code: what changes them, and what must not."""

import ast
from pathlib import Path

import pytest

import blurpaper
from blurpaper import code

PACKAGE = Path(blurpaper.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def forget():
    for cached in (code._tree, code._imports, code._normal_form):
        cached.cache_clear()


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A small package in place of the library: write(name, text), then ask for fingerprints."""
    monkeypatch.setattr(code, "_ROOT", tmp_path)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        forget()

    write("base", "SIZE = 3\n")
    write("other", "SIZE = 5\n")
    write("top", ORIGINAL)
    yield write
    forget()


ORIGINAL = """\
from blurpaper.base import SIZE


class Thing:
    def method(self, x):
        return x * SIZE


def area(x):
    return x**2 + 1
"""

SAME = {
    "a comment": ORIGINAL.replace("return x**2 + 1", "return x**2 + 1  # why"),
    "a docstring of the module": '"""What it is."""\n\n' + ORIGINAL,
    "a docstring of a function": ORIGINAL.replace(
        "def area(x):", 'def area(x):\n    """Of a square."""'
    ),
    "a docstring of a class": ORIGINAL.replace("class Thing:", 'class Thing:\n    """A thing."""'),
    "a docstring of an attribute": ORIGINAL.replace(
        "class Thing:", '"""What SIZE is."""\n\n\nclass Thing:'
    ),
    "layout": ORIGINAL.replace("x**2 + 1", "(\n        x ** 2\n        + 1\n    )").replace(
        "\n\n\n", "\n\n"
    ),
}
OTHER = {
    "a number": ORIGINAL.replace("+ 1", "+ 2"),
    "an operator": ORIGINAL.replace("x * SIZE", "x + SIZE"),
    "a name": ORIGINAL.replace("area", "volume"),
    "a default": ORIGINAL.replace("def area(x)", "def area(x=1)"),
    "a decorator": ORIGINAL.replace("def area", "@print\ndef area"),
    "an import": ORIGINAL.replace("blurpaper.base", "blurpaper.other"),
    "a string that is used": ORIGINAL.replace("x**2 + 1", '"one"'),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_comments_docstrings_and_layout_do_not_change_a_fingerprint(house, text):
    before = code.fingerprint(["blurpaper.top"])
    assert text != ORIGINAL
    house("top", text)
    assert code.fingerprint(["blurpaper.top"]) == before


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_code_changes_a_fingerprint(house, text):
    before = code.fingerprint(["blurpaper.top"])
    assert text != ORIGINAL
    house("top", text)
    assert code.fingerprint(["blurpaper.top"]) != before


def test_code_of_an_imported_module_changes_a_fingerprint_and_of_another_does_not(house):
    before = code.fingerprint(["blurpaper.top"])
    house("other", "SIZE = 6\n")
    assert code.fingerprint(["blurpaper.top"]) == before
    house("base", "SIZE = 4\n")
    assert code.fingerprint(["blurpaper.top"]) != before


@pytest.mark.parametrize(
    ("text", "imported"),
    [
        ("from blurpaper.base import SIZE", {"base"}),
        ("from blurpaper import base, other", {"base", "other"}),
        ("import blurpaper.base", {"base"}),
        ("import blurpaper.base as b", {"base"}),
        ("def f():\n    from blurpaper.base import SIZE\n    return SIZE", {"base"}),
        ("from blurpaper.deep import inner", {"deep.inner"}),
        ("from blurpaper.deep import VALUE", {"deep"}),
        ("from blurpaper.deep.inner import VALUE", {"deep.inner"}),
        ("import numpy as np\nfrom pathlib import Path", set()),
    ],
)
def test_every_way_to_import_from_the_library_is_seen(house, text, imported):
    house("deep/__init__", "VALUE = 1")
    house("deep/inner", "VALUE = 2")
    house("top", text)
    assert code.closure(["blurpaper.top"]) == {
        "blurpaper.top",
        *(f"blurpaper.{name}" for name in imported),
    }


def test_modules_that_import_one_another_are_followed_once(house):
    house("base", "from blurpaper import top\n")
    assert code.closure(["blurpaper.top"]) == {"blurpaper.top", "blurpaper.base"}
    assert code.closure(["blurpaper.base"]) == {"blurpaper.top", "blurpaper.base"}


def test_moving_code_to_another_module_changes_a_fingerprint(house):
    assert code.fingerprint(["blurpaper.base"]) != code.fingerprint(["blurpaper.other"])
    house("other", "SIZE = 3\n")
    assert code.fingerprint(["blurpaper.base"]) != code.fingerprint(["blurpaper.other"])


# --- The library itself ---------------------------------------------------------------------------


def test_the_order_of_the_modules_does_not_matter():
    one, other = "blurpaper.kernels", "blurpaper.metrics"
    assert (
        code.fingerprint([one, other])
        == code.fingerprint([other, one])
        == code.fingerprint([one, other, one])
    )


def test_training_depends_on_the_blur_and_not_on_plots_or_the_store():
    found = code.closure(["blurpaper.training"])
    assert {
        "blurpaper.training",
        "blurpaper.blur",
        "blurpaper.kernels",
        "blurpaper.randomness",
    } <= found
    assert not found & {
        f"blurpaper.{name}"
        for name in ("figures", "page", "book", "cli", "store", "profile", "tables", "progress")
    }


def test_the_embedded_data_depends_on_its_artwork_and_not_on_the_blur():
    found = code.closure(["blurpaper.data.emoji"])
    assert {"blurpaper.data.emoji", "blurpaper.data.artwork", "blurpaper.randomness"} <= found
    assert not found & {"blurpaper.blur", "blurpaper.training", "blurpaper.networks"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_modules_import_from_the_library_by_its_full_name(path):
    # The closure does not follow `from . import x`: such an import would keep what it should make
    # anew.
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    assert not [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level
    ]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_has_a_fingerprint_of_its_own_file(path):
    parts = [part for part in path.with_suffix("").parts if part != "__init__"]
    module = ".".join(("blurpaper", *parts))
    assert code.path_of(module) == PACKAGE / path
    assert len(code.fingerprint([module])) == 64
