"""What a run would do and cost, said before anything is spent: data, networks, arithmetic, memory, disk, hours.

The numbers come out whether or not the data is there: known sets have known counts, and networks are counted without
building them (:mod:`blurpaper.costs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from blurpaper import costs, results, runs, training
from blurpaper.data import photos
from blurpaper.data.reading import image_files
from blurpaper.data.sources import SOURCES
from blurpaper.gpus import GPUS, Gpu
from blurpaper.networks import NetworkSpec
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.profile import Profile, Schedule
from blurpaper.store import Store

UTILISATION = 0.35
"""Share of a GPU's peak that training and evaluation are assumed to reach."""
ASPECT = 4 / 3
"""Longer side of a photograph over the shorter: what most cameras make."""
_LARGEST_CHECKED = 100_000
"""Images of a set beyond which the store is not asked for what was made from it: every file would have to be read first."""


@dataclass(frozen=True)
class Measurement:
    """One network under some conditions at some of the scales 128, 256 and 512, for a chapter given by its number."""

    chapter: str
    spec: NetworkSpec
    conditions: tuple[str, ...]
    scales: tuple[str, ...]


def measurements(profile: Profile) -> list[Measurement]:
    """Every classification of the test images that the chapters need."""
    settings = profile.evaluation
    original, second = NetworkSpec(profile.model), NetworkSpec(settings.second_model)
    mixes = [NetworkSpec(profile.model, "mix", scale) for scale in training_scales()]
    invariant = [NetworkSpec.parse(f"{profile.model}:{name}") for name in settings.invariance_networks]
    wanted = [("02", original, settings.conditions, settings.scales)]
    if settings.pooled_model:
        wanted.append(("02", NetworkSpec(settings.pooled_model), settings.conditions, settings.scales))
    for name in settings.finetuned:
        wanted.append(("03", NetworkSpec.parse(f"{profile.model}:{name}"), settings.finetuned_conditions, ["256"]))
    for spec in (original, *mixes):
        wanted.append(("04", spec, settings.scale_conditions, spec.train_scale.split("+") if spec in mixes else ["256", "512"]))
    for spec in invariant:
        wanted.append(("05", spec, ["sharp", *settings.invariance_conditions], ["256"]))
    wanted.append(("08", second, settings.second_conditions, ["256", "512"]))
    return [Measurement(chapter, spec, tuple(c), tuple(runs.base_scales(s))) for chapter, spec, c, s in wanted]


def training_scales() -> tuple[str, ...]:
    """Scale settings of Table 4; the networks for each scale are those of 256 and 512."""
    return ("256", "512", "256+512")


def trained_networks(profile: Profile) -> list[NetworkSpec]:
    """Every network that has to be trained, each after the one it starts from."""
    specs: list[NetworkSpec] = []
    for one in measurements(profile):
        specs += [runs.start_of(one.spec), one.spec] if not one.spec.is_original else [one.spec]
    return [spec for spec in dict.fromkeys(specs) if not (spec.is_original and spec.model in ORIGINALS)]


def training_passes(spec: NetworkSpec, profile: Profile) -> tuple[str, int]:
    """What is done to make a network, in words, and the forward passes of one image that it takes the arithmetic of."""
    schedule = schedule_of(spec, profile)
    name = profile.agreement.train_set if schedule is profile.agreement else profile.train_set
    count = sum(images_in(part, "train", profile) for part in name.split("+"))
    if spec.recipe == "batch-norm":
        steps, passes = min(profile.finetuning.batch_norm_batches, max(1, count // schedule.batch)), 1
        words = "to re-estimate"
    else:
        steps = sum(1 for _ in training.steps_of(schedule, count))
        passes = costs.TRAINING + (schedule is profile.agreement)  # the teacher looks too
        words = "to train"
    epochs = sum(phase.epochs for phase in schedule.phases) if passes > 1 else 1
    return f"{words}, {steps:,} steps of {schedule.batch} ({count:,} images, {epochs} epochs)", steps * schedule.batch * passes
