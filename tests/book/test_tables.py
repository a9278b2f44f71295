"""Tables of the book: each number in its place, with its interval, and none that is not there."""

import re

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


def cells(html: str) -> dict[str, list[str]]:
    """Row heading -> texts of its cells."""
    body = re.search(r"<tbody>(.*)</tbody>", html, flags=re.DOTALL)[1]
    found = {}
    for line in re.findall(r"<tr>(.*?)</tr>", body):
        heading, *rest = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)
        found[heading] = [re.sub(r"<[^>]+>", "|", cell).strip("|") for cell in rest]
    return found


@pytest.fixture
def sources() -> dict:
    paper = results.table([row("sharp", "256", 0.9088, 0.9062, 0.9113), row("D8", "256", 0.6097)])
    ours = [
        row("sharp", "256", 0.5, 0.4, 0.6),
        row("D8", "256", 0.25),
        row("sharp", "512", 0.125),
        row("D8", "512", 1.0),
    ]
    return {"paper": paper, "this run": results.table(ours)}


def test_numbers_stand_under_their_scale_and_source(sources) -> None:
    found = cells(tables.comparison(sources, {"top5": "top-5"}, ["sharp", "D8"], ["256", "512"]))
    assert found == {
        "sharp": ["90.9|90.6–91.1", "50.0|40.0–60.0", "12.5"],
        "D8": ["61.0", "25.0", "100.0"],
    }


def test_what_was_not_measured_is_a_dash_and_a_source_without_a_column_has_none(sources) -> None:
    html = tables.comparison(sources, {"top5": "top-5"}, ["sharp", "D4"], ["256", "512"])
    assert cells(html)["D4"] == ["–", "–", "–"]
    assert html.count('scope="col">paper') == 1


def test_headings_span_their_sources(sources) -> None:
    html = tables.comparison(sources, {"top5": "top-5"}, ["sharp"], ["256", "512"])
    assert re.findall(r'colspan="(\d)" scope="colgroup">(\w+)', html) == [
        ("2", "256"),
        ("1", "512"),
    ]


def test_two_numbers_for_one_cell_are_an_error(sources) -> None:
    frame = results.table([row("sharp", "256", 0.1) | {"data": name} for name in ("one", "two")])
    with pytest.raises(ValueError, match="2 results for condition 'sharp'"):
        tables.comparison({"run": frame}, {"top5": "top-5"}, ["sharp"], ["256"])


@pytest.mark.parametrize(
    ("value", "low", "high", "metric", "shown"),
    [
        (0.94449, 0.9, 0.95, "top1", "94.4|90.0–95.0"),
        (-0.02, -0.05, 0.01, "top1_vs_original", "−2.0|−5.0 to 1.0"),
        (0.5, 0.4, 0.6, "top5_recovered", "50.0|40.0–60.0"),
        (0.9567, 0.95, 0.96, "ssim", "0.957|0.950–0.960"),
        (1.234, 1.0, 1.5, "entropy", "1.23|1.00–1.50"),
        (-0.0001, float("nan"), float("nan"), "top5", "0.0"),
        (float("nan"), float("nan"), float("nan"), "top5", "–"),
    ],
)
def test_shares_are_shown_in_per_cent_and_minus_is_a_minus(value, low, high, metric, shown) -> None:
    assert "|".join(tables.number(value, low, high, metric)).strip("|") == shown


def test_headings_are_text_and_not_markup() -> None:
    frame = results.table([row("<b>", "256", 0.5)])
    html = tables.comparison({"a<b": frame, "c": frame}, {"top5": "x<y"}, ["<b>"], ["256"])
    assert "<b>" not in html
    assert [html.count(one) for one in ("a&lt;b", "x&lt;y", "&lt;b&gt;")] == [1, 1, 1]
