"""The ledger as HTML: a row a claim, a column a source, in each the verdict and the number that
decides it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from html import escape

from blurpaper import intervals
from blurpaper.claims.ledger import Entry
from blurpaper.claims.registry import (
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    Criterion,
)
from blurpaper.claims.verdicts import Finding
from blurpaper.tables import rounded

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
    sources = list(entries[0].findings)
    head = "".join(f'<th scope="col">{escape(source)}</th>' for source in sources)
    body = "".join(_row(entry, sources, page_of, filtered) for entry in entries)
    whole = f'<table class="blurpaper ledger"><thead><tr><th scope="col">section</th><th scope="col">claim</th>{head}</tr></thead>'
    return (
        _choices(entries, sources) if filtered else ""
    ) + f"{whole}<tbody>{body}</tbody></table>"


def _choices(entries: Sequence[Entry], sources: Sequence[str]) -> str:
    sections = list(dict.fromkeys(entry.claim.section for entry in entries))
    options = "".join(f"<option>{section}</option>" for section in sections)
    verdicts = "".join(f"<option>{verdict}</option>" for verdict in VERDICTS)
    verdicts = f'<option value="">all verdicts</option>{verdicts}'
    by_verdict = "".join(
        f'<label>{escape(source)}: <select data-source="{number}">{verdicts}</select></label> '
        for number, source in enumerate(sources)
    )
    by_section = f'<label>section: <select data-section><option value="">all</option>{options}</select></label>'
    return f'<form class="ledger-filter">{by_verdict}{by_section} <output aria-live="polite"></output></form>'


def _row(
    entry: Entry, sources: Sequence[str], page_of: Callable[[str], str], filtered: bool
) -> str:
    claim = entry.claim
    cells = "".join(
        f'<td class="{_class(entry.findings[source])}">{_told(entry.findings[source])}</td>'
        for source in sources
    )
    data = " ".join(
        f'data-verdict-{number}="{entry.findings[source].verdict}"'
        for number, source in enumerate(sources)
    )
    page = page_of(claim.table if filtered else LEDGER).partition("#")[0]
    if filtered:
        link = f'<a href="{page}#claim-{claim.id}">{claim.shown}</a>'
    else:
        link = f'{claim.shown}, <a href="{page}#{claim.id}">in the ledger</a>'
    note = f"<br><em>{escape(claim.note)}</em>" if claim.note else ""
    anchor = claim.id if filtered else f"claim-{claim.id}"
    words = f"{escape(claim.says)}<br><small>{escape(claim.tolerance)} ({link}){note}</small>"
    attributes = f'id="{anchor}" data-section="{claim.section}" {data}'
    return f'<tr {attributes}><td>{claim.section}</td><th scope="row">{words}</th>{cells}</tr>'


def _class(finding: Finding) -> str:
    return "verdict-" + finding.verdict.replace(" ", "-")


def _told(finding: Finding) -> str:
    if finding.verdict == NOT_RUN:
        return f'<span title="{escape(finding.missing)}">{_MARKS[NOT_RUN]} {NOT_RUN}</span>'
    points = " <small>(by points)</small>" if finding.from_points else ""
    one = finding.weakest
    others = "" if len(finding.criteria) == 1 else f" (weakest of {len(finding.criteria)})"
    return f"{_MARKS[finding.verdict]} {finding.verdict}{points}<br><small>{escape(one.words)}{others}: {in_words(one)}</small>"


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
