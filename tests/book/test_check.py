"""Every kind of thing that `blurpaper check` finds wrong, made and found; and that it says so when
nothing is.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import blurpaper
from blurpaper import claims, experiments
from blurpaper.book import build, check, execution, publication
from blurpaper.cli import main
from blurpaper.experiments.sources import Committed, Computed
from blurpaper.runs import Run, files, fingerprint, profile
from blurpaper.runs.store import Artifact, Store

SCRIPT = """\
# %% [markdown]
# # A chapter
#
# Of a disk, `D8` (Table 1).

# %% tags=["parameters", "remove-cell"]
profile = ""
overrides = {}
published = False

# %%
from blurpaper import kernels

kernels.__name__
"""
VERDICT = {"paper": "reproduced", "photos": "reproduced", "this run": "undecided"}
CLAIM = {"id": "blur-hurts", "section": "3", "verdict": VERDICT, "explained": {}}


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Path:
    """A checkout of one chapter, executed as its reader would."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "01_disk.py").write_text(SCRIPT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "ROOT", root)
        patch.setattr(build, "NOTEBOOKS", root / "notebooks")
        execution.execute(
            "01_disk", execution.Edition(profile.load("smoke"), {}, "smoke", Store(root / "store"))
        )
    return root


@pytest.fixture
def checkout(executed, tmp_path, monkeypatch) -> Path:
    """A copy of it, with no results committed and one claim."""
    root = tmp_path / "checkout"
    shutil.copytree(executed, root)
    monkeypatch.setattr(build, "ROOT", root)
    monkeypatch.setattr(build, "NOTEBOOKS", root / "notebooks")
    monkeypatch.setattr(files, "RESULTS", root / "results")
    monkeypatch.setattr(claims, "summary", lambda *_: [CLAIM])
    return root


@pytest.fixture
def edit_module(tmp_path, monkeypatch):
    """edit_module(name, text): add text to a module of a copy of the library; None removes it."""
    root = tmp_path / "library"
    shutil.copytree(
        Path(blurpaper.__file__).parent, root, ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(fingerprint, "PACKAGE", root)

    def forget():
        for cached in (
            fingerprint._tree,
            fingerprint._form,
            fingerprint._own,
            fingerprint._whole,
            fingerprint._passed_on,
        ):
            cached.cache_clear()

    def edit(name, text):
        path = root / name
        if text is None:
            path.unlink()
        else:
            path.write_text((path.read_text() if path.exists() else "") + text)
        forget()

    yield edit
    forget()


def run(*arguments: str):
    return CliRunner().invoke(main, ["check", "--profile", "smoke", *arguments])


def edit_notebook(root: Path, change) -> None:
    path = root / "_build" / "smoke" / "source" / "notebooks" / "01_disk.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def unexecuted(**overrides) -> str:
    found = check.unexecuted(profile.load("smoke", overrides))
    assert len(found) == 1 and found[0].startswith("chapter 01_disk ")
    assert found[0].endswith("run `blurpaper chapter 01 --profile smoke`")
    return found[0]


def test_a_book_in_order_has_nothing_wrong(checkout) -> None:
    said = run()
    assert said.exit_code == 0, said.output
    assert said.output == "nothing wrong: 1 chapters of profile smoke, 1 claims were checked\n"


# --- Chapters -------------------------------------------------------------------------------------


def test_a_chapter_that_is_missing_or_damaged_is_named(checkout) -> None:
    path = checkout / "_build" / "smoke" / "source" / "notebooks" / "01_disk.ipynb"
    path.write_text("{")
    assert "is not a notebook any more" in unexecuted()
    path.unlink()
    assert "has not been executed for profile smoke" in unexecuted()
    said = run()
    assert said.exit_code == 1
    assert said.output.splitlines()[-1] == "1 problem; the claims were not looked at"


def test_a_chapter_in_error_is_named_with_its_error(checkout) -> None:
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="'D9'", traceback=[])
    edit_notebook(checkout, lambda notebook: notebook.cells[-1].outputs.append(error))
    assert "ended in an error (KeyError: 'D9')" in unexecuted()


