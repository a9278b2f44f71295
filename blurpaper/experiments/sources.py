"""Where numbers come from: the paper, committed results, and runs that are computed.

A source is asked for the rows of an experiment, decisions on images, counts of pixels and so on. It
raises a :class:`MissingError` for all that it does not have.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from blurpaper import data
from blurpaper.evaluation import predictions, results
from blurpaper.experiments import examples, measurements, restoration, segmentation
from blurpaper.experiments.measurements import CLASSIFIED, DEBLURRED, EXPERIMENTS, FRAMED
from blurpaper.runs import Run, files
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import PACKAGE
from blurpaper.runs.profile import Profile
from blurpaper.runs.store import Store

T = TypeVar("T")

MEASURED = ("model", "network", "train_scale", "recipe", "seed", "data", "input", "parameter")
"""Columns of decisions that are known before they are computed."""

PAPER, PHOTOS, RUN = "paper", "photos", "this run"
"""Names of sources, in the book and in the ledger; ``photos`` is also the profile of the second."""

PAPER_ROWS = PACKAGE / "experiments" / "paper.csv"
"""The paper's own numbers."""

Stamp = Mapping[str, Any]


_table = lru_cache(maxsize=8)(results.read)


@lru_cache(maxsize=8)
def _parquet(path: Path) -> pd.DataFrame:
    found = pd.read_parquet(path)
    if "image" in found and "parameter" not in found:  # published before there was such a column
        found["parameter"] = ""
    return found


def paper() -> pd.DataFrame:
    """The paper's own numbers; accuracies with binomial intervals, as it gives none.

    >>> top5 = results.select(paper(), experiment="table1", metric="top5", scale="256")
    >>> results.select(top5, condition="D8")["value"].item()
    0.6097
    """
    return _table(PAPER_ROWS)


class MissingError(results.ResultsError):
    """Something that a source does not have, in one sentence."""


@dataclass(frozen=True)
class Origin:
    """Provenance of the numbers of one run.

    Attributes:
        settings: the resolved profile, as plain data.
        stamps: of the artifacts, by kind and name.
    """

    settings: Mapping[str, Any]
    stamps: Sequence[Stamp]


class Source:
    """Where numbers come from; this one has none.

    Attributes:
        name: ``paper``, ``photos`` or ``this run``.
        profile: the profile under which its numbers were measured.
    """

    def __init__(self, name: str, profile: Profile) -> None:
        self.name, self.profile = name, profile

    @property
    def test_set(self) -> str:
        """The set of test images on which claims and tables rest."""
        return self.profile.evaluation.test_sets[0]

    def rows(self, experiment: str) -> pd.DataFrame:
        """Results of an experiment."""
        found = self._rows(experiment)
        if found.empty:
            raise self._missing(experiment)
        return found

    def decisions(self, **values: object) -> pd.DataFrame:
        """Decisions of networks on each test image, in every setting of a table; with ``values``,
        those with these values of columns.
        """
        raise self._missing("decisions on images")

    def confusions(self) -> pd.DataFrame:
        """Counts of pixels; see :func:`segmentation.counts`."""
        raise self._missing("counts of pixels")

    def label_maps(self) -> dict[str, np.ndarray]:
        """Label maps of the scenes that are shown (Fig. 5), by ``scene mix condition``: uint8
        ``(H, W)``.
        """
        raise self._missing("label maps")

    def origin(self) -> Origin:
        """The stamps of what its numbers were made from; nothing is loaded or computed."""
        raise self._missing("stamps")

    def labelled(self, segmented: bool = False) -> float:
        """Labelled training images a class, or a label of pixels, of the networks that are tuned
        with labels; no image is read.
        """
        name = self.profile.segmentation.data if segmented else self.profile.train_set
        number = sum(self._count(part, "train", self.profile) for part in name.split("+"))
        return number / max(1, data.classes(name, self.profile))

    _count = staticmethod(partial(data.count, published=True))

    def _rows(self, experiment: str) -> pd.DataFrame:
        return results.table([])

    def _missing(self, what: str) -> MissingError:
        of = f"the source {self.name!r}, profile {self.profile.name}"
        return MissingError(f"{of}, has no {what}.")


