"""The run as a graph: every network once and after its start, every chapter after what it shows;
and that Snakemake agrees.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from blurpaper import book, needs, segmented, steps
from blurpaper import profile as profiles
from blurpaper.store import Store

needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None,
    reason="Snakemake is not installed: pip install -e '.[workflow]'",
)


@pytest.fixture(autouse=True)
def away(tmp_path, monkeypatch) -> None:
    """A machine that has neither data nor a store."""
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))


def of_kind(graph: dict[str, steps.Step], kind: str) -> list[steps.Step]:
    return [step for step in graph.values() if step.kind == kind]


# --- The graph ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["smoke", "emoji", "photos", "imagenet"])
def test_every_step_comes_after_those_it_needs_and_has_a_key_of_its_own(name) -> None:
    graph, seen = steps.graph(profiles.load(name)), set()
    for step in graph.values():
        assert set(step.after) <= seen, step.name
        seen.add(step.name)
    assert len({step.key for step in graph.values()}) == len(graph)
    assert {step.kind for step in graph.values()} | {"weights", "train"} == set(steps.KINDS)


@pytest.mark.parametrize("name", ["smoke", "imagenet"])
def test_every_network_is_trained_once_and_after_the_one_it_starts_from(name) -> None:
    profile = profiles.load(name)
    graph = steps.graph(profile)
    trained = [step.spec for step in of_kind(graph, "train")]
    assert trained == [spec for spec in needs.networks(profile) if not needs.is_published(spec)]
    assert [step.spec for step in of_kind(graph, "segmenter")] == segmented.networks(profile)
    for step in of_kind(graph, "train"):
        if not step.spec.is_original:
            (start,) = step.after
            assert start == f"weights/{step.spec.model}" or graph[start].spec.is_original
    for one in needs.measurements(profile):
        kind = "features" if one.features else "classify"
        assert any(
            step.name.startswith(f"{kind}/{one.spec.model}_{one.spec.mix}")
            for step in of_kind(graph, kind)
        ), one


def test_a_key_changes_with_the_settings_and_with_what_comes_before() -> None:
    first, other = (
        steps.graph(profiles.load("smoke")),
        steps.graph(profiles.load("smoke", {"seed": 1})),
    )
    assert list(first) == list(other)
    assert not {step.key for step in first.values()} & {step.key for step in other.values()}
    assert {name: step.key for name, step in first.items()} == {
        name: step.key for name, step in steps.graph(profiles.load("smoke"), gpu=None).items()
    }


def test_a_longer_training_is_given_more_time_and_a_faster_gpu_less() -> None:
    a100, t4 = (
        steps.graph(profiles.load("imagenet"), gpu)["train/vgg16_mix"].minutes
        for gpu in ("A100", "T4")
    )
    fields = {"finetuning.phases": [{"epochs": 6, "rate": 1.0e-3}]}
    twice = steps.graph(profiles.load("imagenet", fields), "A100")["train/vgg16_mix"].minutes
    assert t4 > a100 and twice > a100
    idle = min(step.minutes for step in steps.graph(profiles.load("imagenet")).values())
    assert (twice - idle) / (a100 - idle) == pytest.approx(
        2, rel=0.05
    )  # six epochs instead of three


def test_a_chapter_waits_for_what_it_shows_and_an_unknown_one_for_all() -> None:
    graph = steps.graph(profiles.load("smoke"))
    assert steps.before_chapter("01_kernels", graph) == []
    assert {name.partition("/")[0] for name in steps.before_chapter("07_segmentation", graph)} == {
        "segment"
    }
    assert steps.before_chapter("99_new", graph) == list(graph)


def test_a_step_has_the_store_make_what_it_says(tmp_path) -> None:
    small = {
        "evaluation.conditions": ["sharp", "D8"],
        "pretraining.phases": [{"epochs": 1, "rate": 0.01}],
        "emoji.train": 64,
    }
    profile, store = profiles.load("smoke", small), Store()
    graph = steps.graph(profile, None)
    graph["classify/small_vgg_original.emoji"].make(store)
    assert len(list(store.root.glob("networks/small_vgg_original*/stamp.json"))) == 1
    assert (
        len(list(store.root.glob("log-probabilities/small_vgg_original.emoji.*/stamp.json"))) == 2
    )


def test_an_unknown_step_and_missing_data_are_sentences() -> None:
    unknown = CliRunner().invoke(steps.main, ["do", "train/nothing", "--profile", "smoke"])
    assert (
        unknown.exit_code == 2
        and "'train/nothing'" in unknown.output
        and "train/small_vgg_mix" in unknown.output
    )
    missing = CliRunner().invoke(steps.main, ["do", "weights/vgg16", "--profile", "imagenet"])
    assert (
        missing.exit_code == 2
        and "image-net.org" in missing.output
        and "Nothing was run." in missing.output
    )
    assert "Traceback" not in unknown.output + missing.output


# --- Snakemake ------------------------------------------------------------------------------------


def snakemake(*arguments: str, folder: Path) -> str:
    """What Snakemake says, run in a folder on the Snakefile of the checkout."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(book.ROOT / "workflow" / "Snakefile"),
        "--cores",
        "2",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@needs_snakemake
