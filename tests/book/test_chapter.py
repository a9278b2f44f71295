"""The numbers of a chapter from every source, and what it shows of them."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from alt_texts import Pictures

from blurpaper.book import build, chapter, plots, show
from blurpaper.book.chapter import Chapter, begin, check_parameters, headline
from blurpaper.book.tables import MARKS, said
from blurpaper.claims import CLAIMS, Evidence
from blurpaper.evaluation import intervals, results
from blurpaper.experiments.sources import Committed, Paper
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import UserError


@pytest.fixture(scope="module")
def run() -> Chapter:
    return Chapter("emoji", published=True)


@pytest.fixture
def shown(run, monkeypatch):
    """What shows the numbers of that chapter, with the HTML that it gives out and what it glues."""
    given = show.Show(run)
    given.html, given.glued = [], {}
    monkeypatch.setattr(show, "display", lambda one: given.html.append(one.data))
    glued = given.glued
    monkeypatch.setattr(show, "glue", lambda name, value, display: glued.update({name: value}))
    return given


# --- Parameters -----------------------------------------------------------------------------------


def test_a_parameter_that_papermill_only_warns_of_is_refused_in_a_sentence() -> None:
    check_parameters(["seed = 1", '# Parameters\nprofile = "smoke"\noverrides = {"seed": 1}\n'])
    with pytest.raises(UserError, match=r"none named 'seed'; .* -y 'overrides: \{seed: 1\}'"):
        check_parameters(['# Parameters\nprofile = "smoke"\nseed = 1\n'])


def test_in_a_notebook_what_the_user_can_mend_is_a_sentence_and_no_traceback() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S\ns = S.instance()\n"
        "s.run_cell('from blurpaper.book.chapter import begin')\n"
        'r = s.run_cell(\'begin("emoji", {"sead": 1}, True)\')\nassert not r.success'
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = done.stdout + done.stderr
    assert told == "ProfileError: profile 'emoji', sead: no such field; did you mean 'seed'?\n"


# --- Tables and numbers ---------------------------------------------------------------------------


def test_a_table_is_tidy_with_a_row_a_number_of_every_source(run) -> None:
    table = run.table("table3", metric="top5", condition="D8").set_index(["source", "network"])
    assert table.loc[("paper", "mix"), "value"] == 0.8701
    committed = results.select(
        Committed(profiles.load("photos")).rows("table3"),
        metric="top5", condition="D8", data="nips2017-dev", network="mix", recipe="batch-norm",
    )  # fmt: skip
    assert table.loc[("photographs", "mix/batch-norm"), "value"] == committed["value"].item()
    assert not table.index.duplicated().any()
    assert "region" not in table  # which no row has
    whole = run.table("table3", whole=True, metric="top5", condition="D8")
    assert set(whole["data"]) == {"imagenet", "nips2017-dev", "imagewoof", "emoji"}


def test_an_experiment_without_results_is_an_empty_table_and_one_that_is_none_an_error(run) -> None:
    assert run.table("table1", metric="no such metric").empty
    with pytest.raises(UserError, match="Got tabel3"):
        run.table("tabel3")


def test_the_headline_is_of_all_seeds_where_there_are_several() -> None:
    of = {"model": "m", "data": "emoji", "metric": "top5", "classes": "100"}
    rows = results.table(
        of | {"network": network, "seed": seed, "value": value} | other
        for network, seed, value, other in (
            ("original", "0", 0.1, {}),
            ("mix", "0", 0.2, {}),
            ("mix", "1", 0.3, {}),
            ("mix", "all", 0.25, {}),
            ("onlyD8", "0", 0.4, {}),
            ("onlyD8", "0", 0.6, {"data": "elsewhere"}),
            ("onlyD8", "0", 0.7, {"model": "another"}),
        )
    )
    kept = headline(rows, Committed(profiles.load("emoji")))
    assert list(zip(kept["network"], kept["value"], strict=True)) == [
        ("original", 0.1), ("mix", 0.25), ("onlyD8", 0.4),
    ]  # fmt: skip


def test_a_number_is_that_of_the_table_with_its_interval(run) -> None:
    """One bootstrap: what prose says is what the table of the same number says."""
    table = run.table("table3", metric="top5", condition="D8").set_index(["source", "network"])
    for title in ("photographs", "embedded data"):
        for network in ("original", "mix", "mix/agreement", "onlyD8"):
            row = table.loc[(title, network), ["value", "low", "high"]].to_numpy(float)
            drawn = run.top5(network, "D8")[title].to_numpy()
            assert np.allclose(intervals.of_draws(drawn), row, atol=1e-6), (title, network)


def test_a_difference_is_the_paired_one_of_the_results(run) -> None:
    difference = run.number("top1", "mix", "D8") - run.number("top1", "original", "D8")
    row = results.select(
        Committed(profiles.load("emoji")).rows("table3"),
        network="mix", recipe="labels", condition="D8", metric="top1_vs_original",
    ).iloc[0]  # fmt: skip
    found = intervals.of_draws(difference["embedded data"].to_numpy())
    assert np.allclose(found, row[["value", "low", "high"]].to_numpy(float), atol=1e-6)


def test_the_second_model_is_that_of_each_source(run, shown) -> None:
    drawn = run.top5(condition="D8", model="second")
    table = run.table("tableA", metric="top5", network="original", scale="256", condition="D8")
    assert dict(drawn.iloc[0]) == pytest.approx(dict(zip(table["source"], table["value"])))
    shown.box("percent", of="tableA", top5=drawn)
    assert "resnet50 on imagenet" in shown.html[0] and "small_resnet on emoji" in shown.html[0]


def test_the_share_of_mean_iou_recovered_is_that_of_the_results(run) -> None:
    for region in ("all", "boundary"):
        row = results.select(
            Committed(profiles.load("photos")).rows("table6"),
            network="mix", condition="D8", metric="miou_recovered", region=region,
        ).iloc[0]  # fmt: skip
        found = run.recovered("mix", "D8", metric="miou", region=region)["photographs"]
        wanted = row[["value", "low", "high"]].to_numpy(float)
        assert np.allclose(intervals.of_draws(found.to_numpy()), wanted, atol=1e-6)


def test_no_share_is_given_of_a_small_loss(run, shown, capsys) -> None:
    assert run.recovered("mix", "D8")["paper"][0] == pytest.approx(
        (0.8701 - 0.6097) / (0.9088 - 0.6097)
    )
    treated = run.recovered("original", "D8", "epll", experiment="table5")["paper"][0]
    assert treated == pytest.approx((0.87 - 0.6157) / (0.906 - 0.6157))
    few = run.recovered("mix", "D2")
    assert np.isnan(few["embedded data"][0])
    shown.numbers("share", few=few)
    assert shown.glued["few-run"] == "no share of so small a loss"
    assert shown.glued["few-paper"] == "not reported"


@pytest.mark.parametrize(
    ("name", "unit", "text"),
    [
        ("paper", "percent", "61.25 %"),
        ("paper", "share", "61.3 %"),
        ("embedded data", "points", "61.3 points (60.0 to 62.0)"),
        ("embedded data", "nats", "0.61 nats (0.60 to 0.62)"),
    ],
)
def test_numbers_are_rounded_half_up_and_the_papers_have_no_interval(name, unit, text) -> None:
    drawn = pd.Series([0.6125, *np.linspace(0.6 - 1e-3, 0.62 + 1e-3, 1001)[25:-25]], name=name)
    assert " ".join(said(drawn, unit)).strip() == text


# --- What is shown --------------------------------------------------------------------------------


def cells(html: str) -> list[list[str]]:
    return [
        [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", line)]
        for line in re.findall(r"<tr>(.*?)</tr>", html)
    ]


def test_a_table_has_the_papers_digits_and_ours_beside_them(run, shown) -> None:
    table3 = run.table("table3", metric="top5", network=["original", "mix"])
    shown.table(table3, columns=["sharp", "D8"])
    (html,) = shown.html
    head, *body = cells(html)
    assert head == ["network", "source", "sharp", "D8"]
    assert body[0] == ["original", "paper", "90.88", "60.97"]
    assert body[3] == ["mix", "paper", "90.59", "87.01"]
    row = table3[(table3["source"] == "embedded data") & (table3["condition"] == "D8")].iloc[1]
    assert body[5][2] == f"{100 * row['value']:.1f} ±{50 * (row['high'] - row['low']):.1f}"
    caption = re.search(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)[1]
    assert "vgg16 on imagenet, n = 50,000" in caption and "n = 500" in caption
    assert 'download="table3-top5.csv"' in caption


def test_a_table_that_would_not_fit_a_page_is_an_error(run, shown) -> None:
    with pytest.raises(ValueError, match="at most five columns"):
        shown.table(run.table("table1", metric="top5"), "scale", "condition")


def test_what_no_source_has_is_not_yet_published(run, shown) -> None:
    nothing = run.table("table1", metric="no such metric")
    shown.table(nothing, columns=["D8"])
    shown.curves(nothing)
    assert all("Not yet published." in html for html in shown.html)


def test_curves_have_a_text_with_their_ends_and_their_rows(run, shown) -> None:
    shown.curves(run.table("table3", metric="top5", network=["original", "mix"]))
    (text,) = Pictures(shown.html[0]).texts
    assert "paper: original from 90.9 % to 61.0 %, mix from 90.6 % to 87.0 %" in text
    assert shown.html[0].count("<svg ") == 4 and "CSV" in shown.html[0]


def test_psfs_are_shown_with_their_names(shown) -> None:
    shown.psfs("D2", "H8")
    assert Pictures(shown.html[0]).texts == [
        "Grey-scale arrays of PSFs: D2 of 5 × 5, H8 of 1 × 9 pixels."
    ]


def test_curves_against_another_column_tell_the_highest_point_between_and_can_be_folded(
    run, shown
) -> None:
    psf = run.table("deblurring_psf", metric="top5", network=["original", "mix"])
    psf = psf[psf["input"].isin(["epll", "epll as D6", "epll as D10"]) | (psf["network"] == "mix")]
    shown.curves(psf, against="parameter", folded="Wrong PSFs")
    (html,) = shown.html
    (text,) = Pictures(html).texts
    assert "against parameter" in text and "by way of 99.0 % at D8" in text
    assert "mix 82.0 % throughout" in text
    assert "<summary>Wrong PSFs</summary>" in html


def test_pictures_have_their_titles_as_a_text_and_whom_to_thank(shown) -> None:
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    shown.pictures({"sharp": image, "mix\npool5: 10.0 %": torch.zeros(4, 4)})
    (html,) = shown.html
    assert Pictures(html).texts == [
        "Pictures that the code above makes, with their titles: sharp; mix pool5: 10.0 %."
    ]
    assert "black at 0" in html and "CC0, from scikit-image" in html
    shown.pictures({"sharp": image})
    assert "black at 0" not in shown.html[1]
    shown.pictures({"pool5": torch.zeros(4, 4)})
    assert "CC0" not in shown.html[2]


def test_the_box_has_a_number_of_each_source_with_the_verdict_of_its_claim(run, shown) -> None:
    shown.box("share", "segmentation-pays-more-on-sharp", recovered=run.recovered("mix"))
    tiles = re.findall(r"<div>(.*?)</div>", shown.html[0], re.DOTALL)
    told = [" ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in tiles]
    assert told[0] == "paper 87.1 % ✓ reproduced vgg16 on voc2012, n = 1,449"
    assert told[1].startswith("photographs 31.8 % (20.2 to 43.2) ≪ conditions not met")
    assert shown.glued["recovered-paper"] == "87.1 %"
    shown.box("percent", of="table5", top5=run.top5(experiment="table5"))
    assert "vgg16 on imagenet, n = 10,000" in shown.html[1]
    shown.box("percent", top5=run.top5("mix/agreement"))
    assert "not reported" in shown.html[2] and "vgg16" not in shown.html[2]
    assert shown.glued["recovered-run"] == "96.5 % (94.8 to 98.1)"


def test_the_box_of_segmentation_names_its_scenes(run, shown) -> None:
    shown.box("share", of="table6", back=run.recovered("mix", metric="miou"))
    html = shown.html[0]
    assert "vgg16 on voc2012, n = 1,449" in html and "on voc-animals, n = 223" in html


def test_mean_iou_has_the_papers_one_decimal(run, shown) -> None:
    table6 = run.table("table6", metric="miou", network="original", region="all")
    shown.table(table6, columns=["sharp", "D8"])
    assert cells(shown.html[0])[1] == ["original", "paper", "70.0", "23.1"]


def test_label_maps_stand_beside_the_truth_where_it_is_known(run, shown) -> None:
    shown.figure("figure5")
    of_photographs, drawn = shown.html
    assert "A cat: Stéfan van der Walt" in of_photographs and "<details" not in of_photographs
    assert ">truth<" not in of_photographs and drawn.count(">truth<") == 2
    (text,) = Pictures(of_photographs).texts
    assert re.search(r"scikit-image/astronaut, original, sharp: .*person \d+ %", text)


def test_the_iou_of_each_label_has_a_text_with_the_originals(run, shown) -> None:
    shown.by_label(run.table("table6", metric="iou"), folded="by label")
    (text,) = Pictures(shown.html[0]).texts
    frame = run.table("table6", metric="iou", network="original", region="cat").set_index(
        ["source", "condition"]
    )["value"]
    sharp, blurred = (100 * frame["photographs", one] for one in ("sharp", "D8"))
    assert f"cat from {sharp:.1f} % to {blurred:.1f} %" in text


def test_verdicts_are_those_of_the_ledger_and_can_stand_in_a_sentence(run, shown) -> None:
    shown.verdicts("two-scales-are-best-when-sharp", "fall-is-steeper-with-512")
    assert shown.glued["two-scales-are-best-when-sharp-photographs"] == "undecided"
    assert shown.glued["fall-is-steeper-with-512-paper"] == "reproduced"
    shown.claims("table1")
    of_table = [one for one in CLAIMS.values() if one.table == "table1"]
    assert shown.html[0].count('<tr id="claim-') == len(of_table)
    row = shown.html[0].partition('<tr id="claim-two-scales-are-best-when-sharp">')[2]
    marks = re.findall(r'<span title="([\w ]+)">(.)</span>', row.partition("</tr>")[0])
    assert marks == [("reproduced", "✓"), ("undecided", "?"), ("reproduced", "✓")]
    assert 'aria-label="CSV' in shown.html[0]


def test_the_ledger_has_every_claim_linked_to_its_chapter_and_a_matrix_that_leads_to_it(
    run, shown
) -> None:
    shown.claims()
    shown.matrix()
    listed, matrix = shown.html
    for name, one in CLAIMS.items():
        assert f'<tr id="{name}">' in listed
        assert (
            f'{build.page_of(one.table).partition("#")[0]}#claim-{name}">in its chapter' in listed
        )
        assert matrix.count(f'href="#{name}"') == 3
    for verdict, mark in MARKS.items():
        for role in ("paper", "photographs", "run"):
            assert shown.glued[f"{verdict.replace(' ', '-')}-{role}"].isdecimal()
        counted = sum(
            int(one) for one in re.findall(r"<td>(\d+)</td>", matrix_row(matrix, verdict))
        )
        assert counted == listed.count(f'title="{verdict}">{mark}<') > 0
    open_ = listed.partition('<tr id="two-scales-are-best-when-sharp">')[2].partition("</tr>")[0]
    (enough,) = re.findall(r"\? *</span>.*?<small>([\d,]+)</small>", open_)
    assert f"about {enough} images would decide it" in open_


def matrix_row(matrix: str, verdict: str) -> str:
    return matrix.partition(f"</span> {verdict}</th>")[2].partition("</tr>")[0]


def test_on_photographs_they_are_this_run_and_stand_once() -> None:
    run, _ = begin("photos", published=True)
    assert list(run.sources) == ["paper", chapter.PHOTOGRAPHS]
    assert run.roles["photographs"] == run.roles["run"] == chapter.PHOTOGRAPHS


def test_the_papers_numbers_are_those_of_its_evidence() -> None:
    drawn = Evidence(Paper()).accuracy("mix", "D8")
    assert drawn[0] == Chapter("emoji", published=True).top5("mix", "D8")["paper"][0]


def test_the_numbers_with_many_labels_are_those_that_decide_claims() -> None:
    photographs = Chapter("emoji", published=True).sources[chapter.PHOTOGRAPHS]
    drawn = Evidence(photographs, labelled=350).accuracy("mix", "D8")
    shown = Chapter("emoji", published=True).number("top1", "mix", "D8", labelled=350)
    assert shown[chapter.PHOTOGRAPHS].to_list() == drawn.tolist()
    assert shown["paper"].isna().all()


def test_lines_are_told_by_their_ends_as_far_as_both_are_known() -> None:
    rows = results.table(
        {"scale": scale, "condition": condition, "value": value}
        for scale, condition, value in (
            ("256", "sharp", 0.9),
            ("256", "D4", 0.8),
            ("256", "D8", 0.613),
            ("512", "sharp", 0.7),
        )
    )
    assert (
        plots.in_words({"paper": rows, "photos": rows.iloc[:1]}, "scale")
        == "From sharp to D8, paper: 256 from 90.0 % to 61.3 %."
    )
    assert (
        plots.in_words({"paper": rows}, "scale", percents=False)
        == "From sharp to D8, paper: 256 from 0.90 to 0.61."
    )
