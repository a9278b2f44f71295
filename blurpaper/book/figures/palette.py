"""One palette for all figures: each colour on a light page and on a dark one, and what it stands
for.

The colours lie as near to Okabe and Ito's as they can if any two of them, in either theme and to an
eye that lacks one kind of cone (after Machado, Oliveira and Fernandes 2009), are to be at least 10
apart in CIEDE2000 and each is to have a contrast of at least 3 with its page. Beside its colour
every network and every scale has a mark of its own, for print in grey.
"""

from __future__ import annotations

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
"""Name -> its colour on a light page and on a dark one. The first is drawn; ``figures.svg`` offers
a page the other.
"""
PAGE = {
    "page": ("#fffffe", "#121212"),
    "text": ("#222832", "#ced6dd"),
    "rule": ("#8a9099", "#767f8a"),
}
"""Likewise what is no data (the ground, letters and axes, and lines that only help to read)."""

LIGHT = {name: light for name, (light, _) in (PALETTE | PAGE).items()}

NETWORK_COLOURS = {
    "original": LIGHT["ink"],
    "sharp-only": LIGHT["grey"],
    "sharp+D4": LIGHT["sky"],
    "mix": LIGHT["green"],
    "sharp+D8": LIGHT["orange"],
    "onlyD8": LIGHT["vermilion"],
    "sharp+shake": LIGHT["blue"],
    "mix/agreement": LIGHT["purple"],
}
NETWORK_MARKS = {
    "original": "o",
    "sharp-only": "s",
    "sharp+D4": "v",
    "mix": "D",
    "sharp+D8": "^",
    "onlyD8": "P",
    "sharp+shake": "X",
    "mix/agreement": "p",
}
CONDITION_COLOURS = {
    "sharp": LIGHT["ink"],
    "D2": LIGHT["sky"],
    "D4": LIGHT["green"],
    "D6": LIGHT["orange"],
    "D8": LIGHT["vermilion"],
}
SCALE_COLOURS = {
    "128": LIGHT["purple"],
    "256": LIGHT["blue"],
    "256+512": LIGHT["green"],
    "512": LIGHT["orange"],
    "per-scale": LIGHT["ink"],
}
SCALE_MARKS = {"128": "v", "256": "o", "256+512": "D", "512": "s", "per-scale": "P"}
SERIES_COLOURS = tuple(LIGHT[name] for name in ("blue", "vermilion", "purple", "orange", "sky"))
"""For what is neither a network, a condition nor a scale; none is that of ``original`` or ``mix``.
"""
SERIES_MARKS = ("o", "s", "^", "v", "P")
RIGHT, WRONG = LIGHT["green"], LIGHT["vermilion"]
"""Of a verdict; always with a mark, too."""
