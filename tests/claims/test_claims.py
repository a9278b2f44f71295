"""The ledger: claims come out of the paper's own numbers as the paper says, and verdicts follow
from intervals.
"""

import inspect
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from blurpaper import claims
from blurpaper.book import build, tables
from blurpaper.claims import Evidence, criteria
from blurpaper.claims.criteria import Finding, verdicts
from blurpaper.evaluation import intervals, metrics, results
from blurpaper.experiments import EXPERIMENTS, sources
from blurpaper.experiments.sources import Committed, Computed, Paper
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.randomness import stream

R = 1000
SCRIPTS = sorted(build.NOTEBOOKS.glob("*.py"))
(LEDGER,) = [script for script in SCRIPTS if "# (claims)=\n" in script.read_text("utf-8")]


def criterion(value, spread, limit=0.0, above=True, seed=0):
    noise = np.random.RandomState(seed).normal(size=R)
    return criteria.Criterion(
        "a number", value + np.concatenate([[0], spread * noise]), limit, above, "points"
    )


def decided(*of_claims):
    """Verdicts on claims that are given by their criteria, tested together."""
    made = [
        criteria.Claim(
            str(n),
            "1",
            "table1",
            criteria.REPRODUCED,
            "It is so.",
            "Clearly.",
            "",
            lambda _, own=own: iter(own),
        )
        for n, own in enumerate(of_claims)
    ]
    return [found.verdict for found in verdicts(made, Evidence(Paper())).values()]


# --- The paper's own numbers ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_the_paper():
    return verdicts(claims.CLAIMS.values(), Evidence(Paper()))


@pytest.mark.parametrize("name", claims.CLAIMS)
def test_every_claim_comes_out_of_the_papers_numbers_as_it_says(name, by_the_paper) -> None:
    assert by_the_paper[name].verdict == claims.CLAIMS[name].paper
    assert claims.CLAIMS[name].note or claims.CLAIMS[name].paper == criteria.REPRODUCED


def test_there_are_enough_claims_and_every_table_figure_and_section_has_some() -> None:
    assert len(claims.CLAIMS) >= 30
    shown = {one.shown for one in claims.CLAIMS.values()}
    assert {f"Table {name}" for name in "123456A"} | {"Fig. 1", "Fig. 4"} == shown
    assert {one.table for one in claims.CLAIMS.values()} <= set(EXPERIMENTS)
    assert {"3", "4.1", "4.2", "4.3", "4.4", "5", "A"} <= {
        one.section for one in claims.CLAIMS.values()
    }


def test_criteria_are_in_the_source_and_each_claim_is_a_small_function() -> None:
    for one in claims.CLAIMS.values():
        lines = inspect.getsource(one.criteria).splitlines()
        assert len(lines) <= 30, one.id
        assert one.says.endswith(".") and one.tolerance.endswith("."), one.id


def test_the_contradiction_about_transfer_between_types_of_blur_is_found(by_the_paper) -> None:
    """The caption of Table 3 against Sec. 4.1 and the table's own numbers."""
    assert by_the_paper["shake-helps-under-motion"].verdict == criteria.REPRODUCED
    assert by_the_paper["nothing-carries-over-between-types"].verdict == criteria.NOT_REPRODUCED


def test_margins_are_the_papers_differences(by_the_paper) -> None:
    """By hand from Tables 3 and 5: 90.88 - 90.59, 83.32 - 88.52 and 87.15 - 87.00 per cent."""
    for name, value in (
        ("mix-costs-little-on-sharp", 0.0029),
        ("shake-helps-under-motion", 0.0520),
        ("deblurring-is-inferior-to-the-mix", 0.0015),
    ):
        assert by_the_paper[name].weakest.quantity[0] == pytest.approx(value)


def test_numbers_without_intervals_decide_by_points_and_say_so(by_the_paper) -> None:
    assert by_the_paper["mix-improves-segmentation"].from_points
    assert not by_the_paper["mix-helps-under-defocus-and-shake"].from_points


