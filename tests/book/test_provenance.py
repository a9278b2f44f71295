"""From a number to the run that made it: rows behind every table, links under every caption, and
the page they lead to.
"""

import base64
import io
import json
import re
from html import unescape

import pandas as pd
import pytest

from blurpaper.book import tables
from blurpaper.book.chapter import headline
from blurpaper.book.tables import ANCHORS, download
from blurpaper.evaluation import results
from blurpaper.experiments import sources
from blurpaper.experiments.sources import (
    Committed,
    Computed,
    MissingError,
)
from blurpaper.runs import Run, files
from blurpaper.runs.profile import load
from blurpaper.runs.store import Artifact, Store

KEYS = [f"{number:016x}" for number in range(20)]


def tables_in(html: str) -> dict[str, pd.DataFrame]:
    """The rows of every table that offers them, by its caption."""
    found = {}
    for figure in re.findall(r'<figure class="blurpaper">.*?</figure>', html, flags=re.DOTALL):
        if link := re.search(
            r'<a class="csv" [^>]*href="data:text/csv;charset=utf-8;base64,([^"]*)"', figure
        ):
            text = base64.b64decode(link[1], validate=True).decode()
            frame = pd.read_csv(
                io.StringIO(text),
                dtype=dict.fromkeys(results.KEY, str),
                keep_default_na=False,
                na_values={"n": ""},
            )
            found[re.search(r"<figcaption>(.*?)\s<a", figure, flags=re.DOTALL)[1]] = frame
    return found


# --- The rows behind a table ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "metric"),
    [("Top-5 accuracy (%) by setting", "top5"), ("Entropy (nats) by setting", "entropy")],
)
def test_the_rows_behind_a_table_are_those_of_the_results(
    caption, metric, published_chapter
) -> None:
    found = tables_in(published_chapter("04_scales", "emoji")[0])
    (rows,) = (rows for told, rows in found.items() if told.startswith(caption))
    assert set(rows.columns) <= {"source", "setting", *results.COLUMNS}
    key = [column for column in results.KEY if column in rows]  # columns without a value are out
    photos = Committed(load("photos"))
    committed = {
        "paper": sources.paper(),
        "photographs": headline(photos.rows("table4"), photos),
        "embedded data": Committed(load("emoji")).rows("table4"),
    }
    measured = 0
    for source, frame in committed.items():
        wanted = results.select(frame, experiment="table4", metric=metric)
        # What a network fine-tuned on both scales has at one of them stands in no table.
        wanted = wanted[(wanted["train_scale"] != "256+512") | (wanted["scale"] == "256+512")]
        both = rows[rows["source"] == source].merge(wanted, on=key, suffixes=("", "_wanted"))
        assert len(both) == len(wanted) == (rows["source"] == source).sum()
        for column in ("value", "low", "high"):
            values = pd.to_numeric(both[column], errors="coerce").to_numpy()
            wanted_values = both[f"{column}_wanted"].to_numpy(float)
            assert values == pytest.approx(wanted_values, rel=1e-6, nan_ok=True)
        measured += len(wanted) > 0
    assert measured == (2 if metric == "entropy" else 3)


def test_every_table_of_results_offers_its_rows(smoke_run) -> None:
    offered = 0
    for chapter in (
        "02_pretrained",
        "03_finetuning",
        "04_scales",
        "06_deblurring",
        "07_segmentation",
        "08_second_model",
    ):
        html = (smoke_run[0] / "notebooks" / f"{chapter}.html").read_text(encoding="utf-8")
        for figure in re.findall(r'<figure class="blurpaper">.*?</figure>', html, flags=re.DOTALL):
            if 'role="img"' not in figure and 'class="blurpaper ledger"' not in figure:
                assert re.search(
                    r'<a class="csv" download="[\w.+-]+\.csv" aria-label="CSV[^"]{20,}" '
                    r'href="data:text/csv',
                    figure,
                )
                offered += 1
    assert offered >= 10


