"""From the store to ``results/``: the numbers to commit, their provenance, and the decisions on
each image.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from blurpaper import experiments
from blurpaper.deblurring import prior
from blurpaper.evaluation import intervals, metrics, results
from blurpaper.experiments import restoration
from blurpaper.experiments.sources import MEASURED, Committed, Computed, measured
from blurpaper.networks import NetworkSpec
from blurpaper.networks.files import load, save
from blurpaper.networks.weights import bundled_path
from blurpaper.runs import Run, files, fingerprint
from blurpaper.runs.files import UserError, written
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Artifact, NotKeptError, Store, surroundings
from blurpaper.segmentation import metrics as scores
from blurpaper.training.networks import trained

_STAMPED = ("kind", "name", "key", "commit", "dirty", "made", "data", "device", "sha256")
_SMALL = {"compression": "zstd", "compression_level": 19}
_COUNTS = {one.__name__ for one in (intervals, metrics, results, scores)}
"""With the experiments, the modules that make rows of artifacts."""


def compute(name: str, run: Run) -> tuple[pd.DataFrame, dict[str, Callable[[Path], object]]]:
    """The rows of an experiment, and for the ends of names of other files that are published with
    it what writes them, loaded or computed.
    """
    rows, parts = experiments.EXPERIMENTS[name](run), {}
    if name == "table6":
        source = Computed(run)
        counted, maps = source.confusions(), source.label_maps()
        parts["confusions.parquet"] = partial(counted.to_parquet, index=False, **_SMALL)
        parts["label_maps.npz"] = partial(np.savez_compressed, **maps)
    return rows, parts


def publish(run: Run, names: Collection[str] = ()) -> Iterator[Path]:
    """Write results of a profile to ``results/``: those of some experiments, whose missing
    artifacts are computed, or, if none is named, of all that the store has in full. What is
    committed of other experiments stays as it is.

    ``<profile>.csv`` has the numbers, ``.json`` the provenance of each, ``.lock.txt`` the installed
    packages, ``.timings.csv`` the computing times, ``.decisions.parquet`` the decisions on each
    image, ``.confusions.parquet`` counts of pixels by label, ``.label_maps.npz`` the label maps
    shown.

    The bundled network goes to ``results/weights`` first, since its file is measured too, and the
    prior of EPLL to ``results/priors``.

    Raises:
        UserError: if none is named and the store has none in full.
    """
    profile, committed = run.profile, Committed(run.profile)
    wanted = [name for name in experiments.EXPERIMENTS if not names or name in names]
    store = partial(Store, run.store.root, computes=bool(names))
    with suppress(NotKeptError):
        yield from _released(wanted, Run(profile, store()))

    rows: dict[str, pd.DataFrame] = {}
    parts: dict[str, Callable[[Path], object]] = {}
    uses: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in wanted:
        own = Run(profile, store())
        with suppress(NotKeptError):
            rows[name], found = compute(name, own)
            parts |= found
            for artifact in own.store.used():
                run.store.note(artifact)
                uses[artifact.kind, artifact.name, artifact.key].append(name)
    if not rows:
        raise UserError(
            f"the store at {run.store.root} has no experiment of profile {profile.name} in full; "
            f"compute some by `blurpaper run --profile {profile.name} --experiments table1,...`."
        )
    source = Computed(run, rows)
    decided, new, publications, took = source.decisions(), list(rows), [], {}
    others = [one for one in experiments.EXPERIMENTS if committed.is_there() and one not in new]
    if others:
        former = results.read(_path(profile, "csv"))
        rows |= {name: results.select(former, experiment=name) for name in others}
        # What the others were counted from, under the profiles that they were published with.
        columns = [column for column in MEASURED if column != "seed"]
        needed = pd.concat([rows[name] for name in others])[columns].drop_duplicates()
        former, again = committed.decisions().merge(needed), _declared(profile, new)
        former = former[[one not in again for one in zip(*(former[name] for name in MEASURED))]]
        decided = pd.concat([one for one in (former, decided) if len(one)], ignore_index=True)
        took = {_which(one): one["seconds"] for one in committed.origin().stamps}
        publications = list(_former(committed, others, uses))
    used = sorted(run.store.used(), key=lambda artifact: (artifact.kind, artifact.name))
    stamps = [run.store.stamp(artifact) for artifact in used]
    took |= {_which(stamp): stamp["seconds"] for stamp in stamps}
    publications.append(
        {
            "experiments": new,
            "profile": profile.model_dump(),
            "labelled": [source.labelled(), source.labelled(segmented=True)],
            **{name: value for name, value in surroundings().items() if name != "commit"},
            **_code_of(used),
            "artifacts": [
                {name: stamp.get(name) for name in _STAMPED}
                | {"modules": [one.function.__module__], "experiments": uses[_which(stamp)]}
                for one, stamp in zip(used, stamps, strict=True)
            ],
        }
    )
    artifacts = [one for each in publications for one in each["artifacts"]]
    timed = [[one["kind"], one["name"], took[_which(one)], one["device"]] for one in artifacts]
    timings = pd.DataFrame(timed, columns=["kind", "name", "seconds", "device"], dtype=object)
    made = [rows[name] for name in experiments.EXPERIMENTS if len(rows.get(name, ()))]
    results.write(pd.concat(made, ignore_index=True), _path(profile, "csv"))
    yield _path(profile, "csv")

    writers: dict[str, Callable[[Path], object]] = {
        "json": lambda path: path.write_text(json.dumps(publications, indent=1) + "\n", "utf-8"),
        "lock.txt": lambda path: path.write_text("\n".join(installed()) + "\n", "utf-8"),
        "decisions.parquet": partial(_write_compact, decided),
        "timings.csv": lambda path: timings.to_csv(path, index=False, lineterminator="\n"),
    }
    for end, write in (writers | parts).items():
        with written(_path(profile, end)) as temporary:
            write(temporary)
        yield _path(profile, end)


def _path(profile: Profile, end: str) -> Path:
    return files.RESULTS / f"{profile.name}.{end}"


def _which(stamp: Mapping[str, Any]) -> tuple[str, ...]:
    return stamp["kind"], stamp["name"], stamp["key"]


def _declared(profile: Profile, names: Collection[str]) -> set[tuple[str, ...]]:
    """The known columns of the decisions that experiments need."""
    found = measured(profile, names) if names else ()
    return {tuple(of[column] for column in MEASURED) for *_, of in found}


def _former(
    committed: Committed, others: Collection[str], uses: Mapping[tuple[str, ...], list[str]]
) -> Iterator[dict[str, Any]]:
    """What is committed of other experiments, publication by publication, without the artifacts
    that are published again, to whose ``uses`` these experiments are added.
    """
    for about in committed.publications():
        names = [name for name in about["experiments"] if name in others]
        left = []
        for one in about["artifacts"]:
            # All used all, as far as is known, when they could not be published apart.
            of = [name for name in one.get("experiments", names) if name in others]
            if _which(one) in uses:
                uses[_which(one)] += of
            elif of:
                left.append(one | {"experiments": of})
        if names or left:
            names = names or left[0]["experiments"]
            yield about | {"experiments": names, "artifacts": left}


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


def _released(names: Collection[str], run: Run) -> Iterator[Path]:
    """Write the prior of EPLL and the bundled network, if the experiments on them are named."""
    released = run.profile.evaluation.released_network
    if released and "prior" in names and run.profile.deblurring.prior.images == prior.BUNDLED.stem:
        yield _release_prior(run)
    if released and "bundled" in names:
        yield _release(NetworkSpec.parse(f"{run.profile.model}:{released}"), run)


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
