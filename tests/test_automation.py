"""What runs elsewhere, on GitHub, Binder and Colab: it could not be tried, so that it asks for what
there is is seen here.
"""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import jupytext
import nbformat
import pytest
import yaml

from blurpaper import book
from blurpaper.cli import main

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = {"binder/postBuild": (ROOT / "binder" / "postBuild").read_text(encoding="utf-8")} | {
    f"{path.name}, {name}, step {number}": step["run"]
    for path in WORKFLOWS
    for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()
    for number, step in enumerate(job["steps"], 1)
    if "run" in step
}
OTHERS = {"cp", "git", "jupytext-config", "pip", "sed", "set"}
"""Commands that are no part of this project."""


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


# --- GitHub ---------------------------------------------------------------------------------------


def test_there_are_workflows_for_tests_the_book_and_colab() -> None:
    assert [path.stem for path in WORKFLOWS] == ["book", "colab", "tests"]


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
        elif name in ("python", "python3"):
            assert arguments[0] == "-m" or (ROOT / arguments[0]).is_file(), arguments
        else:
            assert name in OTHERS, name


def test_a_command_that_is_not_there_would_be_seen() -> None:
    with pytest.raises(AssertionError, match="boook"):
        check_make(["boook"])
    with pytest.raises(KeyError):
        check_blurpaper(["rum"])
    with pytest.raises(click.UsageError):
        check_blurpaper(["run", "--publisched"])


@pytest.mark.parametrize("where", SCRIPTS)
def test_every_script_is_read_by_a_shell(where) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=SCRIPTS[where], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_tests_are_those_of_the_readme() -> None:
    """Its commands, in its order; the versions of Python are among those that are asked for."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    )["jobs"].values()
    for step in job["steps"]:
        for line in step.get("run", "").splitlines():
            assert re.search(rf"^{re.escape(line)}(\s+#.*)?$", readme, flags=re.MULTILINE), line
    versions = job["strategy"]["matrix"]["python"]
    oldest = re.search(
        r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )[1]
    assert versions[0] == oldest and all(
        isinstance(version, str) for version in versions
    )  # 3.10 would be 3.1


def test_the_book_is_published_from_where_it_is_built() -> None:
    from blurpaper.profile import load

    steps = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    )["jobs"]["build"]["steps"]
    (built,) = [
        words for step in steps for words in commands(step.get("run", "")) if "run" in words
    ]
    profile = built[built.index("--profile") + 1]
    assert (
        steps[-1]["with"]["path"]
        == (book.build_folder(load(profile)) / "html").relative_to(ROOT).as_posix()
    )
    assert "--published" in built and (ROOT / "results" / f"{profile}.csv").is_file()


# --- Binder ---------------------------------------------------------------------------------------


def test_binder_has_python_as_asked_for_and_torch_for_cpus() -> None:
    conda = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text(encoding="utf-8"))[
        "dependencies"
    ]
    (python,) = [one for one in conda if isinstance(one, str) and one.startswith("python=")]
    assert tuple(map(int, python.removeprefix("python=").split("."))) >= (3, 11)
    wanted = conda[-1]["pip"]
    assert wanted[0] == "--extra-index-url https://download.pytorch.org/whl/cpu"
    asked = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{one}"' in asked for one in wanted[1:])


def test_binder_s_last_step_can_be_run_and_finds_the_line_that_it_replaces(tmp_path) -> None:
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
    (line,) = [words for words in commands(SCRIPTS["binder/postBuild"]) if words[0] == "sed"]
    for path in sorted(book.NOTEBOOKS.glob("*.py")):
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        subprocess.run([*line[:-1], str(copy)], check=True)
        before, after = path.read_text(encoding="utf-8"), copy.read_text(encoding="utf-8")
        assert after == before.replace('\nprofile = "emoji"\n', '\nprofile = "smoke"\n') != before


# --- Colab ----------------------------------------------------------------------------------------


def test_colab_gets_every_chapter_with_what_installs_it_first(tmp_path) -> None:
    script, wanted = ROOT / ".github" / "colab.py", "git+https://github.com/owner/name@abc"
    subprocess.run([sys.executable, str(script), str(tmp_path / "out"), wanted], check=True)
    assert sorted(path.stem for path in (tmp_path / "out").iterdir()) == book.chapters()
    for chapter in book.chapters():
        notebook = nbformat.read(tmp_path / "out" / f"{chapter}.ipynb", as_version=4)
        nbformat.validate(notebook)
        assert notebook.cells[0].source == f'%pip install --quiet "blurpaper @ {wanted}"'
        assert notebook.metadata.kernelspec.name == "python3"
        original = jupytext.read(book.NOTEBOOKS / f"{chapter}.py").cells
        differing = [
            one
            for one, other in zip(notebook.cells[1:], original, strict=True)
            if one.source != other.source
        ]
        (parameters,) = differing
        assert "parameters" in parameters.metadata["tags"]
        set_to = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(parameters.source).body
        }
        assert set_to == {"profile": "emoji", "overrides": {}, "published": True}


def test_colab_s_notebooks_need_nothing_but_jupytext() -> None:
    tree = ast.parse((ROOT / ".github" / "colab.py").read_text(encoding="utf-8"))
    modules = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert modules - set(sys.stdlib_module_names) == {
        "jupytext",
        "nbformat",
    }  # which jupytext needs itself
    assert importlib.util.find_spec("jupytext")
