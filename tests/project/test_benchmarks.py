"""Benchmarks: that the libraries compared do the same, that what is measured is kept, and what is
shown of it.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import __main__ as program
from benchmarks import blurring, pipeline, timing
from blurpaper.kernels import psf
from blurpaper.runs import files

ROOT = Path(__file__).parents[2]


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
    fake = {
        "limits": lambda quick: [{"quick": quick}],
        "starting": lambda quick: [{"value": 1.5}],
        "whole": lambda quick: pytest.fail("it was not named"),
    }
    monkeypatch.setattr(program, "BENCHMARKS", fake)
    out = tmp_path / "bench.json"

    def bench(*arguments):
        done = CliRunner().invoke(program.main, arguments)
        assert done.exit_code == 0, done.output
        return done

    assert "value" in bench("--out", str(out)).stdout
    assert {name: part["rows"] for name, part in json.loads(out.read_text()).items()} == {
        "limits": [{"quick": False}],
        "starting": [{"value": 1.5}],
    }
    printed = json.loads(bench("limits", "--quick", "--json", "--out", str(out)).stdout)
    assert printed["limits"] == [{"quick": True}]
    assert printed["machine"]["threads"] == torch.get_num_threads()
    kept = json.loads(out.read_text())
    assert kept["limits"] == {"machine": printed["machine"], "rows": [{"quick": True}]}
    assert kept["starting"]["rows"] == [{"value": 1.5}]


def test_an_unknown_benchmark_is_refused_with_those_there_are() -> None:
    done = CliRunner().invoke(program.main, ["nonsense"])
    assert done.exit_code == 2
    assert all(name in done.output for name in program.BENCHMARKS)


def test_numbers_are_shown_to_three_digits_and_what_is_not_there_not_at_all() -> None:
    text = program.as_text(
        [{"name": "a", "s": 0.01234, "images/s": 2345.6}, {"name": "b", "s": None}]
    )
    assert text.split() == ["name", "s", "images/s", "a", "0.0123", "2,346", "b"]


def test_the_peak_remembers_memory_that_was_given_back() -> None:
    code = (
        "import numpy as np; from benchmarks.finetuning import peak; before = peak(); "
        "big = np.ones(120_000_000, np.uint8); del big; print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert 115e6 < int(done.stdout) < 135e6


def test_the_page_on_speed_has_the_committed_numbers() -> None:
    committed = json.loads((files.RESULTS / "bench.json").read_text(encoding="utf-8"))
    assert committed.keys() == program.BENCHMARKS.keys()

    def number(name: str, column: str, **wanted: str) -> float:
        (found,) = [
            row
            for row in committed[name]["rows"]
            if all(row[key] == value for key, value in wanted.items())
        ]
        return found[column]

    def best(name: str) -> float:
        others = [row for row in committed["blurring"]["rows"] if row["library"] != "blurpaper"]
        return max(row["images/s"] for row in others if row["psf"] == name and row["off by"] <= 1)

    blurring = {
        name: [number("blurring", "images/s", psf=name, library="blurpaper"), best(name)]
        for name in ("D8", "shake")
    }
    table1 = [
        number("table1", "seconds", pipeline=name)
        for name in ("blurpaper, bfloat16", "blurpaper, float32", "plain, float32, each scale once")
    ]
    tuning = [
        number("finetuning", "images/s", **{"fine-tuning": f"{name}, mix"})
        for name in ("blurpaper, bfloat16", "blurpaper, float32", "plain, float32")
    ]
    epll = [
        number("deblurring", "s, grey", method=name)
        for name in ("epll", "epll-exact", "deepinv's EPLL")
    ]
    whole = number("whole", "cold, s", profile="emoji") / 60
    expected = [
        *("{:,.0f} images/s|{:,.0f} images/s".format(*pair) for pair in blurring.values()),
        "{:.0f} s in bfloat16|{:.0f} s in float32|{:.0f} s, a plain".format(*table1),
        "{:.0f} images/s in bfloat16|{:.0f} in float32|{:.0f} images/s, a plain".format(*tuning),
        "{:.2f} s|{:.1f} s exactly|{:.0f} s, exactly (deepinv)".format(*epll),
        f"{whole:.0f} minutes",
    ]
    page = (ROOT / "book" / "speed.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("|")][2:]
    for line, told in zip(lines[: len(expected)], expected, strict=True):
        assert [one for one in told.split("|") if one not in line] == []
