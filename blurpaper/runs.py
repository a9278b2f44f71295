"""What the tables are made from, each computed once and kept: trained networks, and their log-probabilities on test images."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from blurpaper import data, invariance, metrics, processes, protocol, training
from blurpaper import profile as profiles
from blurpaper.batches import Task
from blurpaper.blur import MIXES
from blurpaper.data.base import ImageSet
from blurpaper.kernels import check_condition
from blurpaper.networks import Network, NetworkSpec, build, files, module_of
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.networks.released import NetworkFile
from blurpaper.objectives import Agreement, Labels
from blurpaper.profile import Profile, Schedule
from blurpaper.progress import progress
from blurpaper.randomness import seed_of
from blurpaper.store import TENSORS, Recipe, Store

if TYPE_CHECKING:
    import pandas as pd

M = TypeVar("M", bound=nn.Module)

# --- Networks ------------------------------------------------------------------------------------------------------------


def network(spec: NetworkSpec | NetworkFile, profile: Profile, store: Store) -> Network:
    """A network: from its file, its original weights if they can be had, else trained as the profile says and kept.

    Raises:
        ValueError: if the profile says no way to make it.
    """
    if isinstance(spec, NetworkFile):
        return files.load(spec.path)
    if spec.is_original and spec.model in ORIGINALS:
        return ORIGINALS[spec.model](profile.protocol.field)
    recipe = network_recipe(spec, profile, store)
    return trained(recipe, lambda checkpoint: _trained(spec, profile, store, checkpoint), store)


def kept(spec: NetworkSpec, profile: Profile, store: Store) -> NetworkSpec | NetworkFile:
    """A network as this profile made it, for use under another: by name if its weights are from elsewhere, else by its file."""
    if spec.is_original and spec.model in ORIGINALS:
        return spec
    network(spec, profile, store)
    recipe = network_recipe(spec, profile, store)
    return NetworkFile(store.path(recipe) / f"data{recipe.codec.suffix}")


def trained(recipe: Recipe[M], train: Callable[[Path], M], store: Store) -> M:
    """What training makes, loaded if it is kept. Of several processes (torchrun) all train, and one keeps what was trained.

    Args:
        train: called with the file for the checkpoint.
    """

    def make(scratch: Path) -> M:
        return train(scratch / "checkpoint.safetensors")

    if processes.count() > 1:
        _made_together(recipe, make, store)
    return store.get(recipe, make)


def _made_together(recipe: Recipe[M], make: Callable[[Path], M], store: Store) -> None:
    """Have a network made by all processes, if the first of them, which keeps the store's lock, finds that it must be."""
    if processes.number() == 0:
        asked = False

        def make_with_all(scratch: Path) -> M:
            nonlocal asked
            asked = processes.led(lambda: True)
            return make(scratch)

        store.get(recipe, make_with_all)
        if not asked:
            processes.led(lambda: False)
    elif processes.led(lambda: False):
        make(store.scratch(recipe))
    processes.wait()


def network_recipe(spec: NetworkSpec, profile: Profile, store: Store) -> Recipe[Network]:
    """What a trained network is made from: images, settings, and for a fine-tuned one the network it starts from."""
    if spec.train_scale == "per-scale":
        raise ValueError(f"{spec} is not one network but one for each scale: name them, as in {spec.model}:{spec.mix}@512.")
    images, schedule = _training_of(spec, profile, store)
    inputs = {
        "spec": str(spec),
        "seed": profile.seed,
        "images": images.fingerprint,
        "protocol": profile.protocol.model_dump(),
        "schedule": schedule.model_dump(),
        "precision": profile.compute.precision,
    }
    if not spec.is_original:
        inputs |= {"start": identity_of(start_of(spec), profile, store), "mix": MIXES[spec.mix]}
    modules = ["blurpaper.training", "blurpaper.networks.files", module_of(spec.model)]
    about = {"profile": profile.name, "data": images.fingerprint}
    return Recipe("networks", str(spec), inputs, modules, files.codec(spec), about)


