"""What goes wrong around a computation: a full disk, a place that is only read, damage, rivals, a
bad loss, a clock set back.

Each is one sentence or no trouble at all, and what was finished before is there afterwards.
"""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path

import papermill
import pytest
import torch
from click.testing import CliRunner
from helpers import MemorySet
from PIL import Image
from safetensors import safe_open

from blurpaper.book import build
from blurpaper.cli import main
from blurpaper.data import folders
from blurpaper.data.images import ImageError
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute, Phase, Protocol, Schedule
from blurpaper.runs.store import TENSORS, Artifact, Codec, Store, StoreError, sha256_of
from blurpaper.training import batches, loop, networks
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Labels

resource = pytest.importorskip("resource", reason="files are limited by what Unix has for it")

SETTINGS = Protocol(
    canonical=108, scales={"128": 36, "256": 72, "512": 144}, jitter=[356, 384, 410], field=64
)
CPU = Compute(device="cpu", precision="bfloat16", checkpoint_seconds=1)
SCHEDULE = Schedule(phases=[Phase(epochs=3, rate=0.02)], batch=4, momentum=0.9, weight_decay=5e-4)


def run(*arguments: object, **environment: str):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)


def check_sentence(said: str, *parts: str) -> None:
    """That an error was told in one sentence, which has all these parts."""
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1 and lines[0] == said.splitlines()[-1], said
    assert all(part in lines[0] for part in parts), lines[0]


@pytest.fixture
def task() -> Task:
    """Sixteen small images of two classes, some of them blurred."""
    generator = torch.Generator().manual_seed(0)
    pictures = [
        torch.randint(0, 256, (3, 120, 130), generator=generator, dtype=torch.uint8)
        for _ in range(16)
    ]
    images = MemorySet(pictures, [number % 2 for number in range(16)], ("below", "above"))
    return Task(images, {"sharp": 0.5, "D8": 0.5}, "256", seed=5)


@pytest.fixture
def saving_every_step(monkeypatch) -> None:
    clock = count(step=10)
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))


def fresh() -> Labels:
    torch.manual_seed(3)
    return Labels(small_vgg(("below", "above")))


def weights(task: Task, *more: object, objective: Labels | None = None) -> dict[str, torch.Tensor]:
    """What training ends with."""
    return loop.train(objective or fresh(), task, SCHEDULE, SETTINGS, CPU, *more).state_dict()


def check_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


def steps_in(checkpoint: Path) -> int:
    with safe_open(checkpoint, "pt") as file:
        return int(file.metadata()["step"])


# --- A full disk ----------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A system that refuses to let any file grow beyond so many bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


LIGHT = (
    "emoji.classes=4",
    "emoji.train=32",
    "emoji.test=8",
    "pretraining.batch=32",
    "pretraining.phases=[{epochs: 1, rate: 0.02}]",
)
TRAIN = (
    "train",
    "original",
    "--profile",
    "smoke",
    *(part for one in LIGHT for part in ("-p", one)),
)


def test_what_a_full_disk_or_damage_took_is_told_of_and_made_again_the_same(tmp_path) -> None:
    """A network does not fit, then it does; then a bit of it is flipped."""
    store = tmp_path / "store"
    with largest_file(2_000_000):
        done = run(*TRAIN, BLURPAPER_STORE=str(store))
    assert done.exit_code == 2
    check_sentence(
        done.stderr,
        "cannot write",
        "networks/small_vgg_original",
        "free some space or name another place",
    )
    assert [name.split("/")[0] for name in Store(store).names()] == ["data"]
    assert not list(store.rglob("*.tmp*"))

    done = run(*TRAIN, BLURPAPER_STORE=str(store))
    assert done.exit_code == 0, done.stderr
    (data,) = store.glob("networks/*/data.safetensors")
    whole = data.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    data.write_bytes(flipped)
    with pytest.warns(UserWarning) as told:
        done = run(*TRAIN, BLURPAPER_STORE=str(store))
    assert done.exit_code == 0, done.stderr
    damaged = f"{data} is damaged (its checksum differs): it is computed again"
    assert sum(damaged in str(warning.message) for warning in told) == 1
    assert data.read_bytes() == whole


