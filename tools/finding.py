"""The picture in the README, `results/finding.svg`, of the committed results: to be made anew when
results are published, by `python -m tools.finding`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pandas as pd

from blurpaper.book import plots
from blurpaper.book.chapter import begin
from blurpaper.book.style import inline
from blurpaper.runs.files import written

PICTURE = Path(__file__).parents[1] / "results" / "finding.svg"


def rows() -> pd.DataFrame:
    """The numbers in it: top-5 accuracy of three networks, as the paper and we have it."""
    run, _ = begin("emoji", {}, published=True)
    return run.table("table3", metric="top5", network=["original", "mix", "mix/agreement"])


def checksum(shown: pd.DataFrame) -> str:
    """A checksum of numbers, which the picture carries."""
    return hashlib.sha256(shown.to_csv(index=False).encode()).hexdigest()[:16]


def draw(shown: pd.DataFrame) -> str:
    """The key above a row of panels, a panel a source, on white."""
    by_source = dict(list(shown.groupby("source", sort=False)))
    key, *panels = map(inline, plots.curves(by_source, "network", "top-5 accuracy, %"))
    (_, top), *sizes = map(_size, (key, *panels))
    placed, across = [_at(key, 0, 0)], 0
    for panel, (width, _) in zip(panels, sizes, strict=True):
        placed.append(_at(panel, across, top))
        across += width
    down = top + max(height for _, height in sizes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}">'
        f"<desc>{checksum(shown)}</desc>"
        f'<rect width="100%" height="100%" fill="white"/>{"".join(placed)}</svg>\n'
    )


def _size(drawn: str) -> tuple[int, int]:
    width, height = re.search(r'width="(\d+)" height="(\d+)"', drawn).groups()
    return int(width), int(height)


def _at(drawn: str, x: int, y: int) -> str:
    return drawn.replace("<svg ", f'<svg x="{x}" y="{y}" ', 1)


if __name__ == "__main__":
    with written(PICTURE) as temporary:
        temporary.write_text(draw(rows()), encoding="utf-8")