def _training_of(spec: NetworkSpec, profile: Profile, store: Store) -> tuple[ImageSet, Schedule]:
    """The images and the schedule that make a network what it is."""
    schedule = schedule_of(spec, profile)
    return data.load(train_set_of(schedule, profile), "train", profile, store), schedule


def schedule_of(spec: NetworkSpec, profile: Profile) -> Schedule:
    """How a network is trained.

    Raises:
        ValueError: if the profile says no way to make it.
    """
    if not spec.is_original:
        return profile.agreement if spec.recipe == "agreement" else profile.finetuning
    if profile.pretraining is None:
        raise ValueError(f"profile {profile.name} has no pretraining, and no weights of {spec} can be had.")
    return profile.pretraining


def train_set_of(schedule: Schedule, profile: Profile) -> str:
    """On which images: without labels, those of the schedule's own."""
    return schedule.train_set if isinstance(schedule, profiles.Agreement) else profile.train_set


def start_of(spec: NetworkSpec) -> NetworkSpec:
    """The network that a fine-tuned one starts from."""
    return NetworkSpec(spec.model, seed=0 if spec.model in ORIGINALS else spec.seed)


def _trained(spec: NetworkSpec, profile: Profile, store: Store, checkpoint: Path) -> Network:
    images, schedule = _training_of(spec, profile, store)
    seed = seed_of(profile.seed, spec.seed)
    if spec.is_original:
        torch.manual_seed(seed_of(profile.seed, spec.seed, "weights", spec.model) % 2**63)
        start = build(spec.model, images.classes, profile.protocol.field)
        task = Task(images, MIXES["sharp-only"], profile.pretraining.train_scale, seed)
    else:
        start = network(start_of(spec), profile, store)
        task = Task(images, MIXES[spec.mix], spec.train_scale, seed)
    if spec.recipe == "batch-norm":
        batches = profile.finetuning.batch_norm_batches
        return training.reestimate_batch_norm(start, task, schedule, profile.protocol, profile.compute, batches)
    objective = objective_of(start, schedule)
    with progress(f"training {spec}", unit="step") as tick:
        return training.train(objective, task, schedule, profile.protocol, profile.compute, checkpoint, tick)


def objective_of(start: Network, schedule: Schedule) -> Labels | Agreement:
    """What a schedule trains a network for; without labels, its own predictions before training teach it."""
    if isinstance(schedule, profiles.Agreement):
        return Agreement(start, copy.deepcopy(start), schedule.features)
    return Labels(start, schedule.label_smoothing)


def identity_of(spec: NetworkSpec | NetworkFile, profile: Profile, store: Store) -> str:
    """What stands for a network in the key of what is computed with it, found without training it."""
    if isinstance(spec, NetworkFile):
        return f"file {spec.sha256}"
    if spec.is_original and spec.model in ORIGINALS:
        return f"{spec} as published"
    recipe = network_recipe(spec, profile, store)
    store.note(recipe)
    return recipe.key


# --- Log-probabilities ---------------------------------------------------------------------------------------------------


def base_scales(scales: Sequence[str]) -> list[str]:
    """The scales a network is applied at to have these settings: ``256+512`` needs 256 and 512."""
    return sorted({one for scale in scales for one in scale.split("+")}, key=int)


def prediction_recipes(
    spec: NetworkSpec | NetworkFile,
    images: ImageSet,
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
    store: Store,
) -> Iterator[tuple[range, str, Recipe[dict[str, torch.Tensor]]]]:
    """The parts in which a network's log-probabilities are kept: (numbers of the images, condition, recipe)."""
    for condition in conditions:
        check_condition(condition)
    identity = identity_of(spec, profile, store)
    for numbers in shards(len(images), profile):
        for condition in conditions:
            inputs = {
                **common_inputs(identity, images, numbers, profile),
                "condition": condition,
                "scales": {scale: profile.protocol.pixels(scale) for scale in base_scales(scales)},
            }
            modules = ["blurpaper.protocol", module_of(spec.model)]
            about = {"profile": profile.name, "data": images.fingerprint}
            name = f"{spec}.{images.name}.{condition}.{numbers.start}"
            yield numbers, condition, Recipe("log-probabilities", name, inputs, modules, TENSORS, about)