def test_rows_are_offered_with_seven_digits_and_what_is_no_result_as_it_is() -> None:
    rows = results.table(
        [{"experiment": "a & b", "metric": "top1", "value": 1 / 3, "n": 3}]
    ).assign(shown="for the table alone")
    offered = download({"this run": rows})
    assert (offered["name"], offered["count"]) == ("a-&-b-top1", 1)
    text = base64.b64decode(offered["href"].partition("base64,")[2]).decode()
    assert text.splitlines()[0] == "source," + ",".join(results.COLUMNS)
    assert text.splitlines()[1] == "this run,a & b,,,,,,,,,,,,,top1,,0.3333333,,,3"
    plain = download({"trials": pd.DataFrame({"rate": [0.1], "remark": ["a, b"]})})
    text = base64.b64decode(plain["href"].partition("base64,")[2]).decode()
    assert text == 'source,rate,remark\ntrials,0.1,"a, b"\n'
    assert plain["name"] == "trials"


# --- First click: the run -------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["emoji", "photos"])
def test_every_source_links_to_an_anchor_that_is_there(published_chapter, profile) -> None:
    html, runs = published_chapter("12_runs", profile)
    text = "\n".join(cell.source for cell in runs.cells)
    assert set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)) == set(ANCHORS.values())
    linked = set(re.findall(r'href="12_runs.html#([\w-]+)"', html))
    missing = {"run-photos"} if profile == "photos" else set()
    assert linked == set(ANCHORS.values()) - missing


def test_a_page_names_its_run_once_and_each_source_links_to_where_it_is_from(
    published_chapter,
) -> None:
    html, _ = published_chapter("02_pretrained", "photos")
    (line,) = re.findall(r'<p class="blurpaper-sources">(.*?)</p>', html)
    assert line.endswith("profile photos, as committed.")
    for part in [line, *re.findall(r"<figcaption>(.*?)</figcaption>", html, flags=re.DOTALL)]:
        links = re.findall(r'<a href="(12_runs[^"]*)">([^<]*)</a>', part)
        assert links or "CSV" not in part or "Claims decided here" in part
        assert set(links) <= {
            ("12_runs.html#run-paper", "paper"),
            ("12_runs.html#run-this", "photographs"),
        }


def test_each_source_links_to_its_own_run(published_chapter) -> None:
    html, _ = published_chapter("04_scales", "emoji")
    for name, anchor in zip(("paper", "photographs", "embedded data"), ANCHORS.values()):
        assert f'<a href="12_runs.html#{anchor}">{name}</a>: ' in html


def test_on_photographs_the_published_run_is_this_one(published_chapter) -> None:
    html, _ = published_chapter("12_runs", "photos")
    assert "12_runs.html#run-this" in html and "#run-photos" not in html
    assert html.count("This run is the one on photographs.") == 1


# --- Second click: the artifact -------------------------------------------------------------------


