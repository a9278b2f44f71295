"""What ``blurpaper bench`` measures, ours beside the best of others.

Each module measures one thing: ``measure(quick)`` gives rows of plain data, one a line of a table.
What was measured where the book was made is committed as ``results/bench.json``; a chapter shows
it. What a GPU reaches, :mod:`benchmarks.gpu` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks import blurring, deblurring, finetuning, growth, pipeline, starting, timing, whole

Rows = list[dict[str, object]]

BENCHMARKS: dict[str, Callable[[bool], Rows]] = {
    "blurring": blurring.measure,
    "limits": blurring.limits,
    "table1": pipeline.measure,
    "finetuning": finetuning.measure,
    "deblurring": deblurring.measure,
    "priors": deblurring.measure_priors,
    "growth": growth.measure,
    "starting": starting.measure,
    "whole": whole.measure,
}
"""In the order of the book's page."""

LONG = ("whole",)
"""Measured only if they are named."""


def run(
    names: Sequence[str], quick: bool, tell: Callable[[str, Rows], object]
) -> dict[str, object]:
    """Measure, one after another: a name -> rows, and ``machine``.

    Args:
        quick: few images and rounds, to see that everything works.
        tell: told of each when it is done.

    Raises:
        ValueError: for a name of none.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise ValueError(f"a benchmark is one of {', '.join(BENCHMARKS)}. Got {name!r}.")
    found: dict[str, object] = {"machine": timing.machine()}
    for name in names or [name for name in BENCHMARKS if name not in LONG]:
        found[name] = BENCHMARKS[name](quick)
        tell(name, found[name])
        if name == "growth":
            found["exponents"] = growth.exponents(found[name])
            tell("exponents", found["exponents"])
    return found
