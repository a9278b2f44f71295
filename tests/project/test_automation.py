"""The workflows on GitHub, which could not be tried: that what they ask for is there."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from blurpaper.book import build
from blurpaper.cli import main

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = {
    f"{path.name}, {name}, step {number}": step["run"]
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    for number, step in enumerate(job["steps"], 1)
    if "run" in step
}


def commands(script: str) -> list[list[str]]:
    """The words of each command of a script that has one a line."""
    return [words for line in script.splitlines() if (words := shlex.split(line, comments=True))]


def check_make(arguments: list[str]) -> None:
    targets = set(
        re.findall(
            r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    )
    for word in arguments:
        assert "=" in word or word in targets, word


def check_blurpaper(arguments: list[str]) -> None:
    """That there is such a verb, and that it would take these options."""
    verb, *rest = arguments
    main.commands[verb].make_context(verb, list(rest), parent=click.Context(main))


def test_there_are_workflows_for_tests_and_the_book() -> None:
    assert [path.stem for path in WORKFLOWS] == ["book", "tests"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_is_well_formed_asks_for_little_and_says_that_it_was_not_tried(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "Not tried" in text
    workflow = yaml.safe_load(text)
    assert workflow["name"] == path.stem
    assert workflow[True]["push"]["branches"] == ["main"]  # YAML 1.1 reads the key `on` as true
    assert set(workflow["permissions"]) == {"contents"}
    for name, job in workflow["jobs"].items():
        assert job["runs-on"] == "ubuntu-latest"
        assert set(job.get("needs", "").split()) <= set(workflow["jobs"]) - {name}
        for step in job["steps"]:
            assert len({"run", "uses"} & step.keys()) == 1
            if "uses" in step:
                assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])


@pytest.mark.parametrize("where", SCRIPTS)
def test_every_command_is_there_and_takes_what_it_is_given(where) -> None:
    for first, *arguments in commands(SCRIPTS[where]):
        name = Path(first).name
        if name == "make":
            check_make(arguments)
        elif name == "blurpaper":
            check_blurpaper(arguments)
        else:
            assert name in ("python3", "pip"), name


def test_a_command_that_is_not_there_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="boook"):
        check_make(["boook"])
    with pytest.raises(KeyError):
        check_blurpaper(["rum"])
    with pytest.raises(click.UsageError):
        check_blurpaper(["run", "--publisched"])


def test_the_tests_are_those_that_newcomers_are_told() -> None:
    """Its commands; the versions of Python are among those that are asked for."""
    pages = (ROOT / "README.md", ROOT / "book" / "running.md")
    told = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    (job,) = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    )["jobs"].values()
    for step in job["steps"]:
        for line in step.get("run", "").splitlines():
            assert re.search(rf"^{re.escape(line)}(\s+#.*)?$", told, flags=re.MULTILINE), line
    versions = job["strategy"]["matrix"]["python"]
    oldest = re.search(
        r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )[1]
    # 3.10 would be 3.1.
    assert oldest.startswith(versions[0]) and all(isinstance(version, str) for version in versions)


def test_the_book_is_published_from_where_it_is_built() -> None:
    from blurpaper.runs.profile import load

    steps = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    )["jobs"]["build"]["steps"]
    (built,) = [
        words for step in steps for words in commands(step.get("run", "")) if "run" in words
    ]
    profile = built[built.index("--profile") + 1]
    assert (
        steps[-1]["with"]["path"]
        == (build.build_folder(load(profile)) / "html").relative_to(ROOT).as_posix()
    )
    assert "--published" in built and (ROOT / "results" / f"{profile}.csv").is_file()
