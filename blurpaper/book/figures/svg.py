"""Plots as they stand in a page: inline SVG in the page's own colours, light or dark, with letters
as letters.
"""

from __future__ import annotations

import hashlib
import io
import re

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from blurpaper.book.figures.palette import PAGE, PALETTE

_PIXELS = 96 / 72
"""Of a page, to a point of a plot."""
_WIDE = 480
"""Pixels of width beyond which a plot does not shrink on a phone: it is moved sideways."""
_LEAST = 0.8
"""To which part of itself such a plot shrinks."""
_SMALL = 260
"""Pixels of width up to which two plots stand beside one another on a phone."""


def inline(figure: Figure, photographs: bool = False) -> str:
    """A plot as an ``<svg>`` element for a page; the plot is closed.

    Colours of the palette become variables (``--figure-green``) that a dark page sets and a light
    one need not. It is hidden from those who cannot see, to whom whoever shows it tells what is to
    be seen.

    Args:
        photographs: the images in it are smoothed where they are not shown pixel for pixel.
    """
    content = io.StringIO()
    figure.savefig(
        content, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    plt.close(figure)
    whole = content.getvalue()
    drawn = re.sub(
        r"<metadata>.*?</metadata>|<!--.*?-->|\n\s*(?=<)",
        "",
        whole[whole.index("<svg") :].strip(),
        flags=re.DOTALL,
    )
    if photographs:
        drawn = re.sub(r' style="image-rendering:[^"]*"', "", drawn)
    return _sized(_with_own_names(_themed(drawn)))


def variables(theme: str) -> dict[str, str]:
    """The variables that a plot refers to, with their values in the ``light`` or the ``dark``
    theme.
    """
    return {f"--figure-{name}": both[theme == "dark"] for name, both in (PALETTE | PAGE).items()}


def _themed(drawn: str) -> str:
    for name, (light, _) in (PALETTE | PAGE).items():
        drawn = re.sub(
            rf"(?<=: ){light}\b", f"var(--figure-{name}, {light})", drawn, flags=re.IGNORECASE
        )
    return drawn


def _with_own_names(drawn: str) -> str:
    """With no names but those that something refers to, and none that another plot of the page
    could have.
    """
    own = f"f{hashlib.sha256(drawn.encode()).hexdigest()[:8]}"
    wanted = {one or other for one, other in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawn)}
    drawn = re.sub(
        r' id="([^"]+)"',
        lambda found: f' id="{own}-{found[1]}"' if found[1] in wanted else "",
        drawn,
    )
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{own}-", drawn)


def _sized(drawn: str) -> str:
    """In pixels of a page, which its style sheet may shrink."""
    width, height = (
        float(size) for size in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups()
    )
    across, down = _PIXELS * width, _PIXELS * height
    least = f"min-width:{_LEAST * across:.0f}px" if across > _WIDE else ""
    kind = ' class="small"' if across <= _SMALL else ""
    head = (
        f'<svg{kind} xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:g} {height:g}" width="{across:.0f}" height="{down:.0f}" aria-hidden="true" focusable="false" '
        f'style="{least}">'
    )
    return head.replace(' style=""', "") + drawn[drawn.index(">") + 1 :]
