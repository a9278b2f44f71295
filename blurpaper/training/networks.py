"""Networks as a profile asks for them: from a file, with their original weights, or trained and
kept.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from blurpaper import data
from blurpaper.data.sets import ImageSet
from blurpaper.kernels import MIXES
from blurpaper.networks import Network, NetworkSpec, build, files, module_of
from blurpaper.networks.base import Classifier
from blurpaper.networks.external import ExternalSpec
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs import Run, devices
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile, Schedule
from blurpaper.runs.progress import progress
from blurpaper.runs.store import Recipe, Store
from blurpaper.training import loop
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Agreement, Labels

M = TypeVar("M", bound=nn.Module)


def network(spec: NetworkSpec, run: Run) -> Classifier:
    """A network: from its file, from elsewhere, its original weights if they can be had, else
    trained by the profile and kept.

    Raises:
        UserError: if the profile says no way to make it.
    """
    if isinstance(spec, NetworkFile | ExternalSpec):
        return spec.load()
    if is_published(spec):
        return ORIGINALS[spec.model](run.profile.protocol.field)
    recipe = network_recipe(spec, run)
    return get(recipe, lambda checkpoint: _trained(spec, run, checkpoint), run.store)


def kept(spec: NetworkSpec, run: Run) -> NetworkSpec:
    """A network as this profile made it, for use under another: by name if its weights are from
    elsewhere, else by its file.
    """
    if is_published(spec):
        return spec
    network(spec, run)
    recipe = network_recipe(spec, run)
    return NetworkFile.at(run.store.path(recipe) / f"data{recipe.codec.suffix}")


def get(recipe: Recipe[M], train: Callable[[Path], M], store: Store) -> M:
    """What training makes, loaded if it is kept. Of several processes (torchrun) all train, and one
    keeps what was trained.

    Args:
        train: called with the file for the checkpoint.
    """

    def make(scratch: Path) -> M:
        return train(readable_checkpoint(scratch / "checkpoint.safetensors"))

    devices.join()
    if devices.count() > 1:
        _made_together(recipe, make, store)
    return store.get(recipe, make)


def readable_checkpoint(path: Path) -> Path:
    """The file for a checkpoint; one that lies there and cannot be read, is cut off for example, is
    told of and removed.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt"):
            pass
    except FileNotFoundError:
        pass
    except SafetensorError:
        warnings.warn(f"the checkpoint {path} is damaged: training begins anew.", stacklevel=2)
        path.unlink(missing_ok=True)
    return path


def _made_together(recipe: Recipe[M], make: Callable[[Path], M], store: Store) -> None:
    """Have a network made by all processes, if the first of them, which keeps the store's lock,
    finds that it must be.
    """
    if devices.number() == 0:
        asked = False

        def make_with_all(scratch: Path) -> M:
            nonlocal asked
            asked = devices.led(lambda: True)
            return make(scratch)

        store.get(recipe, make_with_all)
        if not asked:
            devices.led(lambda: False)
    elif devices.led(lambda: False):
        make(store.scratch(recipe))
    devices.wait()


def network_recipe(spec: NetworkSpec, run: Run) -> Recipe[Network]:
    """What a trained network is made from: images, settings, and for a fine-tuned one the network
    it starts from.

    Raises:
        UserError: for a per-scale network, which is one for each scale.
    """
    if spec.train_scale == "per-scale":
        raise UserError(
            f"{spec} is not one network but one for each scale: name them, as in "
            f"{spec.model}:{spec.mix}@512."
        )
    images, schedule = _training_of(spec, run)
    inputs = {
        "spec": str(spec),
        "seed": run.profile.seed,
        "images": images.fingerprint,
        "protocol": run.profile.protocol.model_dump(),
        "schedule": schedule.model_dump(),
        "precision": run.profile.compute.precision,
    }
    if not spec.is_original:
        inputs |= {"start": identity_of(start_of(spec), run), "mix": MIXES[spec.mix]}
    modules = ["blurpaper.training.loop", "blurpaper.networks.files", module_of(spec.model)]
    about = {"profile": run.profile.name, "data": images.fingerprint}
    return Recipe("networks", str(spec), inputs, modules, files.codec(spec), about)


def _training_of(spec: NetworkSpec, run: Run) -> tuple[ImageSet, Schedule]:
    """The images and the schedule that make a network what it is."""
    schedule = schedule_of(spec, run.profile)
    return data.load(train_set_of(schedule, run.profile), "train", run), schedule


def schedule_of(spec: NetworkSpec, profile: Profile) -> Schedule:
    """How a network is trained.

    Raises:
        UserError: if the profile says no way to make it.
    """
    if not spec.is_original:
        return profile.agreement if spec.recipe == "agreement" else profile.finetuning
    if profile.pretraining is None:
        raise UserError(
            f"profile {profile.name} has no pretraining, and no weights of {spec} can be had."
        )
    return profile.pretraining


def train_set_of(schedule: Schedule, profile: Profile) -> str:
    """On which images: without labels, those of the schedule's own."""
    return schedule.train_set if isinstance(schedule, profiles.Agreement) else profile.train_set


def is_published(spec: NetworkSpec) -> bool:
    """Whether a network's weights are published ones, which nothing here trains."""
    return spec.is_original and spec.model in ORIGINALS


def start_of(spec: NetworkSpec) -> NetworkSpec:
    """The network that a fine-tuned one starts from."""
    return NetworkSpec(spec.model, seed=0 if spec.model in ORIGINALS else spec.seed)


def _trained(spec: NetworkSpec, run: Run, checkpoint: Path) -> Network:
    images, schedule = _training_of(spec, run)
    seed = run.seed(spec.seed)
    if spec.is_original:
        torch.manual_seed(run.seed(spec.seed, "weights", spec.model) % 2**63)
        start = build(spec.model, images.classes, run.profile.protocol.field)
        task = Task(images, MIXES["sharp-only"], run.profile.pretraining.train_scale, seed)
    else:
        start = network(start_of(spec), run)
        task = Task(images, MIXES[spec.mix], spec.train_scale, seed)
    if spec.recipe == "batch-norm":
        batches = run.profile.finetuning.batch_norm_batches
        return loop.reestimate_batch_norm(
            start, task, schedule, run.profile.protocol, run.profile.compute, batches
        )
    objective = objective_of(start, schedule)
    with progress(f"training {spec}", unit="step") as tick:
        return loop.train(
            objective, task, schedule, run.profile.protocol, run.profile.compute, checkpoint, tick
        )


def objective_of(start: Classifier, schedule: Schedule) -> Labels | Agreement:
    """What a schedule trains a network for; without labels, its own predictions before training
    teach it.
    """
    if isinstance(schedule, profiles.Agreement):
        return Agreement(start, copy.deepcopy(start), schedule.features)
    return Labels(start, schedule.label_smoothing)


def code_of(spec: NetworkSpec) -> str:
    """The module whose code makes the network what it is."""
    return (
        "blurpaper.networks.external" if isinstance(spec, ExternalSpec) else module_of(spec.model)
    )


def identity_of(spec: NetworkSpec, run: Run) -> str:
    """What stands for a network in the key of what is computed with it, found without training it."""
    if isinstance(spec, NetworkFile | ExternalSpec):
        return spec.identity
    if is_published(spec):
        return f"{spec} as published"
    recipe = network_recipe(spec, run)
    run.store.note(recipe)
    return recipe.key
