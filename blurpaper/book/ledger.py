"""The ledger as HTML: a row a claim, a column a source, in each the verdict and the number that
decides it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from blurpaper.book.markup import render, rounded
from blurpaper.claims.criteria import (
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    Criterion,
)
from blurpaper.claims.ledger import Entry
from blurpaper.evaluation import intervals

LEDGER = "claims"
"""Where it stands in the book: a target."""
_MARKS = {REPRODUCED: "✓", NOT_REPRODUCED: "✗", UNDECIDED: "?", NOT_RUN: "–"}
_UNITS = {
    "points": (100, 1, " points"),
    "share": (100, 1, " %"),
    "nats": (1, 2, " nats"),
    "ratio": (1, 2, ""),
}


def counts(entries: Sequence[Entry]) -> dict[str, Counter[str]]:
    """Source -> verdict -> how many claims have it."""
    return {
        source: Counter(entry.findings[source].verdict for entry in entries)
        for source in entries[0].findings
    }


def table(entries: Sequence[Entry], page_of: Callable[[str], str], filtered: bool = False) -> str:
    """The claims as a table.

    Args:
        page_of: the link to a target of the book, such as a table.
        filtered: the ledger itself, with choices of verdict and of section above it, each claim
            linked to its row in the chapter of its table; else the claims of a chapter, linked to
            their rows in the ledger.
    """
    return render(
        "ledger.html",
        entries=entries,
        filtered=filtered,
        sources=list(entries[0].findings),
        sections=list(dict.fromkeys(entry.claim.section for entry in entries)),
        verdicts=VERDICTS,
        marks=_MARKS,
        ledger=LEDGER,
        page=lambda target: page_of(target).partition("#")[0],
        in_words=in_words,
    )


def in_words(one: Criterion) -> str:
    """What was measured, its interval and its limit, such as ``12.3 (11.0 to 13.6) points, to be
    above 0.0``.
    """
    scale, digits, unit = _UNITS[one.unit]
    value, low, high = (
        rounded(scale * bound, digits) for bound in intervals.of_draws(one.quantity)
    )
    between = "" if low == high else f" ({low} to {high})"
    return f"{value}{between}{unit}, to be {'above' if one.above else 'below'} {rounded(scale * one.limit, digits)}"