def common_inputs(identity: str, images: ImageSet, numbers: range, profile: Profile) -> dict[str, object]:
    """What all that a network makes of some images depends on."""
    return {
        "network": identity,
        "images": images.fingerprint,
        "numbers": [numbers.start, numbers.stop],
        "canonical": profile.protocol.canonical,
        "precision": profile.compute.precision,
    }


def log_probabilities(
    spec: NetworkSpec | NetworkFile,
    images: ImageSet,
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
    store: Store,
) -> dict[str, dict[str, torch.Tensor]]:
    """Condition -> scale setting -> mean log-probabilities ``(N, K)`` of a network on a test set.

    A ``per-scale`` network is one for each scale, trained at that scale and applied there (Sec. 4.2).
    """
    if spec.train_scale == "per-scale":
        whole: dict[str, dict[str, torch.Tensor]] = {condition: {} for condition in conditions}
        for scale in base_scales(scales):
            single = log_probabilities(replace(spec, train_scale=scale), images, conditions, [scale], profile, store)
            for condition, by_scale in single.items():
                whole[condition] |= by_scale
        return {c: {scale: protocol.combined(by_scale, scale) for scale in scales} for c, by_scale in whole.items()}
    parts: dict[str, list[dict[str, torch.Tensor]]] = {condition: [] for condition in conditions}
    loaded = lru_cache(lambda: network(spec, profile, store))
    # The images of one shard at a time stay decoded, for all its conditions.
    canonical = lru_cache(maxsize=1)(lambda numbers: protocol.canonical_images(images, numbers, profile.protocol))

    def classify(numbers: range, condition: str) -> dict[str, torch.Tensor]:
        networks = dict.fromkeys(base_scales(scales), loaded())
        ids = [images.ids[number] for number in numbers]
        batch = profile.evaluation.batch
        return protocol.log_probabilities(networks, canonical(numbers), ids, condition, profile.protocol, profile.compute, batch)

    recipes = list(prediction_recipes(spec, images, conditions, scales, profile, store))
    if not all(store.has(recipe) for _, _, recipe in recipes):
        loaded()  # trained, if it must be, before the bar of this starts
    with progress(f"classifying {images.name} with {spec}", len(images) * len(conditions), "image") as tick:
        for numbers, condition, recipe in recipes:
            parts[condition].append(store.get(recipe, lambda _, n=numbers, c=condition: classify(n, c)))
            tick(len(numbers))
    whole = {c: {s: torch.cat([part[s] for part in found]) for s in found[0]} for c, found in parts.items()}
    return {c: {scale: protocol.combined(by_scale, scale) for scale in scales} for c, by_scale in whole.items()}


def decisions(
    spec: NetworkSpec | NetworkFile,
    set_name: str,
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
    store: Store,
) -> pd.DataFrame:
    """What a network decided on every image of a test set, under every condition, at every scale setting.

    Where the profile restricts the choice to the set's own classes, that is decided too (column ``classes``). Columns: those
    of a result that say what it is of, ``image``, ``label``, those of :func:`metrics.decisions` and ``js_divergence`` from
    the prediction on the same image sharp.
    """
    import pandas as pd

    images = data.load(set_name, "test", profile, store)
    by_condition = log_probabilities(spec, images, conditions, scales, profile, store)
    frames = []
    for condition, by_scale in by_condition.items():
        for scale, log_p in by_scale.items():
            of = columns_of(spec, set_name, 0, scale, condition)
            frames += decided(log_p, images, of, profile, by_condition.get("sharp", {}).get(scale))
    return pd.concat(frames, ignore_index=True)


