"""The library knows no chapter: it names tables and other targets, and looks up their places."""

import ast
import re
from pathlib import Path

import pytest

import blurpaper
from blurpaper import claims
from blurpaper.book import build, tables

LIBRARY = Path(blurpaper.__file__).parent
NUMBERS = {name[:2] for name in build.chapters()}
CHAPTER = r"(?<!\w)\d\d_[a-z]|[Cc]hapters? \d|(?<![\w.,:])0\d(?![\w.])"
"""The name of its file, or its number."""
LOOKED_UP = {
    tables.LEDGER,
    *tables.ANCHORS.values(),
    *(one.table for one in claims.CLAIMS.values()),
}


def chapters_in(source: str) -> list[str]:
    """The strings of some code that hold a chapter's number or the name of its file."""
    nodes = list(ast.walk(ast.parse(source)))
    formats = {
        id(part)
        for node in nodes
        if isinstance(node, ast.FormattedValue) and node.format_spec
        for part in ast.walk(node.format_spec)
    }
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in formats
        if node.value in NUMBERS or re.search(CHAPTER, node.value)
    ]


def test_chapters_are_found_in_strings() -> None:
    source = """
def page():
    '''As in 03_finetuning.'''
    shown = {"06": f"{here}/12_runs.html", "x": "see chapter 9"}
    return shown | {"vgg16_caffe": f"1.06 {number:02}", "name": "it (02)"}
"""
    found = ["/12_runs.html", "06", "As in 03_finetuning.", "it (02)", "see chapter 9"]
    assert sorted(chapters_in(source)) == found


@pytest.mark.parametrize(
    "path",
    sorted(LIBRARY.rglob("*.py")),
    ids=lambda path: path.relative_to(LIBRARY).as_posix(),
)
def test_no_module_knows_a_chapter(path) -> None:
    assert chapters_in(path.read_text("utf-8")) == []


@pytest.mark.parametrize("target", sorted(LOOKED_UP))
def test_what_the_library_looks_up_stands_once_in_the_book(target) -> None:
    scripts = sorted(build.NOTEBOOKS.glob("*.py"))
    (found,) = [
        path for path in scripts for _ in range(path.read_text("utf-8").count(f"# ({target})=\n"))
    ]
    assert build.page_of(target) == f"{found.stem}.html#{target.lower()}"
    assert f"notebooks/{found.stem}\n" in (build.ROOT / "_toc.yml").read_text("utf-8")


def test_targets_are_looked_up_in_what_the_table_of_contents_lists(tmp_path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "_toc.yml").write_text(
        "root: notebooks/04_first\nparts:\n  - chapters:\n"
        "      - file: 'book/lab'  # notes\n      # - file: notebooks/05_left_out\n"
    )
    (tmp_path / "notebooks" / "04_first.py").write_text(
        "# %% [markdown]\n# (table3)=\n# ## Table 3 (table5)=\n\nx = '(table4)='\n"
    )
    (tmp_path / "notebooks" / "05_left_out.py").write_text("# (table6)=\n")
    (tmp_path / "book" / "lab.md").write_text("(notes-2)=\n# Notes\n")
    assert build.targets(tmp_path) == {
        "table3": "04_first.html#table3",
        "notes-2": "../book/lab.html#notes-2",
    }


def test_a_target_that_is_nowhere_is_named() -> None:
    with pytest.raises(build.BookError, match=r"no chapter .* has a target \(cookery\)="):
        build.page_of("cookery")
