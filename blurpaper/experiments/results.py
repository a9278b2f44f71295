"""Results as data: one row a number, in the same columns for the paper, the published runs and the
run at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blurpaper.runs.errors import UserError
from blurpaper.runs.house import HOME

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

KEY = (
    "experiment", "model", "network", "train_scale", "recipe", "data", "classes", "input", "scale", "condition",
    "region", "metric", "seed",
)  # fmt: skip
"""What a number is of; no two rows share it."""
COLUMNS = (*KEY, "value", "low", "high", "n")

PAPER = Path(__file__).with_name("paper.csv")
PUBLISHED = HOME / "results"


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
    frame = pd.DataFrame(
        {column: [row.get(column) for row in rows] for column in COLUMNS if column not in KEY}
        | {
            column: pd.Series([_word(row.get(column)) for row in rows], dtype="object")
            for column in KEY
        }
    )[list(COLUMNS)]
    for column in ("value", "low", "high"):
        frame[column] = frame[column].astype(float)
    frame["n"] = frame["n"].astype("Int64")
    if (twice := frame.duplicated(list(KEY))).any():
        raise ResultsError(
            f"two results have the same key: {dict(frame.loc[twice, list(KEY)].iloc[0])}."
        )
    return frame


def _word(value: object) -> str:
    """A value of the key as a word; empty for none."""
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

    >>> read(PAPER).columns[0]
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
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is not a table of results: {str(error).strip()}.") from None
    if missing := [column for column in COLUMNS if column not in frame.columns]:
        raise ResultsError(f"{path} has no column {missing[0]!r}.")
    return table(frame.to_dict("records"))


@lru_cache(maxsize=1)
def paper() -> pd.DataFrame:
    """The paper's own numbers; accuracies with binomial intervals, as it gives none.

    >>> select(paper(), experiment="table1", metric="top5", scale="256", condition="D8")["value"].item()
    0.6097
    """
    return read(PAPER)


@lru_cache(maxsize=8)
def published(profile: str) -> pd.DataFrame:
    """The committed results of a profile.

    >>> {"small_vgg", "small_resnet"} <= set(published("emoji")["model"])
    True
    """
    return read(PUBLISHED / f"{profile}.csv")


@lru_cache(maxsize=8)
def published_decisions(profile: str) -> pd.DataFrame:
    """The committed decisions of a profile, one row an image and setting."""
    import pandas as pd

    path = PUBLISHED / f"{profile}.decisions.parquet"
    if not path.is_file():
        raise ResultsError(f"no decisions at {path}.")
    return pd.read_parquet(path)


def published_confusions(profile: str) -> pd.DataFrame:
    """The committed counts of pixels of a profile: a row an image, setting, region, true and given
    label that occur together.
    """
    import pandas as pd

    path = PUBLISHED / f"{profile}.confusions.parquet"
    if not path.is_file():
        raise ResultsError(f"no counts of pixels at {path}.")
    return pd.read_parquet(path)


def published_label_maps(profile: str) -> dict[str, np.ndarray]:
    """The committed label maps of the scenes that are shown (Fig. 5), by ``scene mix condition``;
    none if there are none.

    Each is uint8 ``(H, W)``.
    """
    import numpy as np

    path = PUBLISHED / f"{profile}.label_maps.npz"
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def published_played(profile: str) -> dict[str, Any] | None:
    """What the networks of a profile see in its embedded pictures (:mod:`blurpaper.play`), as
    committed; None if it was not.
    """
    import json

    path = PUBLISHED / f"{profile}.play.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


SECONDS = "seconds an image"
"""The kind of those rows of the timings that say what one image takes, not what an artifact took.
"""


def published_timings(profile: str) -> list[dict[str, str]]:
    """The committed timings of a profile, a row an artifact (or of kind :data:`SECONDS`); none if
    it was not timed.
    """
    import csv

    path = PUBLISHED / f"{profile}.timings.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def published_seconds(profile: str) -> dict[str, float]:
    """Seconds an image took to deblur in the committed run of a profile, by treatment."""
    return {
        row["name"]: float(row["seconds"])
        for row in published_timings(profile)
        if row["kind"] == SECONDS
    }


def select(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """Rows whose columns have these values; a list means any of them.

    >>> len(select(paper(), experiment="table1", metric="top5", scale="256", condition=["sharp", "D8"]))
    2
    """
    for column, value in values.items():
        wanted = value if isinstance(value, (list, tuple, set)) else [value]
        frame = frame[frame[column].isin(list(wanted))]
    return frame
