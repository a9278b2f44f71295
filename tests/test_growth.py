"""How time and memory grow: powers found again, what is measured, and what is drawn of it."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from benchmarks import growth
from blurpaper import figures


def power_law(
    series: str, time: float, memory: float, x=(1, 3, 10, 200), noise: float = 0.0
) -> list[dict]:
    draw = np.random.RandomState(0)
    factor = np.exp(noise * draw.normal(size=(2, len(x))))
    return [
        {
            "series": series,
            "x": one,
            "seconds": 0.3 * one**time * a,
            "megabytes": 70 * one**memory * b,
        }
        for one, a, b in zip(x, *factor, strict=True)
    ]


def test_the_power_of_a_power_law_is_found_whatever_its_units() -> None:
    for power in (-1.0, 0.0, 0.5, 2.0):
        for unit in (1e-6, 1.0, 1e9):
            x = np.array([4, 16, 64, 256])
            assert growth.exponent(x, unit * x**power) == pytest.approx(power, abs=1e-9)
            assert growth.exponent(unit * x, x**power) == pytest.approx(power, abs=1e-9)


def test_it_is_the_least_squares_fit_of_the_logarithms() -> None:
    draw = np.random.RandomState(1)
    x, y = np.exp(draw.normal(size=12)), np.exp(draw.normal(size=12))
    slope = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert growth.exponent(x, y) == pytest.approx(slope)
    assert growth.exponent(x[::-1], y[::-1]) == pytest.approx(slope)


def test_noise_of_a_few_per_cent_moves_it_little() -> None:
    (found,) = growth.exponents(power_law("images, cold", 1.0, 0.0, noise=0.05))
    assert found["time"] == pytest.approx(1.0, abs=0.05)
    assert found["memory"] == pytest.approx(0.0, abs=0.05)


def test_each_series_has_its_own_powers_and_two_points_or_no_memory_have_none() -> None:
    rows = (
        power_law("a, one", 1.0, 0.5)
        + power_law("b", 2.0, 0.0, x=(1, 2))
        + power_law("a, other", 0.2, 1.0)
    )
    rows[-1]["megabytes"] = 0.0
    first, second = growth.exponents(rows)
    assert (first["series"], second["series"]) == ("a, one", "a, other")
    assert (first["time"], first["memory"], first["points"]) == (
        pytest.approx(1.0),
        pytest.approx(0.5),
        4,
    )
    assert (second["time"], second["memory"]) == (pytest.approx(0.2), None)


def test_the_photographs_are_as_many_and_as_large_as_asked_for_and_fall_as_one_over_the_frequency(
    tmp_path,
) -> None:
    growth.photographs(tmp_path / "some", growth.DISTINCT + 2, 96)
    pictures = [
        np.asarray(Image.open(path).convert("L"), float)
        for path in sorted((tmp_path / "some").iterdir())
    ]
    assert [picture.shape for picture in pictures] == [(96, 128)] * (growth.DISTINCT + 2)
    assert len({picture.tobytes() for picture in pictures}) == growth.DISTINCT
    spectrum = np.mean(
        [
            np.abs(np.fft.rfft(picture - picture.mean(), axis=1)).mean(axis=0)
            for picture in pictures
        ],
        axis=0,
    )
    assert -2.2 < growth.exponent(np.arange(2, 24), spectrum[2:24]) < -0.6


def test_what_is_measured_are_series_of_plain_numbers(monkeypatch) -> None:
    def fake(task: dict) -> dict:
        size = len(list(Path(task["evaluate"]).iterdir())) if "evaluate" in task else 1
        return {"seconds": 0.1 * size, "megabytes": 50.0}

    def empty(folder: Path, count: int, side: int) -> None:
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.jpg").touch()

    monkeypatch.setattr(growth, "run", fake)
    monkeypatch.setattr(growth, "photographs", empty)
    rows = json.loads(json.dumps(growth.measure(quick=True)))
    told = [
        f"{what}{which}" for what in ("seconds", "megabytes") for which in ("", ", least", ", most")
    ]
    assert all(list(row) == ["series", "x", *told] for row in rows)
    powers = {row["series"]: row for row in growth.exponents(rows)}
    assert (powers["images, evaluation"]["time"], powers["images, evaluation"]["memory"]) == (
        pytest.approx(1),
        pytest.approx(0),
    )
    assert {
        "pixels across the PSF, disk",
        "pixels across the PSF, shake",
        "megapixels, evaluation",
    } < set(powers)


def test_a_blur_is_measured_in_a_process_of_its_own_and_a_failing_says_why() -> None:
    found = growth.run({"blur": "D4", "threads": 1})
    assert found["seconds"] > 0 and found["megabytes"] >= 0
    with pytest.raises(RuntimeError, match="D4x"):
        growth.run({"blur": "D4x"})


def test_the_peak_remembers_memory_that_was_given_back() -> None:
    code = (
        "import numpy as np; from benchmarks.growth import peak; before = peak(); "
        "big = np.ones(120_000_000, np.uint8); del big; print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=growth.ROOT, capture_output=True, text=True, check=True
    )
    assert 115e6 < int(done.stdout) < 135e6


def test_the_figure_has_a_panel_for_each_axis_and_draws_the_rows() -> None:
    rows = power_law("images, one", 1.0, 0.1) + power_law("images, other", 0.8, 0.0)
    rows += power_law("threads, evaluation", -0.9, 0.0, x=(1, 2))
    rows[0]["megabytes"] = -1.0
    rows[1] |= {
        "seconds, least": 0.9 * rows[1]["seconds"],
        "seconds, most": 1.5 * rows[1]["seconds"],
    }
    drawn = figures.growth(rows, growth.exponents(rows))
    try:
        panels = [axis for figure in drawn for axis in figure.axes]
        top, bottom, last, _ = panels
        assert [axis.get_xscale() + axis.get_yscale() for axis in panels] == ["loglog"] * 4
        assert [axis.get_xlabel() for axis in panels] == ["images", "images", "threads", "threads"]
        (one, _, (bars,)), (other, *_) = top.containers
        ends = np.array([bar[:, 1] for bar in bars.get_segments()])
        assert ends[1] / rows[1]["seconds"] == pytest.approx([0.9, 1.5])
        assert ends[2] == pytest.approx(rows[2]["seconds"])
        (proportional,) = (line for line in top.lines if line.get_linestyle() == ":")
        assert one.get_ydata() == pytest.approx([row["seconds"] for row in rows[:4]])
        assert other.get_ydata() == pytest.approx([row["seconds"] for row in rows[4:8]])
        assert proportional.get_ydata() == pytest.approx(0.3 * np.array([1, 3, 10, 200]))
        assert np.isnan(bottom.lines[0].get_ydata()).tolist() == [True, False, False, False]
        assert names_of(top) == ["one: power 1.00", "other: power 0.80"]
        assert names_of(last) == ["evaluation"]
    finally:
        for figure in drawn:
            plt.close(figure)


def names_of(axis: plt.Axes) -> list[str]:
    (legend,) = axis.figure.legends
    return [text.get_text() for text in legend.get_texts()]
