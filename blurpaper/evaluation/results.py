"""Results as data: one row a number, in the same columns for the paper, the published runs and the
run at hand; and two tables of them compared row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        frame.to_csv(temporary, index=False, float_format="%.7g", lineterminator="\n")


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
