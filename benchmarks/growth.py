"""How time and peak memory grow: with the number and size of images, the size of the PSF, and the
threads; cached and not.

Evaluation is of a folder of JPEG photographs (made here, with spectra like those of photographs) by
a small network with random weights, sharp and under D8, by the protocol of the profile photos, in
parts of 16 images. ``cold cache`` is the first network that looks at a folder, ``warm cache`` the
second. Every measurement has a process of its own. Its memory is the most that was resident, mapped
files included, less what was before the work and after the same on a tiny image; its seconds are of
the work alone. Numbers are medians of several rounds, with the least and the most of them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
SHARD, BATCH = 16, 8
CONDITIONS = ["sharp", "D8"]
SIDES = (384, 512)
"""Rows and columns of an image that is blurred alone."""
DISTINCT = 8
"""Photographs that are made; further ones are copies."""

Row = dict[str, object]


# --- Exponents ------------------------------------------------------------------------------------


def exponents(rows: Sequence[Row]) -> list[Row]:
    """A row for each series of three points or more: the powers of ``x`` with which time and memory
    grow.
    """
    found = []
    for series in dict.fromkeys(row["series"] for row in rows):
        points = [row for row in rows if row["series"] == series]
        x = [row["x"] for row in points]
        if len(set(x)) >= 3:
            time_, memory = (
                exponent(x, [row[name] for row in points]) for name in ("seconds", "megabytes")
            )
            found.append({"series": series, "time": time_, "memory": memory, "points": len(points)})
    return found


def exponent(x: Sequence[float], y: Sequence[float]) -> float | None:
    """The power of x with which y grows: the slope of a line through their logarithms, by least
    squares.

    None where some y are not positive, as when no more memory was taken than before the work.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    if min(y) <= 0:
        return None
    across = np.log(np.asarray(x, float))
    across -= across.mean()
    return float(across @ np.log(np.asarray(y, float)) / (across @ across))


# --- Measuring ------------------------------------------------------------------------------------


def measure(quick: bool = False) -> list[Row]:
    """Rows of ``series``, ``x``, ``seconds`` and ``megabytes``, and of each of these two ``...,
    least`` and ``..., most``.

    What stands before the comma of a series says what its x is: images, megapixels of each, pixels
    across the PSF, threads.
    """
    from blurpaper import kernels

    rounds = 1 if quick else 3
    counts = (SHARD, 2 * SHARD, 4 * SHARD) if quick else (16, 64, 256, 1024)
    sides = (256, 512, 1024) if quick else (256, 512, 1024, 2048)
    disks = ("D2", "D8", "D32") if quick else ("D2", "D4", "D8", "D16", "D32")
    threads = [count for count in (1, 2) if count <= (os.cpu_count() or 1)]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        networks = [str(folder / f"{name}.safetensors") for name in ("first", "second")]
        photographs(folder / "tiny", 1, 64)
        run({"make": networks})
        rows: list[Row] = []
        for count in counts:
            photographs(folder / f"{count}", count, 480)
            task = {"evaluate": str(folder / f"{count}"), "network": networks[0]}
            rows += repeated("images, no cache", count, [task | {"cache_gb": 0}], folder, rounds)
            both = [task, task | {"network": networks[1]}]
            rows += repeated("images, {} cache", count, both, folder, rounds, ("cold", "warm"))
        for side in sides:
            photographs(folder / f"side{side}", 4 if quick else SHARD, side)
            task = {"evaluate": str(folder / f"side{side}"), "network": networks[0], "cache_gb": 0}
            rows += repeated(
                "megapixels, evaluation", side * side * 4 / 3 / 1e6, [task], folder, rounds
            )
        for name in disks:
            across = kernels.psf(name).shape[-1]
            rows += repeated(
                "pixels across the PSF, disk", across, [{"blur": name}], folder, rounds
            )
        for scale in (0.5, 1, 2):
            across = kernels.shake_bank("test", scale).shape[-1]
            rows += repeated(
                "pixels across the PSF, shake",
                across,
                [{"blur": "shake", "scale": scale}],
                folder,
                rounds,
            )
        for count in threads:
            task = {
                "evaluate": str(folder / f"{counts[1]}"),
                "network": networks[0],
                "cache_gb": 0,
                "threads": count,
            }
            rows += repeated("threads, evaluation", count, [task], folder, rounds)
            for name in ("D8", "shake"):
                rows += repeated(
                    f"threads, blur by {name}",
                    count,
                    [{"blur": name, "threads": count}],
                    folder,
                    rounds,
                )
    return rows


