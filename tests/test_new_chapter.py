"""`blurpaper new-chapter`: what it leaves runs and is in the book; what it refuses, it refuses in a
sentence.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from click.testing import CliRunner
from prose import typed_numbers

from blurpaper import book, execution, new_chapter, profile
from blurpaper.cli import main
from blurpaper.store import Store

ROOT = book.ROOT
CONTENTS = """\
format: jb-book  # of jupyter-book
root: notebooks/00_introduction
parts:
  - caption: The paper

    chapters:
      # the kernels come first
      - file: notebooks/01_kernels   # Fig. 2
  - caption: Appendix
    chapters:
      - file:   "notebooks/07_choices"  # ours
      - file: book/credits   # the last page
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A checkout of three chapters."""
    (tmp_path / "notebooks").mkdir()
    for name in ("00_introduction", "01_kernels", "07_choices"):
        (tmp_path / "notebooks" / f"{name}.py").write_text(
            '# %% tags=["parameters"]\nprofile = ""\n'
        )
    (tmp_path / "_toc.yml").write_text(CONTENTS)
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book, "NOTEBOOKS", tmp_path / "notebooks")
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(main, ["new-chapter", *arguments])


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_it_gets_the_next_number_and_a_line_in_the_contents_that_leaves_the_others_as_they_were(
    checkout,
) -> None:
    done = run("other_blurs")
    assert done.exit_code == 0, done.output
    assert (
        f"{checkout / 'notebooks' / '08_other_blurs.py'}; try: blurpaper chapter 08" in done.output
    )
    assert book.chapters()[-1] == "08_other_blurs"
    lines = (checkout / "_toc.yml").read_text().splitlines(keepends=True)
    assert lines.pop(11) == "      - file:   notebooks/08_other_blurs\n"
    assert "".join(lines) == CONTENTS
    listed = yaml.safe_load((checkout / "_toc.yml").read_text())["parts"][1]["chapters"]
    assert [entry["file"] for entry in listed] == [
        "notebooks/07_choices",
        "notebooks/08_other_blurs",
        "book/credits",
    ]


def test_a_second_one_comes_after_the_first(checkout) -> None:
    assert run("one").exit_code == run("two").exit_code == 0
    assert book.chapters()[-2:] == ["08_one", "09_two"]
    entries = re.findall(r"notebooks/(\w+)", (checkout / "_toc.yml").read_text())
    assert entries == ["00_introduction", "01_kernels", "07_choices", "08_one", "09_two"]


@pytest.mark.parametrize(
    "name", ["", "Two words", "2nd", "a-b", "_a", "a_", "../a", "a.py", "Übung", "a\n", "01_a"]
)
def test_what_is_no_name_is_refused_in_a_sentence_and_nothing_is_written(checkout, name) -> None:
    before = files(checkout)
    done = run(name)
    assert done.exit_code == 2
    assert re.fullmatch(r"Error: a chapter is named by .* Got '.*'\.\n", done.output)
    assert files(checkout) == before


@pytest.mark.parametrize(
    ("contents", "name", "said"),
    [
        (CONTENTS, "kernels", "there is a chapter 'kernels' already: notebooks/01_kernels.py"),
        (
            "root: notebooks/00_introduction\n",
            "new",
            "_toc.yml has no notebook that notebooks/08_new could follow",
        ),
        (
            CONTENTS.replace("  # ours", "\n        sections:\n          - file: book/a"),
            "new",
            "with nothing below it",
        ),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_sentence_and_nothing_is_written(
    checkout, contents, name, said
) -> None:
    (checkout / "_toc.yml").write_text(contents)
    before = files(checkout)
    done = run(name)
    assert done.exit_code == 2 and said in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert files(checkout) == before


def test_an_installed_copy_is_not_written_to(checkout, monkeypatch) -> None:
    monkeypatch.setattr(book, "CARRIED", checkout)
    before = files(checkout)
    for verb in (["new-chapter", "new"], ["publish", "--profile", "smoke"]):
        done = CliRunner().invoke(main, verb)
        assert done.exit_code == 2 and "needs a checkout of blurpaper" in done.output
        assert len(done.output.strip().splitlines()) == 1
    assert files(checkout) == before


def test_contents_that_cannot_be_written_leave_no_notebook(checkout, monkeypatch) -> None:
    written = new_chapter.written

    def fail(path):
        if path.suffix == ".yml":
            raise OSError("read-only")
        return written(path)

    monkeypatch.setattr(new_chapter, "written", fail)
    before = files(checkout)
    with pytest.raises(OSError, match="read-only"):
        new_chapter.create("new")
    assert files(checkout) == before


def test_in_this_checkout_it_would_follow_its_last_notebook(checkout) -> None:
    shutil.copy(ROOT / "_toc.yml", checkout / "_toc.yml")
    before = (ROOT / "_toc.yml").read_text(encoding="utf-8").splitlines()
    new_chapter.create("new")
    after = (checkout / "_toc.yml").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in after if line not in before]
    assert line.strip() == "- file: notebooks/08_new"
    assert "notebooks/" in after[after.index(line) - 1] and not any(
        "notebooks/" in one for one in after[after.index(line) + 1 :]
    )


def test_it_runs_as_it_is_and_is_as_chapters_are_to_be(checkout, tmp_path) -> None:
    path = new_chapter.create("other_blurs")
    shutil.copy(ROOT / "pyproject.toml", checkout)
    (checkout / "blurpaper").symlink_to(ROOT / "blurpaper")  # ruff tells our own imports by it
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, str(path)]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    notebook = jupytext.read(path)
    assert notebook.cells[0].source.startswith("# Other blurs\n")
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    assert [one for one in tags if "parameters" in one] == [["parameters", "remove-cell"]]
    assert not [sentence for sentence in typed_numbers(checkout) if "other_blurs" in sentence]

    store = Store(tmp_path / "store")
    done = nbformat.read(
        execution.execute(
            "08_other_blurs", execution.Run(profile.load("smoke"), {}, "smoke", store, True)
        ),
        as_version=4,
    )
    shown = "".join(str(output) for cell in done.cells for output in cell.get("outputs", []))
    assert '<figure class="blurpaper">' in shown and "profile smoke, as committed" in shown
    assert re.search(r"The widest is `D8`, with a root-mean-square radius of 5\.\d pixels", shown)
