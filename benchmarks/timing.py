"""Timing fairly: everything warm, in one process, in turns, and medians of several rounds."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from blurpaper.runs.devices import device_of, has_bfloat16, keep_freed_memory
from blurpaper.runs.profile import Compute, load


def side_by_side(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each work, after a run to warm it; every round does each of them once."""
    keep_freed_memory()
    for work in works.values():
        work()
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            spent[name].append(seconds(work))
    return {name: statistics.median(values) for name, values in spent.items()}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def machine() -> dict[str, object]:
    """The machine and the versions that a measurement is of."""
    from importlib.metadata import PackageNotFoundError, version

    libraries = (
        "torch",
        "numpy",
        "numba",
        "scipy",
        "opencv-python-headless",
        "albumentations",
        "kornia",
        "deepinv",
        "scikit-learn",
    )
    versions = {}
    for name in libraries:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    memory = next(
        (line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), None
    )
    names = {
        line.partition(":")[2].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    }
    return {
        "processor": ", ".join(sorted(names)) or platform.processor() or platform.machine(),
        "bfloat16": compute_precision(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(int(memory) / 2**20, 1) if memory else None,
        "python": platform.python_version(),
        "versions": versions,
    }


def compute_precision() -> str:
    """``native`` where the processor has bfloat16, else why float32 is used."""
    compute: Compute = load("emoji").compute
    return "native" if has_bfloat16(device_of(compute)) else "not there: float32 is used"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
