"""Tables as HTML: results of all sources side by side, each with its interval, and the ledger of
claims.

All that is put into a template is escaped, unless the template says that it is HTML already.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

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
from blurpaper.evaluation.results import COLUMNS, select

if TYPE_CHECKING:
    import pandas as pd


def rounded(value: float, digits: int) -> str:
    """A number for people: a real minus sign, and no negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


_TEMPLATES = Environment(
    loader=PackageLoader("blurpaper.book"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["rounded"] = rounded


def render(template: str, **values: object) -> str:
    """A template filled in."""
    return _TEMPLATES.get_template(template).render(values)


# --- Results --------------------------------------------------------------------------------------

PERCENT = ("top1", "top5", "ece", "aurc", "miou", "iou", "error", "loss", "cost", "gap")
"""Metrics that are shares and are shown in per cent."""


def comparison(
    sources: Mapping[str, pd.DataFrame],
    metrics: Mapping[str, str],
    rows: Sequence[str],
    columns: Sequence[str],
    row: str = "condition",
    column: str = "scale",
) -> str:
    """An HTML table: a row a condition, a group of columns a scale (or metric), in each a column a
    source.

    Args:
        sources: heading -> results to take numbers from, in the order of the columns.
        metrics: metric -> heading; with several, they are a level of headings above the sources.
        rows, columns: values of ``row`` and of ``column``, in order.
    """
    heads, cells = [], []
    for value in columns:
        for metric, heading in metrics.items():
            found = {
                name: part
                for name, frame in sources.items()
                if not (part := select(frame, **{column: value}, metric=metric)).empty
            }
            titles = [value] * (len(columns) > 1)
            titles += [heading] * (len(metrics) > 1 or len(columns) == 1)
            heads += [(", ".join(titles), list(found))] * bool(found)
            cells += [(metric, part) for part in found.values()]
    body = [(value, [_number(part, row, value, of) for of, part in cells]) for value in rows]
    return render("comparison.html", row=row, heads=heads, rows=body, several=len(sources) > 1)


def download(sources: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The rows behind a table as CSV, a column ``source`` and then theirs: the ``name`` of the
    file, the ``count`` of rows, and a ``href`` that holds them, so that no server is needed.
    """
    import pandas as pd

    frames = {
        name: frame[list(COLUMNS)] if set(COLUMNS) <= set(frame.columns) else frame
        for name, frame in sources.items()
    }
    rows = pd.concat(
        [frame.assign(source=name) for name, frame in frames.items()], ignore_index=True
    )
    rows.insert(0, "source", rows.pop("source"))
    parts = [rows[column].unique() for column in ("experiment", "metric") if column in rows]
    text = rows.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    return {
        "name": "-".join(str(part[0]) for part in parts if len(part) == 1) or "-".join(sources),
        "count": len(rows),
        "href": f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}",
    }


def number(value: float, low: float, high: float, metric: str) -> tuple[str, str]:
    """A number and its interval for people, in per cent if the metric is a share (or one of a
    loss); no interval where none is known.
    """
    if np.isnan(value):
        return "–", ""
    share = metric.split("_vs_")[0].removesuffix("_recovered") in PERCENT
    scale, digits = (100, 1) if share else (1, 3 if metric == "ssim" else 2)
    shown, *bounds = (rounded(scale * one, digits) for one in (value, low, high))
    return shown, "" if np.isnan(low) else (" to " if low < 0 else "–").join(bounds)


def _number(found: pd.DataFrame, row: str, value: str, metric: str) -> tuple[str, str]:
    one = select(found, **{row: value})
    if len(one) > 1:
        raise ValueError(
            f"{len(one)} results for {row} {value!r} and metric {metric!r}: select one experiment "
            "and data set first."
        )
    if one.empty:
        return "–", ""
    return number(*one.iloc[0][["value", "low", "high"]].astype(float), metric)


# --- The ledger: a row a claim, a column a source -------------------------------------------------

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
