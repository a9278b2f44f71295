"""Two tables of results, row by row: the same, within an interval, or moved."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from blurpaper.evaluation.results import KEY

SAME = 1e-6
"""Numbers that differ by no more than this share of the larger are the same, as results are written
with seven digits.
"""

VERDICTS = ("same", "within", "moved", "only A", "only B")
"""On a row: the same number in both tables, within an interval, moved, or in one table alone."""


def compare(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Match the rows of two tables by :data:`results.KEY` and judge each difference.

    A row moved if neither interval contains the other table's value and the difference exceeds the
    joint half width, ``sqrt(hA² + hB²)``; without intervals, if the two are not the same number. If
    only one has an interval, that one decides.

    Returns:
        rows in the order of A, then those of B alone: the key, ``a``, ``b``, ``difference``
        (B - A), ``joint`` (half width of the two intervals together, 0 without any), ``times`` (the
        difference in joint half widths, infinite without any) and ``verdict``, one of
        :data:`VERDICTS`.

    >>> from blurpaper.experiments.sources import paper
    >>> set(compare(paper(), paper())["verdict"])
    {'same'}
    """
    a, b = (frame.set_index(list(KEY))[["value", "low", "high"]] for frame in (a, b))
    both = pd.concat([a, b], axis=1, keys=["a", "b"])
    value_a, low_a, high_a, value_b, low_b, high_b = both.to_numpy(float).T
    difference = value_b - value_a
    gone = np.isnan(value_a) != np.isnan(value_b)  # a number where the other table has none
    same = ~gone & ~(np.abs(difference) > SAME * np.maximum(np.abs(value_a), np.abs(value_b)))
    contained = (low_a <= value_b) & (value_b <= high_a) | (low_b <= value_a) & (value_a <= high_b)
    joint = np.hypot(np.nan_to_num(high_a - low_a), np.nan_to_num(high_b - low_b)) / 2
    moved = ~same & (gone | (~contained & (np.abs(difference) > joint)))
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(same, 0.0, np.where(gone, math.inf, np.abs(difference) / joint))
    alone = ~both.index.isin(b.index), ~both.index.isin(a.index)
    verdict = np.select([*alone, same, moved], ["only A", "only B", "same", "moved"], "within")
    numbers = {"a": value_a, "b": value_b, "difference": difference, "joint": joint, "times": times}
    return both.index.to_frame(index=False).assign(**numbers, verdict=verdict)


def counts(compared: pd.DataFrame) -> pd.DataFrame:
    """How many rows of each experiment have each verdict."""
    found = pd.crosstab(compared["experiment"], compared["verdict"])
    return found.reindex(columns=list(VERDICTS), fill_value=0)


def moved(compared: pd.DataFrame) -> pd.DataFrame:
    """The rows that moved, the biggest move in joint half widths first."""
    rows = compared[compared["verdict"] == "moved"]
    size = rows["difference"].abs().fillna(math.inf)
    order = ["times", "size"]
    return rows.assign(size=size).sort_values(order, ascending=False, kind="stable")


def as_text(compared: pd.DataFrame) -> str:
    """A summary, counts by experiment, and every row that moved."""
    by_experiment = counts(compared)
    same, within, changed, only_a, only_b = by_experiment.sum()
    matched = same + within + changed
    parts = [
        f"{matched} row{'' if matched == 1 else 's'} in both: {same} the same, {within} within "
        f"their intervals, {changed} moved; {only_a} only in A, {only_b} only in B"
    ]
    if len(compared):
        parts.append(by_experiment.rename_axis(columns=None).reset_index().to_string(index=False))
    if changed:
        rows = moved(compared)
        varied = [column for column in KEY if rows[column].nunique() > 1]
        common = rows[list(KEY)].drop(columns=varied).iloc[0]
        shared = ", ".join(f"{column} {value}" for column, value in common.items() if value)
        numbers = {"a": "A", "b": "B", "difference": "B - A", "joint": "joint ±", "times": "times"}
        table = rows[[*varied, *numbers]].rename(columns=numbers)
        parts.append(
            f"moved, by how many joint half widths of the intervals (all of {shared}):\n"
            + table.to_string(index=False, float_format="{:.4g}".format, na_rep="-")
        )
    return "\n\n".join(parts)
