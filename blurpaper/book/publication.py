"""From the store to ``results/``: the numbers to commit, their provenance, and the decisions on
each image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import experiments
from blurpaper.book import slider
from blurpaper.deblurring import prior
from blurpaper.evaluation import intervals, metrics, results
from blurpaper.experiments import restoration
from blurpaper.experiments.sources import SECONDS, Computed
from blurpaper.networks import NetworkSpec
from blurpaper.networks.files import load, save
from blurpaper.networks.weights import bundled_path
from blurpaper.runs import Run, files, fingerprint
from blurpaper.runs.files import written
from blurpaper.runs.store import Artifact, surroundings
from blurpaper.segmentation import metrics as scores
from blurpaper.training.networks import trained

if TYPE_CHECKING:
    import pandas as pd

_STAMPED = ("kind", "name", "key", "commit", "dirty", "made", "data", "device", "sha256")
_TOOK = ["kind", "name", "seconds", "device"]
_SMALL = {"compression": "zstd", "compression_level": 19}
_COUNTS = {one.__name__ for one in (intervals, metrics, results, scores)}
"""With the experiments, the modules that make rows of artifacts."""


def publish(run: Run) -> Iterator[Path]:
    """Write the results of a profile to ``results/``; what is missing is computed.

    ``<profile>.csv`` has the numbers, ``.json`` the provenance of each, ``.lock.txt`` the installed
    packages, ``.timings.csv`` the computing times, ``.decisions.parquet`` the decisions on each
    image, ``.confusions.parquet`` counts of pixels by label, ``.label_maps.npz`` the label maps
    shown, and, if the data are embedded, ``.play.json`` what the page with a blur slider shows.

    The bundled network goes to ``results/weights`` first, since its file is measured too, and the
    prior of EPLL to ``results/priors``.
    """
    import pandas as pd

    profile, released = run.profile, run.profile.evaluation.released_network
    if released and profile.deblurring.prior.images == prior.BUNDLED.stem:
        yield _release_prior(run)
    if released:
        yield _release(NetworkSpec.parse(f"{profile.model}:{released}"), run)

    source = Computed(run)
    made = [rows for make in experiments.EXPERIMENTS.values() if len(rows := make(run))]
    rows = pd.concat(made, ignore_index=True)
    decided, counted = source.decisions(), source.confusions()
    seconds, shown = source.seconds(), source.label_maps()
    played = slider.on_embedded(source) if slider.are_embedded(profile) else None
    used = sorted(run.store.used(), key=lambda artifact: (artifact.kind, artifact.name))
    stamps = [run.store.stamp(artifact) for artifact in used]
    about = {
        "profile": profile.model_dump(),
        **{name: value for name, value in surroundings().items() if name != "commit"},
        **_code_of(used),
        "artifacts": [
            {name: stamp.get(name) for name in _STAMPED} | {"modules": [one.function.__module__]}
            for one, stamp in zip(used, stamps, strict=True)
        ],
    }
    took = [[stamp[name] for name in _TOOK] for stamp in stamps]
    took += [
        [SECONDS, name, f"{value:.3g}", surroundings()["device"]] for name, value in seconds.items()
    ]
    took = pd.DataFrame(took, columns=_TOOK, dtype=object)
    path = files.RESULTS / f"{profile.name}.csv"
    results.write(rows, path)
    yield path

    writers = {
        "json": lambda path: path.write_text(json.dumps(about, indent=1) + "\n", "utf-8"),
        "lock.txt": lambda path: path.write_text("\n".join(installed()) + "\n", "utf-8"),
        "decisions.parquet": partial(_write_compact, decided),
        "confusions.parquet": lambda path: counted.to_parquet(path, index=False, **_SMALL),
        "label_maps.npz": lambda path: np.savez_compressed(path, **shown),
        "timings.csv": lambda path: took.to_csv(path, index=False, lineterminator="\n"),
    }
    if played:
        writers["play.json"] = partial(slider.CODEC.save, played)
    for end, write in writers.items():
        path = files.RESULTS / f"{profile.name}.{end}"
        with written(path) as temporary:
            write(temporary)
        yield path


def installed() -> list[str]:
    """The packages of this environment except blurpaper, as pip reads them: ``name==version``."""
    found = {(one.name.lower().replace("_", "-"), one.version) for one in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found) if name != "blurpaper"]


def _code_of(used: Iterable[Artifact]) -> dict[str, Any]:
    """A record of the code, to tell later whether it has changed: the modules that each artifact
    depends on, and a hash of each.

    ``tables`` are the modules that make rows of artifacts; a change of one makes the rows stale but
    no artifact. What they import is left out: how an artifact is found changes no number.
    """
    roots = sorted({artifact.function.__module__ for artifact in used})
    closures = {root: sorted(fingerprint.closure([root])) for root in roots}
    tables = sorted(_COUNTS | {make.rows.__module__ for make in experiments.EXPERIMENTS.values()})
    modules = sorted({*tables, *(module for closure in closures.values() for module in closure)})
    return {
        "code": {module: fingerprint.hash_of(module) for module in modules},
        "closures": closures,
        "tables": tables,
    }


def _release_prior(run: Run) -> Path:
    """Write the bundled prior of EPLL; its header says what it was learnt from."""
    from safetensors.torch import save_file

    artifact, state = restoration.prior_artifact(run), restoration.prior(run).state()
    stamp = run.store.stamp(artifact)
    inputs = json.dumps(stamp["inputs"], sort_keys=True)
    about = {"name": artifact.name, "inputs": inputs, "commit": stamp["commit"]}
    with written(prior.BUNDLED) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary, about)
    prior.BUNDLED.chmod(0o644)
    return prior.BUNDLED


def _release(spec: NetworkSpec, run: Run) -> Path:
    """Write a network in half precision, unless its file has these weights already."""
    network, path = trained(spec, run).load(), bundled_path(spec)
    if path.is_file():
        old, new = load(path).state_dict(), network.state_dict()
        if all(tensor.equal(new[name].half().to(tensor.dtype)) for name, tensor in old.items()):
            return path
    save(network, spec, path, half=True)
    path.chmod(0o644)  # readable by everybody; safetensors writes it for its owner alone
    return path


def _write_compact(decided: pd.DataFrame, path: Path) -> None:
    """Write decisions as a small file: words as categories, numbers in half precision (three
    digits), and bytes of one significance together.
    """
    numbers, whole = (list(decided.select_dtypes(kind)) for kind in (np.floating, np.integer))
    words = [column for column in decided.columns if column not in numbers]
    kinds = dict.fromkeys(words, "category") | dict.fromkeys(whole, "int16")
    decided = decided.astype(kinds | dict.fromkeys(numbers, "float16"))
    decided = decided.astype(dict.fromkeys(numbers, "float32"))
    encoding = {"use_dictionary": words, "use_byte_stream_split": numbers}
    decided.to_parquet(path, index=False, **encoding, **_SMALL)
