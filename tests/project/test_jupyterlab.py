"""A chapter opened, edited, executed and saved in JupyterLab: what git then shows is the edit."""

import copy
import difflib
import shutil
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from ipykernel.kernelspec import get_kernel_dict
from jupytext.config import load_jupytext_config

from blurpaper.book import build

CHAPTERS = [path.name for path in sorted(build.NOTEBOOKS.glob("*.py"))]


def opened(path: Path) -> nbformat.NotebookNode:
    """As jupytext reads it for JupyterLab, with the configuration that it finds from there."""
    return jupytext.read(path, config=load_jupytext_config(str(path)))


def saved(notebook: nbformat.NotebookNode, path: Path) -> str:
    return jupytext.writes(notebook, fmt="py:percent", config=load_jupytext_config(str(path)))


def executed(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """What JupyterLab adds when all cells were run: outputs, counts, times, ids, its own flags,
    kernel and language.
    """
    notebook = copy.deepcopy(notebook)
    major, minor, micro = sys.version_info[:3]
    kernel = get_kernel_dict()
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": kernel["display_name"],
        "language": kernel["language"],
    }
    notebook.metadata["language_info"] = {
        "name": "python",
        "version": f"{major}.{minor}.{micro}",
        "file_extension": ".py",
        "codemirror_mode": {"name": "ipython", "version": 3},
    }
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.metadata |= {"editable": True, "trusted": True, "slideshow": {"slide_type": ""}}
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="printed")]
            cell.metadata |= {
                "collapsed": True,
                "scrolled": True,
                "jupyter": {"source_hidden": True, "outputs_hidden": False},
                "execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"},
            }
    return notebook


def changed(before: str, after: str) -> list[str]:
    """The lines that a diff shows."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_executed_and_saved_is_the_file_that_it_was(name) -> None:
    path = build.NOTEBOOKS / name
    assert saved(executed(opened(path)), path) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CHAPTERS)
def test_an_edited_chapter_differs_where_it_was_edited(name) -> None:
    path = build.NOTEBOOKS / name
    notebook = executed(opened(path))
    notebook.cells[0].source += "\n\nA sentence more."
    notebook.cells.append(
        nbformat.v4.new_code_cell("1 + 1", metadata={"tags": ["hide-input"], "trusted": True})
    )
    added = ["+#", "+# A sentence more.", "+", '+# %% tags=["hide-input"]', "+1 + 1"]
    assert changed(path.read_text(encoding="utf-8"), saved(notebook, path)) == added


def test_jupyterlab_opens_and_saves_with_that_configuration(tmp_path) -> None:
    """Through the contents manager that its server has, from either folder that it may be started
    in.
    """
    pytest.importorskip(
        "jupyter_server", reason="JupyterLab is not installed: pip install -e '.[lab]'"
    )
    root = tmp_path / "checkout"
    shutil.copytree(
        build.NOTEBOOKS,
        root / "notebooks",
        ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"),
    )
    for folder, name in ((root / "notebooks", "01_kernels.py"), (root, "notebooks/01_kernels.py")):
        manager = jupytext.TextFileContentsManager(root_dir=str(folder))
        model = manager.get(name, type="notebook")
        assert model["type"] == "notebook"
        # So that nobody is asked for it.
        assert model["content"].metadata["kernelspec"]["name"] == "python3"
        model["content"] = executed(model["content"])
        manager.save(model, name)
        assert (folder / name).read_text(encoding="utf-8") == (
            build.NOTEBOOKS / "01_kernels.py"
        ).read_text(encoding="utf-8")
    assert not list(root.rglob("*.ipynb"))
