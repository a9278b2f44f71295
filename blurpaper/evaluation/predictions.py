"""Predictions of networks on test images, each part computed once and kept: log-probabilities,
decisions, distances of features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import data
from blurpaper.data.images import Shard, images_of
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import invariance, metrics, protocol
from blurpaper.evaluation.results import AS_IS
from blurpaper.kernels import SHARP, check_condition
from blurpaper.networks import NetworkSpec, Reference
from blurpaper.runs import Run
from blurpaper.runs.files import text_of
from blurpaper.runs.profile import Profile
from blurpaper.runs.progress import progress

if TYPE_CHECKING:
    import pandas as pd

# --- Log-probabilities ----------------------------------------------------------------------------


def base_scales(scales: Sequence[str]) -> list[str]:
    """The scales a network is applied at to have these settings: ``256+512`` needs 256 and 512."""
    return sorted({one for scale in scales for one in scale.split("+")}, key=int)


def log_probabilities(
    network: Reference,
    images: ImageSet,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
) -> dict[str, dict[str, torch.Tensor]]:
    """Condition -> scale setting -> mean log-probabilities ``(N, K)`` of a network on a test set.

    A ``per-scale`` network is one for each scale, trained at that scale and applied there (Sec.
    4.2).

    Raises:
        UserError: for a condition that is not known.
    """
    for condition in conditions:
        check_condition(condition)
    singles = base_scales(scales)
    if network.scale == "per-scale":
        found: dict[str, dict[str, torch.Tensor]] = {condition: {} for condition in conditions}
        for scale in singles:
            one = replace(network, scale=scale)
            for condition, own in log_probabilities(one, images, conditions, [scale], run).items():
                found[condition] |= own
    else:
        profile = run.profile
        pixels = {scale: profile.protocol.pixels(scale) for scale in singles}
        shard = Shard(lambda numbers: images_of(images, numbers, profile.protocol))
        title, count = f"classifying {images.name} with {network}", len(images) * len(conditions)
        with progress(title, count, "image") as tick:
            found = run.store.sharded(
                "log-probabilities",
                f"{network}.{images.name}",
                common_inputs(network, images, profile) | {"scales": pixels},
                partial(protocol.shard_log_probabilities, network, images, shard, singles, profile),
                shards(len(images), profile),
                conditions,
                tick,
                profile=profile.name,
                data=images.fingerprint,
            )
    return {
        condition: {scale: protocol.combined(by_scale, scale) for scale in scales}
        for condition, by_scale in found.items()
    }


def common_inputs(network: Reference, images: ImageSet, profile: Profile) -> dict[str, object]:
    """Inputs of every artifact that a network computes from images."""
    return {
        "network": network.identity,
        "images": images.fingerprint,
        "canonical": profile.protocol.canonical,
        "precision": profile.compute.precision,
    }


def decisions(
    network: Reference,
    set_name: str,
    conditions: Sequence[str],
    scales: Sequence[str],
    run: Run,
) -> pd.DataFrame:
    """Decisions of a network on every image of a test set, under every condition, at every scale
    setting.

    Where the profile restricts the choice to the set's own classes, they are among these (column
    ``classes``). Columns: those of a result's key, ``image``, ``label``, those of
    :func:`metrics.decide` and ``js_divergence`` from the prediction on the same image sharp.
    """
    import pandas as pd

    images = data.load_images(set_name, "test", run)
    by_condition = log_probabilities(network, images, conditions, scales, run)
    frames = []
    for condition, by_scale in by_condition.items():
        for scale, log_p in by_scale.items():
            of = columns_of(network, set_name, 0, scale, condition)
            sharp = by_condition.get(SHARP, {}).get(scale)
            frames.append(decided(log_p, images, of, run.profile, sharp))
    return pd.concat(frames, ignore_index=True)


def decided(
    log_p: torch.Tensor,
    images: ImageSet,
    of: Mapping[str, str],
    profile: Profile,
    sharp: torch.Tensor | None = None,
) -> pd.DataFrame:
    """Decisions from log-probabilities ``(N, K)`` on a set of images; see :func:`decisions` for the
    columns.

    Args:
        of: the columns of a result's key, but for the number of classes.
        sharp: log-probabilities on the same images sharp.
    """
    import pandas as pd

    classes, labels = slice(None), images.labels
    if images.name in profile.evaluation.class_restricted_sets:
        classes, labels = np.unique(images.labels, return_inverse=True)
    own = log_p[:, classes]
    divergence = np.nan if sharp is None else metrics.js_divergence(sharp[:, classes], own)
    return pd.DataFrame(
        {
            **of,
            "classes": str(own.shape[1]),
            "image": list(map(text_of, images.ids)),
            "label": images.labels.astype("int32"),
            **metrics.decide(own, labels),
            "js_divergence": divergence,
        }
    )


# --- Distances between features -------------------------------------------------------------------


def distances(network: Reference, set_name: str, run: Run) -> dict[str, np.ndarray]:
    """Condition -> mean Hamming distance of each test image's features from its sharp ones, ``(N,
    5)``, at scale 256.
    """
    profile, images = run.profile, data.load_images(set_name, "test", run)
    conditions = [*profile.evaluation.invariance_conditions, invariance.UNRELATED]
    inputs = common_inputs(network, images, profile) | {
        "conditions": conditions,
        "pixels": profile.protocol.pixels("256"),
        "batch": profile.evaluation.batch,  # decides which image is "the next"
    }
    with progress(f"comparing features of {network}", len(images), "image") as tick:
        compute = partial(invariance.shard_distances, network, images, conditions, profile, tick)
        (found,) = run.store.sharded(
            "distances",
            f"{network}.{images.name}",
            inputs,
            compute,
            shards(len(images), profile),
            profile=profile.name,
            data=images.fingerprint,
        ).values()
    return {condition: found[condition].numpy() for condition in conditions}


def shards(count: int, profile: Profile) -> Iterator[range]:
    """The numbers of so many images, in parts that are decoded, blurred and kept at a time."""
    for start in range(0, count, profile.evaluation.images_per_shard):
        yield range(start, min(start + profile.evaluation.images_per_shard, count))


# --- Columns --------------------------------------------------------------------------------------


def columns_of(
    spec: NetworkSpec, set_name: str, classes: int, scale: str, condition: str
) -> dict[str, str]:
    """Columns of a result's key; an original network has no train scale and no recipe."""
    return {
        "model": spec.model,
        "network": spec.mix,
        "train_scale": "" if spec.is_original else spec.scale,
        "recipe": "" if spec.is_original else spec.recipe,
        "data": set_name,
        "classes": str(classes),
        "input": AS_IS,
        "scale": scale,
        "condition": condition,
        "parameter": "",
        "seed": str(spec.seed),
    }
