"""Two tables of results compared: what is the same, within an interval, or moved."""

import numpy as np
import pytest
from click.testing import CliRunner

from blurpaper.cli import main
from blurpaper.evaluation import results
from blurpaper.evaluation.results import KEY, as_text, compare, counts, moved
from blurpaper.experiments import sources
from blurpaper.runs.files import RESULTS

# --- Two runs compared ----------------------------------------------------------------------------


def rows(*values, **common):
    """A row a condition, each a value or (value, low, high)."""
    made = []
    for number, one in enumerate(values):
        value, low, high = one if isinstance(one, tuple) else (one, None, None)
        key = {
            "experiment": "table1",
            "model": "small_vgg",
            "metric": "top5",
            "condition": f"D{number}",
            **common,
        }
        made.append({**key, "value": value, "low": low, "high": high})
    return results.table(made)


def verdicts(a, b):
    return compare(a, b)["verdict"].tolist()


# --- What counts as a move ------------------------------------------------------------------------


def test_a_table_is_the_same_as_itself() -> None:
    table = sources.paper()
    found = compare(table, table)
    assert set(found["verdict"]) == {"same"} and len(found) == len(table)
    assert moved(found).empty


def test_rows_are_matched_by_their_key_and_not_by_their_place() -> None:
    table = sources.paper()
    found = compare(table, table.sample(frac=1, random_state=0))
    assert set(found["verdict"]) == {"same"}
    assert found["condition"].tolist() == table["condition"].tolist()


@pytest.mark.parametrize("column", ["item", "parameter"])
def test_rows_of_another_image_or_parameter_are_not_matched(column) -> None:
    a, b = rows(0.5, **{column: "0.1"}), rows(0.6, **{column: "0.2"})
    found = compare(a, b)
    assert found["verdict"].tolist() == ["only A", "only B"]
    assert found[column].tolist() == ["0.1", "0.2"]


def test_a_row_moved_if_it_leaves_both_intervals_by_more_than_their_joint_half_width() -> None:
    a, b = rows((0.50, 0.48, 0.52)), rows((0.60, 0.57, 0.63))
    found = moved(compare(a, b))
    assert found["difference"].tolist() == pytest.approx([0.10])
    assert found["joint"].tolist() == pytest.approx([np.hypot(0.02, 0.03)])
    assert found["times"].tolist() == pytest.approx([0.10 / np.hypot(0.02, 0.03)])
    assert moved(compare(b, a))["difference"].tolist() == pytest.approx([-0.10])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.50, 0.45, 0.55), (0.53, 0.48, 0.58)),  # each value in the other's interval
        ((0.50, 0.40, 0.60), (0.58, 0.57, 0.59)),  # B's value in A's interval alone
        ((0.58, 0.57, 0.59), (0.50, 0.40, 0.60)),  # A's value in B's interval alone
        # Outside both, but by less than the joint half width, 0.028.
        (
            (0.50, 0.48, 0.52),
            (0.525, 0.505, 0.545),
        ),
    ],
)
def test_a_row_that_stays_within_an_interval_has_not_moved(first, second) -> None:
    assert verdicts(rows(first), rows(second)) == ["within"]


def test_an_interval_need_not_lie_evenly_around_its_value() -> None:
    assert verdicts(rows((0.50, 0.50, 0.60)), rows((0.58, 0.58, 0.59))) == ["within"]
    assert verdicts(rows((0.50, 0.40, 0.50)), rows((0.58, 0.57, 0.58))) == ["moved"]


def test_without_intervals_any_difference_beyond_the_digits_of_the_file_is_a_move() -> None:
    a = rows(1.0, 1.0, 0.0, 0.0, -2.0, -2.0)
    b = rows(1.0 + 5e-7, 1.0 + 5e-6, 0.0, 1e-9, -2.0 - 1e-6, -2.1)
    assert verdicts(a, b) == ["same", "moved", "same", "moved", "same", "moved"]
    assert (moved(compare(a, b))["times"] == np.inf).all()


def test_an_interval_that_only_one_of_them_has_decides_alone() -> None:
    a = rows((0.5, 0.4, 0.6), (0.5, 0.4, 0.6))
    assert verdicts(a, rows(0.55, 0.65)) == ["within", "moved"]
    assert verdicts(rows(0.55, 0.65), a) == ["within", "moved"]


def test_negative_values_and_zero_are_judged_like_others() -> None:
    a = rows((-0.10, -0.12, -0.08), (-0.01, -0.03, 0.01), (0.0, 0.0, 0.0))
    b = rows((-0.20, -0.22, -0.18), (0.0, -0.02, 0.02), (0.0, 0.0, 0.0))
    found = compare(a, b)
    assert found["verdict"].tolist() == ["moved", "within", "same"]
    assert moved(found)["difference"].tolist() == pytest.approx([-0.10])


def test_an_interval_of_no_width_lets_no_number_move_within_its_digits() -> None:
    assert verdicts(rows((1.0, 1.0, 1.0)), rows((1.0 + 1e-7,) * 3)) == ["same"]
    assert verdicts(rows((1.0, 1.0, 1.0)), rows((1.1, 1.1, 1.1))) == ["moved"]