def repeated(
    series: str,
    x: float,
    tasks: Sequence[Row],
    folder: Path,
    rounds: int,
    names: Sequence[str] = ("",),
) -> Iterator[Row]:
    """A row for each of some tasks that follow one another in one store, which is new in every
    round.
    """
    found: list[list[Row]] = [[] for _ in tasks]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as store:
            for task, mine in zip(tasks, found, strict=True):
                mine.append(run(task | {"store": store, "tiny": str(folder / "tiny")}))
    for name, mine in zip(names, found, strict=True):
        row: Row = {"series": series.format(name), "x": x}
        for what in ("seconds", "megabytes"):
            values = [one[what] for one in mine]
            row |= {
                what: statistics.median(values),
                f"{what}, least": min(values),
                f"{what}, most": max(values),
            }
        yield row


def run(task: Row) -> Row:
    """Do a task in a process of its own.

    Raises:
        RuntimeError: if it fails, with the end of what it said.
    """
    environment = dict(os.environ)
    if "threads" in task:
        environment["OMP_NUM_THREADS"] = str(task["threads"])
    command = [sys.executable, "-m", "benchmarks.growth", json.dumps(task)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{task} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def photographs(folder: Path, count: int, side: int) -> None:
    """Write so many JPEG files, side x 4/3 side pixels each, whose spectra fall as those of
    photographs do.
    """
    from PIL import Image

    from blurpaper.data.emoji import background, photographed
    from blurpaper.randomness import stream

    folder.mkdir()
    shown = []
    for number in range(min(count, DISTINCT)):
        draw = stream("growth", number, side)
        shown.append(photographed(background(draw, side, side * 4 // 3), draw))
    for number in range(count):
        Image.fromarray(shown[number % DISTINCT]).save(folder / f"{number:04d}.jpg", quality=90)


# --- In the process of one measurement ------------------------------------------------------------


def worked(task: Row) -> Row:
    """Do a task here: seconds and megabytes of it, beyond what the same takes on a tiny image."""
    import torch

    if "threads" in task:
        torch.set_num_threads(int(task["threads"]))
    if "make" in task:
        _make_networks(task["make"])
        return {}
    return _blur(task) if "blur" in task else _evaluate(task)


def _make_networks(paths: Sequence[str]) -> None:
    import torch

    from blurpaper.networks import NetworkSpec, build, files

    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        network = build("small_vgg", tuple(map(str, range(100))), 64).eval()
        files.save(network, NetworkSpec("small_vgg", seed=seed), Path(path))


def _evaluate(task: Row) -> Row:
    from blurpaper import evaluation
    from blurpaper import profile as profiles
    from blurpaper.networks.files import NetworkFile
    from blurpaper.store import Store

    network, store = NetworkFile.at(Path(task["network"])), Store(task["store"])
    settings = {
        "evaluation.shard": SHARD,
        "evaluation.batch": BATCH,
        "compute.cache_gb": task.get("cache_gb", 4),
    }

    def evaluate(folder: str, profile: str, place: Store, overrides: Row) -> None:
        evaluation.evaluate(
            network, Path(folder), CONDITIONS, ["256"], profiles.load(profile, overrides), place
        )

    with tempfile.TemporaryDirectory() as elsewhere:
        evaluate(task["tiny"], "emoji", Store(elsewhere), {"compute.cache_gb": 0})
    return _measured(lambda: evaluate(task["evaluate"], "photos", store, settings), times=1)


def _blur(task: Row) -> Row:
    import torch

    from blurpaper import blur, kernels

    bank = kernels.shake_bank("test", task.get("scale", 1))
    psfs = [
        bank[number] if task["blur"] == "shake" else kernels.psf(task["blur"])
        for number in range(BATCH)
    ]
    images = torch.randint(
        0, 256, (BATCH, 3, *SIDES), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    blur.apply(images[..., :16, :16].contiguous(), psfs)
    return _measured(lambda: blur.apply(images, psfs), times=5)


def _measured(work, times: int) -> Row:
    before, spent = peak(), []
    for _ in range(times):
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return {"seconds": statistics.median(spent), "megabytes": (peak() - before) / 1e6}


def peak() -> int:
    """The most bytes that this process has had resident so far."""
    import resource

    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss may be the parent's
        (kilobytes,) = (
            line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")
        )
        return 1024 * int(kilobytes)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


if __name__ == "__main__":  # as a process of its own
    print(json.dumps(worked(json.loads(sys.argv[1]))))
