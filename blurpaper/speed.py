"""Measured speed: running the benchmarks of a checkout, and the numbers that are committed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from blurpaper import book, results
from blurpaper.writing import written

Rows = list[dict[str, Any]]


def bench(names: Sequence[str], quick: bool, tell: Callable[[str, Rows], object]) -> dict[str, Any]:
    """Run benchmarks by name, or all; name -> rows, and ``machine``.

    Raises:
        BookError: outside a checkout, where there are no benchmarks.
        ValueError: for a name of none.
    """
    book.need_checkout("bench")
    if str(book.ROOT) not in sys.path:
        sys.path.insert(0, str(book.ROOT))
    from benchmarks import suite

    return suite.run(names, quick, tell)


def keep(found: Mapping[str, Any], path: Path) -> None:
    """Write what was measured over what a file has of the same benchmarks; each keeps the machine
    that it was measured on.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "bench.json"
    >>> keep({"machine": {"threads": 2}, "blurring": [{"psf": "D8", "images/s": 900.0}]}, path)
    >>> keep({"machine": {"threads": 8}, "starting": [{"seconds": 0.5}]}, path)
    >>> {name: part["machine"] for name, part in json.loads(path.read_text()).items()}
    {'blurring': {'threads': 2}, 'starting': {'threads': 8}}
    """
    whole = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    measured = {name: rows for name, rows in found.items() if name != "machine"}
    whole |= {name: {"machine": found["machine"], "rows": rows} for name, rows in measured.items()}
    with written(path) as temporary:
        temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def committed(name: str = "bench") -> dict[str, Any]:
    """The committed numbers: benchmark -> ``machine`` and ``rows``; empty where there are none.

    >>> "blurring" in committed()
    True
    """
    path = results.PUBLISHED / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def machine_of(measured: Mapping[str, Any]) -> str:
    """The machine of a measurement, in words.

    >>> versions = {"torch": "2.14", "kornia": None}
    >>> machine_of({"machine": {"processor": "EPYC", "threads": 2, "python": "3.11", "versions": versions}})
    'EPYC, 2 threads; Python 3.11, torch 2.14.'
    """
    machine = measured["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in machine["versions"].items() if version
    )
    return f"{machine['processor']}, {machine['threads']} threads; Python {machine['python']}, {versions}."


def as_text(rows: Rows) -> str:
    """Rows in columns of equal width.

    >>> print(as_text([{"psf": "D8", "images/s": 4609.86}, {"psf": "G4", "images/s": 3.14159}]))
    psf images/s
     D8    4,610
     G4     3.14
    """
    return _frame(rows).to_string(index=False)


def as_html(rows: Rows) -> str:
    """Rows as a table of the book.

    >>> html = as_html([{"psf": "D8", "images/s": 4609.86}])
    >>> [line.strip() for line in html.splitlines() if "<td>" in line]
    ['<td>D8</td>', '<td>4,610</td>']
    """
    return _frame(rows).to_html(index=False, border=0, classes="blurpaper", justify="right")


def _frame(rows: Rows):  # noqa: ANN202 (pandas is imported late)
    import pandas as pd

    return pd.DataFrame(rows).map(_shown)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)
