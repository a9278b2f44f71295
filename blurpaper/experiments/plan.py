"""The cost of a run, before anything is computed: data, training steps, memory, disk and GPU-hours.

Arithmetic and memory are counted on torch's meta device, where tensors have a shape and no numbers,
and known sets have known sizes, so no data is needed. The time of an image is that of its
arithmetic at a fixed share of the GPU's peak, and a fixed time for scaling, blurring and cropping
it. What the store has already is not subtracted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from blurpaper import data
from blurpaper.evaluation.predictions import base_scales
from blurpaper.experiments import measurements, restoration
from blurpaper.experiments.measurements import COMPARED, DEBLURRED, FRAMED, SEGMENTED, Measurement
from blurpaper.experiments.sources import Committed, MissingError
from blurpaper.kernels import check_condition
from blurpaper.networks import STAGES, Network, NetworkSpec, build
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Agreement, Profile, Schedule, Segmentation
from blurpaper.segmentation import networks
from blurpaper.segmentation.protocol import COUNTED
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import loop
from blurpaper.training import networks as trained

SHARE, HANDLING = 0.27, 0.5e-3
"""Share of a GPU's peak that the arithmetic of VGG-16 reaches, and seconds that an image takes
besides, both as measured on an H100. Rates of the whole protocol and of training there
(results/bench.gpu.json) are met within a factor of two, for other architectures too.
"""
TRAINING = 3
"""Arithmetic of a training step in forward passes: one forward, two backward."""
ASPECT = 4 / 3
"""Longer side of a photograph over the shorter, assumed."""

in_bytes = partial(tqdm.format_sizeof, suffix="B")
"""Bytes with a decimal prefix: 1,234,000,000 are ``1.23GB``."""


class Gpu(NamedTuple):
    """A GPU: peak TFLOPS of dense matrices, memory in GB.

    Attributes:
        bfloat16: none if it has no such type; float32 is used then.
        float32: on tensor cores (TF32) where it has them.
    """

    name: str
    bfloat16: float | None
    float32: float
    memory: int


GPUS = {
    "H100": Gpu("H100 SXM", 989, 495, 80),
    "A100": Gpu("A100 80GB", 312, 156, 80),
    "RTX4090": Gpu("RTX 4090", 165, 82.6, 24),
    "V100": Gpu("V100 SXM2", None, 15.7, 32),
    "T4": Gpu("T4", None, 8.1, 16),
}
"""GPUs by the name that ``--gpu`` takes, from their makers' data sheets."""


def check_profile(profile: Profile) -> None:
    """Check that every set, network, condition and method of a profile is known.

    Raises:
        UserError: naming the first unknown one.
    """
    data.wanted(profile)
    measurements.starts(profile)
    for _, one in measurements.measurements(profile):
        for condition in one.conditions:
            check_condition(condition)
    restoration.check_deblurring(profile)
    networks.check_segmentation(profile)


def describe(profile: Profile, gpu: str = "A100") -> str:
    """The plan of a run, as text.

    Args:
        gpu: one of :data:`GPUS`.

    Raises:
        UserError: for another GPU, or a profile that cannot be run.
    """
    if gpu.upper() not in GPUS:
        raise UserError(f"a GPU is one of {', '.join(GPUS)}. Got {gpu!r}.")
    check_profile(profile)
    return "\n".join(_Plan(profile, GPUS[gpu.upper()]).lines())


# --- Costs ----------------------------------------------------------------------------------------


class Pass(NamedTuple):
    """A forward pass: arithmetic for one image, a multiplication and an addition being two; and
    bytes of the batch's tensors alive at once, in training all that the backward pass needs.
    """

    flops: int
    activations: int


@lru_cache(maxsize=8)
def skeleton(model: str, classes: int, field: int) -> Network:
    """A network without numbers, on the meta device."""
    with torch.device("meta"):
        return build(model, tuple(map(str, range(classes))), field).requires_grad_(True)


def segmenter(model: str, classes: int, field: int, labels: int, settings: Segmentation) -> ZoomOut:
    """A Zoomout network without numbers, on the meta device."""
    with torch.device("meta"):
        backbone, names = build(model, ("",) * classes, field), tuple(map(str, range(labels)))
        return ZoomOut(backbone, names, settings.hidden_units, stride=settings.stride)