def test_a_cell_that_never_ran_is_counted(checkout) -> None:
    edit_notebook(checkout, lambda notebook: notebook.cells[-1].update(execution_count=None))
    assert "has 1 cell that never ran" in unexecuted()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Of a disk", "Of a disc"),
        ("kernels.__name__", "kernels.__doc__"),
        ('"parameters", ', '"parameters", "x", '),
        ("# %%\n", "#\n"),
    ],
)
def test_a_chapter_edited_after_it_was_executed_is_named(checkout, old, new) -> None:
    path = checkout / "notebooks" / "01_disk.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert "was edited after it was executed" in unexecuted()


def test_a_chapter_of_which_nothing_is_recorded_is_named(checkout) -> None:
    edit_notebook(checkout, lambda notebook: notebook.metadata.pop("blurpaper"))
    assert "was executed when its code was not recorded yet" in unexecuted()


def test_a_chapter_drawn_from_committed_results_is_not_of_this_run(checkout) -> None:
    edit_notebook(checkout, lambda notebook: notebook.metadata["blurpaper"].update(published=True))
    assert "shows the committed results" in unexecuted()


def test_settings_that_have_changed_since_are_named(checkout) -> None:
    said = unexecuted(**{"evaluation.batch": 7, "seed": 3})
    assert "was executed with other settings (evaluation.batch, seed)" in said


def test_other_code_is_told_from_other_words_and_from_code_that_is_not_used(
    checkout, edit_module
) -> None:
    edit_module("deblurring/em.py", "\nNEW = 1\n")  # the chapter does not use it
    edit_module("kernels.py", "\n# a comment\n")
    assert check.unexecuted(profile.load("smoke")) == []
    edit_module("kernels.py", "\nNEW = 1\n")
    assert "was executed with other code" in unexecuted()


# --- Committed results ----------------------------------------------------------------------------


def computed_in(module: str) -> Callable[[], dict]:
    """A function that counts as code of a module."""

    def nothing() -> dict:
        return {}

    nothing.__module__ = module
    return nothing


@pytest.fixture
def published(checkout, tmp_path, monkeypatch) -> Path:
    """Results of two artifacts of one kind and one of another, published as always."""
    store = Store(tmp_path / "store")

    def table1(run):
        for kind, name, module in (
            ("masks", "one", "kernels"),
            ("masks", "two", "kernels"),
            ("draws", "one", "runs.randomness"),
        ):
            run.store.get(Artifact(kind, name, {}, computed_in(f"blurpaper.{module}")))
        yield {"metric": "top1", "value": 0.5}

    table1.__module__ = "blurpaper.experiments.recognition"
    made = experiments.Experiment("table1", lambda _: [], table1)
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"table1": made})
    for name, found in {
        "decisions": pd.DataFrame({"image": ["a"], "entropy": [0.1]}),
        "confusions": pd.DataFrame({"pixels": [1]}),
        "label_maps": {"a": np.zeros(1)},
    }.items():
        monkeypatch.setattr(Computed, name, lambda *_, found=found: found)
    list(publication.publish(Run(profile.load("smoke"), store), ["table1"]))
    return files.RESULTS / "smoke.json"


def stale(**overrides) -> list[str]:
    return check.stale(profile.load("smoke", overrides))


def test_results_as_new_as_their_code_are_not_stale(published) -> None:
    assert stale() == []
    assert run("--published").output == "nothing wrong: results/smoke.csv, 1 claims were checked\n"


def test_a_changed_module_makes_stale_what_it_helped_to_make(published, edit_module) -> None:
    edit_module("deblurring/em.py", "\nNEW = 1\n")
    edit_module("kernels.py", '\n"""Only words."""\n')
    assert stale() == []
    edit_module("kernels.py", "\nNEW = 1\n")
    edit_module("runs/randomness.py", "\nNEW = 1\n")
    assert stale() == [
        "results/smoke.csv is older than its code: blurpaper.kernels, blurpaper.runs.randomness "
        "changed since; stale are 2 masks, 1 draws; run `blurpaper publish --profile smoke`"
    ]
    said = run("--published")
    assert said.exit_code == 1
    assert said.output.splitlines() == [*stale(), "1 problem"]


def test_a_changed_way_of_counting_makes_the_tables_stale_but_no_artifact(
    published, edit_module
) -> None:
    edit_module("evaluation/intervals.py", "\nNEW = 1\n")
    assert "; stale are the tables; " in stale()[0]


