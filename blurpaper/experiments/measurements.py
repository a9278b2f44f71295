"""Measurements of each experiment: networks, test sets, conditions, scales; and the experiments by
name.

An experiment declares this before it makes rows. The plan of a run, the workflow, the published
results and the chapters read the same declarations. A network is measured once for all of them: in
the settings of :func:`settings_of`, of which each experiment declares those that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from blurpaper.evaluation import predictions, results
from blurpaper.evaluation.results import AS_IS
from blurpaper.kernels import CANONICAL
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import Agreement, Profile
from blurpaper.segmentation.networks import SEGMENTATION
from blurpaper.training.networks import start_of, trained

Rows = Iterator[dict[str, Any]]
"""Rows of results, by column, without the name of their experiment."""

Decided = dict[NetworkSpec, pd.DataFrame]
"""Decisions of networks on test images; see :func:`predictions.decisions` for the columns."""

DISKS = ["sharp", "D2", "D4", "D6", "D8"]
"""Defocus in growing degrees."""

CLASSIFIED, COMPARED = "log-probabilities", "distances"
DEBLURRED, FRAMED, SEGMENTED, ADAPTED = "deblurred", "framed", "confusions", "adapted"
"""Kinds of measurements, named by the kinds of their artifacts."""


@dataclass(frozen=True)
class Measurement:
    """A network applied to a test set: under each of the conditions, at each of the scales.

    Attributes:
        treatments: of the blurred images, or methods of adaptation to them, each by itself.
        kind: :data:`CLASSIFIED`, :data:`COMPARED`, :data:`DEBLURRED`, :data:`FRAMED` (in a
            camera's frame), :data:`SEGMENTED` or :data:`ADAPTED`.
        labelled: images a class that the network was fine-tuned on, at a density of its own
            (:func:`at_density`); 0 for the profile's.
    """

    spec: NetworkSpec
    data: str
    conditions: Sequence[str]
    scales: Sequence[str]
    treatments: Sequence[str] = (AS_IS,)
    kind: str = CLASSIFIED
    labelled: int = 0

    @property
    def parameter(self) -> str:
        """Its word in the column ``parameter`` of results."""
        return f"{self.labelled} a class" if self.labelled else ""


Declaration = Callable[[Profile], list[Measurement]]


@dataclass(frozen=True)
class Experiment:
    """A table or figure: called with a run, a table of its results.

    Attributes:
        measures: its measurements on test sets under a profile.
        rows: yields its results, without its name.
    """

    name: str
    measures: Declaration
    rows: Callable[[Run], Rows]

    def __call__(self, run: Run) -> pd.DataFrame:
        return results.table({"experiment": self.name, **row} for row in self.rows(run))

    def decisions(self, run: Run) -> Decided:
        """Decisions of each of its networks on test images."""
        found: dict[NetworkSpec, list[pd.DataFrame]] = {}
        for one in self.measures(run.profile):
            if one.kind == CLASSIFIED:
                found.setdefault(one.spec, []).append(decisions(one, run))
        return {spec: pd.concat(frames, ignore_index=True) for spec, frames in found.items()}


EXPERIMENTS: dict[str, Experiment] = {}
"""Every experiment by its name in the results."""


def experiment(
    measures: Declaration = lambda _: [],
) -> Callable[[Callable[[Run], Rows]], Experiment]:
    """Register a function that yields rows as the experiment of its name.

    Args:
        measures: its measurements on test sets; none by default, for single images.
    """

    def register(rows: Callable[[Run], Rows]) -> Experiment:
        found = EXPERIMENTS[rows.__name__] = Experiment(rows.__name__, measures, rows)
        return found

    return register


# --- To declare measurements ----------------------------------------------------------------------


def specs_of(names: Iterable[str], profile: Profile) -> list[NetworkSpec]:
    """Networks of the profile's model, from ``MIX[@SCALE][/RECIPE][#SEED]``."""
    return [NetworkSpec.parse(f"{profile.model}:{name}") for name in names]


def of_several_seeds(specs: Iterable[NetworkSpec]) -> list[list[NetworkSpec]]:
    """Networks that differ in their seed alone."""
    groups: dict[NetworkSpec, list[NetworkSpec]] = {}
    for spec in specs:
        groups.setdefault(replace(spec, seed=0), []).append(spec)
    return [group for group in groups.values() if len(group) > 1]


def on_test_images(
    specs: Iterable[NetworkSpec],
    profile: Profile,
    conditions: Iterable[str] | None = None,
    scales: Iterable[str] | None = None,
    sets: Sequence[str] | None = None,
) -> list[Measurement]:
    """Networks on the profile's test sets, in all the settings of each, or in some."""
    found = []
    for spec in specs:
        there = settings_of(spec, profile)
        wanted = [
            [one for one in own if chosen is None or one in chosen]
            for own, chosen in zip(there, (conditions, scales), strict=True)
        ]
        own_sets = sets_of(spec, profile) if sets is None else sets
        found += [Measurement(spec, name, *wanted) for name in own_sets]
    return found


def on_test_scenes(profile: Profile) -> list[Measurement]:
    """The profile's segmentation networks on its test scenes."""
    scenes = profile.segmentation
    return [
        Measurement(spec, scenes.data, scenes.conditions, [str(CANONICAL)], kind=SEGMENTED)
        for spec in specs_of(["original", *scenes.networks], profile)
    ]


def sets_of(spec: NetworkSpec, profile: Profile) -> list[str]:
    """The test sets on which the experiments measure a network: other scales and other models, on
    the first alone.
    """
    first = spec.model != profile.model or spec.scale != "256"
    return profile.evaluation.test_sets[:1] if first else profile.evaluation.test_sets


def settings_of(spec: NetworkSpec, profile: Profile) -> tuple[list[str], list[str]]:
    """The conditions under which, and the scale settings at which, the experiments measure a
    network.
    """
    settings = profile.evaluation
    if spec.model == settings.second_model:
        return settings.second_conditions, ["256", "256+512"] if spec.is_original else ["256"]
    if spec.model == settings.global_pooling_model:
        return settings.second_conditions, ["256", "512", "256+512"]
    if spec.is_original:
        return settings.original_conditions, settings.original_scales
    if spec.scale == "256":
        conditions = settings.finetuned_conditions if spec.seed == 0 else settings.scale_conditions
        return conditions, ["256"]
    scales = {"512": ["512"], "256+512": ["256", "512", "256+512"], "per-scale": ["256+512"]}
    return settings.scale_conditions, scales[spec.scale]


def at_density(labelled: int, profile: Profile) -> Profile:
    """A profile whose networks are fine-tuned on so many images a class of the set of
    ``density``, with labels or without by the same schedule, and tested on that set; itself if 0.
    """
    if not labelled:
        return profile
    of, name = profile.density, f"{profile.density.data}:{labelled}"
    tuning = of.finetuning or profile.finetuning
    schedule = tuning.model_dump(exclude={"batch_norm_batches"}) | {"train_set": name}
    alike = Agreement(feature_weight=profile.agreement.feature_weight, **schedule)
    tuning = tuning.model_copy(update={"train_set": name})
    tested = profile.evaluation.model_copy(update={"test_sets": [of.data]})
    changed = {"finetuning": tuning, "agreement": alike, "evaluation": tested}
    return profile.model_copy(update=changed)


# --- All measurements of a run --------------------------------------------------------------------


def measurements(
    profile: Profile, experiments: Collection[str] = ()
) -> list[tuple[str, Measurement]]:
    """All measurements of some experiments on test sets, or of all if none is named: each once,
    with the first experiment that has it.
    """
    found: dict[tuple, tuple[str, Measurement]] = {}
    for name, one in _declared(profile, experiments):
        key = (one.kind, one.spec, one.data, one.labelled)
        found.setdefault(key, (name, _whole(one, profile)))
    return list(found.values())


def _declared(profile: Profile, names: Collection[str] = ()) -> list[tuple[str, Measurement]]:
    names = names or EXPERIMENTS
    return [(name, one) for name in names for one in EXPERIMENTS[name].measures(profile)]


def _whole(one: Measurement, profile: Profile) -> Measurement:
    """A measurement in all settings that any experiment takes."""
    if one.kind != CLASSIFIED or one.data not in profile.evaluation.test_sets:
        return one
    conditions, scales = settings_of(one.spec, profile)
    return replace(one, conditions=conditions, scales=scales)


def decisions(one: Measurement, run: Run) -> pd.DataFrame:
    """Decisions of a network on test images, in the settings of a measurement."""
    whole = _whole(one, run.profile)
    run = Run(at_density(one.labelled, run.profile), run.store)
    network = trained(one.spec, run)
    found = predictions.decisions(network, one.data, whole.conditions, whole.scales, run)
    found = results.select(found, condition=one.conditions, scale=one.scales)
    return found.assign(parameter=one.parameter)


def starts(profile: Profile) -> dict[str, str]:
    """Name of every network of a run, as ``blurpaper train`` takes it -> the name of the one that
    it starts from, which comes before it; empty for those that start from no other. Those of
    ``density`` have no such name.
    """
    found: dict[str, str] = {}
    for _, one in _declared(profile):
        spec, start = one.spec, start_of(one.spec)
        if one.kind == SEGMENTED:
            name = str(replace(spec, model=SEGMENTATION))
            found[name] = str(start if spec.is_original else NetworkSpec(SEGMENTATION))
        elif spec.scale != "per-scale" and not one.labelled:
            found.setdefault(str(start), "")
            if spec != start:
                found[str(spec)] = str(start)
    return found
