"""The form of a chapter (a lecture whose code a colleague would type), and that plain jupytext and
papermill execute it.
"""

import ast
import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import jupytext
import nbformat
import pytest

from blurpaper import claims
from blurpaper.book import build
from blurpaper.book.chapter import Chapter
from blurpaper.experiments.sources import Committed, Paper
from blurpaper.runs import profile as profiles

LINES_OF_A_CELL, LINES_OF_A_CHAPTER, WORDS, COLUMNS = 12, 80, 900, 90
"""Most of each; so many columns fit the page."""


def cells(chapter: str, kind: str) -> list[nbformat.NotebookNode]:
    notebook = jupytext.read(build.NOTEBOOKS / f"{chapter}.py")
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def faults(source: str) -> list[str]:
    """What a cell of code has that is not in the form."""
    found, tree = [], ast.parse(source)
    if len(lines := [line for line in source.splitlines() if line.strip()]) > LINES_OF_A_CELL:
        found.append(f"{len(lines)} lines")
    found += [f"wide: {line}" for line in lines if len(line) > COLUMNS]
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            found.append(f"defines something in line {node.lineno}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value.split()) > 3:
                found.append(f"a sentence in a string: {node.value}")
            if re.search(r"</?\w+[^>]*>", node.value):
                found.append(f"HTML: {node.value}")
    return found


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("\n".join(f"a = {n}" for n in range(13)), "13 lines"),
        ("def f():\n    pass", "defines something"),
        ("f = lambda: 1", "defines something"),
        ("say('this is a sentence')", "a sentence"),
        ("say(f'{a} is a part of {b}')", "a sentence"),
        ("show('<b>')", "HTML"),
        ("a = " + 90 * "1", "wide"),
    ],
)
def test_what_is_not_in_the_form_is_found(source, fault) -> None:
    assert any(one.startswith(fault) for one in faults(source))


