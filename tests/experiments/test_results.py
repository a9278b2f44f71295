"""Results as data: the paper's own numbers, typed in again here, and tables that are written, read
and refused.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from blurpaper.evaluation import results
from blurpaper.evaluation.results import COLUMNS, KEY, ResultsError, select
from blurpaper.experiments import sources


def row(**values):
    return {
        "experiment": "table1",
        "model": "small_vgg",
        "metric": "top5",
        "condition": "D8",
        "value": 0.5,
        **values,
    }


# --- The paper ------------------------------------------------------------------------------------


def test_the_paper_has_146_numbers_and_no_two_of_the_same():
    paper = sources.paper()
    assert tuple(paper.columns) == COLUMNS
    assert len(paper) == 146
    assert not paper.duplicated(list(KEY)).any()
    assert paper["value"].notna().all()
    counts = {
        "table1": 48,
        "table2": 12,
        "table3": 30,
        "table4": 21,
        "table5": 5,
        "table6": 20,
        "tableA": 10,
    }
    assert paper["experiment"].value_counts().to_dict() == counts


PUBLISHED = [
    ("table1", "original", "256", "sharp", "", "top5", 0.9088),
    ("table1", "original", "128", "sharp", "", "top5", 0.7607),
    ("table1", "original", "256+512", "D8", "", "top5", 0.5140),
    ("table1", "original", "512", "G8", "", "top5", 0.0341),
    ("table1", "original", "256", "shake", "", "top5", 0.6902),
    ("table2", "original", "256", "D8", "", "entropy", 3.8021),
    ("table2", "mix", "256", "sharp", "", "cross_entropy", 1.1449),
    ("table3", "sharp+D4", "256", "sharp", "", "top5", 0.9136),
    ("table3", "onlyD8", "256", "sharp", "", "top5", 0.1610),
    ("table3", "sharp+shake", "256", "H8", "", "top5", 0.8852),
    ("table4", "mix", "512", "D8", "", "top5", 0.8154),
    ("table5", "onlyD8", "256", "D8", "", "top5", 0.8830),
    ("table6", "mix", "384", "D8", "boundary", "miou", 0.305),
    ("table6", "original", "384", "sharp", "all", "miou", 0.700),
    ("tableA", "original", "256+512", "D8", "", "top5", 0.5594),
]


@pytest.mark.parametrize(
    ("experiment", "network", "scale", "condition", "region", "metric", "value"), PUBLISHED
)
def test_a_number_of_the_paper_is_the_papers(
    experiment, network, scale, condition, region, metric, value
):
    found = select(
        sources.paper(),
        experiment=experiment,
        network=network,
        scale=scale,
        condition=condition,
        region=region,
        metric=metric,
    )
    assert found["value"].tolist() == [value]


def test_table_4_tells_one_network_for_both_scales_from_one_for_each():
    found = select(
        sources.paper(), experiment="table4", network="mix", scale="256+512", condition="D8"
    )
    assert dict(zip(found["train_scale"], found["value"])) == {
        "256+512": 0.8586,
        "per-scale": 0.8709,
    }


def test_table_5_tells_deblurred_from_blurred_input():
    found = select(sources.paper(), experiment="table5", network="original", condition="D8")
    assert dict(zip(found["input"], found["value"])) == {"as is": 0.6157, "epll": 0.87}


def test_accuracies_of_the_paper_are_fractions_with_binomial_intervals_around_them():
    accuracies = select(sources.paper(), metric="top5")
    assert len(accuracies) == 48 + 30 + 21 + 5 + 10
    for one in accuracies.itertuples():
        assert 0 <= one.low < one.value < one.high <= 1
        interval = binomtest(round(one.value * one.n), one.n).proportion_ci(0.95, method="wilson")
        assert (one.low, one.high) == pytest.approx(interval, abs=1e-6)
        assert one.n == (10_000 if one.experiment == "table5" else 50_000)


def test_the_tables_of_the_paper_agree_where_they_repeat_a_number():
    paper = select(
        sources.paper(),
        model="vgg16",
        metric="top5",
        experiment=["table1", "table3", "table4"],
        network="original",
    )
    assert (paper.groupby(["scale", "condition"])["value"].nunique() == 1).all()


# --- Tables ---------------------------------------------------------------------------------------


def test_a_table_has_all_columns_in_their_order_and_empty_ones_are_empty():
    table = results.table([row(n=100)])
    assert tuple(table.columns) == COLUMNS
    assert table.loc[0, ["network", "seed", "region"]].tolist() == ["", "", ""]
    assert (
        table.loc[0, "value"] == 0.5 and np.isnan(table.loc[0, "low"]) and table.loc[0, "n"] == 100
    )
    assert results.table([]).columns.tolist() == list(COLUMNS)


def test_numbers_in_the_key_become_their_names():
    table = results.table([row(seed=0, classes=100), row(seed=1, classes=100)])
    assert table["seed"].tolist() == ["0", "1"]
    assert table["classes"].tolist() == ["100", "100"]


def test_numbers_in_the_key_become_their_names_beside_rows_without_any():
    # A column with gaps, made of floats first, would turn seed 0 into "0.0", another key than "0".
    table = results.table([row(seed=0, classes=100), row(condition="D4")])
    assert table["seed"].tolist() == ["0", ""]
    assert table["classes"].tolist() == ["100", ""]


def test_two_numbers_of_the_same_thing_are_an_error_that_says_which():
    with pytest.raises(ResultsError, match="same key") as caught:
        results.table([row(), row(condition="D4"), row(value=0.6)])
    assert "'D8'" in str(caught.value)


@pytest.mark.parametrize("column", KEY)
def test_rows_that_differ_in_any_column_of_the_key_are_two_results(column):
    assert len(results.table([row(**{column: "one"}), row(**{column: "other"})])) == 2


def test_an_unknown_column_is_an_error_that_names_it():
    with pytest.raises(ResultsError, match="'colour'"):
        results.table([row(colour="red")])


def test_what_is_written_is_read_back(tmp_path):
    table = results.table(
        [
            row(value=1 / 3, low=0.25, high=2 / 3, n=2000, seed="all"),
            row(value=1e-9, condition="sharp", region="pool1", scale="256+512"),
            row(value=0.5, item="test/000002", parameter="tiger cat"),
            row(value=np.nan, condition="D4", data='a, "quoted" name', network="naïve"),
        ]
    )
    results.write(table, tmp_path / "new" / "results.csv")
    back = results.read(tmp_path / "new" / "results.csv")
    pd.testing.assert_frame_equal(back, table, rtol=1e-6)
    results.write(back, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "new" / "results.csv").read_bytes()


@pytest.mark.parametrize("word", ["NA", "nan", "null", "None", "0128", "1e5", "true", ""])
def test_words_that_look_like_numbers_or_gaps_stay_words(tmp_path, word):
    table = results.table([row(data=word)])
    results.write(table, tmp_path / "results.csv")
    assert results.read(tmp_path / "results.csv")["data"].tolist() == [word]


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ResultsError, match="nowhere"):
        results.read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_file_without_a_column_is_an_error_that_names_both(tmp_path, column):
    results.table([row()]).drop(columns=column).to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(ResultsError, match=f"results.csv.*'{column}'"):
        results.read(tmp_path / "results.csv")


def test_a_file_with_a_column_too_many_is_an_error_that_names_it(tmp_path):
    results.table([row()]).assign(colour="red").to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(ResultsError, match="'colour'"):
        results.read(tmp_path / "results.csv")


def test_an_empty_file_is_an_error_that_names_it(tmp_path):
    # pandas' own error does not name the file.
    (tmp_path / "results.csv").write_text("")
    with pytest.raises(ResultsError, match=r"results\.csv"):
        results.read(tmp_path / "results.csv")


def test_selecting_takes_one_value_or_any_of_several():
    table = results.table(
        [row(condition=name, seed=seed) for name in ("D2", "D4", "D8") for seed in (0, 1)]
    )
    assert len(select(table, condition="D4")) == 2
    assert select(table, condition=["D2", "D8"], seed="1")["condition"].tolist() == ["D2", "D8"]
    assert len(select(table, condition=("D2",), seed={"0", "1"})) == 2
    assert select(table, condition="D6").empty
    assert len(select(table)) == 6
