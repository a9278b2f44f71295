"""From the store to results/: the numbers to commit, where each came from, and what each image was
decided to be.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import experiments
from blurpaper.book import slider
from blurpaper.deblurring import prior
from blurpaper.evaluation import results
from blurpaper.experiments import restoration
from blurpaper.experiments.sources import SECONDS, Computed
from blurpaper.networks import NetworkSpec
from blurpaper.networks.files import load, save
from blurpaper.networks.weights import bundled_path
from blurpaper.runs import Run, files, fingerprint
from blurpaper.runs.files import written
from blurpaper.runs.store import Artifact, surroundings
from blurpaper.training.networks import trained

if TYPE_CHECKING:
    import pandas as pd

_STAMPED = ("kind", "name", "key", "commit", "dirty", "made", "data", "device", "sha256")
_COUNTS = {
    f"blurpaper.{name}"
    for name in (
        "evaluation.intervals",
        "evaluation.metrics",
        "segmentation.metrics",
        "experiments.tallies",
    )
}
"""With the experiments, the modules that make rows of artifacts."""


def publish(run: Run) -> Iterator[Path]:
    """Write to ``results/`` what a profile found; what is missing is computed.

    ``<profile>.csv`` has the numbers, ``.json`` where each came from, ``.lock.txt`` the version of
    everything that was installed, ``.timings.csv`` what it took; ``.decisions.parquet`` has what
    each image was decided to be, ``.confusions.parquet`` the pixels of each label,
    ``.label_maps.npz`` the maps shown, and where the data are embedded ``.play.json`` what the page
    with a blur slider shows of them.

    The network that the profile releases goes to ``results/weights`` first, so that its file is
    measured too; the prior of EPLL that it was deblurred with to ``results/priors``.
    """
    import pandas as pd

    if (
        run.profile.evaluation.released_network
        and run.profile.deblurring.prior.images == prior.BUNDLED.stem
    ):
        yield _release_prior(run)
    if run.profile.evaluation.released_network:
        yield _release(
            NetworkSpec.parse(f"{run.profile.model}:{run.profile.evaluation.released_network}"), run
        )

    source = Computed(run)
    rows = pd.concat(
        [rows for make in experiments.EXPERIMENTS.values() if len(rows := make(run))],
        ignore_index=True,
    )
    decided, counted = source.decisions(), source.confusions()
    seconds, shown = source.seconds(), source.label_maps()
    played = slider.on_embedded(source) if slider.are_embedded(run.profile) else None
    used = sorted(run.store.used(), key=lambda recipe: (recipe.kind, recipe.name))
    stamps = [run.store.stamp(recipe) for recipe in used]

    path = files.RESULTS / f"{run.profile.name}.csv"
    results.write(rows, path)
    yield path

    path = files.RESULTS / f"{run.profile.name}.json"
    about = {
        "profile": run.profile.model_dump(),
        **{name: value for name, value in surroundings().items() if name != "commit"},
        **_code_of(used),
        "artifacts": [
            {name: stamp.get(name) for name in _STAMPED} | {"modules": [recipe.function.__module__]}
            for recipe, stamp in zip(used, stamps, strict=True)
        ],
    }
    with written(path) as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    yield path

    path = files.RESULTS / f"{run.profile.name}.lock.txt"
    with written(path) as temporary:
        temporary.write_text("\n".join(installed()) + "\n", encoding="utf-8")
    yield path

    path = files.RESULTS / f"{run.profile.name}.decisions.parquet"
    with written(path) as temporary:
        _write_compact(decided, temporary)
    yield path

    path = files.RESULTS / f"{run.profile.name}.confusions.parquet"
    with written(path) as temporary:
        counted.to_parquet(temporary, index=False, compression="zstd", compression_level=19)
    yield path

    path = files.RESULTS / f"{run.profile.name}.label_maps.npz"
    with written(path) as temporary:
        np.savez_compressed(temporary, **shown)
    yield path

    if played:
        path = files.RESULTS / f"{run.profile.name}.play.json"
        with written(path) as temporary:
            slider.CODEC.save(played, temporary)
        yield path

    path = files.RESULTS / f"{run.profile.name}.timings.csv"
    with written(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow(["kind", "name", "seconds", "device"])
        sheet.writerows(
            [stamp[name] for name in ("kind", "name", "seconds", "device")] for stamp in stamps
        )
        sheet.writerows(
            [SECONDS, name, f"{value:.3g}", surroundings()["device"]]
            for name, value in seconds.items()
        )
    yield path


def installed() -> list[str]:
    """All packages of this environment but blurpaper, as pip reads them: ``name==version``."""
    found = {(one.name.lower().replace("_", "-"), one.version) for one in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found) if name != "blurpaper"]


def _code_of(used: Iterable[Artifact]) -> dict[str, Any]:
    """What says later whether the code has changed since: the modules behind each root of an
    artifact, and a hash of each.

    ``tables`` are the modules that count, whose change makes the rows stale but no artifact. What
    they import is not among them: how an artifact is found changes no number.
    """
    closures = {
        root: sorted(fingerprint.closure([root]))
        for root in sorted({recipe.function.__module__ for recipe in used})
    }
    tables = sorted(_COUNTS | {make.rows.__module__ for make in experiments.EXPERIMENTS.values()})
    modules = sorted({*tables, *(module for closure in closures.values() for module in closure)})
    return {
        "code": {module: fingerprint.hash_of(module) for module in modules},
        "closures": closures,
        "tables": tables,
    }


def _release_prior(run: Run) -> Path:
    """Write the prior of EPLL that comes with blurpaper; its header says what it was learnt from."""
    from safetensors.torch import save_file

    path = prior.BUNDLED
    artifact = restoration.prior_artifact(run)
    state = restoration.prior(run).state()
    stamp = run.store.stamp(artifact)
    about = {
        "name": artifact.name,
        "inputs": json.dumps(stamp["inputs"], sort_keys=True),
        "commit": stamp["commit"],
    }
    with written(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, about)
    path.chmod(0o644)
    return path


def _release(spec: NetworkSpec, run: Run) -> Path:
    """Write a network in half precision, unless the file has its weights already."""
    network, path = trained(spec, run).load(), bundled_path(spec)
    if path.is_file():
        old, new = load(path).state_dict(), network.state_dict()
        if all(tensor.equal(new[name].half().to(tensor.dtype)) for name, tensor in old.items()):
            return path
    save(network, spec, path, half=True)
    path.chmod(0o644)  # the file is for everybody, whatever the library that wrote it thinks
    return path


def _write_compact(decided: pd.DataFrame, path: Path) -> None:
    """Words as categories, numbers in half precision (three digits), like bytes together: what
    makes the file small.
    """
    decided = decided.copy()
    numbers = [column for column in decided.columns if decided[column].dtype.kind == "f"]
    for column in decided.columns:
        if column in numbers:
            decided[column] = decided[column].astype("float16").astype("float32")
        else:
            decided[column] = decided[column].astype(
                "int16" if decided[column].dtype.kind in "iu" else "category"
            )
    words = [column for column in decided.columns if column not in numbers]
    decided.to_parquet(
        path,
        index=False,
        compression="zstd",
        compression_level=19,
        use_dictionary=words,
        use_byte_stream_split=numbers,
    )
