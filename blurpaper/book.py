"""From notebooks to the book: percent scripts are turned into notebooks, executed by papermill, compiled by jupyter-book.

Executed chapters and the sources of the book go to ``_build/<profile>/``, the pages to ``_build/<profile>/html``, and
``_build/html`` points to the last book built. A chapter that fails leaves nothing behind that could be mistaken for one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blurpaper import code
from blurpaper.profile import Profile
from blurpaper.store import written

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"


class BookError(RuntimeError):
    """A chapter or a book that could not be made, in one sentence or with the words of the tool that failed."""


def chapters() -> list[str]:
    """Names of all chapters in their order, such as ``02_pretrained``.

    Raises:
        BookError: outside a checkout, where there are no notebooks.
    """
    found = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise BookError(f"no notebooks at {NOTEBOOKS}: chapters and the book need a checkout of blurpaper.")
    return found


def chapter_named(name: str) -> str:
    """The whole name of a chapter given by its number or name.

    Raises:
        BookError: if there is none, listing those there are.
    """
    matches = [chapter for chapter in chapters() if name in (chapter, chapter[:2], chapter[3:])]
    if not matches:
        raise BookError(f"no chapter {name!r}; there are {', '.join(chapters())}.")
    return matches[0]


def build_folder(profile: Profile) -> Path:
    """Where the chapters and pages of a profile are made."""
    return ROOT / "_build" / profile.name


def execute(chapter: str, profile: Profile, overrides: Mapping[str, Any], source: str, published: bool = False) -> Path:
    """Execute one chapter; the path of the executed notebook.

    Args:
        source: name or path the profile was loaded from, which the notebook loads again.

    Raises:
        BookError: if a cell fails, with its error; no notebook is left behind.
    """
    import jupytext
    import nbformat
    import papermill

    out = build_folder(profile) / "source" / "notebooks" / f"{chapter}.ipynb"
    out.unlink(missing_ok=True)
    raw = build_folder(profile) / "raw" / f"{chapter}.ipynb"
    notebook = jupytext.read(NOTEBOOKS / f"{chapter}.py")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with written(raw) as temporary:
        jupytext.write(notebook, temporary, fmt="ipynb")
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_suffix(".draft.ipynb")
    recorded = {module: code.hash_of(module) for module in code.library()}
    parameters = {"profile": source, "overrides": dict(overrides), "published": published}
    try:
        papermill.execute_notebook(
            raw,
            draft,
            parameters,
            kernel_name="python3",
            extra_arguments=["--log-level=40"],  # errors alone; it warns of TCP, which stays on this machine
            cwd=str(Path.cwd()),
            stderr_file=sys.stderr,
            progress_bar=False,
        )
    except papermill.PapermillExecutionError as error:
        draft.unlink(missing_ok=True)
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        raise BookError(f"chapter {chapter} failed: {error.ename}: {error.evalue}") from None
    executed = nbformat.read(draft, as_version=4)
    for cell in executed.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
    executed.metadata["blurpaper"] = {
        "profile": profile.name,
        "overrides": dict(overrides),
        "published": published,
        "settings": profile.model_dump(mode="json"),
        "code": recorded,
    }
    nbformat.write(executed, draft)
    draft.replace(out)
    return out


def build(profile: Profile) -> Path:
    """Compile the executed chapters into the book; the path of its first page.

    Raises:
        BookError: if a chapter has not been executed, or jupyter-book has a warning, with what it said.
    """
    folder = build_folder(profile)
    source = folder / "source"
    missing = [chapter for chapter in chapters() if not (source / "notebooks" / f"{chapter}.ipynb").is_file()]
    if missing:
        raise BookError(f"not executed yet for profile {profile.name}: {', '.join(missing)}; run them with blurpaper run.")
    for path in source.iterdir():
        if path.name != "notebooks":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(ROOT / "book", source / "book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, source / name)

    log = folder / "jupyter-book.log"
    tool = Path(sys.executable).with_name("jupyter-book")
    command = [tool, "build", source, "--path-output", folder / "jb", "--all", "-W", "-n", "--keep-going"]
    shutil.rmtree(folder / "jb", ignore_errors=True)
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    if done.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8"))
        lines = [line for line in said.splitlines() if re.search(r"WARNING|ERROR|Error", line)] or said.splitlines()[-8:]
        raise BookError("jupyter-book failed (its whole log is " + str(log) + "):\n" + "\n".join(lines[:12]))
    html = folder / "html"
    shutil.rmtree(html, ignore_errors=True)
    (folder / "jb" / "_build" / "html").replace(html)
    shutil.rmtree(folder / "jb")
    latest = ROOT / "_build" / "html"
    if latest.is_symlink() or not latest.exists():
        latest.unlink(missing_ok=True)
        latest.symlink_to(html.relative_to(latest.parent), target_is_directory=True)
    return html / "index.html"
