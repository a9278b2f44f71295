"""``python -m benchmarks``: one benchmark after another, each a module whose ``measure(quick)``
gives rows of plain data.

The machine of the committed runs gave ``results/bench.json``. What a GPU reaches, ``python -m
benchmarks.gpu`` measures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import pandas as pd

from benchmarks import blurring, deblurring, finetuning, pipeline, starting, timing, whole
from blurpaper.runs.files import written

Rows = list[dict[str, object]]

BENCHMARKS: dict[str, Callable[[bool], Rows]] = {
    "blurring": blurring.measure,
    "limits": blurring.limits,
    "table1": pipeline.measure,
    "finetuning": finetuning.measure,
    "deblurring": deblurring.measure,
    "priors": deblurring.measure_priors,
    "starting": starting.measure,
    "whole": whole.measure,
}

LONG = ("whole",)
"""Measured only if named."""


@click.command(context_settings={"max_content_width": 100})
@click.argument("names", nargs=-1, metavar="[NAME]...", type=click.Choice(list(BENCHMARKS)))
@click.option("--quick", is_flag=True, help="Few images and rounds; the numbers mean little.")
@click.option("--json", "as_json", is_flag=True, help="Print data; tables go to standard error.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="JSON file in which the benchmarks measured replace those of the same name.",
)
def main(names: tuple[str, ...], quick: bool, as_json: bool, out: Path | None) -> None:
    """Measure the speed of blurpaper beside other libraries, on a machine that has nothing else to
    do.

    NAME is blurring, limits, table1, finetuning, deblurring, priors or starting, all of them by
    default, or whole, which runs the profiles smoke and emoji from an empty store and takes most of
    an hour. Libraries that are not installed are left out: pip install -e '.[bench]'.
    """
    found: dict[str, Rows] = {}
    for name in names or [name for name in BENCHMARKS if name not in LONG]:
        found[name] = BENCHMARKS[name](quick)
        click.echo(f"\n{name}\n{as_text(found[name])}", err=as_json)
    machine = timing.machine()
    if out:
        keep(found, machine, out)
    if as_json:
        click.echo(json.dumps({"machine": machine, **found}, indent=1))


def keep(found: Mapping[str, Rows], machine: Mapping[str, object], path: Path) -> None:
    """Write benchmarks to a file, each with its machine, in place of those of the same name."""
    whole = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    whole |= {name: {"machine": machine, "rows": rows} for name, rows in found.items()}
    with written(path) as temporary:
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def as_text(rows: Rows) -> str:
    """Rows in columns of equal width, numbers to three digits."""
    return pd.DataFrame(rows).map(_shown).to_string(index=False)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


if __name__ == "__main__":
    main()
