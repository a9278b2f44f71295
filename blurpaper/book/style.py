"""The one style of all figures: palette and marks, panels and keys, SVG in a page's colours.

The colours are as near to Okabe and Ito's as two constraints allow: any two are at least 10 apart
in CIEDE2000, in either theme and for each kind of colour blindness (simulated after Machado,
Oliveira and Fernandes 2009), and each has a contrast of at least 3 with its page. Every network and
every scale also has a mark of its own, for print in grey.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import seaborn as sns
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

# --- Palette --------------------------------------------------------------------------------------

PALETTE = {
    "ink": ("#101418", "#f2f5f8"),
    "grey": ("#787878", "#8a8a8a"),
    "sky": ("#1e94e8", "#67c5f8"),
    "green": ("#35875a", "#00b379"),
    "orange": ("#c68308", "#f7bc25"),
    "vermilion": ("#bb500e", "#f27034"),
    "blue": ("#3b5c7b", "#4586d9"),
    "purple": ("#b957ac", "#d58cc1"),
}
"""Name -> its colour on a light page, which is drawn, and on a dark one."""
PAGE = {
    "page": ("#fffffe", "#121212"),
    "text": ("#222832", "#ced6dd"),
    "rule": ("#8a9099", "#767f8a"),
}
"""The same for what is not data: the ground, letters and axes, and reference lines."""

LIGHT = {name: light for name, (light, _) in (PALETTE | PAGE).items()}

_NETWORKS = {
    "original": ("ink", "o"),
    "sharp-only": ("grey", "s"),
    "sharp+D4": ("sky", "v"),
    "mix": ("green", "D"),
    "sharp+D8": ("orange", "^"),
    "onlyD8": ("vermilion", "P"),
    "sharp+shake": ("blue", "X"),
    "mix/agreement": ("purple", "p"),
}
NETWORK_COLOURS = {name: LIGHT[colour] for name, (colour, _) in _NETWORKS.items()}
NETWORK_MARKS = {name: mark for name, (_, mark) in _NETWORKS.items()}
CONDITION_COLOURS = {
    "sharp": LIGHT["ink"],
    "D2": LIGHT["sky"],
    "D4": LIGHT["green"],
    "D6": LIGHT["orange"],
    "D8": LIGHT["vermilion"],
}
_SCALES = {
    "128": ("purple", "v"),
    "256": ("blue", "o"),
    "256+512": ("green", "D"),
    "512": ("orange", "s"),
    "per-scale": ("ink", "P"),
}
SCALE_COLOURS = {name: LIGHT[colour] for name, (colour, _) in _SCALES.items()}
SCALE_MARKS = {name: mark for name, (_, mark) in _SCALES.items()}
SERIES_COLOURS = tuple(LIGHT[name] for name in ("blue", "vermilion", "purple", "orange", "sky"))
"""For series that are neither networks, conditions nor scales; without the colours of ``original``
and ``mix``.
"""
SERIES_MARKS = ("o", "s", "^", "v", "P")
RIGHT, WRONG = LIGHT["green"], LIGHT["vermilion"]
"""Of a verdict, which always has a mark too."""


# --- Inline SVG -----------------------------------------------------------------------------------

_PIXELS = 96 / 72
"""Pixels of a page to a point of a plot."""
_WIDE = 480
"""Pixels of width beyond which a plot scrolls on a phone instead of shrinking further."""
_LEAST = 0.8
"""Fraction of its width to which such a plot shrinks."""
_SMALL = 260
"""Pixels of width up to which two plots stand beside one another on a phone."""


def inline(figure: Figure) -> str:
    """A plot as an ``<svg>`` element for a page; the plot is closed.

    Colours of the palette become variables (``--figure-green``) that a dark page sets. It is hidden
    from screen readers: the page gives an alt text.
    """
    set_style()
    content, nothing = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(content, format="svg", metadata=nothing)
    plt.close(figure)
    drawn = content.getvalue().partition("<svg")
    drawn = re.sub(
        r"(?s)<metadata>.*?</metadata>|<!--.*?-->|\n\s*(?=<)", "", "".join(drawn[1:]).strip()
    )
    if any(image.get_array().ndim == 3 for axes in figure.axes for image in axes.images):
        # Photographs are smoothed where they are not shown pixel for pixel; PSFs and maps are not.
        drawn = re.sub(r' style="image-rendering:[^"]*"', "", drawn)
    return _sized(_with_own_names(_themed(drawn)), figure.get_label())


def data_uri(image: torch.Tensor, side: int = 10_000) -> str:
    """An image, uint8 ``(3, H, W)``, as a data URI; one of more pixels a side is shrunk."""
    picture, content = Image.fromarray(image.permute(1, 2, 0).numpy()), io.BytesIO()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(content, "WEBP", quality=78)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def variables(theme: str) -> dict[str, str]:
    """CSS variables of a plot with their values in the ``light`` or the ``dark`` theme."""
    return {f"--figure-{name}": both[theme == "dark"] for name, both in (PALETTE | PAGE).items()}


def _themed(drawn: str) -> str:
    for name, (light, _) in (PALETTE | PAGE).items():
        drawn = re.sub(
            rf"(?<=: ){light}\b", f"var(--figure-{name}, {light})", drawn, flags=re.IGNORECASE
        )
    return drawn


def _with_own_names(drawn: str) -> str:
    """Drop the ids that nothing refers to, and make the others unique on the page."""
    own = f"f{hashlib.sha256(drawn.encode()).hexdigest()[:8]}"
    wanted = {one or other for one, other in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawn)}
    drawn = re.sub(
        r' id="([^"]+)"',
        lambda found: f' id="{own}-{found[1]}"' if found[1] in wanted else "",
        drawn,
    )
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{own}-", drawn)


def _sized(drawn: str, kind: str) -> str:
    """Give the size in pixels of a page, which its style sheet may shrink, and a class."""
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups())
    across, down = _PIXELS * width, _PIXELS * height
    least = f"min-width:{_LEAST * across:.0f}px" if across > _WIDE else ""
    kind = kind or ("small" if across <= _SMALL else "")
    head = (
        f'<svg class="{kind}" xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width:g} {height:g}" '
        f'width="{across:.0f}" height="{down:.0f}" aria-hidden="true" '
        f'focusable="false" style="{least}">'
    )
    return head.replace(' style=""', "").replace(' class=""', "") + drawn[drawn.index(">") + 1 :]


# --- Panels ---------------------------------------------------------------------------------------

ROW = (2.45, 2.3)
"""Inches of one panel of three in a row, one for each source."""

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "blurpaper",  # the same figure gives the same file
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.03,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Helvetica", "Arial"],
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"),
        LIGHT["text"],
    ),
    "axes.titlecolor": LIGHT["text"],
    "patch.edgecolor": LIGHT["page"],
    "legend.labelcolor": LIGHT["text"],
    "axes.titlesize": 10,
    "lines.markersize": 5,
    "figure.max_open_warning": 0,  # every panel is a figure, and a page closes what it has shown
}


@cache
def set_style() -> None:
    """Have matplotlib draw in the style of all figures, from the first figure on."""
    sns.set_theme(context="notebook", style="ticks", font_scale=0.85, rc=_STYLE)


def subplots(*shape: int, **options: Any) -> tuple[Figure, Any]:  # noqa: ANN401 (as pyplot has it)
    """``pyplot.subplots`` in the style of all figures."""
    set_style()
    return plt.subplots(*shape, **options)


def panels(titles: Sequence[str], size: tuple[float, float]) -> list[Axes]:
    """Axes with a title each, every one in a figure of its own."""
    found = []
    for title in titles:
        _, axes = subplots(figsize=size)
        axes.set_title(title)
        found.append(axes)
    return found


def share_of_page(columns: int) -> float:
    """Inches that one of so many figures beside one another has, on a page of 772 pixels with gaps
    of 26.
    """
    return (772 / columns - 26) / 96


def picture(
    image: np.ndarray,
    title: str,
    width: float,
    **options: Any,  # noqa: ANN401 (as pyplot has it)
) -> Axes:
    """Axes alone in a figure, without ticks, that hold an image ``(H, W)`` or ``(H, W, 3)`` pixel
    for pixel, so many inches wide.
    """
    set_style()
    figure = plt.figure(figsize=(width, width / (image.shape[1] / image.shape[0])))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(image, interpolation="none", **options)
    axes.set_title(title, fontsize=9)
    return axes


def key(title: str, lines: Sequence[Line2D]) -> Figure:
    """A key to the lines of several panels, with a title, in a row of its own."""
    set_style()
    rows = (len(lines) + 3) // 4
    figure = plt.figure(figsize=(4.9, 0.2 + 0.2 * rows))
    figure.set_label("key")
    figure.text(0, 1, title, va="top", fontsize=10)
    figure.add_artist(Line2D([0, 0.73], [1, 1], alpha=0))  # too wide for a panel beside it
    place = {"loc": "lower left", "bbox_to_anchor": (0, -0.1), "borderaxespad": 0}
    look = {"ncols": -(-len(lines) // rows), "frameon": False, "fontsize": 9, "columnspacing": 1.2}
    figure.legend(handles=lines, **place, **look)
    return figure


def figures_of(axes: Sequence[Axes]) -> list[Figure]:
    """The figures of panels, laid out."""
    for one in axes:
        one.figure.tight_layout()
    return [one.figure for one in axes]
