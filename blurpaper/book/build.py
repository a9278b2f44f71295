"""The book: its chapters, the targets of its links, and its pages, which jupyter-book makes of the
executed chapters.

Executed chapters and the sources of the book go to ``_build/<profile>/``, the pages to
``_build/<profile>/html``, and ``_build/html`` points to the last book built. ``_build`` is in the
checkout, or where there is none in the current folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from blurpaper.runs import fingerprint
from blurpaper.runs.files import CARRIED, HOME, PACKAGE, UserError
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import sha256_of

ROOT = HOME
NOTEBOOKS = ROOT / "notebooks"
_OWN = ("_config.yml", "_toc.yml", "results/trials.csv", "results/trials_on_validation.csv")
"""What the pages are made of besides chapters and ``book/``; the lab notes show the trials."""


class BookError(UserError):
    """A chapter or a book that could not be made, in one sentence or with the output of the tool
    that failed.
    """


def chapters() -> list[str]:
    """Names of all chapters in the book's order: a number of two digits and a word.

    Raises:
        BookError: if there are none.
    """
    found = sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.py"))
    if not found:
        raise BookError(
            f"no notebooks at {NOTEBOOKS}: this copy of blurpaper is not whole; install it anew."
        )
    return found


def chapter_named(name: str) -> str:
    """The full name of a chapter that is given by its number or its name.

    Raises:
        BookError: if there is no such chapter, with a list of all.
    """
    matches = [chapter for chapter in chapters() if name in (chapter, chapter[:2], chapter[3:])]
    if not matches:
        raise BookError(f"no chapter {name!r}; there are {', '.join(chapters())}.")
    return matches[0]


def page_of(target: str) -> str:
    """The link from a chapter to a target of the book: page and anchor of the place that is marked
    ``(target)=`` in one of the files listed in ``_toc.yml``.

    Raises:
        BookError: if there is no such place.
    """
    if target not in (found := targets(ROOT)):
        raise BookError(f"no chapter listed in {ROOT / '_toc.yml'} has a target ({target})=.")
    return found[target]


@lru_cache
def targets(root: Path) -> dict[str, str]:
    """Every target of the book in a checkout, and the link to it from a chapter."""
    found, path = {}, root / "_toc.yml"
    contents = path.read_text(encoding="utf-8") if path.is_file() else ""
    for name in re.findall(r"^[ \t-]*(?:root|file):\s*[\"']?([\w/.-]+)", contents, re.MULTILINE):
        page = os.path.relpath(f"{name}.html", "notebooks")
        for path in filter(Path.is_file, (root / f"{name}.py", root / f"{name}.md")):
            text = path.read_text(encoding="utf-8")
            for target in re.findall(r"^(?:# )?\(([\w-]+)\)=$", text, re.MULTILINE):
                found[target] = f"{page}#{target.lower()}"  # as Sphinx names the place
    return found


def is_installed() -> bool:
    """Whether the book is the copy that an installed wheel carries."""
    return ROOT == CARRIED


def need_checkout(what: str) -> None:
    """Require a checkout, for a command that changes its files.

    Raises:
        BookError: if there is none, naming the command.
    """
    if is_installed():
        raise BookError(
            f"{what} needs a checkout of blurpaper; this is an installed copy, at {ROOT.parent}."
        )


def build_root() -> Path:
    """The folder ``_build``, which has a folder for each profile."""
    return (Path.cwd() if is_installed() else ROOT) / "_build"


def build_folder(profile: Profile) -> Path:
    """The folder of a profile's chapters and pages."""
    return build_root() / profile.name


def executed(chapter: str, profile: Profile) -> Path:
    """The path of an executed chapter."""
    return build_folder(profile) / "source" / "notebooks" / f"{chapter}.ipynb"


def build(profile: Profile) -> Path:
    """Compile the executed chapters into the book, unless nothing has changed since it was built;
    the path of its first page.

    Raises:
        BookError: if a chapter has not been executed, or if jupyter-book has a warning, with its
            output.
    """
    folder = build_folder(profile)
    missing = [chapter for chapter in chapters() if not executed(chapter, profile).is_file()]
    if missing:
        raise BookError(
            f"not executed yet for profile {profile.name}: {', '.join(missing)}; run them with "
            "blurpaper run."
        )
    html, made_of = folder / "html", folder / "html.made-of"
    ingredients = _ingredients(profile)
    if (
        (html / "index.html").is_file()
        and made_of.is_file()
        and made_of.read_text(encoding="utf-8") == ingredients
    ):
        return _latest(html)
    made_of.unlink(missing_ok=True)
    work = folder / "jb"
    source = work / "source"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(ROOT / "book", source / "book")
    for name in _OWN:
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    (source / "notebooks").mkdir()
    for chapter in chapters():
        shutil.copy(executed(chapter, profile), source / "notebooks")

    log = folder / "jupyter-book.log"
    tool = Path(sys.executable).with_name("jupyter-book")
    options = ["--all", "-W", "-n", "--keep-going"]
    command = [tool, "build", source, "--path-output", work, *options]
    # The reference documents this copy of the library.
    ours = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONPATH": ours}
    with log.open("w", encoding="utf-8") as output:
        where = {"stdout": output, "stderr": subprocess.STDOUT}
        done = subprocess.run(list(map(str, command)), env=environment, check=False, **where)
    if done.returncode:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(encoding="utf-8")).splitlines()
        wrong = [line for line in lines if re.search(r"WARNING|ERROR|Error", line)] or lines[-8:]
        raise BookError(f"jupyter-book failed (its log is {log}):\n" + "\n".join(wrong[:12]))
    shutil.rmtree(html, ignore_errors=True)
    (work / "_build" / "html").replace(html)
    shutil.rmtree(work)
    made_of.write_text(ingredients, encoding="utf-8")
    return _latest(html)


def _ingredients(profile: Profile) -> str:
    """A checksum of everything that the pages are made of."""
    content = hashlib.sha256(version("jupyter-book").encode())
    chapter_files = [executed(chapter, profile) for chapter in chapters()]
    book_files = sorted(path for path in (ROOT / "book").rglob("*") if path.is_file())
    own = [ROOT / name for name in _OWN]
    # The reference is made of its docstrings.
    library = [fingerprint.path_of(module) for module in fingerprint.library()]
    for path in [*chapter_files, *book_files, *own, *library]:
        content.update(f"{path}\n{sha256_of(path)}\n".encode())
    return content.hexdigest()


def _latest(html: Path) -> Path:
    """Point ``_build/html`` to a book; the path of its first page."""
    latest = build_root() / "html"
    if not latest.is_symlink():  # of a plain jupyter-book build
        shutil.rmtree(latest, ignore_errors=True)
    latest.unlink(missing_ok=True)
    latest.symlink_to(html.relative_to(latest.parent), target_is_directory=True)
    return html / "index.html"