def test_a_module_that_is_gone_makes_stale_what_it_helped_to_make(published, edit_module) -> None:
    edit_module("kernels.py", None)
    assert "blurpaper.kernels changed since; stale are 2 masks, the tables;" in stale()[0]


def test_a_module_that_was_moved_makes_nothing_stale(published, edit_module) -> None:
    """It is known by what it says, not by its name."""
    library = Path(blurpaper.__file__).parent
    edit_module("runs/jitter.py", (library / "runs" / "randomness.py").read_text())
    edit_module("runs/randomness.py", None)
    for path in library.rglob("*.py"):
        if "blurpaper.runs.randomness" in (text := path.read_text()):
            name = path.relative_to(library).as_posix()
            edit_module(name, None)
            edit_module(name, text.replace("blurpaper.runs.randomness", "blurpaper.runs.jitter"))
    assert stale() == []


def test_settings_that_change_numbers_make_results_stale_and_a_title_does_not(published) -> None:
    assert stale(title="Another") == []
    assert (
        "profile smoke has changed since results/smoke.csv was made (protocol.canonical)"
        in stale(**{"protocol.canonical": 99})[0]
    )


def test_results_whose_code_was_not_recorded_say_so(published) -> None:
    (about,) = json.loads(published.read_text())
    published.write_text(
        json.dumps([{name: value for name, value in about.items() if name != "code"}])
    )
    assert (
        len(stale()) == 1
        and "results/smoke.csv is older than its code" in stale()[0]
        and "blurpaper publish --profile smoke" in stale()[0]
    )


def test_results_of_which_nothing_says_how_they_were_made(published) -> None:
    published.unlink()
    (sentence,) = stale()
    assert "nothing says how results/smoke.csv was made, as smoke.json is missing" in sentence


def test_results_that_are_not_committed_are_missed_only_where_they_are_to_be_checked(
    checkout,
) -> None:
    assert stale() == []
    said = run("--published")
    assert said.exit_code == 1
    assert (
        "no results of profile smoke are committed; run `blurpaper publish --profile smoke`"
        in said.output
    )


def test_hashes_are_of_what_code_says(edit_module) -> None:
    first = fingerprint.hash_of("blurpaper.kernels")
    assert (
        len(first) == 16
        and "blurpaper.evaluation.metrics" in fingerprint.library()
        and "blurpaper.segmentation.metrics" in fingerprint.library()
    )
    edit_module("kernels.py", "\n# a comment\n")
    assert fingerprint.hash_of("blurpaper.kernels") == first
    edit_module("kernels.py", "\nprint(f'{1}')\n")
    assert fingerprint.hash_of("blurpaper.kernels") != first
    assert fingerprint.hash_of("blurpaper.no_such") is None


# --- Claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [None, "not run", "conditions not met"])
def test_a_claim_without_a_verdict_needs_an_explanation(checkout, monkeypatch, verdict) -> None:
    open_claim = CLAIM | {"verdict": VERDICT | {"this run": verdict}}
    explained = open_claim | {"explained": {"this run": "this profile has no scenes"}}
    assert check.open_claims([CLAIM, explained]) == []
    monkeypatch.setattr(claims, "summary", lambda *_: [CLAIM, open_claim])
    said = run()
    assert said.exit_code == 1
    assert (
        "claim blur-hurts (Sec. 3) has no verdict in this run, and nothing says why" in said.output
    )


def test_claims_are_asked_of_the_store_or_of_the_committed_results(published, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        claims,
        "summary",
        lambda source: asked.append((source.profile.name, type(source))) or [CLAIM],
    )
    run()
    run("--published")
    assert asked == [("smoke", Computed), ("smoke", Committed)]


def test_json_is_the_claims_and_nothing_else_on_standard_output(checkout) -> None:
    said = run("--json")
    assert said.exit_code == 0 and json.loads(said.stdout) == [CLAIM]
    (checkout / "results").mkdir()
    (checkout / "results" / "smoke.csv").touch()
    settings = profile.load("smoke").model_dump(mode="json")
    (checkout / "results" / "smoke.json").write_text(json.dumps([{"profile": settings}]))
    said = run("--json")
    assert said.exit_code == 1 and json.loads(said.stdout) == [CLAIM]
    assert "is older than its code" in said.stderr and "1 problem\n" in said.stderr
