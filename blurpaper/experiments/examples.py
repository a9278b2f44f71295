"""Single images to show: which ones, to which networks, and what those say of them (Figures 1, 3
and 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import data
from blurpaper.data.examples import EXAMPLES, SEGMENTED, CarriedSet, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import predictions, protocol, results
from blurpaper.experiments import tallies
from blurpaper.experiments.measurements import (
    Measurement,
    experiment,
    named,
    on_test_images,
    settings_of,
)
from blurpaper.kernels import SHARP
from blurpaper.networks import Network, NetworkSpec
from blurpaper.networks.weights import bundled
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.profile import Profile
from blurpaper.segmentation import metrics, networks
from blurpaper.segmentation.networks import confusions, segmenter
from blurpaper.training.networks import reference, trained

if TYPE_CHECKING:
    import pandas as pd
    import torch

SCIKIT_IMAGE = "scikit-image"
"""The set of scikit-image's photographs, which anyone may be shown."""


def predicted(
    network: Network,
    spec: NetworkSpec,
    set_name: str,
    item: str,
    image: torch.Tensor,
    condition: str,
    settings: Profile,
) -> tuple[dict[str, str], torch.Tensor]:
    """A network's log-probabilities on one image at scale 256, and the columns that say of what.

    Args:
        image: uint8 ``(3, H, W)``.

    Returns:
        the columns, and ``(K,)``, renormalised.
    """
    canonical = to_canonical(image, settings.protocol.canonical)
    found = protocol.log_probabilities(
        {"256": network},
        [canonical],
        [item],
        condition,
        settings.protocol,
        settings.compute,
        batch=1,
    )
    log_p = found["256"][0].log_softmax(dim=0)
    of = predictions.columns_of(spec, set_name, len(log_p), "256", condition)
    return of | {"item": item}, log_p


def rank(log_p: torch.Tensor, network: Network, answers: set[str]) -> int:
    """Place of the likeliest right answer in log-probabilities ``(K,)``, 1 being first."""
    right = [number for number, name in enumerate(network.classes) if name in answers]
    return 1 + min(int((log_p > log_p[number]).sum()) for number in right)


def networks_on_photographs() -> list[tuple[Profile, NetworkSpec]]:
    """The networks shown on scikit-image's photographs: EfficientNet-Lite0 as it is, and as it
    comes with blurpaper.
    """
    photos = profiles.load("photos")
    robust = bundled(NetworkSpec(photos.model, "mix", recipe="agreement"))
    return [(photos, one) for one in (NetworkSpec(photos.model), robust) if one]


def telling(decided: pd.DataFrame) -> int:
    """Number of the first test image that is recognised with confidence when sharp, and is not even
    second under D8.
    """
    sharp, blurred = (
        results.select(decided, condition=c).reset_index(drop=True) for c in (SHARP, "D8")
    )
    fits = (sharp["rank"] == 0) & (sharp["confidence"] > 0.5) & (blurred["rank"] >= 2)
    return int(fits.to_numpy().argmax())


# --- Segmented scenes -----------------------------------------------------------------------------

SHOWN = (("original", SHARP), ("original", "D8"), ("mix", "D8"))
"""Of which networks, and under which conditions, label maps are shown (Fig. 5)."""


def scenes(run: Run) -> dict[str, int]:
    """Names and numbers of the embedded test scenes on which D8 costs the original most: by
    mislocation, and by misnaming.

    None where the profile's scenes are photographs, which are not ours to show.
    """
    if run.profile.segmentation.data != data.SCENES:
        return {}
    images = data.load_segmented(run.profile.segmentation.data, "test", run)
    kinds = ("all", "labels given", "regions given")
    errors = {}
    found = confusions(segmenter(NetworkSpec(run.profile.model), run), (SHARP, "D8"))
    for condition, counts in found.items():
        errors[condition] = np.array(
            metrics.shares(*(metrics.mean_iou(counts[kind]) for kind in kinds))
        )
    recognition, localisation = errors["D8"] - errors[SHARP]
    chosen = [
        int(np.nanargmax(localisation - recognition)),
        int(np.nanargmax(recognition - localisation)),
    ]
    return {images.ids[number]: number for number in chosen}


def label_maps(run: Run) -> dict[str, np.ndarray]:
    """Label maps of the scenes that are shown, by ``scene mix condition``: uint8 ``(H, W)``.

    Of the embedded scenes those of :func:`scenes`; where the profile's scenes are photographs, of
    scikit-image's instead.
    """
    if run.profile.segmentation.data == data.SCENES:
        whole = data.load_segmented(run.profile.segmentation.data, "test", run)
        images: data.ImageSet = data.Subset(whole, list(scenes(run).values()))
    else:
        carried = data.JoinedSet([CarriedSet("test"), CarriedSet("train")])
        images = data.Subset(
            carried, [carried.ids.index(f"{SCIKIT_IMAGE}/{example.name}") for example in SEGMENTED]
        )
    found = {}
    for mix, condition in SHOWN:
        maps = networks.label_maps(
            segmenter(NetworkSpec(run.profile.model, mix), run), images, condition
        )
        found |= {f"{name} {mix} {condition}": one for name, one in maps.items()}
    return found


# --- Figure 1: what one network says of one image, sharp and blurred ------------------------------

FIGURE1_CONDITIONS = ("sharp", "D8")
_FIGURE1_CLASSES = 5


def _of_figure1(profile: Profile) -> list[Measurement]:
    # Other people's photographs are not ours to show.
    sets = [name for name in profile.evaluation.test_sets if name == "emoji"]
    original = named(["original"], profile)
    return on_test_images(original, profile, FIGURE1_CONDITIONS, ["256"], sets) if sets else []