def test_a_disk_that_fills_up_during_training_costs_what_came_after_the_last_checkpoint(
    task, saving_every_step, tmp_path
) -> None:
    checkpoint, whole = tmp_path / "checkpoint.safetensors", weights(task)
    with (
        pytest.raises(StoreError, match=r"cannot write .*checkpoint.*; free some space") as told,
        largest_file(1 << 40),
    ):

        def filling(done: int, *_: object) -> None:
            if done == 7:
                resource.setrlimit(
                    resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
                )

        weights(task, checkpoint, filling)
    assert str(checkpoint) in str(told.value)
    assert list(tmp_path.iterdir()) == [checkpoint]
    assert steps_in(checkpoint) == 6
    check_equal(weights(task, checkpoint), whole)


def test_a_picture_that_does_not_fit_leaves_the_one_that_was_there(tmp_path) -> None:
    Image.effect_noise((500, 500), 60).convert("RGB").save(tmp_path / "in.png")
    (tmp_path / "out.png").write_bytes(b"before")
    with largest_file(50_000):
        done = run("blur", tmp_path / "in.png", tmp_path / "out.png", "--psf", "D2")
    assert done.exit_code == 2
    check_sentence(
        done.output, f"cannot write {tmp_path / 'out.png'}: File too large; free some space"
    )
    assert (tmp_path / "out.png").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS], ids=errno.errorcode.get
)
def test_a_chapter_that_cannot_be_written_down_is_one_sentence(
    tmp_path, monkeypatch, number
) -> None:
    def execute(raw: Path, out: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(out))

    monkeypatch.setattr(papermill, "execute_notebook", execute)
    monkeypatch.setattr(build, "ROOT", tmp_path)
    done = run("chapter", "02", "--profile", "smoke", BLURPAPER_STORE=str(tmp_path / "store"))
    assert done.exit_code == 2
    check_sentence(
        done.output, "cannot write", "executed.ipynb", os.strerror(number), "name another place"
    )
    assert Store(tmp_path / "store").names() == []


# --- A store that cannot be written to ------------------------------------------------------------


@pytest.fixture
def album(tmp_path) -> Path:
    (tmp_path / "album").mkdir()
    for number in range(4):
        Image.effect_noise((90, 80), 20 + number).convert("RGB").save(
            tmp_path / "album" / f"{number}.png"
        )
    return tmp_path / "album"


@pytest.mark.parametrize("verb", ["run", "chapter", "train", "evaluate", "finetune", "publish"])
def test_a_store_that_cannot_be_made_is_one_sentence_that_names_it(
    verb, album, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "file").write_text("in the way")
    given = {
        "run": ("--profile", "smoke"),
        "chapter": ("00", "--profile", "smoke"),
        "train": ("original", "--profile", "smoke"),
        "evaluate": ("--network", "efficientnet_lite0", "--images", album),
        "finetune": (
            "--network",
            "efficientnet_lite0",
            "--images",
            album,
            "--unlabelled",
            "--out",
            tmp_path / "t.safetensors",
        ),
        "publish": ("--profile", "smoke", "--experiments", "table1"),
    }[verb]
    done = run(verb, *given, BLURPAPER_STORE=str(tmp_path / "file" / "store"))
    assert done.exit_code == 2
    check_sentence(done.output, f"cannot write {tmp_path / 'file' / 'store'}")


def text(value: str | None = None, number: int = 0) -> Artifact[str]:
    """A text to be kept; without a value it must not be computed."""

    def compute() -> str:
        assert value is not None, "computed"
        return value

    compute.__module__ = "blurpaper.runs.randomness"
    codec = Codec(
        ".txt", lambda value, path: path.write_text(value) and None, lambda path: path.read_text()
    )
    return Artifact("texts", "a text", {"number": number}, compute, codec)


@contextmanager
def only_read() -> Iterator[None]:
    """A system on whose disks nothing is made, changed or removed."""

    def refused(*arguments: object, **_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(arguments[0]))

    plainly_open = os.open

    def opened(path: object, flags: int, *more: object, **others: object) -> int:
        return (
            refused(path)
            if flags & (os.O_WRONLY | os.O_RDWR)
            else plainly_open(path, flags, *more, **others)
        )

    with pytest.MonkeyPatch.context() as patch:
        for name in ("mkdir", "rename", "replace", "unlink", "rmdir"):
            patch.setattr(os, name, refused)
        patch.setattr(os, "open", opened)
        yield


