"""Commands run as processes that tests stop at will: who belongs to them, who outlives them, and
what they leave in a store.
"""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

import blurpaper
from blurpaper.runs.store import Store, sha256_of

ROOT = Path(blurpaper.__file__).parent.parent
UNREPEATABLE = ("chapters", "deblurring-seconds")
"""Kinds of artifacts that tell when or how fast they were made, and so are others each time."""


def checkout(folder: Path, chapters: Mapping[str, str] | None = None) -> Path:
    """A checkout whose files are links to those of this one, so that what is built is built in a
    folder of the test's own.

    Args:
        chapters: by name, the texts of those that take the place of all chapters.
    """
    folder.mkdir(parents=True)
    for name in ("blurpaper", "book", "results", "_config.yml", "_toc.yml"):
        (folder / name).symlink_to(ROOT / name)
    if chapters:
        (folder / "notebooks").mkdir()
        for name, text in chapters.items():
            (folder / "notebooks" / f"{name}.py").write_text(text)
    else:
        (folder / "notebooks").symlink_to(ROOT / "notebooks")
    return folder


def _heeds_interrupts() -> None:
    """Undo what a shell does to what it starts in the background, such as these tests: that is deaf
    to Ctrl-C.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Process:
    """``python -m ...`` in a checkout, with a store of its own, as the leader of a process group.

    Attributes:
        store: by which all its processes are known, also a kernel, which has a group of its own.
        worked: seconds of CPU time that its processes had taken when they were last looked at:
            unlike the seconds that went by, nearly the same on an idle machine and on a busy one.
    """

    def __init__(self, root: Path, store: Path, *arguments: object) -> None:
        self.store = store
        for path in store.rglob("*.lock"):  # stale; that there are new ones tells that it computes
            path.unlink()
        self._log = store.with_name(f"{store.name}.log")
        environment = os.environ | {
            "BLURPAPER_STORE": str(store),
            "PYTHONPATH": str(root),
            "OMP_NUM_THREADS": "1",
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *map(str, arguments)],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_heeds_interrupts,
            )
        self.started, self.seconds = time.monotonic(), 0.0
        self._spent: dict[int, float] = {}

    def said(self) -> str:
        """What it and all that it started have said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def members(self, *marks: str) -> list[int]:
        """Its processes that are alive, or those of them that were started with all these words or
        variables.
        """
        wanted = {f"BLURPAPER_STORE={self.store}", *marks}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (
                    (folder / "environ").read_bytes() + b"\0" + (folder / "cmdline").read_bytes()
                )
                if wanted <= set(words.decode(errors="replace").split("\0")):
                    found.append(int(folder.name))
        return found

    def until(self, happened: Callable[[], object], seconds: float = 120) -> float:
        """Wait until something has happened; the seconds since the run was started."""
        while not happened():
            assert self.process.poll() is None, self.said()[-3000:]
            assert time.monotonic() - self.started < seconds, self.said()[-3000:]
            time.sleep(0.02)
        return time.monotonic() - self.started

    def computes(self) -> bool:
        """Whether it has come so far as to make something that it keeps, a chapter aside."""
        return any(path.parent.name not in UNREPEATABLE for path in self.store.glob("*/*.lock"))

    @property
    def worked(self) -> float:
        return sum(self._spent.values())

    def worked_until_it_computes(self) -> float:
        """Wait until it computes or has ended; the CPU time that it took so far."""
        while self.works(self.worked + 0.01) and not self.computes():
            pass
        return self.worked

    def works(self, worked: float = math.inf, seconds: float = 900) -> bool:
        """Wait until it has taken so much CPU time, or has ended; whether it is still there."""
        while self.process.poll() is None and self.worked < worked:
            assert time.monotonic() - self.started < seconds, self.said()[-3000:]
            for pid in self.members():
                with suppress(OSError):
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    self._spent[pid] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
            time.sleep(0.02)
        return self.process.poll() is None

    def ends(self, seconds: float = 600) -> int:
        """Its exit status, once it has ended; ``seconds`` is then how long it lived."""
        status = self.process.wait(seconds)
        self.seconds = time.monotonic() - self.started
        return status

    def interrupt(self) -> None:
        """What Ctrl-C does: a signal to the group of processes that the terminal knows."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self, *marks: str) -> int:
        """Kill all its processes, or those that were started with all these words or variables; how
        many they were.
        """
        found = self.members(*marks)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def survivors(self, seconds: float = 20) -> list[int]:
        """Its processes that are still alive after so long."""
        end = time.monotonic() + seconds
        while (left := self.members()) and time.monotonic() < end:
            time.sleep(0.05)
        return left


def check_remains(run: Process) -> None:
    """That of a run which was stopped no process is left and no lock is held, and that all it kept
    is whole.
    """
    assert run.survivors() == []
    # A process that ends has lost its variables, by which it is known, before its files are closed.
    for _ in range(50):
        if not (held := _locks_held(run.store)):
            break
        time.sleep(0.1)
    assert held == []
    for name in Store(run.store).names():
        data, stamp = _files_of(run.store / name)
        assert f'"sha256": "{sha256_of(data)}"' in stamp.read_text(encoding="utf-8"), name


def _locks_held(store: Path) -> list[Path]:
    held = []
    for path in store.rglob("*.lock"):
        try:
            with FileLock(path, timeout=0):
                pass
        except Timeout:
            held.append(path)
    return held


def _files_of(artifact: Path) -> tuple[Path, Path]:
    data, stamp = sorted(artifact.iterdir())
    assert (data.stem, stamp.name) == ("data", "stamp.json")
    return data, stamp


def checksums(store: Path) -> dict[str, str]:
    """Artifact -> checksum of its data, of all that must be the same bit for bit however it was
    made.
    """
    names = (name for name in Store(store).names() if name.split("/")[0] not in UNREPEATABLE)
    return {name: sha256_of(_files_of(store / name)[0]) for name in names}


def rubbish(store: Path) -> list[Path]:
    """What a run that came to its end should have cleared away."""
    return [path for path in store.rglob("*") if ".tmp" in path.name or path.suffix == ".partial"]


def lives(seed: int, count: int, startup: float, worked: float) -> list[float]:
    """The CPU time that a run takes each time before it is killed, at random: so many times within
    what the whole one took.

    Args:
        startup: of which it took so much before it began to compute, and will again each time.
    """
    draw = random.Random(seed)
    return [startup + draw.uniform(0, (worked - startup) / count) for _ in range(count)]


def kill_again_and_again(start: Callable[[], Process], lives: Sequence[float]) -> int:
    """Start a run, kill it when it has worked for so long, and so on: all its processes or (every
    other time) the leader alone.

    Returns:
        how often it was killed: less than asked for if it came to its end before.
    """
    killed = 0
    for number, life in enumerate(lives):
        run = start()
        if run.works(life):
            if number % 2:
                run.process.kill()
            else:
                run.kill()
            run.ends(20)
            killed += 1
        else:
            assert run.ends() == 0, run.said()[-3000:]
        assert "damaged" not in run.said()
        check_remains(run)
    return killed