@experiment(_of_figure1)
def figure1(run: Run) -> Iterator[dict[str, Any]]:
    """The five likeliest classes of a few images, sharp and under D8, before and after fine-tuning,
    and the entropy.

    Test images of the profile, chosen by rule (:func:`telling`), and scikit-image's
    photographs with EfficientNet-Lite0.
    """
    shown: list[tuple[Profile, NetworkSpec, str, str, Any, set[str]]] = []
    for spec, decided in figure1.decisions(run).items():
        name = decided["data"].iloc[0]
        images = data.load_images(name, "test", run)
        number = telling(decided)
        answers = {images.classes[images.labels[number]]}
        for one in (spec, NetworkSpec(spec.model, "mix")):
            shown.append((run.profile, one, name, images.ids[number], images[number], answers))
    for example in EXAMPLES:
        for photos, one in networks_on_photographs():
            shown.append(
                (
                    photos,
                    one,
                    SCIKIT_IMAGE,
                    f"{SCIKIT_IMAGE}/{example.name}",
                    photograph(example),
                    set(example.answers),
                )
            )

    for settings, one, set_name, item, image, answers in shown:
        network = reference(one, Run(settings, run.store)).loaded
        for condition in FIGURE1_CONDITIONS:
            key, log_p = predicted(network, one, set_name, item, image, condition, settings)
            likely = log_p.topk(_FIGURE1_CLASSES).indices.tolist()
            for number in likely:
                name = network.classes[number]
                yield key | {
                    "parameter": name,
                    "metric": "probability",
                    "value": float(log_p[number].exp()),
                    "n": 1,
                }
            yield key | {"metric": "rank", "value": rank(log_p, network, answers), "n": 1}
            yield key | {"metric": "entropy", "value": float(-(log_p.exp() * log_p).sum()), "n": 1}


# --- Figure 3: verdicts on single images ----------------------------------------------------------

FIGURE3_MIXES = ("original", "mix", "sharp+shake")
FIGURE3_CONDITIONS = ("D4", "D8", "shake", "H8", "G4")
_FIGURE3_EACH = 2


def _of_figure3(profile: Profile) -> list[Measurement]:
    return on_test_images(named(FIGURE3_MIXES, profile), profile, FIGURE3_CONDITIONS, ["256"])


@experiment(_of_figure3)
def figure3(run: Run) -> Iterator[dict[str, Any]]:
    """Rank of the truth by three networks, on the first images of each condition on which they do
    not agree (top-5).

    And by the networks of :func:`networks_on_photographs` on scikit-image's photographs.
    """
    three = figure3.decisions(run)
    for name in run.profile.evaluation.test_sets:
        for condition in FIGURE3_CONDITIONS:
            found = {
                spec: tallies.widest(
                    results.select(decided, data=name, condition=condition)
                ).reset_index(drop=True)
                for spec, decided in three.items()
            }
            right = np.array([(decided["rank"] < 5).to_numpy() for decided in found.values()])
            split = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
            for number in split[:_FIGURE3_EACH]:
                for decided in found.values():
                    one = decided.iloc[number]
                    key = tuple(one[list(tallies.DECISION_KEY)])
                    row = tallies.row(key, "rank", float(one["rank"] + 1), None, None, 1)
                    yield row | {"item": one["image"], "parameter": str(one["label"])}
    for settings, spec in networks_on_photographs():
        network = reference(spec, Run(settings, run.store)).loaded
        for example in EXAMPLES:
            for condition in FIGURE3_CONDITIONS:
                image, item = photograph(example), f"{SCIKIT_IMAGE}/{example.name}"
                key, log_p = predicted(
                    network, spec, SCIKIT_IMAGE, item, image, condition, settings
                )
                yield key | {
                    "metric": "rank",
                    "value": rank(log_p, network, set(example.answers)),
                    "n": 1,
                }


@experiment(_of_figure3)
def figure3_guesses(run: Run) -> Iterator[dict[str, Any]]:
    """For every image and network of Figure 3, the likeliest class (``parameter``) and its
    probability.
    """
    verdicts = figure3(run)
    for name in run.profile.evaluation.test_sets:
        images = data.load_images(name, "test", run)
        numbers = {one: number for number, one in enumerate(images.ids)}
        here = results.select(verdicts, data=name)
        for mix, rows in here.groupby("network", sort=False):
            spec = NetworkSpec(run.profile.model, mix)
            conditions, scales = settings_of(spec, run.profile)
            wanted = [one for one in conditions if one in set(rows["condition"])]
            found = predictions.log_probabilities(trained(spec, run), images, wanted, scales, run)
            for one in rows.to_dict("records"):
                log_p = found[one["condition"]]["256"][numbers[one["item"]]].log_softmax(dim=0)
                yield {
                    column: one[column] for column in results.KEY if column != "experiment"
                } | _guess(log_p, images.classes)
    for settings, spec in networks_on_photographs():
        network = reference(spec, Run(settings, run.store)).loaded
        for example in EXAMPLES:
            for condition in FIGURE3_CONDITIONS:
                image, item = photograph(example), f"{SCIKIT_IMAGE}/{example.name}"
                key, log_p = predicted(
                    network, spec, SCIKIT_IMAGE, item, image, condition, settings
                )
                yield key | _guess(log_p, network.classes)


def _guess(log_p: torch.Tensor, classes: tuple[str, ...]) -> dict[str, Any]:
    best = int(log_p.argmax())
    return {
        "parameter": classes[best],
        "metric": "probability",
        "value": float(log_p[best].exp()),
        "n": 1,
    }
