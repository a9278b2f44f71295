"""Long runs: what is done over and over takes no more files, threads and memory the last time than
the second.
"""

import gc
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from disturbance import checkout
from helpers import album

from blurpaper.evaluation import folder
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.vgg import small_vgg
from blurpaper.networks.weights import named
from blurpaper.runs import Run, profile
from blurpaper.runs.store import Store

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="reads what a process has from /proc"
)


def taken() -> dict[str, int]:
    """What this process has: open files, threads, and megabytes in memory."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    (resident,) = (
        int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")
    )
    return {
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "threads": threading.active_count(),
        "MB": resident // 1024,
    }


def test_measuring_again_and_again_takes_no_more_files_threads_or_memory(tmp_path) -> None:
    torch.manual_seed(0)
    files.save(
        small_vgg(("cat", "dog")), NetworkSpec("small_vgg"), tmp_path / "network.safetensors"
    )
    album(tmp_path / "album", side=400)
    settings = profile.load("smoke", {"evaluation.bootstrap": 50})

    def measure(number: int) -> None:
        store = Store(tmp_path / f"store {number}")
        spec = named(str(tmp_path / "network.safetensors"))
        folder.measure(
            spec,
            tmp_path / "album",
            ["sharp", "D8", "G4", "shake"],
            ["128", "256"],
            Run(settings, store),
        )

    for number in range(2):
        measure(number)
    before = taken()
    for number in range(2, 8):
        measure(number)
    after = taken()
    assert after["files"] <= before["files"]
    assert after["threads"] <= before["threads"]
    assert after["MB"] <= before["MB"] + 16, (before, after)


PASSES = """
import json, sys, tempfile
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_long_run import taken
from blurpaper.book import build, execution
from blurpaper.runs import profile
from blurpaper.runs.store import Store
import os

found = []
for number in range(2):
    os.environ["BLURPAPER_STORE"] = str(Path(sys.argv[2]) / f"store {number}")
    run = execution.Edition(profile.load("smoke"), {}, "smoke", Store())
    for chapter in build.chapters():
        execution.execute(chapter, run)
    found.append(taken())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    found[-1]["children"] = len(children)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_executing_all_chapters_twice_takes_no_more_files_threads_processes_or_memory(
    tmp_path,
) -> None:
    root = checkout(tmp_path / "checkout")
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PASSES, str(Path(__file__).parents[1]), str(tmp_path)]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = json.loads(done.stdout.splitlines()[-1])
    print(first, second)
    assert second["files"] <= first["files"]
    assert second["threads"] <= first["threads"]
    assert first["children"] == second["children"] == 0
    assert second["MB"] <= first["MB"] + 64
