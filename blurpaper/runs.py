"""What the tables are made from, each computed once and kept: trained networks, and their log-probabilities on test images."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import data, metrics, processes, protocol, training
from blurpaper import profile as profiles
from blurpaper.batches import Task
from blurpaper.blur import MIXES
from blurpaper.data.base import ImageSet
from blurpaper.kernels import check_condition
from blurpaper.networks import Network, NetworkSpec, build, files, module_of
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.objectives import Agreement, Labels
from blurpaper.profile import Profile, Schedule
from blurpaper.progress import progress
from blurpaper.randomness import seed_of
from blurpaper.store import TENSORS, Recipe, Store

if TYPE_CHECKING:
    import pandas as pd

# --- Networks ------------------------------------------------------------------------------------------------------------


def network(spec: NetworkSpec, profile: Profile, store: Store) -> Network:
    """A network: its original weights if they can be had, else trained as the profile says, or loaded if that was done.

    Of several processes (torchrun) all train, and one keeps what was trained.

    Raises:
        ValueError: if the profile says no way to make it.
    """
    if spec.is_original and spec.model in ORIGINALS:
        return ORIGINALS[spec.model](profile.protocol.field)
    recipe = network_recipe(spec, profile, store)

    def make(scratch: Path) -> Network:
        return _trained(spec, profile, store, scratch / "checkpoint.safetensors")

    if processes.count() > 1:
        if processes.led(lambda: not store.has(recipe)) and processes.number() > 0:
            make(store.scratch(recipe))
        elif processes.number() == 0:
            store.get(recipe, make)
        processes.wait()
    return store.get(recipe, make)


def network_recipe(spec: NetworkSpec, profile: Profile, store: Store) -> Recipe[Network]:
    """What a trained network is made from: images, settings, and for a fine-tuned one the network it starts from."""
    if spec.is_original and profile.pretraining is None:
        raise ValueError(f"profile {profile.name} has no pretraining, and no weights of {spec} can be had.")
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
        inputs |= {"start": _identity(_start(spec), profile, store), "mix": MIXES[spec.mix]}
    modules = ["blurpaper.training", "blurpaper.networks.files", module_of(spec.model)]
    about = {"profile": profile.name, "data": images.fingerprint}
    return Recipe("networks", str(spec), inputs, modules, files.codec(spec), about)


def _training_of(spec: NetworkSpec, profile: Profile, store: Store) -> tuple[ImageSet, Schedule]:
    """The images and the schedule that make a network what it is."""
    schedule = (
        profile.pretraining if spec.is_original else profile.agreement if spec.recipe == "agreement" else profile.finetuning
    )
    name = schedule.train_set if isinstance(schedule, profiles.Agreement) else profile.train_set
    return data.load(name, "train", profile, store), schedule


def _start(spec: NetworkSpec) -> NetworkSpec:
    """The network that a fine-tuned one starts from."""
    return NetworkSpec(spec.model, seed=spec.seed if spec.model not in ORIGINALS else 0)


def _trained(spec: NetworkSpec, profile: Profile, store: Store, checkpoint: Path) -> Network:
    images, schedule = _training_of(spec, profile, store)
    seed = seed_of(profile.seed, spec.seed)
    if spec.is_original:
        torch.manual_seed(seed_of(profile.seed, spec.seed, "weights", spec.model) % 2**63)
        start = build(spec.model, images.classes, profile.protocol.field)
        task = Task(images, MIXES["sharp-only"], profile.pretraining.train_scale, seed)
    else:
        start = network(_start(spec), profile, store)
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


def _identity(spec: NetworkSpec, profile: Profile, store: Store) -> str:
    """What stands for a network in the key of what is computed with it, found without training it."""
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
    spec: NetworkSpec, images: ImageSet, conditions: Sequence[str], scales: Sequence[str], profile: Profile, store: Store
) -> Iterator[tuple[range, str, Recipe[dict[str, torch.Tensor]]]]:
    """The parts in which a network's log-probabilities are kept: (numbers of the images, condition, recipe)."""
    for condition in conditions:
        check_condition(condition)
    identity = _identity(spec, profile, store)
    for start in range(0, len(images), profile.evaluation.shard):
        numbers = range(start, min(start + profile.evaluation.shard, len(images)))
        for condition in conditions:
            inputs = {
                "network": identity,
                "images": images.fingerprint,
                "numbers": [numbers.start, numbers.stop],
                "condition": condition,
                "scales": {scale: profile.protocol.pixels(scale) for scale in base_scales(scales)},
                "canonical": profile.protocol.canonical,
                "precision": profile.compute.precision,
            }
            modules = ["blurpaper.protocol", module_of(spec.model)]
            about = {"profile": profile.name, "data": images.fingerprint}
            name = f"{spec}.{images.name}.{condition}.{start}"
            yield numbers, condition, Recipe("log-probabilities", name, inputs, modules, TENSORS, about)


