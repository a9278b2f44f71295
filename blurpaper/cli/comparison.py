"""Two tables of results, row by row: the same, within an interval, or moved."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.evaluation.results import KEY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


SAME = 1e-6
"""Numbers that differ by no more than this share of the larger are the same, as results are written
with seven digits.
"""
_MOST_SHOWN = 40
"""Moved rows that are told unless all are asked for."""
_EXAMPLES = 3
"""Rows of one table alone that are named as examples."""


@dataclass(frozen=True)
class Compared:
    """Two tables, matched by :data:`results.KEY`.

    Attributes:
        matched: rows of both: the key, ``a``, ``b``, ``difference`` (B - A), ``joint`` (half width
            of the two intervals together, 0 without any), ``times`` (the difference in joint half
            widths, infinite without any) and ``verdict``: ``same``, ``within`` its interval, or
            ``moved``; in the order of the first table.
        only_a, only_b: rows that one table alone has.
    """

    matched: pd.DataFrame
    only_a: pd.DataFrame
    only_b: pd.DataFrame

    @property
    def moved(self) -> pd.DataFrame:
        """The rows that moved, the biggest move in joint half widths first."""
        moved = self.matched[self.matched["verdict"] == "moved"]
        size = moved["difference"].abs().fillna(math.inf)
        return (
            moved.assign(size=size)
            .sort_values(["times", "size"], ascending=False, kind="stable")
            .drop(columns="size")
        )

    def counts(self) -> list[dict[str, Any]]:
        """How many rows of each experiment are the same, within their interval, moved, or in one
        table alone.
        """
        tables = {"only_a": self.only_a, "only_b": self.only_b}
        tables |= {
            verdict: self.matched[self.matched["verdict"] == verdict]
            for verdict in ("same", "within", "moved")
        }
        names = dict.fromkeys(
            name for frame in (self.matched, *tables.values()) for name in frame["experiment"]
        )
        return [
            {"experiment": name}
            | {column: int((tables[column]["experiment"] == name).sum()) for column in _COUNTED}
            for name in names
        ]


_COUNTED = ("same", "within", "moved", "only_a", "only_b")


def compare(a: pd.DataFrame, b: pd.DataFrame) -> Compared:
    """Match the rows of two tables and judge each difference.

    A row moved if neither interval contains the other table's value and the difference exceeds the
    joint half width, ``sqrt(hA² + hB²)``; without intervals, if the two are not the same number. If
    only one has an interval, that one decides.

    >>> set(compare(paper(), paper()).matched["verdict"])
    {'same'}
    """
    import pandas as pd

    key = list(KEY)
    left, right = (pd.MultiIndex.from_frame(frame[key]) for frame in (a, b))
    only_a, only_b = a[~left.isin(right)], b[~right.isin(left)]
    numbers = ["value", "low", "high"]
    one = a[left.isin(right)]
    other = b.set_index(key)[numbers].reindex(pd.MultiIndex.from_frame(one[key]))
    value_a, low_a, high_a = (one[name].to_numpy(float) for name in numbers)
    value_b, low_b, high_b = (other[name].to_numpy(float) for name in numbers)

    difference = value_b - value_a
    gone = np.isnan(value_a) != np.isnan(value_b)  # a number where the other table has none
    same = ~gone & ~(np.abs(difference) > SAME * np.maximum(np.abs(value_a), np.abs(value_b)))
    contained = (low_a <= value_b) & (value_b <= high_a) | (low_b <= value_a) & (value_a <= high_b)
    joint = np.hypot(np.nan_to_num(high_a - low_a), np.nan_to_num(high_b - low_b)) / 2
    moved = ~same & (gone | (~contained & (np.abs(difference) > joint)))
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(same, 0.0, np.where(gone, math.inf, np.abs(difference) / joint))
    matched = one[key].assign(
        a=value_a, b=value_b, difference=difference, joint=joint, times=times,
        verdict=np.select([same, moved], ["same", "moved"], "within"),
    )  # fmt: skip
    return Compared(matched, only_a[key], only_b[key])


def as_text(compared: Compared, everything: bool = False) -> str:
    """What came of it, for people: a summary, examples of what only one table has, and the rows
    that moved.
    """
    return "\n".join(_lines(compared, everything))


def _lines(compared: Compared, everything: bool) -> Iterator[str]:
    import pandas as pd

    counts = pd.DataFrame(compared.counts(), columns=["experiment", *_COUNTED])
    total = counts[list(_COUNTED)].sum()
    matched = "1 row" if len(compared.matched) == 1 else f"{len(compared.matched)} rows"
    yield (
        f"{matched} in both: {total['same']} the same, {total['within']} within their intervals, "
        f"{total['moved']} moved; {total['only_a']} only in A, {total['only_b']} only in B"
    )
    if len(counts):
        headed = counts.rename(columns={"only_a": "only A", "only_b": "only B"})
        yield "\n" + headed.to_string(index=False)
    for name, frame in (("A", compared.only_a), ("B", compared.only_b)):
        if len(frame):
            by_experiment = ", ".join(
                f"{experiment} {count}"
                for experiment, count in frame["experiment"].value_counts().items()
            )
            yield f"\nonly in {name}: {by_experiment}; such as"
            yield from (f"  {_named(row)}" for row in frame.head(_EXAMPLES).to_dict("records"))
    moved = compared.moved
    if moved.empty:
        return
    shown = moved if everything else moved.head(_MOST_SHOWN)
    rest = (
        ""
        if len(shown) == len(moved)
        else f", the first {len(shown)} of {len(moved)} (--all shows all)"
    )
    yield f"\nmoved, by how many joint half widths of the intervals{rest}:"
    varied = [column for column in KEY if shown[column].nunique() > 1]
    common = {
        column: shown[column].iloc[0]
        for column in KEY
        if column not in varied and shown[column].iloc[0]
    }
    if common:
        yield "  all of " + ", ".join(f"{column} {value}" for column, value in common.items())
    numbers = {"a": "A", "b": "B", "difference": "B - A", "joint": "joint ±", "times": "times"}
    table = shown[[*varied, *numbers]].rename(columns=numbers)
    formats = {
        "A": "{:.4g}",
        "B": "{:.4g}",
        "B - A": "{:+.3g}",
        "joint ±": "{:.2g}",
        "times": "{:.1f}",
    }
    yield table.to_string(
        index=False, formatters={name: _formatted(pattern) for name, pattern in formats.items()}
    )


def _formatted(pattern: str) -> Any:  # noqa: ANN401 (pandas takes any function)
    return lambda value: pattern.format(value) if math.isfinite(value) else "-"


def _named(row: dict[str, str]) -> str:
    return " ".join(value for value in row.values() if value)


def as_data(compared: Compared) -> dict[str, Any]:
    """The same, as JSON can say it; all rows, and null for what is not a number or has no intervals
    to be measured by.
    """

    def plain(row: dict[str, Any]) -> dict[str, Any]:
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }

    counts = compared.counts()
    return {
        **{column: sum(one[column] for one in counts) for column in _COUNTED},
        "experiments": counts,
        "moved_rows": [
            plain(row) for row in compared.moved.drop(columns="verdict").to_dict("records")
        ],
        "only_a_rows": compared.only_a.to_dict("records"),
        "only_b_rows": compared.only_b.to_dict("records"),
    }
