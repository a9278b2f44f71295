"""What networks predict of test images, each part computed once and kept: log-probabilities,
decisions, distances of features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import data
from blurpaper.data.images import Shard, images_of
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import invariance, metrics, protocol
from blurpaper.kernels import check_condition
from blurpaper.networks import NetworkSpec, module_of
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile
from blurpaper.runs.progress import progress
from blurpaper.runs.store import TENSORS, Recipe
from blurpaper.training import networks as trained

if TYPE_CHECKING:
    import pandas as pd

# --- Log-probabilities ----------------------------------------------------------------------------


def base_scales(scales: Sequence[str]) -> list[str]:
    """The scales a network is applied at to have these settings: ``256+512`` needs 256 and 512."""
    return sorted({one for scale in scales for one in scale.split("+")}, key=int)


def recipes(
    spec: NetworkSpec,
    images: ImageSet,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
) -> Iterator[tuple[range, str, Recipe[dict[str, torch.Tensor]]]]:
    """The parts in which a network's log-probabilities are kept: (numbers of the images, condition,
    recipe).

    Raises:
        UserError: for a per-scale network, which is one for each scale, or a condition that is not
            known.
    """
    for condition in conditions:
        check_condition(condition)
    identity = trained.identity_of(spec, run)
    for numbers in shards(len(images), run.profile):
        for condition in conditions:
            inputs = {
                **common_inputs(identity, images, numbers, run.profile),
                "condition": condition,
                "scales": {
                    scale: run.profile.protocol.pixels(scale) for scale in base_scales(scales)
                },
            }
            modules = ["blurpaper.evaluation.protocol", trained.code_of(spec)]
            about = {"profile": run.profile.name, "data": images.fingerprint}
            name = f"{spec}.{images.name}.{condition}.{numbers.start}"
            yield (
                numbers,
                condition,
                Recipe("log-probabilities", name, inputs, modules, TENSORS, about),
            )


def common_inputs(
    identity: str, images: ImageSet, numbers: range, profile: Profile
) -> dict[str, object]:
    """What all that a network makes of some images depends on."""
    return {
        "network": identity,
        "images": images.fingerprint,
        "numbers": [numbers.start, numbers.stop],
        "canonical": profile.protocol.canonical,
        "precision": profile.compute.precision,
    }


def log_probabilities(
    spec: NetworkSpec,
    images: ImageSet,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
) -> dict[str, dict[str, torch.Tensor]]:
    """Condition -> scale setting -> mean log-probabilities ``(N, K)`` of a network on a test set.

    A ``per-scale`` network is one for each scale, trained at that scale and applied there (Sec.
    4.2).
    """
    if spec.train_scale == "per-scale":
        whole: dict[str, dict[str, torch.Tensor]] = {condition: {} for condition in conditions}
        for scale in base_scales(scales):
            single = log_probabilities(
                replace(spec, train_scale=scale), images, conditions, [scale], run
            )
            for condition, by_scale in single.items():
                whole[condition] |= by_scale
        return {
            c: {scale: protocol.combined(by_scale, scale) for scale in scales}
            for c, by_scale in whole.items()
        }
    parts: dict[str, list[dict[str, torch.Tensor]]] = {condition: [] for condition in conditions}
    loaded = lru_cache(lambda: trained.network(spec, run))
    shard = Shard(lambda numbers: images_of(images, numbers, run.profile.protocol))

    def classify(numbers: range, condition: str) -> dict[str, torch.Tensor]:
        networks = dict.fromkeys(base_scales(scales), loaded())
        ids = [images.ids[number] for number in numbers]
        batch = run.profile.evaluation.batch
        return protocol.log_probabilities(
            networks,
            shard(numbers),
            ids,
            condition,
            run.profile.protocol,
            run.profile.compute,
            batch,
        )

    parts_of = list(recipes(spec, images, conditions, scales, run))
    if not all(run.store.has(recipe) for _, _, recipe in parts_of):
        loaded()  # trained, if it must be, before the bar of this starts
    with progress(
        f"classifying {images.name} with {spec}", len(images) * len(conditions), "image"
    ) as tick:
        for numbers, condition, recipe in parts_of:
            parts[condition].append(
                run.store.get(recipe, lambda _, n=numbers, c=condition: classify(n, c))
            )
            tick(len(numbers))
    joined = {}
    for condition in conditions:
        found = parts.pop(condition)
        by_scale = {scale: torch.cat([part[scale] for part in found]) for scale in found[0]}
        joined[condition] = {scale: protocol.combined(by_scale, scale) for scale in scales}
    return joined


def decisions(
    spec: NetworkSpec,
    set_name: str,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
) -> pd.DataFrame:
    """What a network decided on every image of a test set, under every condition, at every scale
    setting.

    Where the profile restricts the choice to the set's own classes, that is decided too (column
    ``classes``). Columns: those of a result that say what it is of, ``image``, ``label``, those of
    :func:`metrics.decide` and ``js_divergence`` from the prediction on the same image sharp.
    """
    import pandas as pd

    images = data.load_images(set_name, "test", run)
    by_condition = log_probabilities(spec, images, conditions, scales, run)
    frames = []
    for condition, by_scale in by_condition.items():
        for scale, log_p in by_scale.items():
            of = columns_of(spec, set_name, 0, scale, condition)
            frames += decided(
                log_p, images, of, run.profile, by_condition.get("sharp", {}).get(scale)
            )
    return pd.concat(frames, ignore_index=True)


def decided(
    log_p: torch.Tensor,
    images: ImageSet,
    of: Mapping[str, str],
    profile: Profile,
    sharp: torch.Tensor | None = None,
) -> Iterator[pd.DataFrame]:
    """The decisions that log-probabilities ``(N, K)`` on a set of images amount to; see
    :func:`decisions` for the columns.

    Args:
        of: the columns that say what they are of, but for the number of classes.
        sharp: log-probabilities on the same images sharp.
    """
    import pandas as pd

    choices = [(slice(None), images.labels)]
    if images.name in profile.evaluation.class_restricted_sets:
        choices.append(np.unique(images.labels, return_inverse=True))
    for classes, labels in choices:
        frame = pd.DataFrame(metrics.decide(log_p[:, classes], labels))
        of = {**of, "classes": str(log_p[:, classes].shape[1])}
        frame["js_divergence"] = (
            np.nan if sharp is None else metrics.js_divergence(sharp[:, classes], log_p[:, classes])
        )
        frame.insert(0, "label", images.labels.astype("int32"))
        frame.insert(0, "image", list(images.ids))
        for column, value in reversed(of.items()):
            frame.insert(0, column, value)
        yield frame


# --- Distances between features -------------------------------------------------------------------


def distances(spec: NetworkSpec, set_name: str, run: Run) -> dict[str, np.ndarray]:
    """Condition -> mean Hamming distance of each test image's features from its sharp ones, ``(N,
    5)``, at scale 256.
    """
    images = data.load_images(set_name, "test", run)
    conditions = [*run.profile.evaluation.invariance_conditions, invariance.UNRELATED]
    loaded = lru_cache(lambda: trained.network(spec, run))
    identity, parts = trained.identity_of(spec, run), []

    def measure(numbers: range) -> dict[str, torch.Tensor]:
        shown = images_of(images, numbers, run.profile.protocol)
        ids, batch = [images.ids[number] for number in numbers], run.profile.evaluation.batch
        with progress(f"comparing features of {spec}", len(numbers), "image") as tick:
            return invariance.mean_distances(
                loaded(),
                shown,
                ids,
                conditions,
                "256",
                run.profile.protocol,
                run.profile.compute,
                batch,
                tick,
            )

    for numbers in shards(len(images), run.profile):
        inputs = {
            **common_inputs(identity, images, numbers, run.profile),
            "conditions": conditions,
            "pixels": run.profile.protocol.pixels("256"),
            "batch": run.profile.evaluation.batch,  # decides which image is "the next"
        }
        modules = ["blurpaper.evaluation.invariance", module_of(spec.model)]
        about = {"profile": run.profile.name, "data": images.fingerprint}
        recipe = Recipe(
            "distances", f"{spec}.{images.name}.{numbers.start}", inputs, modules, TENSORS, about
        )
        parts.append(run.store.get(recipe, lambda _, n=numbers: measure(n)))
    return {
        condition: torch.cat([part[condition] for part in parts]).numpy()
        for condition in conditions
    }


def shards(count: int, profile: Profile) -> Iterator[range]:
    """The numbers of so many images, in parts that are decoded, blurred and kept at a time."""
    for start in range(0, count, profile.evaluation.images_per_shard):
        yield range(start, min(start + profile.evaluation.images_per_shard, count))


# --- Columns --------------------------------------------------------------------------------------


def columns_of(
    spec: NetworkSpec,
    set_name: str,
    classes: int,
    scale: str,
    condition: str,
) -> dict[str, str]:
    """The columns that say what a number is of; an original network has no train scale and no
    recipe.
    """
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
