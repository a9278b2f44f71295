"""The advice of the first page is drawn from results, and is to do nothing where nothing is gained."""

import csv
import re
import shutil
from html import unescape

import pytest

from blurpaper import book, deciding, deciding_html, results
from blurpaper.page import Page


@pytest.fixture
def without_photographs(tmp_path, monkeypatch):
    """Committed results of the embedded data alone."""
    for path in results.PUBLISHED.glob("emoji*"):
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    yield tmp_path


def published(name: str) -> list[dict[str, str]]:
    with (results.PUBLISHED / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def value(rows: list[dict[str, str]], **wanted: str) -> dict[str, str]:
    (found,) = [row for row in rows if all(row[column] == one for column, one in wanted.items())]
    return found


def cells(html: str) -> list[list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", html.split("<tbody>")[1])
    return [
        [
            unescape(re.sub(r"<[^>]+>", "", cell))
            for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line)
        ]
        for line in lines
    ]


@pytest.mark.parametrize("name", ["emoji", "photos"])
def test_the_advice_is_that_of_the_photographs_wherever_they_are_committed(name) -> None:
    known = deciding.evidence(Page(name, {}, published=True))
    assert known.profile.name == "photos"
    assert known.source == ("this run" if name == "photos" else "photos")


def test_each_number_is_one_of_the_committed_results() -> None:
    rows, found = (
        published("photos"),
        deciding.choices(deciding.evidence(Page("emoji", {}, published=True))),
    )
    by_images = {choice.images: choice for choice in found}
    common = {"data": "nips2017-dev", "classes": "1000", "seed": "0", "metric": "top5"}

    (focus,) = [one for images, one in by_images.items() if "focus, by how much" in images]
    for effect in focus.effects:
        of = common | {"experiment": "table3", "condition": effect.condition}
        tuned = {"network": "mix", "recipe": "agreement"}
        assert effect.before["value"] == float(value(rows, **of, network="original")["value"])
        assert effect.after["value"] == float(value(rows, **of, **tuned)["value"])
        gain = value(rows, **(of | tuned | {"metric": "top5_vs_original"}))
        assert [effect.gain[one] for one in ("value", "low", "high")] == [
            float(gain[one]) for one in ("value", "low", "high")
        ]

    (known,) = [one for images, one in by_images.items() if "PSF" in images]
    of = common | {"experiment": "table5", "network": "original", "condition": "D8"}
    before, after = (float(value(rows, **of, input=way)["value"]) for way in ("as is", "epll"))
    (effect,) = known.effects
    assert (effect.before["value"], effect.after["value"]) == (before, after)
    assert effect.gain["value"] == pytest.approx(after - before)
    assert effect.gain["low"] < effect.gain["value"] < effect.gain["high"]
    seconds = next(
        row
        for row in results.published_timings("photos")
        if row["kind"] == results.SECONDS and row["name"] == "epll"
    )
    assert known.cost == f"{float(seconds['seconds']):.2g} s an image"

    (pixels,) = [one for images, one in by_images.items() if "pixel" in images]
    of = {"experiment": "table6", "region": "all", "metric": "miou", "condition": "D8"}
    assert pixels.effects[-1].after["value"] == float(value(rows, **of, network="mix")["value"])
    spent = next(
        row
        for row in results.published_timings("photos")
        if row["name"] == "efficientnet_lite0:mix.voc-animals"
    )
    assert pixels.cost.startswith(f"{float(spent['seconds']) / 60:.1f} min")


def test_a_psf_nearly_the_true_one_is_warned_of_with_its_results() -> None:
    found = deciding.choices(deciding.evidence(Page("photos", {}, published=True)))
    (caution,) = [choice.caution for choice in found if choice.caution]
    rows = [
        row
        for row in published("photos")
        if row["experiment"] == "deblurring_psf" and row["metric"] == "top5"
    ]
    near = {
        row["input"]: round(100 * float(row["value"]))
        for row in rows
        if row["region"] in ("D7", "D9")
    }
    assert "wrong by 1 pixel," in caution
    naive = sorted(near[f"epll as {name}"] for name in ("D7", "D9"))
    assert f"is {naive[0]} to {naive[1]} %, where" in caution
    assert f"{max(near.values())} % at best" in caution


def test_without_photographs_the_advice_is_that_of_the_run_with_its_own_times(
    without_photographs,
) -> None:
    known = deciding.evidence(Page("emoji", {}, published=True))
    assert (known.source, known.profile.name) == ("this run", "emoji")
    found = deciding.choices(known)
    shown = cells(deciding_html.table(found))
    rows = published("emoji")
    for choice in found:
        assert (
            "small_vgg" in choice.command
            or "deblur" in choice.command
            or "--profile emoji" in choice.command
        )
    shake = next(line for line in shown if "shaking" in line[0])
    original = value(
        rows, experiment="table3", network="original", condition="shake", metric="top5"
    )
    assert shake[3].startswith(f"{100 * float(original['value']):.1f} → ")
    assert shake[-1] == f"{known.training['networks sharp+shake'] / 60:.1f} min once"


def test_where_the_interval_of_every_gain_reaches_zero_the_advice_is_to_leave_the_network_as_it_is(
    monkeypatch,
) -> None:
    page = Page("emoji", {}, published=True)
    whole = results.published("photos").copy()
    touched = whole["metric"].isin(["top5_vs_original", "miou_vs_original"])
    whole.loc[touched, "low"] = -0.01
    monkeypatch.setattr(results, "published", lambda _: whole)
    found = deciding.choices(deciding.evidence(page))
    for choice in found:
        advice = deciding_html.table([choice])
        assert ("leave the network as it is" in advice) == (
            choice.does != "" and choice.chapter != "06"
        ), choice.images


def test_the_table_links_to_chapters_that_there_are_and_its_rows_are_given_once() -> None:
    found = deciding.choices(deciding.evidence(Page("emoji", {}, published=True)))
    html = deciding_html.table(found)
    pages = {f"{name}.html" for name in book.chapters()}
    assert set(re.findall(r'href="([^"]+)"', html)) <= pages
    assert len(cells(html)) == sum(len(choice.effects) for choice in found)
    rows = deciding.used(found)
    assert not rows.duplicated(list(results.KEY)).any()
    assert len(rows) > 20


def test_times_that_were_not_kept_are_said_to_be_unknown(without_photographs) -> None:
    (without_photographs / "emoji.timings.csv").unlink()
    found = deciding.choices(deciding.evidence(Page("emoji", {}, published=True)))
    assert {choice.cost for choice in found if choice.does} == {"not timed"}


def test_of_a_run_at_hand_the_times_are_those_of_the_networks_that_its_store_has(
    store, monkeypatch
) -> None:
    """Nothing is trained to be timed: what the store lacks has no time, what it has the seconds of
    its stamp.
    """
    page = Page("smoke")
    page.store = store
    assert deciding._seconds(page) == {}
    monkeypatch.setattr(store, "has", lambda recipe: recipe.name == "small_vgg:mix")
    monkeypatch.setattr(
        store, "stamp", lambda recipe: {"seconds": 72.0, "device": "cpu, 2 threads"}
    )
    assert deciding._seconds(page) == {"networks mix": (72.0, "cpu, 2 threads")}
