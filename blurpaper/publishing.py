"""From the store to results/: the numbers to commit, where each came from, and what each image was decided to be."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from blurpaper import experiments, results
from blurpaper.profile import Profile
from blurpaper.store import Store, surroundings, written

if TYPE_CHECKING:
    import pandas as pd

_STAMPED = ("kind", "name", "key", "commit", "dirty", "made", "data", "device", "sha256")


def publish(profile: Profile, store: Store) -> Iterator[Path]:
    """Write ``results/<profile>.csv``, ``.json``, ``.decisions.parquet`` and ``.timings.csv``; what is missing is computed."""
    import pandas as pd

    rows = pd.concat([make(profile, store) for make in experiments.EXPERIMENTS.values()], ignore_index=True)
    decided = experiments.decisions(profile, store)
    stamps = sorted(store.stamps_used(), key=lambda stamp: (stamp["kind"], stamp["name"]))

    path = results.PUBLISHED / f"{profile.name}.csv"
    results.write(rows, path)
    yield path

    path = results.PUBLISHED / f"{profile.name}.json"
    about = {
        "profile": profile.model_dump(),
        **{name: value for name, value in surroundings().items() if name != "commit"},
        "artifacts": [{name: stamp.get(name) for name in _STAMPED} for stamp in stamps],
    }
    with written(path) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    yield path

    path = results.PUBLISHED / f"{profile.name}.decisions.parquet"
    with written(path) as temporary:
        _write_compact(decided, temporary)
    yield path

    path = results.PUBLISHED / f"{profile.name}.timings.csv"
    with written(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow(["kind", "name", "seconds", "device"])
        sheet.writerows([stamp[name] for name in ("kind", "name", "seconds", "device")] for stamp in stamps)
    yield path


def _write_compact(decided: pd.DataFrame, path: Path) -> None:
    """Words as categories, numbers in half precision (three digits), like bytes together: what makes the file small."""
    decided = decided.copy()
    numbers = [column for column in decided.columns if decided[column].dtype.kind == "f"]
    for column in decided.columns:
        if column in numbers:
            decided[column] = decided[column].astype("float16").astype("float32")
        else:
            decided[column] = decided[column].astype("int16" if decided[column].dtype.kind in "iu" else "category")
    words = [column for column in decided.columns if column not in numbers]
    decided.to_parquet(
        path, index=False, compression="zstd", compression_level=19, use_dictionary=words, use_byte_stream_split=numbers
    )
