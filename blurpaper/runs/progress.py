"""Bars with an estimate, for anything that takes more than two seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    what: str, total: int | None = None, unit: str = "it"
) -> Iterator[Callable[..., None]]:
    """A bar on standard error, shown once it has run for two seconds; yields what to tell it.

    The callable takes ``(done)`` to advance by so many, or ``(done, total, loss)`` to say where it
    stands.
    """
    from tqdm import tqdm

    options = {
        "delay": 2,
        "file": sys.stderr,
        "mininterval": 1.0,
        "ncols": 100,
        "unit_scale": unit == "B",
    }
    options["disable"] = os.environ.get("RANK", "0") != "0"  # of several processes the first speaks
    with tqdm(total=total, desc=what, unit=unit, **options) as bar:

        def tick(done: int, total: int | None = None, loss: float | None = None) -> None:
            if total is None:
                bar.update(done)
                return
            bar.total = total
            if loss is not None:
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(done - bar.n)

        yield tick
