"""Results as data: one row a number, in the same columns for the paper, the published runs and the
run at hand; and two tables of them compared row by row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.runs.files import UserError

if TYPE_CHECKING:
    import pandas as pd

KEY = (
    "experiment", "model", "network", "train_scale", "recipe", "data", "classes", "input", "scale",
    "condition", "region", "item", "parameter", "metric", "seed",
)  # fmt: skip
"""What a number is of; no two rows share it.

``region`` is a part of the image, of its label map or of the network; ``item`` the id of a single
image of the set ``data``; ``parameter`` what an experiment varies besides, such as the assumed PSF
or the class whose probability it is.
"""
COLUMNS = (*KEY, "value", "low", "high", "n")

DECISION_KEY = tuple(
    column for column in KEY if column not in ("experiment", "region", "item", "metric")
)
"""The columns of a result's key that decisions have."""

AS_IS = "as is"
"""The word in the column ``input`` for images that nothing was done to after the blur."""


class ResultsError(UserError):
    """Results that are missing or not in order, in one sentence."""


def table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with all columns in their order; columns not given are empty.

    Raises:
        ResultsError: if two rows have the same key or a row has a column of its own.
    """
    import pandas as pd

    rows = list(rows)
    if extra := {column for row in rows for column in row} - set(COLUMNS):
        raise ResultsError(f"results have no column {min(extra)!r}.")
    # As objects, so that a seed 0 does not become 0.0 beside rows without a seed.
    frame = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    for column in KEY:
        frame[column] = frame[column].map(_word).astype(object)
    frame = frame.astype({"value": float, "low": float, "high": float, "n": "Int64"})
    if (twice := frame.duplicated(list(KEY))).any():
        raise ResultsError(
            f"two results have the same key: {dict(frame.loc[twice, list(KEY)].iloc[0])}."
        )
    return frame


def number(
    metric: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    n: int | None = None,
) -> dict[str, Any]:
    """The columns of a row for a metric's value, its 95 % interval and the number of images."""
    return {"metric": metric, "value": value, "low": low, "high": high, "n": n}


def _word(value: object) -> str:
    """A value of the key as a word; empty if there is none."""
    return "" if value is None or value != value else str(value)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, with seven significant digits."""
    from blurpaper.runs.files import written

    with written(path) as temporary:
        how = {"float_format": "%.7g", "lineterminator": "\n", "errors": "backslashreplace"}
        frame.to_csv(temporary, index=False, **how)


def read(path: Path) -> pd.DataFrame:
    """Read such a table.

    Raises:
        ResultsError: if the file is missing or lacks a column.

    >>> from blurpaper.runs.files import RESULTS
    >>> read(RESULTS / "emoji.csv").columns[0]
    'experiment'
    """
    import pandas as pd

    if not path.is_file():
        raise ResultsError(f"no results at {path}.")
    try:
        frame = pd.read_csv(
            path,
            index_col=False,
            dtype=dict.fromkeys(KEY, str),
            keep_default_na=False,
            na_values=dict.fromkeys(COLUMNS[len(KEY) :], ""),
        )
        if missing := [column for column in COLUMNS if column not in frame.columns]:
            raise ResultsError(f"{path} has no column {missing[0]!r}.")
        return table(frame.to_dict("records"))
    except OSError as error:
        raise ResultsError(f"cannot read {path}: {error.strerror or error}.") from None
    except ResultsError:
        raise
    except (ValueError, TypeError) as error:  # no text, no table, or words where numbers should be
        reason = str(error).strip().splitlines()[0]
        raise ResultsError(f"{path} is not a table of results: {reason}.") from None


def select(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Rows whose columns have these values; a list means any of them.

    >>> from blurpaper.runs.files import RESULTS
    >>> top5 = select(read(RESULTS / "emoji.csv"), experiment="table1", metric="top5", scale="256")
    >>> set(select(top5, condition=["sharp", "D8"])["condition"]) == {"sharp", "D8"}
    True
    """
    for column, value in values.items():
        wanted = value if isinstance(value, (list, tuple, set)) else [value]
        frame = frame[frame[column].isin(list(wanted))]
    return frame


def columns(key: tuple) -> dict[str, Any]:
    """The columns of :data:`DECISION_KEY` of a result, from their values."""
    return dict(zip(DECISION_KEY, key, strict=True))


# --- Two tables compared --------------------------------------------------------------------------

SAME = 1e-6
"""Numbers that differ by no more than this share of the larger are the same, as results are written
with seven digits.
"""

VERDICTS = ("same", "within", "moved", "only A", "only B")
"""On a row: the same number in both tables, within an interval, moved, or in one table alone."""


def compare(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Match the rows of two tables by :data:`KEY` and judge each difference.

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
    import pandas as pd

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
    import pandas as pd

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
