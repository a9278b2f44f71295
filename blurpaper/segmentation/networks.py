"""Segmentation networks of a run (Section 5): Zoomout, trained as its profile says and kept, and
the confusions of each on the test scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch

from blurpaper import data
from blurpaper.data.images import Shard, scenes_of
from blurpaper.evaluation.predictions import columns_of, common_inputs, shards
from blurpaper.kernels import CANONICAL, MIXES, SHARP, check_condition, check_mix
from blurpaper.networks import NetworkSpec, Reference, module_of
from blurpaper.networks.base import unfolded
from blurpaper.runs import Run, fingerprint
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile, Schedule
from blurpaper.runs.progress import progress
from blurpaper.runs.store import Artifact
from blurpaper.segmentation import protocol
from blurpaper.segmentation.batches import PerPixel
from blurpaper.segmentation.zoomout import ZoomOut, codec
from blurpaper.training import loop
from blurpaper.training.batches import Task
from blurpaper.training.networks import get, trained

SEGMENTATION = "segmentation"
"""Stands for the model in the name of a segmentation network, ``segmentation:mix``, which is on the
profile's model.
"""


def labels(profile: Profile) -> tuple[str, ...]:
    """Names of the labels of the profile's scenes."""
    return data.labels_of(profile.segmentation.data)


def check_segmentation(profile: Profile) -> None:
    """Check a profile's settings of segmentation before anything is computed.

    Raises:
        UserError: for the name of no set, mix or condition.
    """
    settings = profile.segmentation
    data.check_segmented(settings.data)
    for mix in settings.networks:
        check_mix(mix)
    for condition in settings.conditions:
        check_condition(condition)
    if SHARP not in settings.conditions:
        raise UserError(
            "segmentation.conditions needs sharp, with which the others are compared. Got "
            f"{', '.join(settings.conditions)}."
        )


# --- Networks -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segmenter(Reference):
    """A Zoomout network of a run, on the model of its name, trained as the profile says and kept.

    ``original`` is trained on sharp scenes, from the original classification network; the others
    start from it.
    """

    run: Run = field(kw_only=True, compare=False, repr=False)

    @cached_property
    def artifact(self) -> Artifact[ZoomOut]:
        """The artifact of its weights.

        Raises:
            UserError: for another train scale or recipe than segmentation has.
        """
        if self.name != NetworkSpec(self.model, self.mix, seed=self.seed).name:
            raise UserError(
                "a segmentation network is segmentation:MIX[#SEED], at one scale and with labels. "
                f"Got {str(replace(self, model=SEGMENTATION))!r}."
            )
        profile, schedule = self.run.profile, schedule_of(self, self.run.profile)
        settings = profile.segmentation
        images = data.load_segmented(settings.data, "train", self.run)
        mix = MIXES["sharp-only" if self.is_original else self.mix]
        code = [module_of(self.model), ZoomOut.__module__, PerPixel.__module__]
        inputs = {
            "spec": self.name,
            "seed": profile.seed,
            "images": images.fingerprint,
            "protocol": profile.protocol.model_dump(),
            "schedule": schedule.model_dump(),
            "zoomout": settings.model_dump(
                include={"hidden_units", "stride", "crop", "pixels_per_crop", "head_lr_scale"}
            ),
            "precision": profile.compute.precision,
            "start": self.start.identity,
            "mix": mix,
            "architecture": fingerprint.fingerprint(code),
        }
        task = Task(images, mix, "", self.run.seed(self.seed, "segmentation"))
        objective, name = partial(_objective, self, images), f"{self} on {images.name}"
        how = schedule, profile.protocol, profile.compute
        return Artifact(
            "segmenters",
            f"{self.name}.{images.name}",
            inputs,
            partial(loop.train_or_resume, objective, task, *how, name),
            codec(self),
            about={"profile": profile.name, "data": images.fingerprint},
            resumable=True,
        )

    @property
    def start(self) -> Reference:
        """The network that it starts from: for classification, or the original segmenter."""
        original = NetworkSpec(self.model)
        return trained(original, self.run) if self.is_original else segmenter(original, self.run)

    @property
    def identity(self) -> str:
        self.run.store.note(self.artifact)
        return self.artifact.key

    @property
    def classes(self) -> Sequence[str]:
        return labels(self.run.profile)

    def load(self, plain: bool = False) -> ZoomOut:
        network = get(self.artifact, self.run.store)
        return unfolded(network) if plain else network


def segmenter(spec: NetworkSpec, run: Run) -> Segmenter:
    """The Zoomout network of a name in a run, on the model of the name."""
    return Segmenter(spec.model, spec.mix, spec.scale, spec.recipe, spec.seed, run=run)


def schedule_of(spec: NetworkSpec, profile: Profile) -> Schedule:
    """How a Zoomout network is trained."""
    return profile.segmentation.pretraining if spec.is_original else profile.segmentation.finetuning


def _objective(network: Segmenter, images: data.SegmentedSet) -> PerPixel:
    """The objective of a network, with the network before training."""
    settings, before = network.run.profile.segmentation, network.start.load()
    if network.is_original:
        torch.manual_seed(network.run.seed("weights", "zoomout", network.model) % 2**63)
        before = ZoomOut(before, images.classes, settings.hidden_units, stride=settings.stride)
    return PerPixel(before, settings.crop, settings.pixels_per_crop, settings.head_lr_scale)


# --- Confusions -----------------------------------------------------------------------------------


def confusions(network: Segmenter, conditions: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Condition -> :data:`protocol.COUNTED` -> confusions of every test scene in pixels: int64
    ``(N, K, K)``.
    """
    run, profile = network.run, network.run.profile
    images = data.load_segmented(profile.segmentation.data, "test", run)
    inputs = common_inputs(network, images, profile) | {
        "boundary": profile.segmentation.boundary_distance
    }
    shard = Shard(lambda numbers: scenes_of(images, numbers, profile.protocol))
    title, count = f"segmenting {images.name} by {network}", len(images) * len(conditions)
    with progress(title, count, "scene") as tick:
        counted = run.store.sharded(
            "confusions",
            f"{network.name}.{images.name}",
            inputs,
            partial(protocol.scored, network, images, shard, profile, tick),
            shards(len(images), profile),
            conditions,
            profile=profile.name,
            data=images.fingerprint,
        )
    return {
        condition: {name: found[name].numpy() for name in protocol.COUNTED}
        for condition, found in counted.items()
    }


def columns(spec: NetworkSpec, condition: str, profile: Profile) -> dict[str, str]:
    """The columns that identify a number; scenes are at the canonical scale in training and in
    tests.
    """
    name, scale = profile.segmentation.data, str(CANONICAL)
    of = columns_of(spec, name, len(labels(profile)), scale, condition)
    return of if spec.is_original else of | {"train_scale": scale}


# --- Label maps for figures -----------------------------------------------------------------------


def label_maps(network: Segmenter, images: data.ImageSet, condition: str) -> dict[str, np.ndarray]:
    """Predicted label maps of a few images under a condition: id -> uint8 ``(H, W)``."""
    run, profile = network.run, network.run.profile
    found = run.store.artifact(
        "label-maps",
        f"{network.name}.{images.name}.{condition}",
        common_inputs(network, images, profile) | {"condition": condition},
        partial(protocol.label_maps, network, images, condition, profile),
        profile=profile.name,
        data=images.fingerprint,
    )
    return {name: one.numpy() for name, one in found.items()}