def words_of(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", html))


def test_the_page_tells_profile_seed_commit_data_device_and_time_of_every_run(
    published_chapter,
) -> None:
    html, _ = published_chapter("12_runs", "emoji")
    said = words_of(html)
    for profile in ("emoji", "photos"):
        publications = Committed(load(profile)).publications()
        assert load(profile).title in said
        for about in publications:
            assert about["device"] in said and f"torch {about['versions']['torch']}" in said
        for one in (artifact for about in publications for artifact in about["artifacts"]):
            assert (
                one["name"] in said
                and one["commit"] in html
                and one["sha256"] in html
                and one["key"] in html
            )
            assert one["data"] is None or one["data"] in said
    assert "<dt>seed</dt><dd>0</dd>" in html and "/agreement#2" in said
    assert "arXiv:1611.05760" in said and f"{len(sources.paper())} numbers" in said


def test_an_artifact_stands_with_its_seconds(published_chapter) -> None:
    html, _ = published_chapter("12_runs", "emoji")
    timings = Committed(load("emoji")).timings()
    timings = [row for row in timings if row["kind"] != "seconds an image"]  # of a former version
    assert len(timings) > 100
    shown = [stamp["seconds"] for stamp in Committed(load("emoji")).origin().stamps]
    assert sorted(shown) == sorted(float(row["seconds"]) for row in timings)
    for row in timings:
        assert f"<td>{float(row['seconds']):,.1f}</td>" in html


def stamped(root, **values) -> None:
    stamp = {
        "kind": "networks",
        "name": "small_vgg:mix",
        "key": KEYS[0],
        "made": "2026-01-01T00:00:00+00:00",
        "inputs": {},
    } | values
    folder = root / stamp["kind"] / f"{stamp['name'].replace(':', '_')}-{stamp['key']}"
    folder.mkdir(parents=True)
    (folder / "stamp.json").write_text(json.dumps(stamp), encoding="utf-8")


def keys_of(origin) -> set[int]:
    return {KEYS.index(stamp["key"]) for stamp in origin.stamps}


def test_of_a_store_the_newest_of_the_profile_are_told(tmp_path) -> None:
    stamped(tmp_path, key=KEYS[0], profile="smoke", made="2026-01-01T00:00:00+00:00")
    stamped(tmp_path, key=KEYS[1], profile="smoke", made="2026-01-02T00:00:00+00:00")
    stamped(tmp_path, key=KEYS[2], profile="emoji", made="2026-01-03T00:00:00+00:00")
    stamped(tmp_path, key=KEYS[3], profile="smoke", inputs={"precision": "float32"})
    assert keys_of(Computed(Run(load("smoke"), Store(tmp_path))).origin()) == {1, 3}


def test_of_a_store_what_those_were_made_from_is_told_whoever_made_it_and_however_old(
    tmp_path,
) -> None:
    """And nothing is told for a parent that is gone."""
    stamped(tmp_path, key=KEYS[0], profile="smoke", parents=[KEYS[1], KEYS[9]])
    stamped(tmp_path, key=KEYS[1], profile="emoji", name="small_vgg:original", parents=[KEYS[2]])
    stamped(
        tmp_path, key=KEYS[2], kind="data", name="emoji-train", made="2025-01-01T00:00:00+00:00"
    )
    stamped(tmp_path, key=KEYS[3], kind="data", name="emoji-train")
    stamped(tmp_path, key=KEYS[4], kind="data", name="emoji-test")
    assert keys_of(Computed(Run(load("smoke"), Store(tmp_path))).origin()) == {0, 1, 2}


def test_what_is_missing_or_damaged_is_left_out_and_said(tmp_path, monkeypatch) -> None:
    nothing = Computed(Run(load("smoke"), Store(tmp_path / "nowhere")))
    assert not nothing.origin().stamps
    said = words_of(tables.provenance(nothing, {"seed": 3}))
    assert "none is kept for this profile yet" in said and "seed = 3" in said
    stamped(tmp_path, profile="smoke")
    for name, text in (("cut", '{"kind": "netw'), ("other", "{}")):
        (tmp_path / "networks" / name).mkdir()
        (tmp_path / "networks" / name / "stamp.json").write_text(text, encoding="utf-8")
    found = Computed(Run(load("smoke"), Store(tmp_path)))
    assert keys_of(found.origin()) == {0}
    assert "not known" in words_of(tables.provenance(found))
    monkeypatch.setattr(files, "RESULTS", tmp_path)
    with pytest.raises(MissingError):
        Committed(load("photos")).origin()
    assert "not part of this copy" in tables.provenance(Committed(load("photos")))


def nothing() -> dict:
    """Tensors, for which code of the library counts."""
    return {}


nothing.__module__ = "blurpaper.runs.randomness"


def test_a_stamp_that_a_store_writes_is_told(tmp_path) -> None:
    store = Store(tmp_path)
    about = {"profile": "smoke", "data": KEYS[5]}
    artifact = Artifact("networks", "<b>mix", {"seed": 0}, nothing, about=about)
    store.get(artifact)
    html = tables.provenance(Computed(Run(load("smoke"), store)))
    stamp = store.stamp(artifact)
    assert "&lt;b&gt;mix" in html and "<b>" not in html
    assert f'<code title="{stamp["key"]}">' in html and f'<code title="{stamp["commit"]}">' in html
    assert stamp["device"] in words_of(html) and f"{KEYS[5]}</code> emoji: networks 1" in html
    assert "networks: 1 artifact," in html


def test_what_a_store_made_an_artifact_from_is_told_with_it(tmp_path) -> None:
    store = Store(tmp_path)

    def made(name, profile, **inputs):
        artifact = Artifact("networks", name, inputs, nothing, about={"profile": profile})
        store.get(artifact)
        return artifact.key

    start = made("original", "emoji", seed=0)
    made("unused", "emoji", seed=1)
    tuned = made("mix", "smoke", start=start)
    origin = Computed(Run(load("smoke"), Store(tmp_path))).origin()
    assert {stamp["key"] for stamp in origin.stamps} == {start, tuned}


def test_uncommitted_changes_are_told(tmp_path) -> None:
    stamped(tmp_path, profile="smoke", commit="a" * 40, dirty=True)
    html = tables.provenance(Computed(Run(load("smoke"), Store(tmp_path))))
    assert f"{'a' * 12}</code> and uncommitted changes (1 artifact)" in html
