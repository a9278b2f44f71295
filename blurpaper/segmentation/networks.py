"""Segmentation as a profile asks for it (Section 5): Zoomout networks, trained and kept, and what
each made of the test scenes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import data
from blurpaper.data.images import Shard, scenes_of
from blurpaper.evaluation import predictions
from blurpaper.experiments import tallies
from blurpaper.kernels import CANONICAL, MIXES, check_condition, check_mix
from blurpaper.networks import NetworkSpec, module_of
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile, Schedule
from blurpaper.runs.progress import progress
from blurpaper.runs.store import TENSORS, Recipe
from blurpaper.segmentation import batches, zoomout
from blurpaper.segmentation.protocol import COUNTED, log_probabilities, scored
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import loop, networks
from blurpaper.training.batches import Task

if TYPE_CHECKING:
    import pandas as pd


def labels(profile: Profile) -> tuple[str, ...]:
    """Names of the labels of the profile's scenes."""
    return data.labels_of(profile.segmentation.data)


def check(profile: Profile) -> None:
    """See that what a profile says of segmentation can be done, before anything is.

    Raises:
        UserError: for the name of no set, mix or condition.
    """
    settings = profile.segmentation
    data.check_segmented(settings.data)
    for mix in settings.networks:
        check_mix(mix)
    for condition in settings.conditions:
        check_condition(condition)


# --- Networks -------------------------------------------------------------------------------------


def network(spec: NetworkSpec, run: Run) -> ZoomOut:
    """A Zoomout network on the profile's model, trained as the profile says and kept.

    ``original`` is trained on sharp scenes, from the classification network as it is; the others
    start from it.
    """
    recipe = network_recipe(spec, run)
    return networks.get(recipe, lambda checkpoint: _trained(spec, run, checkpoint), run.store)


def network_recipe(spec: NetworkSpec, run: Run) -> Recipe[ZoomOut]:
    """What a Zoomout network is made from.

    Raises:
        UserError: for a network of another train scale or recipe than those there are here.
    """
    if spec != NetworkSpec(spec.model, spec.mix, seed=spec.seed):
        raise UserError(
            "a segmentation network is segmentation:MIX[#SEED], at one scale and with labels. "
            f"Got {str(replace(spec, model=tallies.SEGMENTATION))!r}."
        )
    settings = run.profile.segmentation
    images = data.load_segmented(settings.data, "train", run)
    original = NetworkSpec(spec.model)
    start = networks.identity_of(original, run)
    if not spec.is_original:
        begun = network_recipe(original, run)
        run.store.note(begun)
        start = begun.key
    inputs = {
        "spec": str(spec),
        "seed": run.profile.seed,
        "images": images.fingerprint,
        "protocol": run.profile.protocol.model_dump(),
        "schedule": schedule_of(spec, run.profile).model_dump(),
        "zoomout": settings.model_dump(include={"hidden", "stride", "crop", "points", "pace"}),
        "precision": run.profile.compute.precision,
        "start": start,
        "mix": _mix(spec),
    }
    modules = [
        "blurpaper.training.loop",
        "blurpaper.segmentation.batches",
        "blurpaper.segmentation.zoomout",
        module_of(spec.model),
    ]
    about = {"profile": run.profile.name, "data": images.fingerprint}
    return Recipe(
        "segmenters", f"{spec}.{images.name}", inputs, modules, zoomout.codec(spec), about
    )


def schedule_of(spec: NetworkSpec, profile: Profile) -> Schedule:
    """How a Zoomout network is trained."""
    return profile.segmentation.pretraining if spec.is_original else profile.segmentation.finetuning


def _mix(spec: NetworkSpec) -> dict[str, float]:
    return MIXES["sharp-only" if spec.is_original else spec.mix]


def _trained(spec: NetworkSpec, run: Run, checkpoint: Path) -> ZoomOut:
    settings, original = run.profile.segmentation, NetworkSpec(spec.model)
    images = data.load_segmented(settings.data, "train", run)
    if spec.is_original:
        backbone = networks.network(original, run)
        torch.manual_seed(run.seed("weights", "zoomout", spec.model) % 2**63)
        start = ZoomOut(backbone, images.classes, settings.hidden, stride=settings.stride)
    else:
        start = network(original, run)
    task = Task(images, _mix(spec), "", run.seed(spec.seed, "segmentation"))
    objective = batches.PerPixel(start, settings.crop, settings.points, settings.pace)
    with progress(f"training {spec} on {images.name}", unit="step") as tick:
        return loop.train(
            objective,
            task,
            schedule_of(spec, run.profile),
            run.profile.protocol,
            run.profile.compute,
            checkpoint,
            tick,
        )


# --- Scenes, scored -------------------------------------------------------------------------------


