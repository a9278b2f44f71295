"""Chapters are executed once: the outcome is kept, and made again when anything that it shows may
have changed.
"""

import threading
from pathlib import Path

import nbformat
import papermill
import pytest

from blurpaper.book import build, execution
from blurpaper.runs import files, fingerprint, profile
from blurpaper.runs.store import Store

SCRIPT = """\
# %% [markdown]
# # A chapter

# %% tags=["parameters", "remove-cell"]
profile = ""
overrides = {}
published = False

# %%
import os
from blurpaper import kernels

print(os.getpid(), overrides)
"""
ACCOUNT = SCRIPT.replace("# # A chapter", "# (run-this)=\n# # A chapter")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one chapter, with a set of committed results."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "photos.csv").write_text("a")
    (tmp_path / "notebooks" / "01_disk.py").write_text(SCRIPT)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    monkeypatch.setattr(build, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(files, "RESULTS", tmp_path / "results")
    return tmp_path


@pytest.fixture
def executions(monkeypatch):
    """How often papermill was asked; it does not start a kernel here, but writes down what it was
    given.
    """
    calls = []

    def execute(raw, out, parameters, **_):
        calls.append(parameters)
        notebook = nbformat.read(raw, as_version=4)
        notebook.cells.append(nbformat.v4.new_markdown_cell(f"execution {len(calls)}"))
        nbformat.write(notebook, out)

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    return calls


def execute(root, overrides=None, name="smoke", published=False):
    settings = profile.load(name, overrides or {})
    run = execution.Edition(settings, overrides or {}, name, Store(root / "store"), published)
    path = execution.execute("01_disk", run)
    assert path == root / "_build" / settings.name / "source" / "notebooks" / "01_disk.ipynb"
    return nbformat.read(path, as_version=4).cells[-1].source


def test_a_chapter_is_executed_once_and_comes_from_the_store_afterwards(
    checkout, executions
) -> None:
    assert execute(checkout) == "execution 1"
    build.executed("01_disk", profile.load("smoke")).unlink()
    assert execute(checkout) == "execution 1"
    assert len(executions) == 1


def test_it_is_executed_again_when_what_it_shows_may_have_changed(
    checkout, executions, monkeypatch
) -> None:
    script = checkout / "notebooks" / "01_disk.py"
    changes = [
        lambda: script.write_text(SCRIPT.replace("A chapter", "The chapter")),
        lambda: (checkout / "results" / "photos.csv").write_text("b"),
        lambda: (checkout / "results" / "emoji.csv").write_text("b"),
        lambda: monkeypatch.setattr(build, "targets", lambda _: {"table1": "04_more.html#table1"}),
        lambda: monkeypatch.setattr(execution, "sha256_of", lambda path: f"changed {path}"),
        lambda: monkeypatch.setattr(
            execution.data, "fingerprints", lambda *_: {"photographs": "others"}
        ),
    ]
    execute(checkout)
    for number, change in enumerate(changes, 2):
        change()
        assert execute(checkout) == f"execution {number}"
        assert execute(checkout) == f"execution {number}"
    assert execute(checkout, {"seed": 3}) == f"execution {len(changes) + 2}"
    assert execute(checkout, published=True) == f"execution {len(changes) + 3}"
    assert execute(checkout, name="emoji") == f"execution {len(changes) + 4}"


def test_a_chapter_that_shows_the_store_is_executed_again_when_there_is_more_in_it(
    checkout, executions
) -> None:
    def add(number):
        folder = checkout / "store" / "networks" / f"a-{number}"
        folder.mkdir(parents=True)
        (folder / "stamp.json").write_text("{}")

    execute(checkout)
    add(1)
    assert execute(checkout) == "execution 1"
    (checkout / "notebooks" / "01_disk.py").write_text(ACCOUNT)
    assert execute(checkout) == "execution 2"
    assert execute(checkout) == "execution 2"
    add(2)
    assert execute(checkout) == "execution 3"


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_chapter_and_those_that_show_the_store_are_executed_alone(
    checkout, executions, monkeypatch, jobs
) -> None:
    for number, text in enumerate((SCRIPT, ACCOUNT, SCRIPT, SCRIPT, SCRIPT), 2):
        (checkout / "notebooks" / f"0{number}_disk.py").write_text(text)
    stubbed, together, lock, begun, beside = (
        papermill.execute_notebook,
        threading.Barrier(jobs),
        threading.Lock(),
        [],
        {},
    )

    def execute_notebook(raw, out, parameters, **others):
        name = Path(raw).parent.name[:2]
        with lock:
            begun.append(name)
            others_before = len(begun) - len(beside) - 1
        if name not in ("01", "03"):
            # Of the other four, two wait for each other, which they could not if they were not
            # there at once.
            together.wait(20)
        with lock:
            stubbed(raw, out, parameters, **others)
            beside[name] = others_before

    monkeypatch.setattr(papermill, "execute_notebook", execute_notebook)
    told = []
    execution.execute_all(
        build.chapters(),
        execution.Edition(profile.load("smoke"), {}, "smoke", Store(checkout / "store")),
        jobs,
        told.append,
    )
    assert (begun[0], begun[-1]) == ("01", "03")
    assert (
        sorted(begun) == sorted(name[:2] for name in told) == ["01", "02", "03", "04", "05", "06"]
    )
    assert beside["01"] == beside["03"] == 0
    assert sum(beside.values()) >= (jobs - 1) * 2


def test_code_that_a_chapter_uses_counts_and_other_code_does_not() -> None:
    script = (
        "from blurpaper.book import show\nfrom blurpaper.kernels import MIXES\nshow.Show(MIXES)"
    )
    assert fingerprint.used_by(script) == {"blurpaper.book.show", "blurpaper.kernels"}
    used = fingerprint.closure(fingerprint.used_by(script))
    assert {"blurpaper.claims.fine_tuning", "blurpaper.kernels"} <= used
    assert not used & {"blurpaper.cli", "blurpaper.cli.finetune"}