class Paper(Source):
    """The paper's own numbers, measured as profile ``imagenet`` measures them again.

    Args:
        frame: other numbers in their place.

    >>> len(Paper().rows("table1"))
    48
    """

    def __init__(self, frame: pd.DataFrame | None = None) -> None:
        super().__init__(PAPER, profiles.load("imagenet"))
        self._frame = paper() if frame is None else frame

    def _rows(self, experiment: str) -> pd.DataFrame:
        return results.select(self._frame, experiment=experiment)


class Committed(Source):
    """The committed results of a profile.

    >>> set(Committed(profiles.load("emoji")).rows("tableA")["model"])
    {'small_resnet'}
    """

    def __init__(self, profile: Profile, name: str = RUN) -> None:
        super().__init__(name, profile)

    def is_there(self) -> bool:
        """Whether results of the profile are committed at all."""
        return self._path("csv").is_file()

    @property
    def test_set(self) -> str:
        with suppress(MissingError):
            return self._publication_of("table1")["profile"]["evaluation"]["test_sets"][0]
        return super().test_set

    def _rows(self, experiment: str) -> pd.DataFrame:
        return results.select(_table(self._path("csv")), experiment=experiment)

    def decisions(self, **values: object) -> pd.DataFrame:
        return results.select(_parquet(self._there("decisions.parquet")), **values)

    def confusions(self) -> pd.DataFrame:
        return _parquet(self._there("confusions.parquet"))

    def timings(self) -> list[dict[str, str]]:
        """Times of computing, a row an artifact."""
        found = pd.read_csv(self._there("timings.csv"), dtype=str, keep_default_na=False)
        return found.to_dict("records")

    def label_maps(self) -> dict[str, np.ndarray]:
        with np.load(self._there("label_maps.npz"), allow_pickle=False) as file:
            return dict(file)

    def publications(self) -> list[dict[str, Any]]:
        """Provenance, as committed with the results: of each publication the profile, the code, the
        artifacts, and the ``experiments`` of which the rows are; the newest is last.
        """
        found = json.loads(self._there("json").read_text(encoding="utf-8"))
        # A mapping: all experiments were published at once, before they could be published apart.
        found = found if isinstance(found, list) else [found]
        return [{"experiments": list(EXPERIMENTS), "labelled": []} | one for one in found]

    def origin(self) -> Origin:
        publications, took = self.publications(), defaultdict(list)
        with suppress(MissingError):
            for row in self.timings():
                took[row["kind"], row["name"]].append(float(row["seconds"]))
        # Artifacts of one kind and name, of which there may be several, stand in the same order in
        # both files.
        stamps = []
        for about in publications:
            common = {name: about[name] for name in ("python", "versions") if name in about}
            for one in about["artifacts"]:
                seconds = took[one["kind"], one["name"]]
                stamps.append(common | one | {"seconds": seconds.pop(0) if seconds else None})
        return Origin(publications[-1]["profile"], stamps)

    def labelled(self, segmented: bool = False) -> float:
        with suppress(MissingError):
            if counted := self._publication_of("table6" if segmented else "table3")["labelled"]:
                return counted[segmented]
        return super().labelled(segmented)

    def _publication_of(self, experiment: str) -> dict[str, Any]:
        """The newest publication with an experiment, or of all if none has it."""
        found = self.publications()
        return ([one for one in found if experiment in one["experiments"]] or found)[-1]

    def _path(self, end: str) -> Path:
        return files.RESULTS / f"{self.profile.name}.{end}"

    def _there(self, end: str) -> Path:
        path = self._path(end)
        if not path.is_file():
            raise MissingError(f"nothing is committed at {path}.")
        return path


