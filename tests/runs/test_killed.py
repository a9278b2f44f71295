"""Runs that are killed at any moment and started again end as if nobody had disturbed them, and
leave nothing behind.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import pandas as pd
import pytest
import torch
from disturbance import (
    ROOT,
    Process,
    check_remains,
    checkout,
    checksums,
    kill_again_and_again,
    lives,
    rubbish,
)
from helpers import album

from blurpaper import experiments
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import Run, profile
from blurpaper.runs.store import Store, sha256_of

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="finds processes in /proc"
)

LIGHT = {
    "emoji.classes": 10,
    "emoji.train": 128,
    "emoji.test": 20,
    "pretraining.phases": [{"epochs": 12, "rate": 0.02}],
    "pretraining.batch": 32,
    "evaluation.original_conditions": ["sharp", "D8"],
    "evaluation.bootstrap": 50,
    "compute.checkpoint_seconds": 1,
}
"""Overrides of the smoke profile that leave some seconds of training, and next to nothing of the
rest.
"""

CHAPTER = """\
# %% [markdown]
# # A small chapter

# %% tags=["parameters", "remove-cell"]
profile = ""
overrides = {}
published = False

# %%
from blurpaper import experiments
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store

experiments.EXPERIMENTS["table1"](Run(profiles.load(profile, overrides), Store()))
"""
"""Trains a network and measures it, as the second chapter does, and nothing else."""


class Disturbed:
    """A command, first run as it is, then disturbed: each time in a checkout and with a store of
    that name.

    Attributes:
        whole: the run that nobody disturbed.
        startup: seconds of CPU time until it begins to compute.
    """

    def __init__(
        self, folder: Path, *arguments: object, chapters: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.arguments, self._chapters = folder, arguments, chapters

    @cached_property
    def whole(self) -> Process:
        whole = self.start("undisturbed")
        self.startup = whole.worked_until_it_computes()
        whole.works()
        assert whole.ends() == 0, whole.said()[-3000:]
        check_remains(whole)
        assert rubbish(whole.store) == []
        return whole

    def root(self, name: str) -> Path:
        return self.folder / name

    def start(self, name: str) -> Process:
        root = self.root(name)
        if not root.exists():
            checkout(root, self._chapters)
        return Process(root, self.folder / f"{name}.store", "blurpaper", *self.arguments)

    def killed(self, name: str, seed: int, kills: int) -> Process:
        """The run that comes to its end after so many kills, at moments drawn over the CPU time
        that the whole one took.
        """
        worked, began = self.whole.worked, time.monotonic()
        killed = kill_again_and_again(
            lambda: self.start(name), lives(seed, kills, self.startup, worked)
        )
        assert killed == kills
        return self.ended(self.start(name), f"killed {killed} times", began)

    def ended(self, run: Process, how: str, began: float) -> Process:
        assert run.ends() == 0, run.said()[-3000:]
        assert "damaged" not in run.said()
        check_remains(run)
        assert rubbish(run.store) == []
        print(f"{how}: {time.monotonic() - began:.0f} s, undisturbed {self.whole.seconds:.0f} s")
        return run


def options(overrides: dict[str, object]) -> list[str]:
    return [
        part for name, value in overrides.items() for part in ("-p", f"{name}={json.dumps(value)}")
    ]


def check_same(
    run: Process, whole: Process, overrides: dict[str, object], tables: tuple[str, ...]
) -> None:
    """That two stores hold the same bit for bit, and give the same tables without anything being
    computed.
    """
    assert checksums(run.store) == checksums(whole.store)
    settings, kept = profile.load("smoke", overrides), Store(run.store).names()
    for name in tables:
        found, wanted = (
            experiments.EXPERIMENTS[name](Run(settings, Store(one.store))) for one in (run, whole)
        )
        pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    assert Store(run.store).names() == kept


def check_interrupted(run: Process) -> None:
    """That a run which is interrupted stops and says how to go on."""
    began = time.monotonic()
    run.interrupt()
    assert run.ends(30) == 130
    print(f"interrupted: stopped after {time.monotonic() - began:.1f} s")
    assert run.said().endswith(
        "stopped; what was finished is kept: give the same command again to go on.\n"
    )
    assert "Traceback" not in run.said()
    check_remains(run)


# --- A chapter ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chapter(tmp_path_factory) -> Disturbed:
    """A chapter that trains and measures a network, in the process of a kernel."""
    folder = tmp_path_factory.mktemp("chapter")
    return Disturbed(
        folder,
        "chapter",
        "01",
        "--profile",
        "smoke",
        *options(LIGHT),
        chapters={"01_small": CHAPTER},
    )


@pytest.mark.slow
def test_a_chapter_that_is_killed_three_times_ends_as_if_undisturbed(chapter) -> None:
    run = chapter.killed("killed", seed=3, kills=3)
    check_same(run, chapter.whole, LIGHT, ("table1",))


def test_an_interrupted_chapter_stops_within_seconds_and_says_how_to_go_on(chapter) -> None:
    run = chapter.start("interrupted")
    run.until(lambda: list(run.store.glob("networks/*.partial/checkpoint.safetensors")))
    check_interrupted(run)
    assert list(run.store.glob("networks/*.partial/checkpoint.safetensors"))


def test_a_chapter_whose_process_is_killed_says_so_in_a_sentence_and_keeps_what_was_finished(
    chapter,
) -> None:
    run = chapter.start("dead")
    run.until(lambda: list(run.store.glob("networks/*.partial/checkpoint.safetensors")))
    assert run.kill("ipykernel_launcher") == 1
    assert run.ends(60) == 2
    assert "Traceback" not in run.said()
    last = run.said().splitlines()[-1]
    assert last.startswith("Error: chapter 01_small failed: its process was killed")
    assert "give the same command again" in last
    check_remains(run)
    images = [name for name in checksums(run.store) if name.startswith("data/")]
    interrupted = checksums(chapter.folder / "interrupted.store")
    assert images and all(checksums(run.store)[name] == interrupted[name] for name in images)


# --- Several chapters at once ---------------------------------------------------------------------

SLEEPS = """
# %%
import time
from pathlib import Path

