"""The book as one PDF: its pages as Chromium prints them, in the order of the table of contents,
links between them kept.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import yaml

from blurpaper import book
from blurpaper.book import BookError
from blurpaper.profile import Profile
from blurpaper.writing import written

if TYPE_CHECKING:
    from pypdf import PdfWriter

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Names under which systems have Chromium or its kin."""

PATIENCE = 30
"""Seconds of a page's own time that its scripts, MathJax among them, are given before it is
printed.
"""


def write(profile: Profile) -> Path:
    """Print the built book of a profile to ``_build/<profile>/book.pdf``; its path.

    Raises:
        BookError: if the book is not built, there is no Chromium or no pypdf, or a page cannot be
            printed.
    """
    html = book.build_folder(profile) / "html"
    pages = {html / f"{page}.html": title for page, title in _pages(html).items()}
    if missing := [str(page) for page in pages if not page.is_file()]:
        raise BookError(
            f"the book of profile {profile.name} is not built, {missing[0]} is missing: blurpaper book builds it."
        )
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise BookError(
            "no Chromium to print the book with: install it (Debian: apt install chromium)."
        )
    try:
        from pypdf import PdfReader, PdfWriter
    except ImportError:
        raise BookError(
            "pypdf, which binds the pages, is not installed: pip install pypdf."
        ) from None

    bound, starts = PdfWriter(), {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (page, title) in enumerate(pages.items()):
            printed = Path(folder) / f"{number}.pdf"
            _print(browser, page, printed, Path(folder) / "browser")
            starts[page.resolve()] = len(bound.pages)
            bound.append(PdfReader(printed), outline_item=title, import_outline=False)
        _join_links(bound, starts)
        bound.add_metadata(
            {
                "/Title": yaml.safe_load((book.ROOT / "_config.yml").read_text(encoding="utf-8"))[
                    "title"
                ]
            }
        )
        path = book.build_folder(profile) / "book.pdf"
        with written(path) as temporary:
            bound.write(temporary)
    return path


def _pages(html: Path) -> dict[str, str]:
    """Every page of the table of contents in its order, without its suffix, and its title."""
    contents = yaml.safe_load((book.ROOT / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in contents["parts"] for chapter in part["chapters"]]
    return {page: _title(html / f"{page}.html") for page in [contents["root"], *_files(chapters)]}


def _files(chapters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for chapter in chapters:
        yield chapter["file"]
        yield from _files(chapter.get("sections", ()))


def _title(page: Path) -> str:
    found = (
        re.search(r"<title>(.*?)</title>", page.read_text(encoding="utf-8"), re.DOTALL)
        if page.is_file()
        else None
    )
    return unescape(found[1]).partition(" — ")[0].strip() if found else page.stem


def _print(browser: str, page: Path, printed: Path, home: Path) -> None:
    command = [
        browser,
        "--headless",
        "--disable-gpu",
        "--no-pdf-header-footer",
        f"--virtual-time-budget={1000 * PATIENCE}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # its sandbox is not for root
        command.append("--no-sandbox")
    command += [f"--user-data-dir={home}", f"--print-to-pdf={printed}", page.resolve().as_uri()]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20 * PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BookError(f"{browser} did not come to an end with {page}.") from None
    if done.returncode or not printed.is_file():
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise BookError(f"{browser} could not print {page}: {said[-1]}")


def _join_links(bound: PdfWriter, starts: Mapping[Path, int]) -> None:
    """Let links to a file of the book lead to the place where that page begins; others to files of
    this machine go.
    """
    from pypdf.generic import ArrayObject, NameObject, NullObject

    for sheet in bound.pages:
        kept = ArrayObject()
        for one in sheet.get("/Annots") or ():
            action = one.get_object().get("/A") or {}
            target = urlsplit(str(action.get("/URI", "")))
            if target.scheme == "file":
                start = starts.get(Path(unquote(target.path)).resolve())
                if start is None:
                    continue
                to = bound.pages[start].indirect_reference
                del one.get_object()["/A"]
                one.get_object()[NameObject("/Dest")] = ArrayObject(
                    [to, NameObject("/XYZ"), *[NullObject()] * 3]
                )
            kept.append(one)
        if "/Annots" in sheet:
            sheet[NameObject("/Annots")] = kept
