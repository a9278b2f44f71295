"""What an experiment is: a function from a profile and a store to tidy rows, found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

from blurpaper.experiments import results
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store

if TYPE_CHECKING:
    import pandas as pd


PAPER, PHOTOS, RUN = "paper", "photos", "this run"
"""Where numbers come from, as the book and the ledger call it."""


class Published:
    """Stands in for a store: everything comes from the committed results."""


Experiment = Callable[[Profile, "Store | Published"], "pd.DataFrame"]
EXPERIMENTS: dict[str, Experiment] = {}
"""Every experiment by its name in the results."""


def experiment(make_rows: Callable[[Profile, Store], Iterable[dict[str, Any]]]) -> Experiment:
    """Register a function that yields rows under its own name, and let it read published results
    instead.
    """
    name = make_rows.__name__

    @wraps(make_rows)
    def run(profile: Profile, store: Store | Published) -> pd.DataFrame:
        if isinstance(store, Published):
            rows = results.select(results.published(profile.name), experiment=name)
            if rows.empty:
                raise results.ResultsError(
                    f"the committed results of profile {profile.name} have no {name}."
                )
            return rows
        return results.table({"experiment": name, **row} for row in make_rows(Run(profile, store)))

    EXPERIMENTS[name] = run
    return run