Path("sleeps {0}").touch()
time.sleep(600)
"""


@pytest.fixture
def two_that_sleep(tmp_path) -> Process:
    """A run whose second and third chapter sleep, at once, for minutes, and whose last one fails if
    it comes to it.
    """
    parameters = CHAPTER.rpartition("# %%")[0]
    texts = {"00_first": parameters, "04_next": parameters + "# %%\nraise ValueError('next')\n"}
    texts |= {f"0{number}_sleeps": parameters + SLEEPS.format(number) for number in (1, 2)}
    root = checkout(tmp_path / "checkout", texts)
    run = Process(root, tmp_path / "store", "blurpaper", "run", "--profile", "smoke", "--jobs", 2)
    run.until(lambda: len(list(root.glob("sleeps *"))) == 2)
    return run


def test_two_chapters_at_once_are_both_interrupted(two_that_sleep) -> None:
    check_interrupted(two_that_sleep)


@pytest.mark.parametrize("alone", [True, False])
def test_two_chapters_at_once_do_not_outlive_the_run(two_that_sleep, alone) -> None:
    if alone:
        two_that_sleep.process.kill()
    else:
        two_that_sleep.kill()
    two_that_sleep.ends(20)
    check_remains(two_that_sleep)


def test_when_one_of_two_fails_the_other_is_stopped_and_no_third_begins(two_that_sleep) -> None:
    began = time.monotonic()
    (first, _) = two_that_sleep.members("ipykernel_launcher")
    os.kill(first, signal.SIGKILL)
    assert two_that_sleep.ends(30) == 2
    assert time.monotonic() - began < 30
    assert re.search(
        r"Error: chapter 0[12]_sleeps failed: its process was killed", two_that_sleep.said()
    )
    assert "04_next" not in two_that_sleep.said()
    check_remains(two_that_sleep)


# --- Fine-tuning on photographs of one's own ------------------------------------------------------


@pytest.fixture(scope="module")
def finetuning(tmp_path_factory) -> Disturbed:
    """A network of two classes, fine-tuned on an album of eight photographs."""
    folder = tmp_path_factory.mktemp("finetuning")
    torch.manual_seed(0)
    files.save(small_vgg(("cat", "dog")), NetworkSpec("small_vgg"), folder / "start.safetensors")
    album(folder / "album")
    schedule = {
        "finetuning.batch": 4,
        "finetuning.phases": [{"epochs": 300, "rate": 0.002}],
        "compute.checkpoint_seconds": 1,
    }
    given = (
        "--network",
        folder / "start.safetensors",
        "--images",
        folder / "album",
        "--out",
        "tuned.safetensors",
    )
    return Disturbed(folder, "finetune", *given, "--profile", "smoke", *options(schedule))


@pytest.mark.slow
def test_a_fine_tuning_that_is_killed_ends_with_the_same_file_and_leaves_no_other(
    finetuning,
) -> None:
    finetuning.killed("killed", seed=7, kills=3)
    ends = [finetuning.root(name) / "tuned.safetensors" for name in ("killed", "undisturbed")]
    assert sha256_of(ends[0]) == sha256_of(ends[1])
    assert list(ends[0].parent.glob("tuned*")) == [ends[0]]


@pytest.mark.slow
def test_an_interrupted_fine_tuning_stops_within_seconds_and_says_how_to_go_on(finetuning) -> None:
    run = finetuning.start("interrupted")
    root = finetuning.root("interrupted")
    # Not one being written.
    run.until(lambda: [path for path in root.glob("tuned*.checkpoint") if ".tmp" not in path.name])
    check_interrupted(run)
    assert not (root / "tuned.safetensors").exists()
    assert list(root.glob("tuned*.checkpoint"))
    finetuning.ended(finetuning.start("interrupted"), "interrupted once", time.monotonic())
    assert sha256_of(root / "tuned.safetensors") == sha256_of(
        finetuning.root("undisturbed") / "tuned.safetensors"
    )


# --- Several processes ----------------------------------------------------------------------------


@pytest.mark.slow
def test_of_two_processes_that_train_together_one_may_be_killed(tmp_path, monkeypatch) -> None:
    """torchrun starts both again, and they end with the weights of a training that nobody
    disturbed.
    """
    # Else those who start again may read the addresses of those who died:
    # https://github.com/pytorch/pytorch/issues/135712
    monkeypatch.setenv("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    together = (
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "--max-restarts=1",
        "-m",
        "blurpaper",
    )
    command = (*together, "train", "original", "--profile", "smoke", *options(LIGHT))
    whole = Process(ROOT, tmp_path / "undisturbed.store", *command)
    assert whole.ends() == 0, whole.said()[-3000:]
    run = Process(ROOT, tmp_path / "killed.store", *command)
    run.until(lambda: list(run.store.glob("networks/*.partial/checkpoint.safetensors")))
    assert run.kill("RANK=1") == 1
    assert run.ends() == 0, run.said()[-3000:]
    for one in (whole, run):
        check_remains(one)
        assert rubbish(one.store) == []
        assert one.said().count("is in") == 1
    assert checksums(run.store) == checksums(whole.store)
    assert any(name.startswith("networks/") for name in checksums(run.store))
    print(f"elastic: {run.seconds:.0f} s, undisturbed {whole.seconds:.0f} s")


# --- The whole book -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_of_all_chapters_that_is_killed_twenty_times_ends_as_if_undisturbed(tmp_path) -> None:
    book = Disturbed(tmp_path, "run", "--profile", "smoke")
    run = book.killed("killed", seed=2, kills=20)
    check_same(run, book.whole, {}, tuple(experiments.EXPERIMENTS))
    folders = [book.root(name) / "_build" / "smoke" / "html" for name in ("killed", "undisturbed")]
    pages = [
        sorted(path.relative_to(folder) for path in folder.rglob("*.html")) for folder in folders
    ]
    assert pages[0] == pages[1]
    shutil.rmtree(tmp_path)
