"""A new chapter: a notebook that runs as it is, and its line in the table of contents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from blurpaper import book
from blurpaper.writing import written

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_ENTRY = re.compile(r"^([ \t]*-[ \t]+file:[ \t]+)[\"']?notebooks/.*$", re.MULTILINE)
"""A line of the table of contents that names a notebook, and what stands before the name."""

_TEMPLATE = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # TITLE
#
# What is asked here, and of what. The cells below run as they are; put yours in their place.

# %% tags=["parameters", "remove-cell"]
profile = "emoji"
overrides = {}
published = False

# %% tags=["remove-cell"]
import numpy as np

from blurpaper import figures, kernels
from blurpaper.page import Page

page = Page(profile, overrides, published)

# %% [markdown]
# ## A figure
#
# It has a caption, and a text for those who cannot see it. Results of an experiment come from
# `page.rows("table1")`, or beside the paper's from `page.sources("table1")`.

# %% tags=["hide-input"]
names = ["D8", "H8", "V4"]
page.figure(
    figures.psfs(names),
    caption="Three kernels on one pixel grid, each scaled to its own maximum.",
    alt="Three small grey-scale arrays: a disk, a horizontal bar and a shorter vertical one.",
)

# %% [markdown]
# Numbers in the prose are computed, never typed.

# %% tags=["remove-input"]
radius = {name: np.sqrt(kernels.axis_variance(kernels.psf(name)).sum()) for name in names}
widest = max(radius, key=radius.get)
page.say(f"The widest is `{widest}`, with a root-mean-square radius of {radius[widest]:.1f} pixels.")
"""


def create(name: str) -> Path:
    """Write ``notebooks/NN_name.py`` and list it after the last notebook in ``_toc.yml``; its path.

    NN is the number after the last chapter's.

    Raises:
        ValueError: if the name is no word of lower-case letters, digits and underscores.
        BookError: outside a checkout, for a name that is taken, or if the table of contents cannot
            take another line.

    >>> import shutil
    >>> import tempfile
    >>> from unittest.mock import patch
    >>> copy = Path(tempfile.mkdtemp())
    >>> _ = shutil.copytree(book.NOTEBOOKS, copy / "notebooks"), shutil.copy(book.ROOT / "_toc.yml", copy)
    >>> with patch.multiple(book, ROOT=copy, NOTEBOOKS=copy / "notebooks"):
    ...     path = create("other_blurs")
    >>> path.name[3:], path.stem in (copy / "_toc.yml").read_text(encoding="utf-8")
    ('other_blurs.py', True)
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"a chapter is named by a word of lower-case letters, digits and underscores, as in other_blurs. Got {name!r}."
        )
    book.need_checkout("a new chapter")
    there = book.chapters()
    if taken := [chapter for chapter in there if chapter[3:] == name]:
        raise book.BookError(
            f"there is a chapter {name!r} already: notebooks/{taken[0]}.py; name another."
        )
    number = int(there[-1][:2]) + 1
    if number > 99:
        raise book.BookError(
            f"chapters have two digits, and {there[-1]} is the last that can be: number it lower."
        )
    chapter = f"{number:02}_{name}"
    contents = book.ROOT / "_toc.yml"
    text = _listed(contents.read_bytes().decode("utf-8"), chapter, contents)

    path = book.NOTEBOOKS / f"{chapter}.py"
    with written(path) as temporary:
        temporary.write_text(
            _TEMPLATE.replace("TITLE", name.replace("_", " ").capitalize()), encoding="utf-8"
        )
    try:
        with written(contents) as temporary:
            temporary.write_bytes(text.encode("utf-8"))
    except BaseException:
        path.unlink()
        raise
    return path


def _listed(text: str, chapter: str, path: Path) -> str:
    """A table of contents with another chapter after its last notebook, every other line as it was."""
    import yaml

    if entries := list(_ENTRY.finditer(text)):
        last = entries[-1]
        longer = f"{text[: last.end()]}\n{last[1]}notebooks/{chapter}{text[last.end() :]}"
        if _without(yaml.safe_load(longer), {"file": f"notebooks/{chapter}"}) == yaml.safe_load(
            text
        ):
            return longer
    raise book.BookError(
        f"{path} has no notebook that notebooks/{chapter} could follow, on a line `- file: notebooks/...` with nothing below it; "
        "let its last one be such."
    )


def _without(node: Any, entry: dict[str, str]) -> Any:  # noqa: ANN401
    """A table of contents as data, with an entry left out."""
    if isinstance(node, list):
        return [_without(one, entry) for one in node if one != entry]
    if isinstance(node, dict):
        return {key: _without(value, entry) for key, value in node.items()}
    return node
