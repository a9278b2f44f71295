"""What the tables are made from, each computed once and kept: trained networks, and their log-probabilities on test images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from blurpaper import data, metrics, protocol, training
from blurpaper.blur import MIXES
from blurpaper.data.base import ImageSet
from blurpaper.networks import Network, NetworkSpec, build, files, module_of
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.profile import Profile
from blurpaper.progress import progress
from blurpaper.randomness import seed_of
from blurpaper.store import TENSORS, Recipe, Store

if TYPE_CHECKING:
    import pandas as pd

# --- Networks ------------------------------------------------------------------------------------------------------------


def network(spec: NetworkSpec, profile: Profile, store: Store) -> Network:
    """A network: its original weights if they can be had, else trained as the profile says, or loaded if that was done.

    Raises:
        ValueError: if the profile says no way to make it.
    """
    if spec.is_original and spec.model in ORIGINALS:
        return ORIGINALS[spec.model](profile.protocol.field)
    images = data.load(profile.train_set, "train", profile, store)
    make = lambda scratch: _trained(spec, profile, images, scratch / "checkpoint.safetensors")  # noqa: E731
    return store.get(network_recipe(spec, profile, store), make)


def network_recipe(spec: NetworkSpec, profile: Profile, store: Store) -> Recipe[Network]:
    """What a trained network is made from."""
    if not spec.is_original:
        raise ValueError(f"profile {profile.name} does not say how to fine-tune {spec}.")
    if profile.pretraining is None:
        raise ValueError(f"profile {profile.name} has no pretraining, and no weights of {spec} can be had.")
    images = data.load(profile.train_set, "train", profile, store)
    inputs = {
        "spec": str(spec),
        "seed": profile.seed,
        "images": images.fingerprint,
        "protocol": profile.protocol.model_dump(),
        "schedule": profile.pretraining.model_dump(),
        "precision": profile.compute.precision,
    }
    modules = ["blurpaper.training", "blurpaper.networks.files", module_of(spec.model)]
    about = {"profile": profile.name, "data": images.fingerprint}
    return Recipe("networks", str(spec), inputs, modules, files.codec(spec), about)


def _trained(spec: NetworkSpec, profile: Profile, images: ImageSet, checkpoint: Path) -> Network:
    schedule = profile.pretraining
    torch.manual_seed(seed_of(profile.seed, spec.seed, "weights", spec.model) % 2**63)
    fresh = build(spec.model, images.classes, profile.protocol.field)
    task = training.Task(images, MIXES["sharp-only"], schedule.train_scale, seed_of(profile.seed, spec.seed))
    with progress(f"training {spec}", unit="step") as tick:
        return training.train(fresh, task, schedule, profile.protocol, profile.compute, checkpoint, tick)


def _identity(spec: NetworkSpec, profile: Profile, store: Store) -> str:
    """What stands for a network in the key of what is computed with it, found without training it."""
    if spec.is_original and spec.model in ORIGINALS:
        return f"{spec} as published"
    return network_recipe(spec, profile, store).key


# --- Log-probabilities ---------------------------------------------------------------------------------------------------


def base_scales(scales: Sequence[str]) -> list[str]:
    """The scales a network is applied at to have these settings: ``256+512`` needs 256 and 512."""
    return sorted({one for scale in scales for one in scale.split("+")}, key=int)


def prediction_recipes(
    spec: NetworkSpec, images: ImageSet, conditions: Sequence[str], scales: Sequence[str], profile: Profile, store: Store
) -> Iterator[tuple[range, str, Recipe[dict[str, torch.Tensor]]]]:
    """The parts in which a network's log-probabilities are kept: (numbers of the images, condition, recipe)."""
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
    """Condition -> scale setting -> mean log-probabilities ``(N, K)`` of a network on a test set."""
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

    Columns: those of a result that say what it is of, ``image``, ``label`` and the columns of :func:`metrics.decisions`.
    """
    import pandas as pd

    images = data.load(set_name, "test", profile, store)
    by_condition = log_probabilities(spec, images, conditions, scales, profile, store)
    frames = []
    for condition, by_scale in by_condition.items():
        for scale, log_p in by_scale.items():
            frame = pd.DataFrame(metrics.decisions(log_p, images.labels))
            frame.insert(0, "label", images.labels.astype("int32"))
            frame.insert(0, "image", list(images.ids))
            for column, value in reversed(columns_of(spec, set_name, log_p.shape[1], scale, condition).items()):
                frame.insert(0, column, value)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


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
