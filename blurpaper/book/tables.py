"""Tables for the book: the paper's number, the published photographs' and this run's side by side,
each with its interval.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.book.markup import render, rounded
from blurpaper.experiments.results import COLUMNS, select

if TYPE_CHECKING:
    import pandas as pd

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
