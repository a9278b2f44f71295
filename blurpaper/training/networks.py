"""Networks of a run: with published weights where those can be had, else trained as its profile
says, and kept.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from blurpaper import data
from blurpaper.data.sets import ImageSet, imagenet_names
from blurpaper.kernels import MIXES
from blurpaper.networks import Network, NetworkSpec, Reference, build, files, module_of
from blurpaper.networks.base import Classifier, unfolded, with_mixed_norms
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs import Run, devices, fingerprint
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile, Schedule
from blurpaper.runs.store import Artifact, Store
from blurpaper.training import loop
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Agreement, AugMixed, Labels, Objective

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Trained(Reference):
    """A network of a run."""

    run: Run = field(kw_only=True, compare=False, repr=False)

    @cached_property
    def artifact(self) -> Artifact[Network]:
        """The artifact of its weights: trained on images, with settings, and for a fine-tuned
        network from the one that it starts from.

        Raises:
            UserError: for a per-scale network, which is one for each scale, or if the profile has
                no pretraining for it.
        """
        profile, schedule = self.run.profile, schedule_of(self, self.run.profile)
        images = data.load_images(train_set_of(schedule, profile), "train", self.run)
        few = images.name.partition(":")[0] in profile.evaluation.class_restricted_sets
        classes = np.unique(images.labels).tolist() if few else []
        inputs = {
            "spec": self.name,
            "seed": profile.seed,
            "images": images.fingerprint,
            "protocol": profile.protocol.model_dump(),
            "schedule": schedule.model_dump(),
            "precision": profile.compute.precision,
            "architecture": fingerprint.fingerprint([module_of(self.model)]),
            "classes": classes,
        }
        if self.is_original:
            mix, scale = MIXES["sharp-only"], schedule.train_scale
        else:
            mix, scale = MIXES[self.mix], self.scale
            inputs |= {"start": self.start.identity, "mix": mix}
        task = Task(images, mix, scale, self.run.seed(self.seed))
        settings = schedule, profile.protocol, profile.compute
        start = partial(_start, self, images)
        if self.recipe == "batch-norm":
            batches = profile.finetuning.batch_norm_batches
            compute = partial(loop.reestimate_batch_norm, start, task, *settings, batches)
        else:

            def objective() -> Objective:
                return objective_of(start(), schedule, self.recipe, classes)

            compute = partial(loop.train_or_resume, objective, task, *settings, self.name)
        return Artifact(
            "networks",
            self.name,
            inputs,
            compute,
            files.codec(self),
            about={"profile": profile.name, "data": images.fingerprint},
            resumable=self.recipe != "batch-norm",
        )

    def __str__(self) -> str:
        """Its name, with the images of each class that it was trained on if they are a part."""
        if self.is_original or self.scale == "per-scale":
            return self.name
        images = train_set_of(schedule_of(self, self.run.profile), self.run.profile)
        return f"{self.name} on {images}" if ":" in images else self.name

    @property
    def start(self) -> Trained:
        """The network that a fine-tuned one starts from."""
        return trained(start_of(self), self.run)

    @property
    def identity(self) -> str:
        if is_published(self):
            return f"{self} as published {fingerprint.fingerprint([module_of(self.model)])}"
        artifact = self.artifact
        self.run.store.note(artifact)
        return artifact.key

    @property
    def classes(self) -> Sequence[str]:
        return imagenet_names() if self.model in ORIGINALS else self.loaded.classes

    def load(self, plain: bool = False) -> Classifier:
        if is_published(self):
            network = ORIGINALS[self.model](self.run.profile.protocol.field)
        else:
            network = get(self.artifact, self.run.store)
        return unfolded(network) if plain else network


def trained(spec: NetworkSpec, run: Run) -> Trained:
    """The network of a name in a run."""
    return Trained(spec.model, spec.mix, spec.scale, spec.recipe, spec.seed, run=run)


def reference(spec: NetworkSpec, run: Run) -> Reference:
    """A network by its name: from a file or from elsewhere if it is such a one, else of a run."""
    return spec.reference(partial(trained, run=run))


def kept(network: Trained) -> Reference:
    """A network of a run, for use under another profile: by its file, unless its weights are
    published ones.
    """
    if is_published(network):
        return network
    artifact = network.artifact
    get(artifact, network.run.store)
    return NetworkFile.at(network.run.store.path(artifact) / f"data{artifact.codec.suffix}")


# --- Training -------------------------------------------------------------------------------------

SOURCE = 256
"""Images that the statistics of training count as in the teacher of ``agreement-blurred``; of 256,
64 and none, 256 made the best teacher, on ImageNet photographs that are no test images.
"""


def get(artifact: Artifact[M], store: Store) -> M:
    """A trained network, loaded if it is kept. Of several processes (torchrun) all train, and one
    keeps the network.
    """
    devices.join()
    if devices.count() > 1:
        _computed_together(artifact, store)
    return store.get(artifact)


def _computed_together(artifact: Artifact[M], store: Store) -> None:
    """Train a network with all processes if the first one, which holds the store's lock, finds none
    kept.
    """
    if devices.number() == 0:
        asked = False

        def compute_with_all(*scratch: Path) -> M:  # of one that is resumable
            nonlocal asked
            asked = devices.led(True)
            return artifact.compute(*scratch)

        compute_with_all.__module__ = artifact.function.__module__  # the same key
        store.get(replace(artifact, compute=compute_with_all))
        if not asked:
            devices.led(False)
    elif devices.led(False):
        artifact.compute(*[store.scratch(artifact)] if artifact.resumable else [])
    devices.wait()


def schedule_of(spec: NetworkSpec, profile: Profile) -> Schedule:
    """The schedule that a network is trained by.

    Raises:
        UserError: for a per-scale network, which is one for each scale, or if the profile has no
            pretraining for it.
    """
    if spec.scale == "per-scale":
        raise UserError(
            f"{spec} is not one network but one for each scale: name them, as in "
            f"{spec.model}:{spec.mix}@512."
        )
    if not spec.is_original:
        return profile.agreement if "agreement" in spec.recipe else profile.finetuning
    if profile.pretraining is None:
        raise UserError(
            f"profile {profile.name} has no pretraining, and no weights of {spec} can be had."
        )
    return profile.pretraining


def train_set_of(schedule: Schedule, profile: Profile) -> str:
    """The training set of a schedule: its own, or that of the profile."""
    return getattr(schedule, "train_set", None) or profile.train_set


def is_published(spec: NetworkSpec) -> bool:
    """Whether a network's weights are published ones, which are never trained here."""
    return spec.is_original and spec.model in ORIGINALS


def start_of(spec: NetworkSpec) -> NetworkSpec:
    """The network that a fine-tuned one starts from."""
    return NetworkSpec(spec.model, seed=0 if spec.model in ORIGINALS else spec.seed)


def objective_of(
    start: Classifier, schedule: Schedule, recipe: str = "", classes: Sequence[int] = ()
) -> Labels | Agreement:
    """The objective of a schedule; without labels, the teacher is the network before training.

    Args:
        recipe: if it is not the schedule's usual one.
        classes: those that labels tell apart, by number; all by default.
    """
    if not isinstance(schedule, profiles.Agreement):
        kind = AugMixed if recipe == "augmix" else Labels
        return kind(start, schedule.label_smoothing, classes)
    teacher, alone = copy.deepcopy(start), recipe == "agreement-blurred"
    teacher = with_mixed_norms(teacher, SOURCE) if alone else teacher
    return Agreement(start, teacher, schedule.feature_weight, with_sharp=not alone)


def _start(network: Trained, images: ImageSet) -> Classifier:
    """The network before training."""
    if not network.is_original:
        return network.start.load()
    torch.manual_seed(network.run.seed(network.seed, "weights", network.model) % 2**63)
    return build(network.model, images.classes, network.run.profile.protocol.field)
