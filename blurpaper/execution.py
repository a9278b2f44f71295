"""Executing chapters: a percent script becomes a notebook, which papermill executes; the outcome is an artifact like any other.

A chapter whose text, settings, code and data have not changed is taken from the store. One that fails leaves nothing behind
that could be mistaken for a chapter.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blurpaper import book, code, data, results
from blurpaper.profile import Profile
from blurpaper.store import Codec, Recipe, Store, sha256_of, surroundings, written

KIND = "chapters"

_SHOWS_THE_STORE = "blurpaper.provenance"
"""What a chapter imports itself that tells how artifacts were made: which there are is then among what it is made from."""


def execute(
    chapter: str, profile: Profile, overrides: Mapping[str, Any], source: str, store: Store, published: bool = False
) -> Path:
    """Execute one chapter, unless the store has it as it would come out; the path of the executed notebook.

    Args:
        source: name or path the profile was loaded from, which the notebook loads again.
        published: its results are the committed ones.

    Raises:
        BookError: if a cell fails, with its error; no notebook is left behind.
    """
    out = book.executed(chapter, profile)
    out.unlink(missing_ok=True)
    recipe = _recipe(chapter, profile, overrides, source, store, published)
    content = store.get(recipe, lambda scratch: _executed(chapter, profile, overrides, source, published, scratch))
    with written(out) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return out


def _recipe(
    chapter: str, profile: Profile, overrides: Mapping[str, Any], source: str, store: Store, published: bool
) -> Recipe[str]:
    script = (book.NOTEBOOKS / f"{chapter}.py").read_text(encoding="utf-8")
    modules = sorted(code.imported_by(script))
    committed = [path for path in (*results.PUBLISHED.rglob("*"), *results.PAPER.parent.iterdir()) if path.is_file()]
    inputs = {
        "text": hashlib.sha256(script.encode()).hexdigest(),
        "parameters": {"profile": source, "overrides": dict(overrides), "published": published},
        "settings": profile.model_dump(mode="json"),
        "code": {module: sha256_of(code.path_of(module)) for module in modules},  # a chapter may show docstrings
        "committed": {path.name: sha256_of(path) for path in sorted(committed)},
        "chapters": book.chapters(),
        "versions": surroundings()["versions"],
    }
    if not published:
        inputs["data"] = data.fingerprints(profile, store)
        if _SHOWS_THE_STORE in code.imported_directly(script):
            inputs["artifacts"] = [name for name in store.names() if not name.startswith(f"{KIND}/")]
    about = {"profile": profile.name}
    return Recipe(KIND, f"{chapter}.{profile.name}", inputs, ["blurpaper.execution"], _NOTEBOOK, about)


_NOTEBOOK: Codec[str] = Codec(
    ".ipynb",
    save=lambda text, path: path.write_text(text, encoding="utf-8") and None,
    load=lambda path: path.read_text(encoding="utf-8"),
)


def _executed(chapter: str, profile: Profile, overrides: Mapping[str, Any], source: str, published: bool, scratch: Path) -> str:
    """The text of the executed notebook, with what is needed to see later whether it is still as it would come out."""
    import jupytext
    import nbformat
    import papermill

    raw, draft = scratch / "raw.ipynb", scratch / "executed.ipynb"
    notebook = jupytext.read(book.NOTEBOOKS / f"{chapter}.py")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with written(raw) as temporary:
        jupytext.write(notebook, temporary, fmt="ipynb")
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
        if error.ename == "KeyboardInterrupt":
            raise KeyboardInterrupt from None
        raise book.BookError(f"chapter {chapter} failed: {error.ename}: {error.evalue}") from None
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
    return nbformat.writes(executed)