def test_swapped_networks_overturn_the_claims_on_them() -> None:
    rows = sources.paper().copy()
    three = rows["experiment"] == "table3"
    swapped = {"original": "mix", "mix": "original"}
    of = rows.loc[three, "network"].map(lambda name: swapped.get(name, name))
    rows.loc[three, "network"] = of
    rows.loc[three, "train_scale"] = ["" if name == "original" else "256" for name in of]
    rows.loc[three, "recipe"] = ["" if name == "original" else "labels" for name in of]
    rows = rows[rows["experiment"] != "table1"]
    found = verdicts(claims.CLAIMS.values(), Evidence(Paper(rows)))
    assert found["mix-helps-under-defocus-and-shake"].verdict == criteria.NOT_REPRODUCED
    assert found["more-of-other-blurs-costs-more"].verdict == criteria.NOT_RUN
    assert "H4" in found["more-of-other-blurs-costs-more"].missing


# --- Verdicts -------------------------------------------------------------------------------------


def test_an_interval_decides_and_one_that_straddles_the_limit_does_not() -> None:
    assert decided([criterion(1.0, 0.1)], [criterion(-1.0, 0.1)], [criterion(0.05, 0.1)]) == [
        criteria.REPRODUCED,
        criteria.NOT_REPRODUCED,
        criteria.UNDECIDED,
    ]


def test_below_is_the_mirror_image_of_above() -> None:
    assert decided(
        [criterion(1.0, 0.1, 2.0, above=False)], [criterion(3.0, 0.1, 2.0, above=False)]
    ) == [
        criteria.REPRODUCED,
        criteria.NOT_REPRODUCED,
    ]


def test_all_criteria_must_hold_and_one_that_fails_refutes() -> None:
    sure, open_, wrong = (
        criterion(1.0, 0.1),
        criterion(0.0, 0.1, seed=1),
        criterion(-1.0, 0.1, seed=2),
    )
    assert decided([sure, sure]) == [criteria.REPRODUCED]
    assert decided([sure, open_]) == [criteria.UNDECIDED]
    assert decided([sure, wrong]) == [criteria.NOT_REPRODUCED]


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_resamples_in_which_a_number_cannot_be_computed_count_against_either_verdict(value) -> None:
    broken = criterion(value, 0.1)
    broken.quantity[1::3] = np.nan
    assert decided([broken]) == [criteria.UNDECIDED]


def test_of_no_loss_no_share_can_come_back() -> None:
    with np.errstate(all="raise"):
        drawn = {"miou": np.array([0.5, 0.4, 0.5]), "top5": np.array([0.9, 0.8, 0.8])}

        class Same:
            def miou(self, network="original", condition="sharp"):
                return drawn["miou"]

            def accuracy(self, network="original", condition="sharp"):
                return drawn["top5"] / (1 if condition == "sharp" else 2)

        (found,) = claims.CLAIMS["segmentation-regains-less"].criteria(Same())
    assert np.isnan(found.quantity).all()


def test_many_claims_of_chance_are_not_reproduced_by_chance() -> None:
    """Sixty quantities with true value at the limit: one in forty would pass alone on each side,
    together hardly any.
    """
    random = np.random.RandomState(3)
    verdicts_of = decided(*([criterion(random.normal() * 0.1, 0.1, seed=n)] for n in range(60)))
    alone = [
        decided([criterion(v, 0.1, seed=n)])[0]
        for n, v in enumerate(np.random.RandomState(3).normal(size=60) * 0.1)
    ]
    assert Counter(verdicts_of)[criteria.UNDECIDED] >= 58
    assert Counter(alone)[criteria.UNDECIDED] < Counter(verdicts_of)[criteria.UNDECIDED]


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.5]
    # sorted 0.01 0.03 0.04 0.5, times 4 over rank: 0.04 0.06 0.0533 0.5, made monotone from the end
    assert intervals.false_discovery_adjusted(p) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert len(intervals.false_discovery_adjusted([])) == 0


def test_rates_are_the_largest_p_values_that_the_procedure_rejects() -> None:
    """By search: each p-value is rejected at its rate, and no longer just above it."""
    p = [0.001, 0.012, 0.02, 0.04, 0.6]
    for number, rate in enumerate(intervals.false_discovery_rates(p)):
        for factor, rejected in ((1 - 1e-9, True), (1 + 1e-9, False)):
            moved = [*p[:number], rate * factor, *p[number + 1 :]]
            assert (intervals.false_discovery_adjusted(moved)[number] <= 0.05) == rejected


