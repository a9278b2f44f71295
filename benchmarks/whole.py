"""Whole runs: ``blurpaper run`` from an empty store, and again from the store that it left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.timing import seconds


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row for each profile that needs no data: seconds from cold, and of a second run."""
    rows = []
    for profile in ("smoke",) if quick else ("smoke", "emoji"):
        command = [sys.executable, "-m", "blurpaper", "run", "--profile", profile]
        with tempfile.TemporaryDirectory() as store:
            environment = os.environ | {"BLURPAPER_STORE": store}

            def run(command=command, environment=environment) -> None:
                subprocess.run(command, env=environment, check=True, capture_output=True)

            rows.append(
                {"profile": profile, "cold, s": seconds(run), "from the store, s": seconds(run)}
            )
    return rows