def test_a_number_that_became_none_moved_and_two_that_are_none_are_the_same() -> None:
    a, b = rows(np.nan, 0.5, np.nan), rows(np.nan, np.nan, 0.5)
    assert verdicts(a, b) == ["same", "moved", "moved"]


def test_the_biggest_move_in_half_widths_comes_first_and_those_without_intervals_before_it() -> (
    None
):
    a = rows((0.5, 0.49, 0.51), (0.5, 0.40, 0.60), 0.5, 0.5)
    b = rows((0.6, 0.59, 0.61), (0.9, 0.80, 1.00), 0.6, 0.7)
    assert moved(compare(a, b))["condition"].tolist() == ["D3", "D2", "D0", "D1"]


def test_rows_of_one_table_alone_are_counted_by_experiment() -> None:
    a = results.table(
        [*rows(0.1, 0.2).to_dict("records"), *rows(0.3, experiment="table3").to_dict("records")]
    )
    b = results.table(
        [*rows(0.1).to_dict("records"), *rows(0.4, 0.5, experiment="table4").to_dict("records")]
    )
    found = compare(a, b)
    assert results.select(found, verdict="only A")["condition"].tolist() == ["D1", "D0"]
    by_experiment = counts(found)[["same", "only A", "only B"]]
    assert by_experiment.T.to_dict("list") == {
        "table1": [1, 1, 0],
        "table3": [0, 1, 0],
        "table4": [0, 0, 2],
    }


@pytest.mark.parametrize("column", KEY)
def test_rows_that_differ_in_any_column_of_the_key_are_not_compared(column) -> None:
    one, other = rows(0.1, **{column: "one"}), rows(0.2, **{column: "other"})
    assert verdicts(one, other) == ["only A", "only B"]


def test_empty_tables_can_be_compared() -> None:
    empty = results.table([])
    assert compare(empty, empty).empty
    assert "0 rows in both" in as_text(compare(empty, empty))
    assert verdicts(empty, rows(0.1)) == ["only B"]


# --- The verb -------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    a = [
        *rows((0.5, 0.48, 0.52), 0.1).to_dict("records"),
        *rows(0.3, experiment="table3").to_dict("records"),
    ]
    b = [
        *rows((0.7, 0.68, 0.72), 0.1).to_dict("records"),
        *rows(0.4, experiment="table4").to_dict("records"),
    ]
    for name, table in (("a", a), ("b", b)):
        results.write(results.table(table), tmp_path / f"{name}.csv")
    return tmp_path / "a.csv", tmp_path / "b.csv"


def run(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_it_tells_how_many_moved_and_which(files) -> None:
    said = run(*files)
    assert said.exit_code == 0
    assert (
        "2 rows in both: 1 the same, 0 within their intervals, 1 moved; 1 only in A, 1 only in B"
        in said.output
    )
    lines = [line.split() for line in said.output.splitlines()]
    assert ["table1", "1", "0", "1", "0", "0"] in lines
    assert ["table3", "0", "0", "0", "1", "0"] in lines
    assert ["table4", "0", "0", "0", "0", "1"] in lines
    assert "all of experiment table1, model small_vgg, condition D0, metric top5" in said.output
    assert lines[-1] == ["0.5", "0.7", "0.2", "0.02828", "7.071"]


def test_every_moved_row_is_shown_and_a_number_that_became_none_too(tmp_path) -> None:
    results.write(rows(*np.arange(50.0), np.nan), tmp_path / "a.csv")
    results.write(rows(*np.arange(50.0) + 1, 0.5), tmp_path / "b.csv")
    said = run(tmp_path / "a.csv", tmp_path / "b.csv").output
    table = [line.split() for line in said.partition("moved, by how many")[2].splitlines()[2:]]
    assert len(table) == 51
    assert table[0] == ["D50", "-", "0.5", "-", "0", "inf"]


def test_the_committed_results_can_be_compared(tmp_path) -> None:
    said = run(RESULTS / "emoji.csv", RESULTS / "photos.csv")
    assert said.exit_code == 0 and "only in A" in said.output


HEAD = ",".join(results.COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        '"',
        HEAD + "\n" + "," * len(KEY) + "much,,,\n",
        HEAD + "\n" + "," * len(KEY) + "1,,,some\n",
        HEAD + "\n" + "," * len(KEY) + "1,,,1.5\n",
        HEAD + "\n" + ("," * len(KEY) + "1,,,\n") * 2,
    ],
)
def test_a_file_that_is_no_table_of_results_gets_one_sentence_and_status_2(text, files) -> None:
    files[1].write_text(text)
    for arguments in (files, files[::-1]):
        said = run(*arguments)
        assert said.exit_code == 2
        assert len(said.output.strip().splitlines()) == 1
        assert "b.csv" in said.output or "same key" in said.output


@pytest.mark.parametrize("missing", ["nowhere.csv", "."])
def test_a_file_that_is_not_there_gets_one_sentence_and_status_2(missing, files) -> None:
    said = run(files[0], files[0].parent / missing)
    assert said.exit_code == 2 and "no results at" in said.output


def test_a_picture_is_no_table_of_results(files) -> None:
    files[1].write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00")
    said = run(*files)
    assert said.exit_code == 2 and "b.csv" in said.output