def test_the_images_that_would_decide_do_decide() -> None:
    """Against the interval itself: with so many times the images, it just excludes the limit."""
    one = criterion(0.05, 0.1)
    found = Finding(criteria.UNDECIDED, (one,), rate=0.02, images=500)
    spread = 0.1 * np.sqrt(500 / found.enough)
    _, low, _ = found.interval(criterion(0.05, spread))
    assert found.interval(one)[1] < 0
    assert low == pytest.approx(0, abs=0.1 * spread)
    assert found.enough == pytest.approx(500 * (2.3263 * one.quantity.std() / 0.05) ** 2, rel=0.01)


# --- Conditions -----------------------------------------------------------------------------------


def test_conditions_are_those_of_the_papers_experiments() -> None:
    """By hand: ILSVRC-2012 has 1,281,167 training images of 1,000 classes and 50,000 test images,
    of which Table 5 has a fifth; VOC 2012 has 1,464 training and 1,449 test images of 21 labels.
    """
    images, points = claims.evidence.INTERVALS, claims.evidence.POINTS
    assert criteria.had(claims.CLAIMS["mix-nearly-closes-the-gap"]) == (
        (images, np.inf, 1000, 50000),
        (images, 1281.167, 1000, 50000),
    )
    assert criteria.had(claims.CLAIMS["only-d8-beats-deblurring"])[0][1:] == (1281.167, 1000, 10000)
    assert set(criteria.had(claims.CLAIMS["segmentation-pays-more-on-sharp"])) == {
        (points, np.inf, 21, 1449),
        (points, 1464 / 21, 21, 1449),
        (images, np.inf, 1000, 50000),
        (images, 1281.167, 1000, 50000),
    }
    assert criteria.had(claims.CLAIMS["invariance-arises-late"]) == ()


class Given:
    """Evidence in which each tuned network has one number ± 0.001 throughout, the original 0.8."""

    def __init__(self, mix=0.5, spread=0.001, labelled=20.0, classes=10.0, images=500.0) -> None:
        self.used, self.mix, self.spread = [], mix, spread
        self.basis = claims.evidence.Basis("images", labelled, classes, images)

    measure = "top-5"

    def on(self, _):
        return [self]

    def accuracy(self, network="original", *_, **__):
        tuned = network != "original"
        self.used.append(self.basis if tuned else self.basis._replace(labelled=np.inf))
        return criterion(self.mix, self.spread).quantity if tuned else np.full(R + 1, 0.8)

    def number(self, _, network, *__, **___):
        return self.accuracy(network)


def finding(name, **given):
    return verdicts([claims.CLAIMS[name]], Given(**given))[name]


@pytest.mark.parametrize(
    ("less", "words"),
    [
        ({"labelled": 12.5}, "labelled training images a class: 12.5, where the paper had 1,281"),
        ({"classes": 9}, "classes: 9, where the paper had 1,000"),
        ({"images": 499}, "test images: 499, where the paper had 50,000"),
    ],
)
def test_a_hundredth_of_what_the_paper_had_is_enough_and_less_is_not(less, words) -> None:
    name = "mix-nearly-closes-the-gap"
    assert finding(name).verdict == criteria.NOT_REPRODUCED
    found = finding(name, **less)
    assert (found.verdict, found.missing) == (criteria.CONDITIONS_NOT_MET, words)
    assert tables.finding_text(found).endswith(f"points; criterion: < 5.0; {words}")


def test_conditions_excuse_no_other_verdict_and_nothing_that_the_paper_does_not_bear_out() -> None:
    name, little = "mix-nearly-closes-the-gap", {"labelled": 1}
    assert finding(name, mix=0.79, **little).verdict == criteria.REPRODUCED
    assert finding(name, mix=0.75, spread=0.1, **little).verdict == criteria.UNDECIDED
    # The paper's own numbers contradict the first, and it has none on the second.
    for name in ("nothing-carries-over-between-types", "mix-says-the-same-sharp-and-blurred"):
        found = finding(name, mix=0.9, **little)
        assert (found.verdict, found.missing) == (criteria.NOT_REPRODUCED, "")


# --- Evidence -------------------------------------------------------------------------------------