def measured(
    profile: Profile, experiments: Collection[str] = ()
) -> Iterator[tuple[measurements.Measurement, str, dict[str, str]]]:
    """The decisions that some experiments need, or all if none is named: a measurement, a treatment
    of its images, and the columns of decisions, of which :data:`MEASURED` are known.
    """
    for _, one in measurements.measurements(profile, experiments):
        of = predictions.columns_of(one.spec, one.data, 0, "", "") | {"parameter": one.parameter}
        for treatment in one.treatments if one.kind in (CLASSIFIED, DEBLURRED, FRAMED) else ():
            yield one, treatment, of | {"input": treatment}


class Computed(Source):
    """A run, which loads what its store has and computes the rest.

    Args:
        experiments: those whose decisions it has; all if empty.
    """

    def __init__(self, run: Run, experiments: Collection[str] = ()) -> None:
        super().__init__(RUN, run.profile)
        self.run, self._experiments = run, experiments

    def _rows(self, experiment: str) -> pd.DataFrame:
        return EXPERIMENTS[experiment](self.run)

    def decisions(self, **values: object) -> pd.DataFrame:
        known = {column: value for column, value in values.items() if column in MEASURED}
        frames = [
            self._decided(one, treatment)
            for one, treatment, of in measured(self.profile, self._experiments)
            if len(results.select(pd.DataFrame([of]), **known))
        ]
        if not frames:
            return pd.DataFrame(columns=[*results.DECISION_KEY])
        return results.select(pd.concat(frames, ignore_index=True), **values)

    def _decided(self, one: measurements.Measurement, treatment: str) -> pd.DataFrame:
        if one.kind == CLASSIFIED:
            return measurements.decisions(one, self.run)
        return restoration.decisions(one, treatment, self.run)

    _count = staticmethod(data.count)

    def confusions(self) -> pd.DataFrame:
        return segmentation.counts(self.run)

    def label_maps(self) -> dict[str, np.ndarray]:
        return examples.label_maps(self.run)

    def origin(self) -> Origin:
        """Stamps of the profile's artifacts, the newest of each with the same name, images and
        precision; and of all that these were made from.
        """
        found: dict[str, Stamp] = {}
        for name in self.run.store.names():
            path = self.run.store.root / name / "stamp.json"
            with suppress(OSError, ValueError):  # being written or damaged: not loaded either
                stamp = json.loads(path.read_text(encoding="utf-8"))
                if {"kind", "name", "key", "made"} <= set(stamp):
                    found[stamp["key"]] = stamp
        last = {}
        for stamp in sorted(found.values(), key=itemgetter("made")):
            if stamp.get("profile") == self.profile.name:
                inputs = stamp.get("inputs", {})
                of = [str(inputs.get(name)) for name in ("numbers", "precision")]
                last[stamp["kind"], stamp["name"], *of] = stamp["key"]
        keys = list(last.values())
        for key in keys:  # which grows
            parents = found[key].get("parents", ())
            keys += [one for one in parents if one in found and one not in keys]
        stamps = sorted((found[key] for key in keys), key=itemgetter("kind", "name", "made"))
        return Origin(self.profile.model_dump(), stamps)


# --- Several sources ------------------------------------------------------------------------------


def this_run(profile: Profile, published: bool = False) -> Source:
    """The run of a profile: its committed results, or what its store has and is computed."""
    return Committed(profile) if published else Computed(Run(profile, Store()))


def ours(source: Source) -> list[Source]:
    """The published run on photographs, where it is committed and not the source itself, and the
    source.
    """
    photos = Committed(profiles.load(PHOTOS), PHOTOS)
    beside = source.profile.name != PHOTOS and photos.is_there()
    return [photos, source] if beside else [source]


def answers(sources: Iterable[Source], ask: Callable[[Source], T]) -> dict[str, T]:
    """Answers of several sources, by their names; without sources that do not have it."""
    found = {}
    for source in sources:
        with suppress(MissingError):
            found[source.name] = ask(source)
    return found