def confusions(
    spec: NetworkSpec, conditions: Sequence[str], run: Run
) -> dict[str, dict[str, np.ndarray]]:
    """Condition -> :data:`protocol.COUNTED` -> how many pixels of each label were given each
    label, of every test scene: int64 ``(N, K, K)``.
    """
    images = data.load_segmented(run.profile.segmentation.data, "test", run)
    loaded = lru_cache(lambda: network(spec, run))
    shard = Shard(lambda numbers: scenes_of(images, numbers, run.profile.protocol))
    parts_of = {condition: list(recipes(spec, images, condition, run)) for condition in conditions}
    if not all(run.store.has(recipe) for parts in parts_of.values() for _, recipe in parts):
        loaded()  # trained, if it must be, before the bar of this starts
    counted: dict[str, list[dict[str, torch.Tensor]]] = {condition: [] for condition in conditions}
    total = len(images) * len(parts_of)
    with progress(f"segmenting {images.name} by {spec}", total, "scene") as tick:

        def score(numbers: range, condition: str) -> dict[str, torch.Tensor]:
            return scored(loaded(), images, numbers, condition, run.profile, tick, shard(numbers))

        for part in zip(*parts_of.values()):  # the same scenes under every condition
            for condition, (numbers, recipe) in zip(parts_of, part):
                counted[condition].append(
                    run.store.get(recipe, lambda _, n=numbers, c=condition: score(n, c))
                )
    return {
        condition: {name: torch.cat([part[name] for part in parts]).numpy() for name in COUNTED}
        for condition, parts in counted.items()
    }


def recipes(
    spec: NetworkSpec, images: data.SegmentedSet, condition: str, run: Run
) -> Iterator[tuple[range, Recipe[dict[str, torch.Tensor]]]]:
    """The parts in which the scores of a network are kept: (numbers of the scenes, recipe)."""
    made = network_recipe(spec, run)
    run.store.note(made)
    about = {"profile": run.profile.name, "data": images.fingerprint}
    for numbers in predictions.shards(len(images), run.profile):
        inputs = predictions.common_inputs(made.key, images, numbers, run.profile)
        inputs |= {"condition": condition, "boundary": run.profile.segmentation.boundary}
        name = f"{spec}.{images.name}.{condition}.{numbers.start}"
        yield (
            numbers,
            Recipe("confusions", name, inputs, ["blurpaper.segmentation.protocol"], TENSORS, about),
        )


def columns(spec: NetworkSpec, condition: str, profile: Profile) -> dict[str, str]:
    """The columns that say what a number is of; scenes are learnt from, and segmented, at the
    canonical scale.
    """
    of = predictions.columns_of(
        spec, profile.segmentation.data, len(labels(profile)), str(CANONICAL), condition
    )
    return of | ({} if spec.is_original else {"train_scale": str(CANONICAL)})


def counts(run: Run) -> pd.DataFrame:
    """All counts of pixels, a row an image, setting, ``region``, true and given label that occur
    together.

    Regions are :data:`protocol.COUNTED`.
    """
    import pandas as pd

    ids = np.array(data.load_segmented(run.profile.segmentation.data, "test", run).ids)
    frames = []
    for spec in tallies.by_table(run.profile)["table6"]:
        by_condition = confusions(spec, run.profile.segmentation.conditions, run)
        for condition, by_region in by_condition.items():
            for region, found in by_region.items():
                image, truth, predicted = np.nonzero(found)
                frame = pd.DataFrame(
                    columns(spec, condition, run.profile) | {"region": region},
                    index=range(len(image)),
                )
                frame["image"], frame["truth"], frame["predicted"] = (
                    ids[image],
                    truth.astype("uint8"),
                    predicted.astype("uint8"),
                )
                frames.append(frame.assign(pixels=found[image, truth, predicted].astype("int32")))
    whole = pd.concat(frames, ignore_index=True)
    words = [column for column in whole.columns if column not in ("truth", "predicted", "pixels")]
    return whole.astype(dict.fromkeys(words, "category"))


# --- Label maps, to be looked at ------------------------------------------------------------------


def label_maps(
    spec: NetworkSpec, images: data.ImageSet, condition: str, run: Run
) -> dict[str, np.ndarray]:
    """What a network makes of a few images under a condition: id -> uint8 ``(H, W)``."""
    made = network_recipe(spec, run)
    numbers = range(len(images))

    def make(_: object) -> dict[str, torch.Tensor]:
        scenes = scenes_of(images, numbers, run.profile.protocol)
        found = log_probabilities(network(spec, run), scenes, images.ids, condition, run.profile)
        return {images.ids[place]: log_p.argmax(dim=0).to(torch.uint8) for place, log_p in found}

    run.store.note(made)
    inputs = predictions.common_inputs(made.key, images, numbers, run.profile) | {
        "condition": condition
    }
    recipe = Recipe(
        "label-maps",
        f"{spec}.{images.name}.{condition}",
        inputs,
        ["blurpaper.segmentation.protocol"],
        TENSORS,
        {"profile": run.profile.name, "data": images.fingerprint},
    )
    return {name: one.numpy() for name, one in run.store.get(recipe, make).items()}