def test_differences_are_paired_over_the_images() -> None:
    """Against the paired bootstrap of the committed decisions, by another way."""
    photos = profiles.load("photos")
    source = Evidence(Committed(photos))
    drawn = source.accuracy("sharp+D8", "D8") - source.accuracy(condition="D8")
    frame = Committed(photos).decisions(data="nips2017-dev")
    of = {"model": "efficientnet_lite0", "scale": "256", "condition": "D8", "input": "as is"}
    one, other = (
        metrics.per_image(results.select(frame, network=name, recipe=recipe, **of))["top5"]
        for name, recipe in (("sharp+D8", "labels"), ("original", ""))
    )
    expected = intervals.of_mean(one - other, photos.evaluation.bootstrap)
    assert intervals.of_draws(drawn) == pytest.approx(expected)
    both = [source.accuracy(name, "D8")[1:].std() for name in ("sharp+D8", "original")]
    apart = np.hypot(*both)
    assert drawn[1:].std() < apart


def test_seeds_are_averaged_and_resampled() -> None:
    photos = profiles.load("photos")
    source = Evidence(Committed(photos))
    rows = results.select(Committed(photos).rows("table3"), network="mix", recipe="labels")
    row = results.select(
        rows, data="nips2017-dev", condition="D8", metric="top5", seed="all", classes="1000"
    )
    assert intervals.of_draws(source.accuracy("mix", "D8")) == pytest.approx(
        tuple(row[["value", "low", "high"]].iloc[0]), abs=1e-6
    )


def test_a_row_with_an_interval_is_drawn_from_it() -> None:
    drawn = Evidence(Paper()).accuracy()
    row = results.select(sources.paper(), experiment="table1", condition="sharp", scale="256").iloc[
        0
    ]
    _, low, high = intervals.of_draws(drawn)
    assert drawn[0] == row["value"]
    assert (low, high) == pytest.approx((row["low"], row["high"]), abs=4e-4)
    assert np.array_equal(drawn, Evidence(Paper()).accuracy())


def test_columns_that_are_empty_in_a_row_leave_its_noise_alone() -> None:
    """No claim's interval moved when ``item`` and ``parameter`` became columns."""
    former = [column for column in results.KEY if column not in ("item", "parameter")]
    row = results.select(
        sources.paper(), experiment="table1", condition="sharp", scale="256", metric="top5"
    ).iloc[0]
    noise = stream("claims", *(row[column] for column in former)).normal(size=R)
    expected = row["value"] + noise * (row["high"] - row["low"]) / (2 * 1.959964)
    assert np.array_equal(Evidence(Paper()).accuracy()[1:], expected)


def test_what_a_source_does_not_have_is_named() -> None:
    with pytest.raises(
        claims.NotMeasuredError,
        match=r"no hamming of .* with network original, condition D8, region pool5",
    ):
        Evidence(Paper()).hamming("original", "D8", "pool5")


def test_a_network_that_a_run_lacks_is_not_looked_for_in_tables_that_would_have_to_be_computed(
    smoke, tmp_path
) -> None:
    from blurpaper.runs.store import Store

    run = Run(profiles.load("smoke", {"evaluation.finetuned_networks": []}), Store(tmp_path))
    with pytest.raises(
        claims.NotMeasuredError, match=r"no top5 of .* with network sharp\+D8, condition D8"
    ):
        Evidence(Computed(run)).accuracy("sharp+D8", "D8")
    assert not list(tmp_path.iterdir())


# --- The page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries():
    return claims.ledger(Committed(profiles.load("emoji")))


def test_the_ledger_has_every_claim_and_three_sources(entries) -> None:
    assert {entry.claim.id for entry in entries} == set(claims.CLAIMS)
    assert all(list(entry.findings) == ["paper", "photos", "this run"] for entry in entries)
    assert [entry.claim.section for entry in entries] == sorted(
        entry.claim.section for entry in entries
    )


def test_counts_add_up(entries) -> None:
    counted = tables.counts(entries)
    assert all(sum(of.values()) == len(claims.CLAIMS) for of in counted.values())


def test_every_chapter_shows_the_claims_of_its_tables_and_figures() -> None:
    """So that a row of the ledger links to a row that is there."""
    tables = {one.table for one in claims.CLAIMS.values()}
    for script in SCRIPTS:
        text = script.read_text("utf-8")
        shown = re.findall(r'"(\w+)"', "".join(re.findall(r"show\.claims\((.*)\)", text)))
        assert set(shown) >= {table for table in tables if f"# ({table})=\n" in text}, script