def test_a_store_that_is_only_read_gives_what_it_has_and_says_where_the_rest_would_go(
    store,
) -> None:
    store.get(text("kept"))
    with only_read():
        assert store.get(text()) == "kept"
        with pytest.raises(StoreError, match="Read-only file system; name another place") as told:
            store.get(text(number=1))
        assert str(store.path(text(number=1))) in str(told.value)


# --- Damage ---------------------------------------------------------------------------------------


def test_a_checkpoint_that_was_cut_off_is_told_of_and_training_begins_anew(
    store, task, saving_every_step, monkeypatch
) -> None:
    compute = partial(loop.train_or_resume, fresh, task, SCHEDULE, SETTINGS, CPU, "a network")
    codec = Codec(
        ".safetensors",
        lambda network, path: TENSORS.save(network.state_dict(), path),
        TENSORS.load,
    )
    artifact = Artifact("networks", "a network", {}, compute, codec, resumable=True)

    def tick(done: int, *_: object) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "progress", lambda *_, **__: nullcontext(tick))
        networks.get(artifact, store)
    checkpoint = store.scratch(artifact) / "checkpoint.safetensors"
    assert steps_in(checkpoint) == 5
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    with pytest.warns(UserWarning, match="is damaged: training begins anew") as told:
        found = networks.get(artifact, store).state_dict()
    assert str(checkpoint) in str(told[0].message)
    check_equal(found, weights(task))


# --- Rivals ---------------------------------------------------------------------------------------

RIVAL = """
import sys, time
from functools import partial
from pathlib import Path
from blurpaper.runs.store import Artifact, Codec, Store
root, name, order, pause = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
codec = Codec(
    ".txt", lambda value, path: path.write_text(value) and None, lambda path: path.read_text()
)

def made(number):
    with (root / "made").open("a") as file:
        file.write(f"{name} {number}\\n")
    time.sleep(pause)
    return f"text {number}"

made.__module__ = "blurpaper.runs.randomness"
store = Store(root / "store")
(root / f"{name} is ready").touch()
while len(list(root.glob("* is ready"))) < 2:
    time.sleep(0.01)
for number in map(int, order.split(",")):
    inputs = {"number": number}
    found = store.artifact("texts", "a text", inputs, partial(made, number), codec)
    assert found == f"text {number}"
"""