@pytest.mark.parametrize("name", ["smoke", "imagenet"])
def test_the_whole_graph_is_shown_where_there_is_no_data(tmp_path, name) -> None:
    said = snakemake("--dry-run", "--forceall", "--config", f"profile={name}", folder=tmp_path)
    planned = {
        rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)
    }
    graph = steps.graph(profiles.load(name))
    for kind in {step.kind for step in graph.values()}:
        assert planned[kind] == len(of_kind(graph, kind)), kind
    assert planned["chapter"] == len(book.chapters())
    assert planned["book"] == planned["results"] == 1
    assert planned["total"] == len(graph) + len(book.chapters()) + 3
    assert not (tmp_path / "store").exists()
    trained = re.search(r"rule train:.*?resources: ([^\n]*)", said, re.DOTALL)[1]
    assert "gpu=1" in trained and "runtime=" in trained and "mem_mb=" in trained


@needs_snakemake
def test_what_is_missing_is_told_before_anything_is_run(tmp_path) -> None:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(book.ROOT / "workflow" / "Snakefile"),
        "--cores",
        "1",
    ]
    done = subprocess.run(
        [*command, "--config", "profile=imagenet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        done.returncode != 0
        and "register at image-net.org" in done.stderr
        and "Nothing was run." in done.stderr
    )
    assert not list((tmp_path / "store").rglob("*.done"))


def test_the_profile_for_slurm_asks_for_each_job_what_the_rules_reckon() -> None:
    settings = yaml.safe_load(
        (book.ROOT / "workflow" / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8")
    )
    assert (
        settings["executor"] == "slurm" and settings["rerun-incomplete"] and settings["retries"] > 0
    )
    assert {"mem_mb", "runtime"} <= set(settings["default-resources"])


@needs_snakemake
@pytest.mark.slow
def test_two_steps_at_a_time_find_what_one_process_finds(tmp_path, monkeypatch) -> None:
    choices = ("--config", "profile=smoke", "threads=1", "gpu=none")
    snakemake(*choices, folder=tmp_path)
    made = book.build_folder(profiles.load("smoke"))
    assert (made / "html" / "index.html").is_file()
    assert "Nothing to be done" in snakemake(*choices, folder=tmp_path)
    alone = tmp_path / "alone.csv"
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "BLURPAPER_STORE": str(tmp_path / "another"),
    }
    command = [sys.executable, "-m", "blurpaper.steps", "results", str(alone), "--profile", "smoke"]
    subprocess.run(command, env=environment, check=True)
    assert (made / "results.csv").read_bytes() == alone.read_bytes()