@lru_cache(maxsize=64)
def forward(
    network: nn.Module,
    shape: tuple[int, int],
    batch: int = 1,
    training: bool = False,
    half: bool = False,
    points: int = 0,
) -> Pass:
    """The cost of a forward pass over a batch of images of one shape (rows, columns).

    Args:
        network: on the meta device.
        training: as in training; otherwise as test images are classified or segmented.
        half: maps of 16 bits, as under autocast; parameters are float32 anyway.
        points: pixels of each image that a segmentation network is trained on.
    """
    network.train(training)
    images, places = (torch.empty(batch, *of, device="meta") for of in ((3, *shape), (points, 2)))
    whole = (shape,) if isinstance(network, ZoomOut) else ()
    live = _Live(network, half)
    with torch.set_grad_enabled(training), FlopCounterMode(display=False) as counter, live:
        if training:
            network(images, places) if points else network(images)
        else:
            network.log_probabilities(images, *whole)
    return Pass(counter.get_total_flops() // batch, int(live.peak))


def weights(network: nn.Module) -> int:
    """Number of a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def training_memory(network: nn.Module, schedule: Schedule, activations: int) -> int:
    """Bytes for a training step: weights, gradients, the optimizer's moments, a teacher's weights,
    activations.
    """
    moments = 2 if schedule.optimizer == "adamw" else 1
    copies = 2 + moments + isinstance(schedule, Agreement)
    return 4 * weights(network) * copies + activations


class _Live(TorchDispatchMode):
    """Bytes of the tensors made inside that are alive at once, at most."""

    def __init__(self, network: nn.Module, half: bool) -> None:
        super().__init__()
        self.peak, self._half = 0.0, half
        own = (*network.parameters(), *network.buffers())
        # An entry goes when its storage is freed.
        self._bytes = WeakKeyDictionary({tensor.untyped_storage(): 0.0 for tensor in own})

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> Any:  # noqa: ANN001, ANN401
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._see, result)
        self.peak = max(self.peak, sum(self._bytes.values()))
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        share = 0.5 if self._half and tensor.dtype == torch.float32 else 1.0
        self._bytes.setdefault(storage, share * storage.nbytes())


# --- The plan -------------------------------------------------------------------------------------


class Job(NamedTuple):
    """A computation, its hours and memory on the GPU, and its bytes in the store."""

    what: str
    hours: float
    memory: int
    disk: int

    def __str__(self) -> str:
        return (
            f"{self.what}: {in_hours(self.hours)}, {in_bytes(self.memory)}, {in_bytes(self.disk)}"
        )


class _Plan:
    """The jobs of a run on a GPU."""

    def __init__(self, profile: Profile, gpu: Gpu) -> None:
        self.profile, self.gpu = profile, gpu
        self.classes = profile.emoji.classes if profile.train_set == "emoji" else 1000
        self.half = profile.compute.precision == "bfloat16" and gpu.bfloat16 is not None
        self.peak = gpu.bfloat16 if self.half else gpu.float32
        self.count = cache(partial(data.count, profile=profile))
        field, labels = profile.protocol.field, len(networks.labels(profile))
        self._skeleton = partial(skeleton, classes=self.classes, field=field)
        of = profile.model, self.classes, field, labels
        self._segmenter = segmenter(*of, profile.segmentation)

    def lines(self) -> Iterator[str]:
        profile, names = self.profile, measurements.starts(self.profile)
        published = [name for name in names if trained.is_published(NetworkSpec.parse(name))]
        to_train = [self._training(name, profile) for name in names if name not in published]
        for part in profile.density.parts:
            few = measurements.at_density(part.labelled, profile)
            tuned = measurements.specs_of(part.networks, profile)
            to_train += [self._training(str(spec), few) for spec in tuned]
        to_measure = [
            self._measuring(name, one)
            for name, one in measurements.measurements(profile)
            if one.spec.scale != "per-scale"  # one network for each scale, listed by itself
        ]
        yield f"profile {profile.name}: {profile.title}\n\ndata"
        scenes = [(profile.segmentation.data, split) for split in ("train", "test")]
        for name, split in dict.fromkeys([*data.wanted(profile), *scenes]):
            number = self.count(name, split)
            yield f"  {name}, {split}: {f'{number:,}' if number else 'an unknown number of'} images"
        yield from (f"  MISSING: {sentence}" for sentence in data.missing(profile))
        yield "\nnetworks: time and memory on the GPU to train them, disk"
        yield from (f"  {name}: its weights are published" for name in published)
        yield from (f"  {job}" for job in to_train)
        yield "\nmeasurements: time and memory on the GPU, disk"
        yield from (f"  {job}" for job in to_measure)
        yield "\nin all"
        yield from (f"  {line}" for line in self._totals(to_train, to_measure))

    def _totals(self, to_train: list[Job], to_measure: list[Job]) -> Iterator[str]:
        gpu, kind = self.gpu, "bfloat16" if self.half else "float32"
        train, measure = (sum(job.hours for job in jobs) for jobs in (to_train, to_measure))
        yield f"GPU-hours on one {gpu.name}, from an empty store: {in_hours(train + measure)}"
        yield f"  training {in_hours(train)}, measuring {in_hours(measure)}"
        rate = f"{SHARE:.0%} of {self.peak:g} TFLOPS in {kind}"
        yield f"  at {rate}, and {1000 * HANDLING:g} ms an image"
        memory = max(job.memory for job in (*to_train, *to_measure))
        beyond = "MORE than" if memory > gpu.memory * 1e9 else "of"
        yield f"GPU memory: {in_bytes(memory)}, {beyond} the {gpu.memory}GB of one {gpu.name}"
        kept, seen = (sum(job.disk for job in jobs) for jobs in (to_train, to_measure))
        yield f"disk: {in_bytes(kept)} of networks, {in_bytes(seen)} of predictions"
        known = "not known"
        with suppress(MissingError):
            rows = Committed(self.profile).timings()
            spent = in_hours(sum(float(row["seconds"]) for row in rows) / 3600)
            devices = " and ".join(sorted({row["device"] for row in rows}))
            known = f"the committed results took {spent} on {devices}"
        yield f"without a GPU: {known}"

    def _training(self, name: str, profile: Profile) -> Job:
        spec, points = NetworkSpec.parse(name), 0
        if spec.model == networks.SEGMENTATION:
            network, side = self._segmenter, profile.segmentation.crop
            schedule, sets = networks.schedule_of(spec, profile), profile.segmentation.data
            points = profile.segmentation.pixels_per_crop
        else:
            network, side = self._skeleton(spec.model), profile.protocol.field
            schedule = trained.schedule_of(spec, profile)
            sets = trained.train_set_of(schedule, profile)
            name += f" on {sets}" if ":" in sets else ""
        count = self.count(sets, "train")
        one = forward(network, (side, side), schedule.batch, True, self.half, points)
        # A teacher looks at each image as well.
        passes = TRAINING + isinstance(schedule, Agreement)
        steps = sum(1 for _ in loop.steps_of(schedule, count))
        if spec.recipe == "batch-norm":  # no weight is trained
            batches = profile.finetuning.batch_norm_batches
            steps, passes = min(batches, max(1, count // schedule.batch)), 1
        return Job(
            f"{name}: {steps:,} steps of {schedule.batch} ({count:,} images)",
            self._hours(steps * schedule.batch, passes * one.flops),
            training_memory(network, schedule, one.activations),
            4 * weights(network),
        )

    def _measuring(self, name: str, one: Measurement) -> Job:
        protocol, number = self.profile.protocol, self.count(one.data, "test")
        scales, batch = base_scales(one.scales), self.profile.evaluation.batch
        if one.kind == SEGMENTED:
            network, shapes = self._segmenter, [(protocol.canonical,) * 2]
            kept = 2 * len(COUNTED) * len(network.labels) ** 2
        else:
            network, aspect = self._skeleton(one.spec.model), 1 if one.data == "emoji" else ASPECT
            shapes = [(side, round(side * aspect)) for side in map(protocol.pixels, scales)]
            kept = len(STAGES) if one.kind == COMPARED else self.classes * len(shapes)
        what, times = "conditions", len(one.conditions)
        # Deblurring itself takes a GPU minutes, and is left out.
        if one.kind in (DEBLURRED, FRAMED):
            what, times = "treatments", len(one.treatments)
            settings = self.profile.deblurring
            most = settings.n_camera if one.kind == FRAMED else settings.n_images
            number = min(number, most or number)
        elif one.kind == measurements.ADAPTED:  # by each method, a step of learning being more
            what, times = "passes of adaptation", times * len(one.treatments)
            number, kept = min(number, self.profile.adaptation.images), 1
        passes = [forward(network, shape, batch, half=self.half) for shape in shapes]
        what = f"{number:,} images x {times} {what} at {', '.join(scales)}"
        return Job(
            f"{name}: {one.spec} on {one.data}, {what}",
            sum(self._hours(number * times, each.flops) for each in passes),
            4 * weights(network) + max(each.activations for each in passes),
            4 * kept * number * times,
        )

    def _hours(self, images: int, flops: int) -> float:
        return images * (flops / (SHARE * self.peak * 1e12) + HANDLING) / 3600


def in_hours(hours: float) -> str:
    """Hours, or minutes or seconds if they are few: ``1.5 h``."""
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours >= 1 / 60 else f"{hours * 3600:.1f} s"