def test_the_claims_of_a_table_have_the_verdicts_they_have_among_all(entries) -> None:
    of_table = claims.ledger(Committed(profiles.load("emoji")), ["table5"])
    among_all = {entry.claim.id: entry for entry in entries}
    assert len(of_table) == 5
    for entry in of_table:
        assert (
            entry.findings["this run"].verdict
            == among_all[entry.claim.id].findings["this run"].verdict
        )


def test_at_most_ten_claims_lack_their_conditions_on_photographs_and_none_elsewhere(
    entries,
) -> None:
    counted = tables.counts(entries)
    assert counted["photos"][criteria.CONDITIONS_NOT_MET] <= 10
    assert counted["paper"][criteria.CONDITIONS_NOT_MET] == 0
    assert counted["this run"][criteria.CONDITIONS_NOT_MET] == 0  # embedded, 120 images a class
    assert all(list(of) == list(criteria.VERDICTS) for of in counted.values())


def test_an_interval_beside_a_verdict_is_of_the_level_that_decides(entries) -> None:
    """So that it contains the limit of the weakest criterion exactly if the claim is undecided."""
    seen = Counter()
    for found in (one for entry in entries for one in entry.findings.values()):
        if found.criteria and not found.from_points:
            _, low, high = found.interval(found.weakest)
            seen[found.verdict] += 1
            between = low <= found.weakest.limit <= high
            assert between == (found.verdict == criteria.UNDECIDED), tables.finding_text(found)
    assert min(seen[one] for one in criteria.VERDICTS[:3]) > 3
    assert seen[criteria.CONDITIONS_NOT_MET]


def test_numbers_are_told_with_interval_limit_and_what_would_decide() -> None:
    known = Finding(criteria.REPRODUCED, (criterion(0.1234, 0.0, 0.05),))
    assert tables.finding_text(known) == "a number: 12.3 points; criterion: > 5.0"
    open_ = Finding(criteria.UNDECIDED, (criterion(0.01, 0.01),) * 2, rate=0.01, images=500)
    assert re.fullmatch(
        r"a number \(weakest of 2\): 1\.0 \(.* to .* at 99 %\) points; criterion: > 0\.0; "
        r"about 3,\d00 images would decide it \(500 are there\)",
        tables.finding_text(open_),
    )
    assert (
        Finding(criteria.UNDECIDED, (criterion(1.0, 0.1), criterion(0.0, 0.1))).weakest.quantity[0]
        == 0.0
    )


def test_labels_are_judged_where_there_are_most_of_them_a_class() -> None:
    """On the ten-way task of photographs; what was not measured there, with fewer labels."""

    class Source(Committed):
        def decisions(self, **values):
            asked.append((values["data"], values["network"], values["parameter"]))
            labelled = values["parameter"].removesuffix(" a class")
            known = values["network"] in ("original", "mix") or labelled == "100"
            frame = pd.DataFrame({"rank": np.arange(40) % 8, "image": np.arange(40)})
            every = [
                frame.assign(condition=condition, scale="256", seed="0", classes="10")
                for condition in ("sharp", "D4", "D8", "shake")
            ]
            columns = dict.fromkeys(("entropy", "cross_entropy", "js_divergence", "confidence"), 0)
            return (
                pd.concat(every).assign(**columns)
                if known
                else frame[:0].assign(condition="", scale="")
            )

    asked = []
    evidence = Evidence(Source(profiles.load("photos")))
    assert [one.data for one in evidence.on("table1")] == [evidence.data]
    assert evidence.measure == "top-5"
    densest, *_ = evidence.on("table3")
    assert (densest.data, densest.measure) == ("imagewoof", "top-1")
    assert densest.accuracy("mix", "D8")[0] == pytest.approx(1 / 8)  # the first of eight ranks
    assert asked == [("imagewoof", "mix", "350 a class")]
    assert densest.used[-1] == claims.evidence.Basis("images", 350, 10, 40)
    found = verdicts([claims.CLAIMS["shake-helps-under-defocus"]], evidence)
    assert found["shake-helps-under-defocus"].verdict != "not run"
    assert asked[-1] == ("imagewoof", "original", "") and asked[-2][2] == "100 a class"
