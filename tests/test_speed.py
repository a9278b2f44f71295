"""Benchmarks: that the libraries compared do the same, that what is measured is kept, and what is
shown of it.
"""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import blurring, pipeline, suite, timing
from blurpaper import book, figures, results, speed
from blurpaper.cli import main
from blurpaper.kernels import psf


@pytest.mark.parametrize("name", blurring.PSFS)
def test_every_library_that_is_compared_convolves_with_the_psf(name, monkeypatch) -> None:
    monkeypatch.setattr(blurring, "SIDES", (72, 90))
    images = np.random.default_rng(1).integers(0, 256, (3, 72, 90, 3), dtype=np.uint8)
    kernels = [psf(f"shake:{number}" if name == "shake" else name) for number in range(3)]
    works = {"blurpaper": blurring.ours(images, kernels), **blurring.peers(name, images, kernels)}
    assert {"OpenCV filter2D", "scipy fftconvolve"} <= set(works)
    for number in range(3):
        exact = blurring._exact(images[number], kernels[number])
        for library, work in works.items():
            found = work()
            assert found.shape == images.shape
            off = np.abs(np.asarray(found[number]).astype(float) - exact).max()
            # Its weights have eight bits; it is shown, and out of the race.
            assert off < (4 if library == "OpenCV GaussianBlur" else 0.7), library


@pytest.mark.parametrize("name", ["D2", "D8", "H8"])
def test_the_plain_pipeline_blurs_as_the_protocol_does(name) -> None:
    image = np.random.default_rng(1).integers(0, 256, (60, 75, 3), dtype=np.uint8)
    exact = blurring._exact(image, psf(name))
    assert np.abs(pipeline.blurred_by_peer(image, psf(name)) - exact).max() <= 0.51


def test_works_are_timed_in_turns_after_one_run_to_warm_them() -> None:
    order = []
    spent = timing.side_by_side(
        {name: lambda name=name: order.append(name) for name in "ab"}, rounds=3
    )
    assert order == list("abababab")
    assert set(spent) == {"a", "b"}


def test_what_is_measured_replaces_the_same_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(
        suite,
        "BENCHMARKS",
        {"one": lambda quick: [{"quick": quick}], "two": lambda quick: [{"value": 1.5}]},
    )
    out = tmp_path / "bench.json"

    def bench(*arguments):
        done = CliRunner().invoke(main, ["bench", *arguments])
        assert done.exit_code == 0, done.output
        return done

    assert "value" in bench("--out", str(out)).stdout
    assert {name: part["rows"] for name, part in json.loads(out.read_text()).items()} == {
        "one": [{"quick": False}],
        "two": [{"value": 1.5}],
    }
    printed = json.loads(bench("one", "--quick", "--json", "--out", str(out)).stdout)
    assert printed["one"] == [{"quick": True}]
    assert printed["machine"]["threads"] == torch.get_num_threads()
    kept = json.loads(out.read_text())
    assert kept["one"] == {"machine": printed["machine"], "rows": [{"quick": True}]}
    assert kept["two"]["rows"] == [{"value": 1.5}]


def test_an_unknown_benchmark_is_one_sentence() -> None:
    done = CliRunner().invoke(main, ["bench", "nonsense"])
    assert done.exit_code == 2
    assert done.output.startswith("Error: a benchmark is one of blurring, limits, ")


def test_without_a_checkout_there_is_nothing_to_run(monkeypatch) -> None:
    monkeypatch.setattr(book, "ROOT", book.CARRIED)
    done = CliRunner().invoke(main, ["bench"])
    assert done.exit_code == 2
    assert "bench needs a checkout" in done.output


def test_what_is_not_committed_is_nothing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(results, "PUBLISHED", tmp_path)
    assert speed.committed() == {}


def test_numbers_are_shown_to_three_digits_and_what_is_not_there_not_at_all() -> None:
    text = speed.as_text(
        [{"name": "a", "s": 0.01234, "images/s": 2345.6}, {"name": "b", "s": None}]
    )
    assert text.split() == ["name", "s", "images/s", "a", "0.0123", "2,346", "b"]


def test_stages_are_drawn_one_after_another() -> None:
    rows = [
        {"pipeline": "a", "seconds": 5.0, "x, s": 2.0, "y, s": 3.0},
        {"pipeline": "b", "seconds": 2.0, "x, s": 1.0, "y, s": 1.0},
    ]
    axes = figures.stages(rows, "pipeline", ("x", "y")).axes[0]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0.0, 2.0), (0.0, 1.0), (2.0, 3.0), (1.0, 1.0)]
