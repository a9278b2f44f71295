"""The steps of a run as a graph, for a cluster: what each makes, what comes before it and what it
takes (``workflow/Snakefile``).

A step has the store make something; what is there already is loaded. So a step may be done twice,
or left out: the store alone decides what is stale, and a chapter computes what it does not find.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from blurpaper import cli, costs, data, deblurred, needs, predictions, results, segmented, trained
from blurpaper.code import fingerprint
from blurpaper.experiments import EXPERIMENTS
from blurpaper.gpus import GPUS
from blurpaper.needs import Measurement
from blurpaper.networks import NetworkSpec, module_of
from blurpaper.plan import ASPECT, UTILISATION, Plan
from blurpaper.profile import Profile
from blurpaper.results import ResultsError
from blurpaper.store import Store
from blurpaper.treatment import AS_IS, Treatment

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("weights", "train", "segmenter", "classify", "features", "segment", "deblur", "experiment")
"""What a step can be, and how its name begins."""
_OWN_WORK = (
    "prior",
    "deblurring_exact",
    "deblurring_psf",
    "deblurring_noise",
    "deblurring_colour",
    "precision",
    "released",
)
"""The experiments that have the store make more than the other steps do."""
_SHOWN = {
    "01": (),
    **dict.fromkeys(("02", "03", "04", "08"), ("classify",)),
    "05": ("features",),
    "06": ("classify", "deblur", "experiment"),
    "07": ("segment",),
    "15": ("weights", "train"),
    **dict.fromkeys(("20", "21", "22", "23", "24", "25"), ()),
}
"""Chapter -> the kinds of steps it shows; other chapters show all."""

CPU = 0.05
"""TFLOPS that are reckoned with where there is no GPU."""
_LIBRARIES = 4000
"""Megabytes of main memory before anything is loaded."""
_START = 30
"""Minutes allowed to every step, whatever it does; and twice what its arithmetic and the reading of
its photographs take.
"""
_PHOTOGRAPH, _DISK = 110e3, 100e6
"""Bytes of a photograph of ImageNet, and those a disk gives in a second: each step reads all, to
know them for the same.
"""


@dataclass(frozen=True)
class Step:
    """Something that the store is to make.

    Attributes:
        name: kind and what, as in ``train/small_vgg_mix``; fit for a path.
        after: names of the steps before it.
        key: sixteen hexadecimal digits that change with the profile, and with the code behind this
            step and those before it.
        make: makes it, unless it is a network to train, ``spec``, which is a verb's.
        minutes, memory: that it may take at most, and megabytes of main memory.
    """

    name: str
    after: tuple[str, ...]
    key: str
    make: Callable[[Store], object]
    spec: NetworkSpec | None
    minutes: int
    memory: int

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]


def graph(profile: Profile, gpu: str | None = "A100") -> dict[str, Step]:
    """Every step of a profile by its name, each after those before it. No data is looked for.

    Args:
        gpu: one of :data:`blurpaper.gpus.GPUS`; none for CPUs.
    """
    return _Graph(profile, gpu).steps


def before_chapter(chapter: str, steps: Iterable[str]) -> list[str]:
    """Names of the steps that make what a chapter shows."""
    kinds = _SHOWN.get(chapter[:2], KINDS)
    return [name for name in steps if name.partition("/")[0] in kinds]


def _name(kind: str, what: str) -> str:
    return f"{kind}/{re.sub(r'[^A-Za-z0-9@+.-]', '_', what)}"


class _Graph:
    def __init__(self, profile: Profile, gpu: str | None) -> None:
        self.profile, self.gpu = profile, GPUS[gpu] if gpu else None
        self.plan = Plan(profile, [], self.gpu or GPUS["A100"], look=False)
        self.settings = json.dumps(profile.model_dump(mode="json"), sort_keys=True)
        self.steps: dict[str, Step] = {}
        self._networks()
        self._measurements()
        self._segmentation()
        self._deblurring()

    def _add(
        self,
        kind: str,
        what: str,
        after: Iterable[str],
        modules: Iterable[str],
        make: Callable[[Store], object],
        flops: float = 0.0,
        seconds: float = 0.0,
        memory: float = 0.0,
        spec: NetworkSpec | None = None,
    ) -> None:
        name = _name(kind, what)
        after = tuple(dict.fromkeys(after))
        made_from = [
            name,
            self.settings,
            fingerprint(modules),
            *(self.steps[one].key for one in after),
        ]
        key = hashlib.sha256("\n".join(made_from).encode()).hexdigest()[:16]
        minutes = _START + 2 * (flops / self._rate + seconds + self._reading) / 60
        assert name not in self.steps, name
        self.steps[name] = Step(
            name, after, key, make, spec, int(minutes), _LIBRARIES + int(memory / 1e6)
        )

    @cached_property
    def _rate(self) -> float:
        """FLOPS."""
        if self.gpu is None:
            return CPU * 1e12
        return (self.gpu.half if self.plan.half else self.gpu.single) * 1e12 * UTILISATION

    @cached_property
    def _reading(self) -> float:
        """Seconds."""
        return (
            sum(count for (name, _), count in self.plan.counts.items() if name != "emoji")
            * _PHOTOGRAPH
            / _DISK
        )

    @cached_property
    def _decoded(self) -> float:
        """Bytes of the images of a shard at the canonical scale, and as they were."""
        side = self.profile.protocol.canonical
        most = max(count for (_, split), count in self.plan.counts.items() if split == "test")
        return (
            2
            * 3
            * ASPECT
            * side**2
            * min(self.profile.evaluation.shard, most or self.profile.evaluation.shard)
        )

    # --- Networks ---------------------------------------------------------------------------------

    def _networks(self) -> None:
        for spec in needs.networks(self.profile):
            load = partial(self._load, spec)
            modules = ["blurpaper.trained", module_of(spec.model)]
            if needs.is_published(spec):
                self._add("weights", spec.model, (), modules, load)
                continue
            job, schedule = self.plan.training(spec), trained.schedule_of(spec, self.profile)
            memory = 4.0 * job.disk
            if self.profile.train_set == "emoji":
                memory += 3 * self.profile.emoji.side**2 * self.profile.emoji.train
            if self.gpu is None:
                field = self.profile.protocol.field
                memory += costs.training_memory(
                    spec.model, self.plan.classes, field, schedule, half=False
                )
            before = [] if spec.is_original else [self._network(trained.start_of(spec))]
            self._add(
                "train", str(spec), before, modules, load, job.flops, memory=memory, spec=spec
            )

    def _load(self, spec: NetworkSpec, store: Store) -> object:
        return trained.network(spec, self.profile, store)

    def _network(self, spec: NetworkSpec, kind: str = "train") -> str:
        """Name of the step that makes a network."""
        if kind == "train" and needs.is_published(spec):
            return f"weights/{spec.model}"
        return next(
            step.name for step in self.steps.values() if step.kind == kind and step.spec == spec
        )

    # --- What they make of images -----------------------------------------------------------------

    def _measurements(self) -> None:
        done = set()
        for one in needs.measurements(self.profile):
            same = (one.spec, one.conditions, one.scales, one.features)
            if same in done:
                continue
            done.add(same)
            for name in needs.sets_of(one, self.profile):
                flops = self.plan.classifying(one, one.conditions, name).flops
                kind = "features" if one.features else "classify"
                make = partial(self._features if one.features else self._classified, one, name)
                modules = ["blurpaper.predictions", module_of(one.spec.model)]
                what = f"{one.spec}.{name}"
                if _name(kind, what) in self.steps:  # at other scales
                    what += f".{'-'.join(one.scales)}"
                self._add(
                    kind,
                    what,
                    [self._network(one.spec)],
                    modules,
                    make,
                    flops,
                    memory=self._decoded,
                )

    def _classified(self, one: Measurement, name: str, store: Store) -> object:
        images = data.load(name, "test", self.profile, store)
        return predictions.log_probabilities(
            one.spec, images, one.conditions, one.scales, self.profile, store
        )

    def _features(self, one: Measurement, name: str, store: Store) -> object:
        return predictions.distances(one.spec, name, self.profile, store)

    # --- Segmentation -----------------------------------------------------------------------------

    def _segmentation(self) -> None:
        modules = ["blurpaper.segmented", module_of(self.profile.model)]
        for spec in segmented.networks(self.profile):
            job, original = self.plan.learning_to_segment(spec), NetworkSpec(spec.model)
            before = (
                self._network(original)
                if spec.is_original
                else self._network(original, "segmenter")
            )
            train, segment = partial(self._segmenter, spec), partial(self._segmented, spec)
            memory = 4.0 * job.disk + self._decoded
            self._add(
                "segmenter",
                str(spec),
                [before],
                modules,
                train,
                job.flops,
                memory=memory,
                spec=spec,
            )
            before = self._network(spec, "segmenter")
            self._add(
                "segment",
                str(spec),
                [before],
                modules,
                segment,
                self.plan.segmenting(spec).flops,
                memory=self._decoded,
            )

    def _segmenter(self, spec: NetworkSpec, store: Store) -> object:
        return segmented.network(spec, self.profile, store)

    def _segmented(self, spec: NetworkSpec, store: Store) -> object:
        conditions = self.profile.segmentation.conditions
        return segmented.confusions(spec, conditions, self.profile, store)

    # --- Deblurring, and experiments with work of their own ---------------------------------------

    def _deblurring(self) -> None:
        original = self._network(NetworkSpec(self.profile.model))
        modules = ["blurpaper.deblurred", module_of(self.profile.model)]
        known = results.published_seconds(self.profile.name) or results.published_seconds("photos")
        experiments = {name: partial(self._experiment, name) for name in _OWN_WORK}
        self._add(
            "experiment", "prior", (), modules, experiments.pop("prior"), memory=self._decoded
        )
        for treatment in (Treatment(AS_IS), *deblurred.of_table5(self.profile)):
            before = [original, *(["experiment/prior"] if treatment.needs_prior else [])]
            for name in self.profile.evaluation.test_sets:
                job = self.plan.deblurring(treatment, name)
                seconds = known.get(str(treatment), 0.0) * self.plan.count_deblurred(name)
                make = partial(self._treated, treatment, name)
                self._add(
                    "deblur",
                    f"{treatment}.{name}",
                    before,
                    modules,
                    make,
                    job.flops,
                    seconds,
                    self._decoded,
                )
        before = [
            name for name in self.steps if name.startswith(("classify/", "deblur/", "experiment/"))
        ]
        exact = self.profile.deblurring.exact * known.get("epll-exact", 0.0)
        for name, make in experiments.items():
            seconds = 3600 + (exact if name == "deblurring_exact" else 0.0)
            self._add(
                "experiment",
                name,
                before,
                [EXPERIMENTS[name].__module__],
                make,
                0.0,
                seconds,
                self._decoded,
            )

    def _treated(self, treatment: Treatment, name: str, store: Store) -> object:
        images = deblurred.images_of(name, self.profile, store)
        return deblurred.results_of(treatment, images, self.profile, store)

    def _experiment(self, name: str, store: Store) -> object:
        return EXPERIMENTS[name](self.profile, store)


# --- Doing them -----------------------------------------------------------------------------------


def check(profile: Profile) -> None:
    """See that a profile's data is there and that what it asks for can be done, before anything is.

    Raises:
        ResultsError: with a sentence for each set of images that is missing.
        ValueError: for what cannot be done.
    """
    deblurred.check(profile)
    segmented.check(profile)
    if missing := data.missing(profile):
        raise ResultsError("\n".join([*missing, "Nothing was run."]))


def rows(profile: Profile, store: Store) -> pd.DataFrame:
    """Every result of a profile, as ``blurpaper publish`` writes them; what is missing is computed."""
    import pandas as pd

    return pd.concat(
        [rows for make in EXPERIMENTS.values() if len(rows := make(profile, store))],
        ignore_index=True,
    )


@click.group(cls=cli.Command)
def main() -> None:
    """Do a step of the graph of a run, or write the results it ends with."""


@main.command("do")
@click.argument("name")
@cli.profile_option
@cli.override_option
def do(name: str, profile: str, overrides: tuple[str, ...]) -> None:
    """Have the store make what the step NAME makes, as in classify/small_vgg_mix.emoji."""
    settings = _profile(profile, overrides)
    steps = graph(settings, None)
    if name not in steps:
        raise ValueError(f"a step is one of {', '.join(steps)}. Got {name!r}.")
    check(settings)
    steps[name].make(Store())


@main.command("results")
@click.argument("out", type=click.Path(path_type=Path))
@cli.profile_option
@cli.override_option
def write_results(out: Path, profile: str, overrides: tuple[str, ...]) -> None:
    """Write the results of a profile to a CSV file, computing what is missing."""
    settings = _profile(profile, overrides)
    check(settings)
    results.write(rows(settings, Store()), out)


def _profile(name: str, overrides: tuple[str, ...]) -> Profile:
    from blurpaper import profile

    return profile.load(name, profile.parse_overrides(overrides))


if __name__ == "__main__":
    main()