def decided(
    log_p: torch.Tensor, images: ImageSet, of: Mapping[str, str], profile: Profile, sharp: torch.Tensor | None = None
) -> Iterator[pd.DataFrame]:
    """The decisions that log-probabilities ``(N, K)`` on a set of images amount to; see :func:`decisions` for the columns.

    Args:
        of: the columns that say what they are of, but for the number of classes.
        sharp: log-probabilities on the same images sharp.
    """
    import pandas as pd

    choices = [(slice(None), images.labels)]
    if images.name in profile.evaluation.restricted:
        choices.append(np.unique(images.labels, return_inverse=True))
    for classes, labels in choices:
        frame = pd.DataFrame(metrics.decisions(log_p[:, classes], labels))
        of = {**of, "classes": str(log_p[:, classes].shape[1])}
        frame["js_divergence"] = np.nan if sharp is None else metrics.js_divergence(sharp[:, classes], log_p[:, classes])
        frame.insert(0, "label", images.labels.astype("int32"))
        frame.insert(0, "image", list(images.ids))
        for column, value in reversed(of.items()):
            frame.insert(0, column, value)
        yield frame


# --- Distances between features -------------------------------------------------------------------------------------------


def distances(spec: NetworkSpec | NetworkFile, set_name: str, profile: Profile, store: Store) -> dict[str, np.ndarray]:
    """Condition -> mean Hamming distance of each test image's features from its sharp ones, ``(N, 5)``, at scale 256."""
    images = data.load(set_name, "test", profile, store)
    conditions = [*profile.evaluation.invariance_conditions, invariance.UNRELATED]
    loaded = lru_cache(lambda: network(spec, profile, store))
    identity, parts = identity_of(spec, profile, store), []

    def measure(numbers: range) -> dict[str, torch.Tensor]:
        canonical = protocol.canonical_images(images, numbers, profile.protocol)
        ids, batch = [images.ids[number] for number in numbers], profile.evaluation.batch
        with progress(f"comparing features of {spec}", len(numbers), "image") as tick:
            return invariance.mean_distances(
                loaded(), canonical, ids, conditions, "256", profile.protocol, profile.compute, batch, tick
            )

    for numbers in shards(len(images), profile):
        inputs = {
            **common_inputs(identity, images, numbers, profile),
            "conditions": conditions,
            "pixels": profile.protocol.pixels("256"),
            "batch": profile.evaluation.batch,  # decides which image is "the next"
        }
        modules = ["blurpaper.invariance", module_of(spec.model)]
        about = {"profile": profile.name, "data": images.fingerprint}
        recipe = Recipe("distances", f"{spec}.{images.name}.{numbers.start}", inputs, modules, TENSORS, about)
        parts.append(store.get(recipe, lambda _, n=numbers: measure(n)))
    return {condition: torch.cat([part[condition] for part in parts]).numpy() for condition in conditions}


def shards(count: int, profile: Profile) -> Iterator[range]:
    """The numbers of so many images, in parts that are decoded, blurred and kept at a time."""
    for start in range(0, count, profile.evaluation.shard):
        yield range(start, min(start + profile.evaluation.shard, count))


# --- Columns --------------------------------------------------------------------------------------------------------------


def columns_of(spec: NetworkSpec | NetworkFile, set_name: str, classes: int, scale: str, condition: str) -> dict[str, str]:
    """The columns that say what a number is of; an original network has no train scale and no recipe."""
    return {
        "model": spec.model,
        "network": spec.mix,
        "train_scale": "" if spec.is_original else spec.train_scale,
        "recipe": "" if spec.is_original else spec.recipe,
        "data": set_name,
        "classes": str(classes),
        "input": "as is",
        "scale": scale,
        "condition": condition,
        "seed": str(spec.seed),
    }
