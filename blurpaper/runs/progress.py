"""Progress bars with an estimate of the time left."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    what: str, total: int | None = None, unit: str = "it"
) -> Iterator[Callable[..., None]]:
    """A bar on standard error, shown after two seconds; yields a callable that moves it.

    That takes ``(done)``, a number of further steps, or ``(done, total, loss)``, the state of all.
    """
    from tqdm import tqdm

    silent = os.environ.get("RANK", "0") != "0"  # of several processes the first speaks
    when = {"delay": 2, "mininterval": 1.0, "disable": silent}
    how = {"unit": unit, "unit_scale": unit == "B", "ncols": 100, "file": sys.stderr}
    if not sys.stderr.isatty():  # a notebook or a file has one line for all bars
        how["position"] = 0
    with tqdm(desc=what, total=total, **when, **how) as bar:

        def tick(done: int, total: int | None = None, loss: float = 0.0) -> None:
            if total is None:
                bar.update(done)
                return
            bar.total = total
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(done - bar.n)

        yield tick