@pytest.mark.parametrize("chapter", build.chapters())
def test_the_code_of_a_chapter_is_short_shown_and_what_a_colleague_would_type(chapter) -> None:
    code = cells(chapter, "code")
    assert [fault for cell in code for fault in faults(cell.source)] == []
    lines = [line for cell in code for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= LINES_OF_A_CHAPTER
    tags = [cell.metadata.get("tags") for cell in code if cell.metadata.get("tags")]
    if chapter == build.chapters()[0]:  # one screen: parameters and setup are hidden
        assert tags == [["parameters", "remove-cell"], ["remove-input"]]
    else:
        assert tags == [["parameters"]]
    parameters = next(cell for cell in code if cell.metadata.get("tags"))
    assert re.findall(r"^\w+", parameters.source, re.MULTILINE) == [
        "profile", "overrides", "published",
    ]  # fmt: skip


@pytest.mark.parametrize("chapter", build.chapters())
def test_the_prose_of_a_chapter_is_markdown_of_at_most_so_many_words(chapter) -> None:
    text = "\n".join(cell.source for cell in cells(chapter, "markdown"))
    assert len(re.sub(r"\{[\w:]+\}`[^`]*`", "number", text).split()) <= WORDS
    assert not re.search(r"</?[a-z]+[^>]*>", text)


# --- As it is built and executed ------------------------------------------------------------------


class Tables(HTMLParser):
    """Columns of every table of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.columns: list[int] = []
        self.head = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.columns.append(0)
        self.head = tag == "thead" or (self.head and tag in ("tr", "th"))
        if tag == "th" and self.head:
            self.columns[-1] += int(dict(attrs).get("colspan") or 1)


@pytest.mark.parametrize("chapter", build.chapters())
def test_tables_of_a_built_chapter_have_at_most_seven_columns(chapter, smoke_run) -> None:
    html, _ = smoke_run
    page = (html / "notebooks" / f"{chapter}.html").read_text(encoding="utf-8")
    columns = Tables(page).columns
    assert len(columns) >= 2 or chapter == build.chapters()[0]
    assert max(columns, default=0) <= 7


def papermill(chapter: str, folder, store, *parameters: str) -> subprocess.CompletedProcess:
    """The README's lines for one chapter."""
    ours = {"BLURPAPER_STORE": str(store), "CUDA_VISIBLE_DEVICES": ""}
    ours["PYTHONPATH"] = str(build.ROOT)
    given, done = folder / f"{chapter}.ipynb", folder / f"{chapter}.done.ipynb"
    script = str(build.NOTEBOOKS / f"{chapter}.py")
    for tool in (
        ["jupytext", "--to", "ipynb", script, "-o", str(given)],
        ["papermill", str(given), str(done), "--no-progress-bar", *parameters],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", *tool],
            env=os.environ | ours, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if ran.returncode:
            break
    return ran


@pytest.mark.parametrize(
    "chapter",
    [
        pytest.param(chapter, marks=() if chapter == "03_finetuning" else pytest.mark.slow)
        for chapter in build.chapters()
    ],
)
def test_jupytext_and_papermill_execute_a_chapter(chapter, smoke_run, tmp_path) -> None:
    ran = papermill(chapter, tmp_path, smoke_run[1], "-p", "profile", "smoke")
    assert ran.returncode == 0, ran.stderr[-2000:]
    executed = nbformat.read(tmp_path / f"{chapter}.done.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        (["-p", "seed", "1"], "UserError: a chapter has the parameters profile, overrides"),
        pytest.param(
            ["-y", "overrides: {sead: 1}"],
            "ProfileError: profile 'emoji', sead: no such field",
            marks=pytest.mark.slow,  # test_chapter has it without papermill
        ),
    ],
)
def test_a_parameter_or_an_override_that_there_is_not_ends_in_a_sentence(
    parameters, told, tmp_path
) -> None:
    ran = papermill(build.chapters()[0], tmp_path, tmp_path / "store", *parameters)
    assert ran.returncode != 0
    failed = nbformat.read(tmp_path / f"{build.chapters()[0]}.done.ipynb", as_version=4)
    (error,) = [
        output
        for cell in failed.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]
    assert len(error.traceback) == 1 and error.traceback[0].startswith(told)


# --- What its sentences assert --------------------------------------------------------------------

ASSERTED = {
    "00_introduction": {
        "every-blur-costs-accuracy": ("reproduced", "reproduced"),
        "entropy-rises-with-blur": ("reproduced", "reproduced"),
        "strong-blur-doubles-the-entropy": ("reproduced", "not reproduced"),
        "mix-recovers-most-of-the-loss": ("reproduced", "reproduced"),
        "defocus-does-not-help-under-motion": ("reproduced", "undecided"),
        "blur-degrades-segmentation": ("reproduced", "reproduced"),
        "boundaries-suffer-more": ("reproduced", "reproduced"),
    },
    "01_kernels": {
        "more-defocus-costs-more": ("reproduced", "reproduced"),
        "more-of-other-blurs-costs-more": ("reproduced", "reproduced"),
    },
    "02_pretrained": {
        "every-blur-costs-accuracy": ("reproduced", "reproduced"),
        "fall-is-steeper-with-512": ("reproduced", "reproduced"),
        "entropy-rises-with-blur": ("reproduced", "reproduced"),
        "strong-blur-doubles-the-entropy": ("reproduced", "not reproduced"),
    },
    "03_finetuning": {
        "mix-recovers-most-of-the-loss": ("reproduced", "reproduced"),
        "mix-restores-confidence": ("reproduced", "reproduced"),
    },
    "04_scales": {
        "finetuning-helps-at-512": ("reproduced", "reproduced"),
        "scale-256-stays-ahead-under-blur": ("reproduced", "reproduced"),
        "finetuning-costs-more-at-512": ("reproduced", "undecided"),
        "one-for-each-leads-on-sharp": ("reproduced", "reproduced"),
        "scale-512-is-undecided-under-blur": ("not run", "not reproduced"),
    },
    "05_invariance": {
        "original-differs-at-all-stages": ("not run", "reproduced"),
        "mix-is-invariant-at-the-last-stages": ("not run", "undecided"),
        "invariance-arises-late": ("not run", "undecided"),
        "first-stages-stay-as-they-are": ("not run", "undecided"),
    },
    "06_deblurring": {
        "mix-does-as-well-as-deblurring": ("reproduced", "not run"),
        "deblurring-is-inferior-to-the-mix": ("undecided", "not run"),
    },
    "07_segmentation": {
        "blur-degrades-segmentation": ("reproduced", "reproduced"),
        "boundaries-suffer-more": ("reproduced", "reproduced"),
        "mix-improves-segmentation": ("reproduced", "undecided"),
    },
    "08_second_model": {
        "second-model-suffers-too": ("reproduced", "reproduced"),
        "second-model-falls-more-with-512": ("reproduced", "reproduced"),
        "both-models-fall-alike": ("reproduced", "reproduced"),
    },
    "09_claims": {
        "every-blur-costs-accuracy": ("reproduced", "reproduced"),
        "entropy-rises-with-blur": ("reproduced", "reproduced"),
        "fall-is-steeper-with-512": ("reproduced", "reproduced"),
        "strong-blur-doubles-the-entropy": ("reproduced", "not reproduced"),
        "scale-512-is-undecided-under-blur": ("not run", "not reproduced"),
        "nothing-carries-over-between-types": ("not reproduced", "not reproduced"),
        "only-d8-is-worst-elsewhere": ("reproduced", "not reproduced"),
        "mix-says-the-same-sharp-and-blurred": ("not run", "not reproduced"),
        "segmentation-pays-more-on-sharp": ("reproduced", "conditions not met"),
        "mix-recovers-most-of-the-loss": ("reproduced", "reproduced"),
        "blur-degrades-segmentation": ("reproduced", "reproduced"),
        "second-model-suffers-too": ("reproduced", "reproduced"),
    },
}
"""Chapter -> claim -> its verdicts from the paper and from the committed photographs, as the
chapter's title and sentences have them.
"""


@pytest.mark.parametrize("chapter", ASSERTED)
def test_what_a_chapter_asserts_is_what_the_ledger_says(chapter) -> None:
    said = {claims.CLAIMS[one]: two for one, two in ASSERTED[chapter].items()}
    of_table = [one for one in claims.CLAIMS.values() if one.table in {c.table for c in said}]
    for number, source in enumerate((Paper(), Committed(profiles.load("photos"), "photos"))):
        found = claims.verdicts(of_table, claims.Evidence(source))
        assert {one.id: found[one.id].verdict for one in said} == {
            one.id: verdicts[number] for one, verdicts in said.items()
        }


def test_on_photographs_labels_recover_less_than_in_the_paper_and_no_labels_more_than_labels() -> (
    None
):
    """As the first page says; the loss is as large as the paper's, to five points."""
    run = Chapter("photos", published=True)
    labels, without = run.recovered("mix"), run.recovered("mix/agreement")
    assert labels["photographs"].quantile(0.975) < labels["paper"][0]
    assert (without - labels)["photographs"].quantile(0.025) > 0
    lost = run.top5() - run.top5(condition="D8")
    assert abs(lost["photographs"][0] - lost["paper"][0]) < 0.05
