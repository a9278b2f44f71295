"""Tables for the book: the paper's number, the published photographs' and this run's side by side,
each with its interval.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from blurpaper.results import COLUMNS, select

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

    >>> import re
    >>> from blurpaper import results
    >>> paper = select(results.paper(), experiment="table1")
    >>> html = comparison({"paper": paper}, {"top5": "top-5"}, ["sharp", "D8"], ["256", "512"])
    >>> re.findall("<td>([0-9.]+)", html)
    ['90.9', '90.8', '61.0', '22.5']
    """
    groups = [(value, metric, heading) for value in columns for metric, heading in metrics.items()]
    groups = [
        group
        for group in groups
        if any(_cells(frame, group, column) is not None for frame in sources.values())
    ]
    titled = [
        (g, [name for name, frame in sources.items() if _cells(frame, g, column) is not None])
        for g in groups
    ]
    top = "".join(
        f'<th colspan="{len(names)}" scope="colgroup">{escape(_title(group, columns, metrics))}</th>'
        for group, names in titled
    )
    second = "".join(
        f'<th scope="col">{escape(name)}</th>' for _, names in titled for name in names
    )
    body = []
    for value in rows:
        cells = "".join(
            f"<td>{_number(_cells(sources[name], group, column), row, value, group[1])}</td>"
            for group, names in titled
            for name in names
        )
        body.append(f'<tr><th scope="row">{escape(value)}</th>{cells}</tr>')
    if len(sources) > 1:
        head = f'<tr><th rowspan="2" scope="col">{escape(row)}</th>{top}</tr><tr>{second}</tr>'
    else:
        head = f'<tr><th scope="col">{escape(row)}</th>{top}</tr>'
    return f'<table class="blurpaper"><thead>{head}</thead><tbody>{"".join(body)}</tbody></table>'


def download(sources: Mapping[str, pd.DataFrame]) -> str:
    """A link that holds the rows a table was drawn from as CSV, so that no server is needed: a
    column ``source``, then theirs.

    >>> from blurpaper import results
    >>> link = download({"paper": select(results.paper(), experiment="table1")})
    >>> link.split('"')[3]
    'table1-top5.csv'
    >>> base64.b64decode(link.split("base64,")[1].split('"')[0]).decode().split(",")[:3]
    ['source', 'experiment', 'model']
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
    name = "-".join(str(part[0]) for part in parts if len(part) == 1) or "-".join(sources)
    text = rows.to_csv(index=False, float_format="%.7g", lineterminator="\n")
    href = f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
    label = f"CSV, the {len(rows)} rows that this table was drawn from: {name}"
    return f'<a class="csv" download="{escape(name)}.csv" aria-label="{escape(label)}" href="{href}">CSV</a>'


def number(value: float, low: float, high: float, metric: str) -> str:
    """A number with its interval, in per cent if the metric is a share (or one of a loss): ``94.4
    (93.3-95.4)`` in HTML.

    >>> number(0.944, 0.933, 0.954, "top5")
    '94.4<small class="interval">93.3–95.4</small>'
    """
    if np.isnan(value):
        return "–"
    share = metric.split("_vs_")[0].removesuffix("_recovered") in PERCENT
    scale, digits = (100, 1) if share else (1, 3 if metric == "ssim" else 2)
    shown, *bounds = (rounded(scale * one, digits) for one in (value, low, high))
    if np.isnan(low):
        return shown
    between = " to " if low < 0 else "–"
    return f'{shown}<small class="interval">{between.join(bounds)}</small>'


def rounded(value: float, digits: int) -> str:
    """A number for people: a real minus sign, and no negative zero.

    >>> rounded(-3.14159, 2), rounded(-0.001, 1)
    ('−3.14', '0.0')
    """
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _cells(frame: pd.DataFrame, group: tuple[str, str, str], column: str) -> pd.DataFrame | None:
    found = select(frame, **{column: group[0]}, metric=group[1])
    return None if found.empty else found


def _title(group: tuple[str, str, str], columns: Sequence[str], metrics: Mapping[str, str]) -> str:
    parts = ([group[0]] if len(columns) > 1 else []) + (
        [group[2]] if len(metrics) > 1 or len(columns) == 1 else []
    )
    return ", ".join(parts)


def _number(found: pd.DataFrame, row: str, value: str, metric: str) -> str:
    one = select(found, **{row: value})
    if one.empty:
        return "–"
    if len(one) > 1:
        raise ValueError(
            f"{len(one)} results for {row} {value!r} and metric {metric!r}: select one experiment and data set first."
        )
    return number(*one.iloc[0][["value", "low", "high"]].astype(float), metric)
