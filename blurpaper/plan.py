"""What a run would do and cost, said before anything is spent: data, networks, arithmetic, memory,
disk, hours.

The numbers come out whether or not the data is there: known sets have known counts, and networks
are counted without building them (:mod:`blurpaper.costs`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from blurpaper import (
    costs,
    data,
    deblurred,
    needs,
    predictions,
    results,
    segmented,
    tallies,
    trained,
    training,
)
from blurpaper.data import photos
from blurpaper.gpus import GPUS, Gpu
from blurpaper.jobs import Job, counted, in_hours
from blurpaper.needs import Measurement
from blurpaper.networks import STAGES, NetworkSpec
from blurpaper.networks.zoomout import ZoomOut
from blurpaper.profile import Profile, Schedule
from blurpaper.segmentation import COUNTED
from blurpaper.store import Store
from blurpaper.treatment import Treatment

UTILISATION = 0.165
"""Share of a GPU's peak that training VGG-16 reached on an H100 with batches made on the fly, in
bfloat16 (benchmarks/gpu.py).
"""
ASPECT = 4 / 3
"""Longer side of a photograph over the shorter, assumed: what most cameras make."""
_LARGEST_CHECKED = 100_000
"""Images of a set beyond which the store is not asked for what was made from it: all its files
would be read for that.
"""


def describe(profile: Profile, chapters: Sequence[str], gpu: str = "A100") -> str:
    """The plan of a run, as text.

    Args:
        chapters: their whole names.
        gpu: the GPU, one of :data:`blurpaper.gpus.GPUS`, that hours are estimated for.
    """
    return "\n".join(Plan(profile, chapters, GPUS[gpu]).lines())


class Plan:
    """The jobs of a run, and what each takes.

    Args:
        look: count the images that are there, and ask the store what is done; otherwise sets have
            the images they are known to have, and nothing is done: neither disk nor store is read.
    """

    def __init__(
        self, profile: Profile, chapters: Sequence[str], gpu: Gpu, look: bool = True
    ) -> None:
        self.profile, self.chapters, self.gpu = profile, chapters, gpu
        self.store = Store()
        count = needs.images_in if look else needs.images_known
        self.counts = {one: count(*one, profile) for one in data.wanted(profile)}
        self.classes = profile.emoji.classes if profile.train_set == "emoji" else 1000
        self.half = profile.compute.precision == "bfloat16" and gpu.bfloat16
        self.checked = (
            look and not data.missing(profile) and max(self.counts.values()) <= _LARGEST_CHECKED
        )
        self.networks = needs.networks(profile)
        self.models = tuple(dict.fromkeys(spec.model for spec in self.networks))
        self.trained = [
            self.training(spec) for spec in self.networks if not trained.is_published(spec)
        ]
        self.trained += map(self.learning_to_segment, tallies.by_table(profile)["table6"])
        self.classified = self._classifications()

    def lines(self) -> Iterator[str]:
        yield f"profile {self.profile.name}: {self.profile.title}"
        yield f"store: {self.store.root}"
        yield from _section("data", self._data())
        published = [
            f"{spec}: original weights" for spec in self.networks if trained.is_published(spec)
        ]
        yield from _section("networks", [*published, *map(str, self.trained)])
        yield from _section("chapters", self._chapters())
        yield from _section(
            "one image, forward (a training step takes three times that)", self._arithmetic()
        )
        yield from _section(
            "memory of the GPU, without what libraries take for themselves", self._memory()
        )
        yield from _section("disk", self._disk())
        yield from _section("time", self._time())

    # --- Jobs -------------------------------------------------------------------------------------

    def training(self, spec: NetworkSpec) -> Job:
        """The training of a network."""
        schedule = trained.schedule_of(spec, self.profile)
        count = sum(
            self.counts[part, "train"]
            for part in trained.train_set_of(schedule, self.profile).split("+")
        )
        if spec.recipe == "batch-norm":
            steps = min(self.profile.finetuning.batch_norm_batches, max(1, count // schedule.batch))
            what, passes = f"to re-estimate, {steps:,} batches of {schedule.batch}", 1
        else:
            steps = sum(1 for _ in training.steps_of(schedule, count))
            epochs = sum(phase.epochs for phase in schedule.phases)
            what = (
                f"to train, {steps:,} steps of {schedule.batch} ({count:,} images, {epochs} epochs)"
            )
            passes = costs.TRAINING + (
                schedule is self.profile.agreement
            )  # the teacher looks as well
        flops = steps * schedule.batch * passes * self._cost(spec.model, self._crop).flops
        done = self.checked and self.store.has(
            trained.network_recipe(spec, self.profile, self.store)
        )
        return Job(f"{spec} {what}", flops, 4 * self._parameters(spec.model), float(done))

    def _classifications(self) -> dict[str, list[Job]]:
        """Chapter -> what it classifies; what an earlier one did is not counted again."""
        jobs = defaultdict(list)
        seen: set[tuple[object, ...]] = set()
        for one in needs.measurements(self.profile):
            new = [c for c in one.conditions if (one.spec, c, one.scales, one.features) not in seen]
            seen |= {(one.spec, c, one.scales, one.features) for c in new}
            jobs[one.chapter] += [
                self.classifying(one, new, name) for name in needs.sets_of(one, self.profile)
            ]
        jobs["06"] = [
            self.deblurring(treatment, name)
            for name in self.profile.evaluation.test_sets
            for treatment in deblurred.of_table5(self.profile)
        ]
        jobs["07"] = list(map(self.segmenting, tallies.by_table(self.profile)["table6"]))
        return jobs

    def deblurring(self, treatment: Treatment, name: str) -> Job:
        """The deblurring of a test set, and its classification."""
        count, model = self.count_deblurred(name), self.profile.model
        flops = self._cost(model, self._shape("256", name)).flops * count
        what = f"{model}:original on {name}, {count:,} images, {self.profile.deblurring.psf} {treatment}"
        done = 0.0
        if self.checked:
            images = deblurred.images_of(name, self.profile, self.store)
            parts = [
                recipe
                for _, recipe in deblurred.recipes(treatment, images, self.profile, self.store)
            ]
            done = sum(map(self.store.has, parts)) / len(parts)
        return Job(what, flops, 4 * (self.classes + 2) * count, done)

    def count_deblurred(self, name: str) -> int:
        """How many images of a test set are deblurred."""
        each = self.profile.deblurring.each
        return (
            min(self.counts[name, "test"], each * self.classes)
            if each
            else self.counts[name, "test"]
        )

    def classifying(self, one: Measurement, new: Sequence[str], name: str) -> Job:
        """A measurement on a test set, counting what is ``new`` of its conditions."""
        count = self.counts[name, "test"]
        scales = f"scale{'s' * (len(one.scales) > 1)} {', '.join(one.scales)}"
        what = (
            f"{one.spec} on {name}, {count:,} images x {len(one.conditions)} conditions x {scales}"
        )
        if 0 < len(new) < len(one.conditions):
            what += f", {len(new)} of the conditions not counted above"
        each = sum(
            self._cost(one.spec.model, self._shape(scale, name)).flops for scale in one.scales
        )
        numbers = len(STAGES) if one.features else self.classes * len(one.scales)
        return Job(
            what,
            each * count * len(new),
            4 * numbers * count * len(new),
            self._done(one, new, name),
        )

    def _done(self, one: Measurement, new: Sequence[str], name: str) -> float:
        if not self.checked or one.features or not new:
            return 0.0
        images = data.load(name, "test", self.profile, self.store)
        found = list(
            predictions.recipes(one.spec, images, new, one.scales, self.profile, self.store)
        )
        return sum(self.store.has(recipe) for *_, recipe in found) / len(found)

    def learning_to_segment(self, spec: NetworkSpec) -> Job:
        """The training of a segmentation network."""
        settings, schedule, count = (
            self.profile.segmentation,
            segmented.schedule_of(spec, self.profile),
            self._scenes("train"),
        )
        steps = sum(1 for _ in training.steps_of(schedule, count))
        epochs = sum(phase.epochs for phase in schedule.phases)
        each = costs.segmenting(
            self.segmenter, (settings.crop, settings.crop), points=settings.points
        ).flops
        done = self.checked and self.store.has(
            segmented.network_recipe(spec, self.profile, self.store)
        )
        what = f"{spec} on {settings.data} to train, {steps:,} steps of {schedule.batch} ({count:,} scenes, {epochs} epochs)"
        flops = steps * schedule.batch * costs.TRAINING * each
        return Job(what, flops, 4 * costs.weights(self.segmenter), float(done))

    def segmenting(self, spec: NetworkSpec) -> Job:
        """The segmentation of the test scenes under every condition."""
        settings, count, labels = (
            self.profile.segmentation,
            self._scenes("test"),
            len(segmented.labels(self.profile)),
        )
        done = 0.0
        if self.checked:
            images = data.load_segmented(settings.data, "test", self.profile, self.store)
            parts = [
                recipe
                for condition in settings.conditions
                for _, recipe in segmented.recipes(
                    spec, images, condition, self.profile, self.store
                )
            ]
            done = sum(map(self.store.has, parts)) / len(parts)
        each = costs.segmenting(self.segmenter, (self.profile.protocol.canonical,) * 2).flops
        what = f"{spec} on {settings.data}, {count:,} scenes x {len(settings.conditions)} conditions, label by label"
        times = count * len(settings.conditions)
        return Job(what, times * each, times * 8 * len(COUNTED) * labels**2, done)

    def _scenes(self, split: str) -> int:
        return needs.scenes_in(split, self.profile)

    # --- Costs ------------------------------------------------------------------------------------

    @property
    def _crop(self) -> tuple[int, int]:
        return (self.profile.protocol.field,) * 2

    def _shape(self, scale: str, name: str) -> tuple[int, int]:
        side = self.profile.protocol.pixels(scale)
        return side, side if name == "emoji" else round(side * ASPECT)

    def _cost(self, model: str, shape: tuple[int, int], batch: int = 1) -> costs.Pass:
        return costs.forward(
            model, self.classes, self.profile.protocol.field, shape, batch, half=self.half
        )

    @cached_property
    def segmenter(self) -> ZoomOut:
        labels, field = len(segmented.labels(self.profile)), self.profile.protocol.field
        return costs.segmenter(
            self.profile.model, self.classes, field, labels, self.profile.segmentation
        )

    def _parameters(self, model: str) -> int:
        return costs.parameters(model, self.classes, self.profile.protocol.field)

    # --- Sections ---------------------------------------------------------------------------------

    def _data(self) -> Iterator[str]:
        for (name, split), count in self.counts.items():
            number = f"{count:,} images" if count else "images whose number is not known"
            if count < (known := needs.known_count(name, split)):
                number += f" of {known:,}"
            if name == "emoji":
                yield f"{name}, {split}: {number}, made here"
            elif photos.is_there(name, split):
                yield f"{name}, {split}: {number} at {photos.set_folder(name, split).absolute()}"
            else:
                yield f"{name}, {split}: {number}, MISSING: {photos.how_to_get(name, split)}"
        name, scenes = (
            self.profile.segmentation.data,
            " and ".join(f"{self._scenes(one):,} {one}" for one in ("train", "test")),
        )
        yield f"{name} with its label maps: {scenes} scenes" + (
            ", made here" if name == data.SCENES else ""
        )
        if not self.checked:
            yield "What is in the store is not said below: that is known by the images themselves, missing or too many to read."

    def _chapters(self) -> Iterator[str]:
        for chapter in self.chapters:
            jobs = self.classified.get(chapter[:2], [])
            yield chapter + ("" if jobs else ": classifies nothing, or little")
            yield from (f"  {job}" for job in jobs)
        for number in sorted(set(self.classified) - {chapter[:2] for chapter in self.chapters}):
            yield "for the results alone, no chapter of this checkout"
            yield from (f"  {job}" for job in self.classified[number])

    def _arithmetic(self) -> Iterator[str]:
        name = self.profile.evaluation.test_sets[0]
        for model in self.models:
            shapes = [
                self._crop,
                *(
                    self._shape(scale, name)
                    for scale in sorted(self.profile.protocol.scales, key=int)
                ),
            ]
            each = ", ".join(
                f"{counted(self._cost(model, shape).flops)}FLOP at {shape[0]} x {shape[1]}"
                for shape in shapes
            )
            yield f"{model}, {self._parameters(model) / 1e6:.1f} million parameters: {each}"

    def _memory(self) -> Iterator[str]:
        field, settings = self.profile.protocol.field, self.profile.evaluation
        maps = "16" if self.half else "32"
        kinds: dict[tuple[str, int, str], tuple[str, Schedule]] = {}
        for spec in self.networks:
            if not trained.is_published(spec) and spec.recipe != "batch-norm":
                schedule = trained.schedule_of(spec, self.profile)
                how = "agreement" if schedule is self.profile.agreement else "labels"
                kinds.setdefault((spec.model, schedule.batch, how), (spec.model, schedule))
        for (_, batch, how), (model, schedule) in kinds.items():
            size = costs.training_memory(model, self.classes, field, schedule, self.half)
            yield f"{model}, a training step by {how}, {batch} crops, maps of {maps} bits: {self._fits(size)}"
        name = settings.test_sets[0]
        shape = self._shape(max(self.profile.protocol.scales, key=int), name)
        for model in self.models:
            size = costs.evaluation_memory(
                model, self.classes, field, shape, settings.batch, self.half
            )
            yield f"{model}, classifying {settings.batch} images of {shape[0]} x {shape[1]}: {self._fits(size)}"

        scenes, batch = self.profile.segmentation, self.profile.segmentation.pretraining.batch
        kept = costs.segmenting(
            self.segmenter, (scenes.crop, scenes.crop), batch, scenes.points, self.half
        ).activations
        moments = 2 + (2 if scenes.pretraining.optimizer == "adamw" else 1)
        size = 4 * costs.weights(self.segmenter) * moments + kept
        yield f"{self.profile.model}, a training step of segmentation, {batch} crops of {scenes.crop} pixels: {self._fits(size)}"
        shape = (self.profile.protocol.canonical,) * 2
        size = (
            4 * costs.weights(self.segmenter)
            + costs.segmenting(self.segmenter, shape, 1, half=self.half).activations
        )
        yield f"{self.profile.model}, segmenting one scene of {shape[0]} x {shape[1]}: {self._fits(size)}"

    def _fits(self, size: int) -> str:
        return f"{counted(size)}B" + (
            f", MORE than the {self.gpu.memory} GB of one {self.gpu.name}"
            * (size > self.gpu.memory * 1e9)
        )

    def _disk(self) -> Iterator[str]:
        weights = sum(job.disk for job in self.trained)
        decided = sum(job.disk for jobs in self.classified.values() for job in jobs)
        yield f"store: {counted(weights)}B of networks, {counted(decided)}B of log-probabilities and distances"
        if self.trained:
            yield f"and while one is trained a checkpoint, {counted(3 * max(job.disk for job in self.trained))}B at most"
        if self.profile.compute.cache_gb and any(
            name != "emoji" for name in self.profile.evaluation.test_sets
        ):
            yield f"and photographs at the canonical scale, {self.profile.compute.cache_gb:g} GB at most (--cache-gb)"

    def _time(self) -> Iterator[str]:
        gpu, jobs = self.gpu, [job for found in self.classified.values() for job in found]
        rate = (gpu.half if self.half else gpu.single) * 1e12 * UTILISATION
        train, classify = (
            sum(job.flops * (1 - job.done) for job in some) / rate / 3600
            for some in (self.trained, jobs)
        )
        kind = "bfloat16" if self.half else "float32"
        peak = f"{rate / UTILISATION / 1e12:g} TFLOPS in {kind} ({gpu.source})"
        yield f"one {gpu.name}: {peak}, {UTILISATION:.0%} of it used, as was measured on an H100"
        hours = f"training {in_hours(train)}, classifying {in_hours(classify)}, together {in_hours(train + classify)}"
        yield f"  {hours} of GPU for what is left to do"
        spec = next((spec for spec in self.networks if not trained.is_published(spec)), None)
        if spec:
            needed = rate / (costs.TRAINING * self._cost(spec.model, self._crop).flops)
            yield f"  training {spec.model} then takes {needed:,.0f} crops a second, if decoding and blurring keep up with it"
        known = results.published_seconds(self.profile.name) or results.published_seconds("photos")
        count = sum(map(self.count_deblurred, self.profile.evaluation.test_sets))
        spent = count * sum(known.get(method, 0.0) for method in self.profile.deblurring.methods)
        if known:
            yield f"deblurring {count:,} images for Table 5 at the speed of the committed run, on a CPU: {in_hours(spent / 3600)}"
        yield _published_time(self.profile.name)


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"\n{title}"
    yield from (f"  {line}" for line in lines)


def _published_time(profile: str) -> str:
    rows = [row for row in results.published_timings(profile) if row["kind"] != results.SECONDS]
    if not rows:
        return f"without a GPU: not known, no run of {profile} was timed"
    devices = " and ".join(sorted({row["device"] for row in rows}))
    return f"the committed results took {in_hours(sum(float(row['seconds']) for row in rows) / 3600)} on {devices}"
