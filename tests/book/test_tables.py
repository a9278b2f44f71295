"""Tables of the book: each number in its place, with its interval, and none that is not there."""

import re
from html import unescape

import pandas as pd
import pytest

from blurpaper.book import tables
from blurpaper.evaluation import results


def row(
    condition: str,
    scale: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    metric: str = "top5",
) -> dict:
    return {
        "condition": condition,
        "scale": scale,
        "metric": metric,
        "value": value,
        "low": low,
        "high": high,
        "n": 1,
    }


def cells(html: str) -> dict[str, list[list[str]]]:
    """Label of a group -> its rows: the source, then the texts of its cells."""
    found, label = {}, ""
    for line in re.findall(r"(?s)<tr[^>]*>(.*?)</tr>", html):
        texts = [
            " ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split())
            for cell in re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", line)
        ]
        if len(texts) == 1 or "rowspan" in line:
            label, *texts = texts
        if texts:
            found.setdefault(label, []).append(texts)
    return found


@pytest.fixture
def rows() -> pd.DataFrame:
    paper = [row("sharp", "256", 0.9088, 0.9062, 0.9113), row("D8", "256", 0.6097)]
    ours = [row("sharp", "256", 0.5, 0.4, 0.6), row("D8", "256", 0.25), row("sharp", "512", 0.125)]
    frames = {"paper": results.table(paper), "ours": results.table(ours)}
    return pd.concat(frames, names=["source"]).reset_index(level=0)


def test_numbers_stand_in_their_row_and_column_and_what_was_not_measured_is_a_dash(rows) -> None:
    found = cells(tables.grouped(rows, "condition", "scale", ["256", "512"]))
    assert found["sharp"] == [["paper", "90.88", "–"], ["ours", "50.0 ±10.0", "12.5"]]
    assert found["D8"] == [["paper", "60.97", "–"], ["ours", "25.0", "–"]]


def test_two_numbers_for_one_cell_are_an_error(rows) -> None:
    twice = pd.concat([rows, rows.assign(data="another")])
    with pytest.raises(ValueError, match="2 results for scale '256'"):
        tables.grouped(twice, "condition", "scale", ["256"])


@pytest.mark.parametrize(
    ("value", "low", "high", "metric", "shown"),
    [
        (0.94449, 0.9, 0.95, "top1", "94.4 ±2.5"),
        (-0.02, -0.05, 0.01, "top1_vs_original", "−2.0 ±3.0"),
        (1.234, 1.0, 1.5, "entropy", "1.23 ±0.25"),
        (-0.0001, float("nan"), float("nan"), "top5", "0.0"),
    ],
)
def test_shares_are_shown_in_per_cent_and_minus_is_a_minus(value, low, high, metric, shown) -> None:
    one = results.table([row("D8", "256", value, low, high, metric)]).assign(source="ours")
    assert cells(tables.grouped(one, "condition", "scale", ["256"]))["D8"] == [["ours", shown]]


def test_headings_are_text_and_not_markup() -> None:
    one = results.table([row("<b>", "<i>", 0.5)]).assign(source="a<c")
    html = tables.grouped(one, "condition", "scale", ["<i>"])
    assert [html.count(each) for each in ("<b>", "<i>", "a<c")] == [0, 0, 0]
    assert all(each in html for each in ("&lt;b&gt;", "&lt;i&gt;", "a&lt;c"))