def rival(root: Path, name: str, order: str, pause: float) -> subprocess.Popen:
    command = [sys.executable, "-c", RIVAL, str(root), name, order, str(pause)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def made(root: Path) -> list[list[str]]:
    return (
        [line.split() for line in (root / "made").read_text().splitlines()]
        if (root / "made").exists()
        else []
    )


def test_two_runs_at_once_on_one_store_compute_each_result_once(tmp_path) -> None:
    both = [
        rival(tmp_path, "one", "0,1,2,3,4,5,6,7", 0.1),
        rival(tmp_path, "two", "7,1,6,2,5,3,4,0", 0.1),
    ]
    said = [one.communicate(timeout=120)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert sorted(number for _, number in made(tmp_path)) == list("01234567")
    assert {name for name, _ in made(tmp_path)} == {"one", "two"}


def test_when_the_run_that_others_wait_for_is_killed_another_goes_on(tmp_path) -> None:
    first = rival(tmp_path, "one", "0", 600)
    (tmp_path / "two is ready").touch()
    while not made(tmp_path):
        assert first.poll() is None
        time.sleep(0.01)
    second = rival(tmp_path, "two", "0", 0)
    assert "waiting for it" in second.stderr.readline()
    first.send_signal(signal.SIGKILL)
    assert second.wait(60) == 0
    assert made(tmp_path) == [["one", "0"], ["two", "0"]]
    first.communicate()
    second.communicate()


def test_what_two_runs_find_damaged_is_made_once_and_not_removed_by_the_slower(
    store, monkeypatch
) -> None:
    """The slower has read that it is damaged when the other has made it anew."""
    store.get(text("kept"))
    data = store.path(text()) / "data.txt"
    data.write_text("damaged")
    name, checksum = "blurpaper.runs.store.sha256_of", sha256_of

    def slow(path: Path) -> str:
        found = checksum(path)
        monkeypatch.setattr(name, checksum)
        with pytest.warns(UserWarning, match="damaged"):
            assert Store(store.root).get(text("made by the other")) == "made by the other"
        return found

    monkeypatch.setattr(name, slow)
    assert store.get(text()) == "made by the other"


def test_what_was_killed_between_two_writes_is_no_artifact_and_is_cleared_away(store) -> None:
    folder = store.path(text())
    half = folder.with_name(f"{folder.name}.1.tmp")
    half.mkdir(parents=True)
    (half / "data.txt").write_text("half")
    (half / "stamp.json").write_text("{}")
    assert store.names() == []
    store.get(text("whole"))
    assert store.names() == [f"texts/{folder.name}"]
    store.scratch(text()).mkdir()  # as if killed when it was about to be removed
    assert store.get(text()) == "whole"
    assert sorted(path.name for path in folder.parent.iterdir()) == [
        folder.name,
        f"{folder.name}.lock",
    ]


# --- A worker that fails --------------------------------------------------------------------------


def test_an_image_that_cannot_be_read_in_the_middle_stops_the_training_by_name_and_ends_its_threads(
    task, saving_every_step, tmp_path
) -> None:
    """It was readable when training began: a disk was unplugged."""
    checkpoint, whole, reads = tmp_path / "checkpoint.safetensors", weights(task), count(1)
    broken = task.images

    class Unplugged(MemorySet):
        def __getitem__(self, number: int) -> torch.Tensor:
            if next(reads) > 14:
                raise ImageError(f"cannot read test/{number}: Input/output error.")
            return broken[number]

    unplugged = Unplugged(broken.images, broken.labels.tolist(), broken.classes)
    before = threading.active_count()
    with pytest.raises(ImageError, match=r"cannot read test/\d+"):
        weights(Task(unplugged, task.mix, task.train_scale, task.seed), checkpoint)
    assert threading.active_count() == before
    assert steps_in(checkpoint) == 3  # of 14 images read, three batches were whole
    check_equal(weights(task, checkpoint), whole)


# --- A loss that is no number ---------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_step_and_batch_and_keeps_the_checkpoint_before(
    task, saving_every_step, tmp_path
) -> None:
    checkpoint, whole = tmp_path / "checkpoint.safetensors", weights(task)

    class Poisoned(Labels):
        seen = 0

        def forward(self, batch: batches.Batch) -> torch.Tensor:
            self.seen += 1
            return super().forward(batch) * (float("nan") if self.seen == 7 else 1.0)

    torch.manual_seed(3)
    with pytest.raises(UserError) as told:
        weights(task, checkpoint, objective=Poisoned(small_vgg(("below", "above"))))
    members = batches.epoch_order(task, 1)[8:11]  # the third batch of the second epoch
    named = ", ".join(f"test/{member}" for member in members)
    assert str(told.value).startswith(
        f"the loss is nan at step 6 of 12 (epoch 1, batch 2: {named}, ...)"
    )
    assert steps_in(checkpoint) == 6
    check_equal(weights(task, checkpoint), whole)


# --- A clock that is set back ---------------------------------------------------------------------


@pytest.fixture
def clock_runs_backwards(monkeypatch) -> None:
    """By an hour each time that somebody looks."""
    now = time.time()
    seconds = count(now, -3600)
    monkeypatch.setattr(time, "time", lambda: next(seconds))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(seconds) * 1e9))


@pytest.mark.usefixtures("clock_runs_backwards")
def test_a_clock_that_is_set_back_changes_no_result(task, store, tmp_path) -> None:
    """Of the times of day the store keeps, none decides what is loaded."""
    weights(task, tmp_path / "checkpoint.safetensors")
    assert store.get(text("kept")) == "kept"
    assert Store(store.root).get(text()) == "kept"


def test_a_file_that_is_older_than_what_was_made_of_it_counts_by_its_content(
    album, smoke, tmp_path, monkeypatch
) -> None:
    """A photograph and a chapter are replaced by others of the same size, dated before the ones
    they replace.
    """
    before = folders.load_folder(album, labelled=False).fingerprint
    (album / "0.png").write_bytes((album / "1.png").read_bytes())
    os.utime(album / "0.png", (0, 0))
    assert folders.load_folder(album, labelled=False).fingerprint != before

    monkeypatch.setattr(build, "build_folder", lambda _: tmp_path)
    for chapter in build.chapters():
        path = build.executed(chapter, smoke)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a")
    before = build._ingredients(smoke)
    path.write_text("b")
    os.utime(path, (0, 0))
    assert build._ingredients(smoke) != before
