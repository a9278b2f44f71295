"""The advice of the first page follows from results: without a gain, it is to do nothing."""

import csv
import json
import re
import shutil
from html import unescape

import pandas as pd
import pytest

from blurpaper.book import build, remedies
from blurpaper.book.tables import rounded
from blurpaper.evaluation import results
from blurpaper.experiments import sources
from blurpaper.experiments.sources import Committed, Computed
from blurpaper.runs import Run, files
from blurpaper.runs.profile import load
from blurpaper.runs.store import Store


@pytest.fixture
def without_photographs(tmp_path, monkeypatch):
    """Committed results of the embedded data alone."""
    folder = tmp_path / "results"
    folder.mkdir()
    for path in files.RESULTS.glob("emoji*"):
        shutil.copy(path, folder)
    monkeypatch.setattr(files, "RESULTS", folder)
    return folder


def advice(profile: str) -> tuple[str, pd.DataFrame]:
    return remedies.remedies(Committed(load(profile)))


def published(name: str) -> list[dict[str, str]]:
    with (files.RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def value(rows: list[dict[str, str]], **wanted: str) -> dict[str, str]:
    (found,) = [row for row in rows if all(row[column] == one for column, one in wanted.items())]
    return found


def cells(html: str) -> list[list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", html.split("</thead>")[1], flags=re.DOTALL)
    return [
        [
            unescape(re.sub(r"<[^>]+>", "", cell))
            for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line)
        ]
        for line in lines
    ]


@pytest.mark.parametrize("name", ["emoji", "photos"])
def test_the_advice_is_that_of_the_photographs_wherever_they_are_committed(name) -> None:
    source, found = advice(name)
    assert source == ("this run" if name == "photos" else "photos")
    assert set(found["model"]) == {"efficientnet_lite0"}
    assert set(found["data"]) == {"nips2017-dev", "voc-animals"}


def test_each_number_is_one_of_the_committed_results() -> None:
    rows, (_, found) = published("photos"), advice("emoji")
    common = {"data": "nips2017-dev", "classes": "1000", "seed": "0", "metric": "top5"}
    interval = ["gain", "low", "high"]

    focus = found[found["images"].str.contains("unknown degree")]
    assert list(focus["condition"]) == ["D4", "D8", "sharp"]
    for one in focus.to_dict("records"):
        of = common | {"experiment": "table3", "condition": one["condition"]}
        tuned = {"network": "mix", "recipe": "agreement"}
        assert one["before"] == float(value(rows, **of, network="original")["value"])
        assert one["after"] == float(value(rows, **of, **tuned)["value"])
        gain = value(rows, **(of | tuned | {"metric": "top5_vs_original"}))
        assert [one[name] for name in interval] == [
            float(gain[name]) for name in ("value", "low", "high")
        ]

    (known,) = found[found["images"].str.contains("PSF")].to_dict("records")
    of = common | {"experiment": "table5", "network": "original", "condition": "D8"}
    before, after = (float(value(rows, **of, input=way)["value"]) for way in ("as is", "epll"))
    assert (known["before"], known["after"]) == (before, after)
    assert known["gain"] == pytest.approx(after - before)
    lost = value(rows, **of | {"input": "as is", "metric": "top5_vs_epll"})
    assert [known["low"], known["high"]] == [-float(lost["high"]), -float(lost["low"])]
    assert known["low"] < known["gain"] < known["high"]
    timings = Committed(load("photos")).timings()
    seconds = value(timings, kind=sources.SECONDS, name="epll")["seconds"]
    assert known["cost"] == f"{float(seconds):.2g} s an image"

    pixels = found[found["images"].str.contains("segmented")].set_index("condition")
    of = {"experiment": "table6", "region": "all", "metric": "miou"}
    for condition, one in pixels.iterrows():
        tuned = value(rows, **of, network="mix", condition=condition)
        assert one["after"] == float(tuned["value"])
    spent = value(timings, name="efficientnet_lite0:mix.voc-animals")
    assert set(pixels["cost"]) == {f"{float(spent['seconds']) / 60:.1f} min"}
    assert set(pixels["device"]) == {spent["device"]}


def test_of_networks_the_one_with_the_highest_mean_accuracy_is_advised() -> None:
    rows, (_, found) = published("photos"), advice("emoji")
    of = {"experiment": "table3", "data": "nips2017-dev", "classes": "1000", "seed": "0"}
    for images, (conditions, names) in remedies.KINDS.items():
        means = {}
        for name in names:
            mix, _, recipe = name.partition("/")
            of |= {"network": mix, "recipe": recipe or "labels", "metric": "top5"}
            means[name] = sum(
                float(value(rows, **of, condition=one)["value"]) for one in conditions
            )
        best = found[found["images"] == images]
        after = best[best["condition"].isin(conditions)]["after"].sum()
        assert after == pytest.approx(max(means.values())), images


def test_a_psf_nearly_the_true_one_is_warned_of_with_its_results() -> None:
    _, found = advice("photos")
    (caution,) = set(found["caution"]) - {""}
    near = {
        row["input"]: round(100 * float(row["value"]))
        for row in published("photos")
        if row["experiment"] == "deblurring_psf" and row["metric"] == "top5"
        if row["parameter"] in ("D7", "D9")
    }
    assert "radius is 1 px off," in caution
    naive = sorted(near[f"epll as {name}"] for name in ("D7", "D9"))
    assert f"is {naive[0]} to {naive[1]} % (at best " in caution
    assert f"{max(near.values())} %, assuming more noise)" in caution


def test_without_photographs_the_advice_is_that_of_the_run_with_its_own_times(
    without_photographs,
) -> None:
    source, found = advice("emoji")
    assert source == "this run"
    assert all("small_vgg" in one or "D8" in one or "emoji" in one for one in found["command"])
    rows = published("emoji")
    of = {"experiment": "table3", "condition": "shake", "metric": "top5"}
    before, after = (
        100 * float(value(rows, **of, network=name)["value"])
        for name in ("original", "sharp+shake")
    )
    shake = next(line for line in cells(remedies.table(found)) if "shaking" in line[0])
    assert shake[3] == f"{rounded(before, 1)} → {rounded(after, 1)}"
    spent = value(Committed(load("emoji")).timings(), kind="networks", name="small_vgg:sharp+shake")
    assert shake[-1] == f"{float(spent['seconds']) / 60:.1f} min"


def test_where_the_interval_of_every_gain_reaches_zero_the_advice_is_to_leave_things_as_they_are(
    monkeypatch,
) -> None:
    whole = results.read(files.RESULTS / "photos.csv")
    touched = whole["metric"].isin(["top5_vs_original", "miou_vs_original"])
    touched &= whole["condition"] != "sharp"
    whole.loc[touched, "low"] = -0.01
    monkeypatch.setattr(sources, "_table", lambda _: whole)
    _, found = advice("emoji")
    for images, rows in found.groupby("images"):
        (helps,) = set(rows["helps"])
        assert helps == ("PSF" in images)
        shown = remedies.table(rows)
        assert ("leave things as they are" in shown) == (not helps)
        assert (">nothing</td>" in shown) == (not helps)


def test_the_table_has_a_line_a_condition_and_links_to_where_it_is_measured() -> None:
    _, found = advice("emoji")
    html = remedies.table(found)
    links = set(re.findall(r'href="([^"]+)"', html))
    assert links == {build.page_of(one) for one in ("table3", "table5", "table6")}
    assert len(cells(html)) == len(found)
    assert html.count('scope="rowgroup"') == found["images"].nunique() == 5
    assert html.count('<th scope="col">') == 6


def test_times_that_were_not_kept_are_said_to_be_unknown(without_photographs) -> None:
    (without_photographs / "emoji.timings.csv").unlink()
    assert set(advice("emoji")[1]["cost"]) == {"not timed"}


def test_of_a_run_at_hand_the_times_are_those_of_the_networks_that_its_store_has(
    without_photographs, tmp_path, monkeypatch
) -> None:
    """What the store lacks has no time, what it has the seconds of its stamp."""
    stamp = {"kind": "networks", "name": "small_vgg:sharp+shake", "key": "0" * 16}
    stamp |= {"profile": "emoji", "made": "2026-01-01", "seconds": 72.0, "device": "a laptop"}
    folder = tmp_path / "store" / "networks" / "one"
    folder.mkdir(parents=True)
    (folder / "stamp.json").write_text(json.dumps(stamp))
    run = Computed(Run(load("emoji"), Store(tmp_path / "store")))
    monkeypatch.setattr(run, "rows", Committed(load("emoji")).rows)
    monkeypatch.setattr(run, "seconds", dict)
    _, found = remedies.remedies(run)
    timed = found[found["cost"] != "not timed"]
    assert set(timed["images"]) == {"blurred by a shaking camera"}
    assert set(timed["cost"]) == {"1.2 min"} and set(timed["device"]) == {"a laptop"}