def log_probabilities(
    spec: NetworkSpec, images: ImageSet, conditions: Sequence[str], scales: Sequence[str], profile: Profile, store: Store
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
    spec: NetworkSpec, set_name: str, conditions: Sequence[str], scales: Sequence[str], profile: Profile, store: Store
) -> pd.DataFrame:
    """What a network decided on every image of a test set, under every condition, at every scale setting.

    Columns: those of a result that say what it is of, ``image``, ``label``, those of :func:`metrics.decisions`
    and ``js_divergence`` from the prediction on the same image sharp.
    """
    import pandas as pd

    images = data.load(set_name, "test", profile, store)
    by_condition = log_probabilities(spec, images, conditions, scales, profile, store)
    frames = []
    for condition, by_scale in by_condition.items():
        for scale, log_p in by_scale.items():
            frame = pd.DataFrame(metrics.decisions(log_p, images.labels))
            sharp = by_condition.get("sharp", {}).get(scale)
            frame["js_divergence"] = np.nan if sharp is None else metrics.js_divergence(sharp, log_p)
            frame.insert(0, "label", images.labels.astype("int32"))
            frame.insert(0, "image", list(images.ids))
            for column, value in reversed(columns_of(spec, set_name, log_p.shape[1], scale, condition).items()):
                frame.insert(0, column, value)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


# --- Distances between features -------------------------------------------------------------------------------------------


def distances(spec: NetworkSpec, set_name: str, profile: Profile, store: Store) -> dict[str, np.ndarray]:
    """Condition -> mean Hamming distance of each test image's features from its sharp ones, ``(N, 5)``, at scale 256."""
    from blurpaper import invariance

    images = data.load(set_name, "test", profile, store)
    conditions = [*profile.evaluation.invariance_conditions, invariance.UNRELATED]
    inputs = {
        "network": _identity(spec, profile, store),
        "images": images.fingerprint,
        "conditions": conditions,
        "pixels": profile.protocol.pixels("256"),
        "canonical": profile.protocol.canonical,
        "precision": profile.compute.precision,
        "batch": profile.evaluation.batch,  # decides which image is "the next"
    }
    modules = ["blurpaper.invariance", module_of(spec.model)]
    about = {"profile": profile.name, "data": images.fingerprint}
    recipe = Recipe("distances", f"{spec}.{images.name}", inputs, modules, TENSORS, about)

    def measure(_: Path) -> dict[str, torch.Tensor]:
        one = network(spec, profile, store)
        canonical = protocol.canonical_images(images, range(len(images)), profile.protocol)
        with progress(f"comparing features of {spec}", len(images), "image") as tick:
            return invariance.mean_distances(
                one, canonical, images.ids, conditions, "256", profile.protocol, profile.compute, profile.evaluation.batch, tick
            )

    found = store.get(recipe, measure)
    return {condition: found[condition].numpy() for condition in conditions}


# --- Columns --------------------------------------------------------------------------------------------------------------


def columns_of(spec: NetworkSpec, set_name: str, classes: int, scale: str, condition: str) -> dict[str, str]:
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
