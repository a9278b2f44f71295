"""The workflow: Snakemake's graph is the library's list, and its jobs are the verbs."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from blurpaper.book import build, execution
from blurpaper.experiments import measurements
from blurpaper.networks import NetworkSpec
from blurpaper.runs import profile as profiles
from blurpaper.training import networks

needs_snakemake = pytest.mark.skipif(
    importlib.util.find_spec("snakemake") is None,
    reason="Snakemake is not installed: pip install -e '.[workflow]'",
)


def snakemake(folder: Path, *arguments: str, status: int = 0) -> str:
    """What Snakemake says, run in a folder on the Snakefile of the checkout, where there is neither
    data nor, at first, a store.
    """
    snakefile = str(build.ROOT / "workflow" / "Snakefile")
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--cores", "1"]
    where = {"BLURPAPER_DATA": str(folder / "data"), "BLURPAPER_STORE": str(folder / "store")}
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=os.environ | where | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@needs_snakemake
@pytest.mark.parametrize("name", ["smoke", "imagenet"])
def test_the_graph_is_that_of_the_library_and_needs_no_data(tmp_path, name) -> None:
    said = snakemake(tmp_path, "--dry-run", "--forceall", "--config", f"profile={name}", "gpus=4")
    starts = measurements.starts(profiles.load(name))
    published = {spec for spec in starts if networks.is_published(NetworkSpec.parse(spec))}
    before = {}
    for job in said.split("\nrule train:")[1:]:
        given = re.findall(r"done/(\S+?)(?:\.trained)?[,\n]", job.partition("jobid:")[0])
        before[given[-1]] = given[:-1]
        assert "gpu=4" in job and "runtime=" in job and "mem_mb=" in job
    assert before == {
        spec: [("published" if start in published else start)] if start else []
        for spec, start in starts.items()
        if spec not in published
    }
    planned = dict(re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE))
    assert int(planned["chapter"]) == len(build.chapters()) and planned["book"] == "1"
    assert planned.get("published") == ("1" if published else None)
    for job in said.split("\nrule chapter:")[1:]:
        name = re.search(r"chapter=(\w+)", job)[1]
        awaited = re.findall(r"(\w+)\.ipynb", job.partition("output:")[0])
        assert bool(awaited) == execution.shows_the_store(name), name
    assert not (tmp_path / "store").exists()


@needs_snakemake
def test_what_is_missing_is_said_before_anything_is_run(tmp_path) -> None:
    said = snakemake(tmp_path, "--config", "profile=imagenet", status=1)
    assert "register at image-net.org" in said and "Nothing was run." in said
    assert not (tmp_path / "store").exists()


def test_the_profile_for_slurm_gives_every_job_memory_and_time() -> None:
    path = build.ROOT / "workflow" / "profiles" / "slurm" / "config.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert settings["executor"] == "slurm" and settings["rerun-incomplete"]
    assert settings["retries"] > 0
    assert {"mem_mb", "runtime"} <= set(settings["default-resources"])


@needs_snakemake
@pytest.mark.slow
def test_networks_are_trained_once_and_loaded_when_they_are_forced(tmp_path) -> None:
    settings = {
        "extends": "smoke",
        "name": f"workflow-{os.getpid()}",
        "emoji": {"classes": 10, "train": 64, "test": 10},
        "pretraining": {"phases": [{"epochs": 1, "rate": 0.01}]},
        "segmentation": {"scenes": {"train": 16, "test": 4}},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    built = build.build_folder(profiles.load(str(tmp_path / "tiny.yaml")))
    wanted = [
        f"{built}/done/{name}.trained" for name in ("small_vgg:mix/batch-norm", "segmentation:mix")
    ]
    choices = ["--config", "profile=tiny.yaml", "gpus=0", "threads=1", "--", *wanted]
    try:
        snakemake(tmp_path, *choices)
        stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("stamp.json")}
        kinds = sorted(path.parent.parent.name for path in stamps)
        assert kinds == ["data", "data", "networks", "networks", "segmenters", "segmenters"]
        assert "Nothing to be done" in snakemake(tmp_path, *choices)
        assert "4 of 4 steps" in snakemake(tmp_path, "--forceall", *choices)
        assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    finally:
        shutil.rmtree(built, ignore_errors=True)
