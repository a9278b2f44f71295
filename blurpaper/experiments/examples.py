"""Single images to show, and the predictions of networks on them (Figures 1, 3 and 5)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from blurpaper import data
from blurpaper.data.examples import EXAMPLES, SEGMENTED, CarriedSet, photograph
from blurpaper.data.images import to_canonical
from blurpaper.evaluation import predictions, protocol, results
from blurpaper.experiments.measurements import (
    Measurement,
    Rows,
    experiment,
    on_test_images,
    settings_of,
    specs_of,
)
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec, Reference
from blurpaper.networks.weights import bundled
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.profile import Profile
from blurpaper.segmentation import metrics, networks
from blurpaper.segmentation.networks import confusions, segmenter
from blurpaper.training.networks import reference, trained

SCIKIT_IMAGE = "scikit-image"
"""The set of scikit-image's photographs, which may be shown to anyone."""


@dataclass(frozen=True)
class Prediction:
    """A network's prediction on one image at scale 256.

    Attributes:
        columns: of a result, that say which network, image and condition.
        log_p: log-probabilities ``(K,)``, renormalised.
        classes: their names.
        answers: those that are right.
    """

    columns: dict[str, str]
    log_p: torch.Tensor
    classes: Sequence[str]
    answers: Collection[str] = ()

    def probability(self, number: int) -> dict[str, Any]:
        """The row of a class's probability."""
        of = self.columns | {"parameter": self.classes[number]}
        return of | results.number("probability", float(self.log_p[number].exp()), n=1)

    def rank(self) -> dict[str, Any]:
        """The row of the place of the likeliest right answer, 1 being first."""
        right = [number for number, name in enumerate(self.classes) if name in self.answers]
        place = 1 + min(int((self.log_p > self.log_p[number]).sum()) for number in right)
        return self.columns | results.number("rank", place, n=1)

    def entropy(self) -> dict[str, Any]:
        """The row of the entropy, in nats."""
        entropy = float(-(self.log_p.exp() * self.log_p).sum())
        return self.columns | results.number("entropy", entropy, n=1)


def predict(
    network: Reference,
    set_name: str,
    item: str,
    image: torch.Tensor,
    answers: Collection[str],
    conditions: Iterable[str],
    settings: Profile,
) -> Iterator[Prediction]:
    """Predictions on one image, uint8 ``(3, H, W)``, under each of the conditions."""
    applied = {"256": network.loaded}
    canonical = [to_canonical(image, settings.protocol.canonical)]
    own = settings.protocol, settings.compute
    for condition in conditions:
        found = protocol.log_probabilities(applied, canonical, [item], condition, *own, batch=1)
        log_p = found["256"][0].log_softmax(dim=0)
        of = predictions.columns_of(network, set_name, len(log_p), "256", condition)
        yield Prediction(of | {"item": item}, log_p, network.loaded.classes, answers)


def predict_photographs(conditions: Iterable[str], run: Run) -> Iterator[Prediction]:
    """Predictions of :func:`networks_on_photographs` on scikit-image's photographs."""
    for settings, spec in networks_on_photographs():
        network = reference(spec, Run(settings, run.store))
        for example in EXAMPLES:
            item, answers = f"{SCIKIT_IMAGE}/{example.name}", set(example.answers)
            image = photograph(example)
            yield from predict(network, SCIKIT_IMAGE, item, image, answers, conditions, settings)


def networks_on_photographs() -> list[tuple[Profile, NetworkSpec]]:
    """The networks shown on scikit-image's photographs: the original EfficientNet-Lite0 and the
    bundled one.
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
"""The networks and conditions whose label maps are shown (Fig. 5)."""


def scenes(run: Run) -> dict[str, int]:
    """Names and numbers of the embedded test scenes on which D8 costs the original most: by
    mislocation, and by misnaming.

    None where the profile's scenes are photographs, which are not ours to show.
    """
    if run.profile.segmentation.data != data.SCENES:
        return {}
    images = data.load_segmented(run.profile.segmentation.data, "test", run)
    kinds = ("all", "labels given", "regions given")
    found = confusions(segmenter(NetworkSpec(run.profile.model), run), (SHARP, "D8"))
    sharp, blurred = (
        np.array(metrics.shares(*(metrics.mean_iou(found[condition][kind]) for kind in kinds)))
        for condition in (SHARP, "D8")
    )
    misnamed = np.subtract(*(blurred - sharp))  # more than mislocated
    chosen = int(np.nanargmin(misnamed)), int(np.nanargmax(misnamed))
    return {images.ids[number]: number for number in chosen}


def scenes_named(names: Sequence[str], run: Run) -> data.Subset:
    """Embedded test scenes, or scikit-image's photographs, by their names."""
    whole: data.ImageSet = data.JoinedSet([CarriedSet("test"), CarriedSet("train")])
    if not set(names) <= set(whole.ids):
        whole = data.load_segmented(data.SCENES, "test", run)
    return data.Subset(whole, [whole.ids.index(name) for name in names])


def label_maps(run: Run) -> dict[str, np.ndarray]:
    """Label maps of the scenes that are shown, by ``scene mix condition``: uint8 ``(H, W)``.

    Of the embedded scenes those of :func:`scenes`; where the profile's scenes are photographs, of
    scikit-image's instead.
    """
    names = list(scenes(run)) or [f"{SCIKIT_IMAGE}/{example.name}" for example in SEGMENTED]
    images, found = scenes_named(names, run), {}
    for mix, condition in SHOWN:
        network = segmenter(NetworkSpec(run.profile.model, mix), run)
        maps = networks.label_maps(network, images, condition)
        found |= {f"{name} {mix} {condition}": one for name, one in maps.items()}
    return found


# --- Figure 1: predictions on one image, sharp and blurred ----------------------------------------

FIGURE1_CONDITIONS = ("sharp", "D8")
_FIGURE1_CLASSES = 5


def _of_figure1(profile: Profile) -> list[Measurement]:
    # Other people's photographs are not ours to show.
    sets = [name for name in profile.evaluation.test_sets if name == "emoji"]
    original = [NetworkSpec(profile.model)]
    return on_test_images(original, profile, FIGURE1_CONDITIONS, ["256"], sets)


@experiment(_of_figure1)
def figure1(run: Run) -> Rows:
    """The five likeliest classes of a few images, sharp and under D8, before and after fine-tuning,
    and the entropy.

    Test images of the profile, chosen by rule (:func:`telling`), and scikit-image's
    photographs with EfficientNet-Lite0.
    """
    shown: list[Prediction] = []
    for spec, decided in figure1.decisions(run).items():
        name = decided["data"].iloc[0]
        images = data.load_images(name, "test", run)
        number = telling(decided)
        image, answers = images[number], {images.classes[images.labels[number]]}
        for one in (spec, NetworkSpec(spec.model, "mix")):
            of = trained(one, run), name, images.ids[number], image, answers
            shown += predict(*of, FIGURE1_CONDITIONS, run.profile)
    for one in (*shown, *predict_photographs(FIGURE1_CONDITIONS, run)):
        likely = one.log_p.topk(min(_FIGURE1_CLASSES, len(one.log_p)))
        yield from map(one.probability, likely.indices.tolist())
        yield one.rank()
        yield one.entropy()


# --- Figure 3: verdicts on single images ----------------------------------------------------------

FIGURE3_CONDITIONS = ("D4", "D8", "shake", "H8", "G4")
_FIGURE3_EACH = 2


def _of_figure3(profile: Profile) -> list[Measurement]:
    three = specs_of(["original", "mix", "sharp+shake"], profile)
    return on_test_images(three, profile, FIGURE3_CONDITIONS, ["256"])


@experiment(_of_figure3)
def figure3(run: Run) -> Rows:
    """Rank of the truth by three networks, on the first images of each condition on which they do
    not agree (top-5).

    And by the networks of :func:`networks_on_photographs` on scikit-image's photographs.
    """
    decided = pd.concat(figure3.decisions(run).values(), ignore_index=True)
    for name in run.profile.evaluation.test_sets:
        for condition in FIGURE3_CONDITIONS:
            here = results.select(decided, data=name, condition=condition)
            right = (here["rank"] < 5).groupby(here["image"], sort=False).agg(["any", "all"])
            split = right.index[right["any"] & ~right["all"]]
            for image in split[:_FIGURE3_EACH]:
                for one in results.select(here, image=image).to_dict("records"):
                    of = {column: one[column] for column in results.DECISION_KEY}
                    of |= {"item": image, "parameter": str(one["label"])}
                    yield of | results.number("rank", one["rank"] + 1, n=1)
    for one in predict_photographs(FIGURE3_CONDITIONS, run):
        yield one.rank()


@experiment(_of_figure3)
def figure3_guesses(run: Run) -> Rows:
    """For every image and network of Figure 3, the likeliest class (``parameter``) and its
    probability.
    """
    verdicts = figure3(run)
    for one in figure3.measures(run.profile):
        images, network = data.load_images(one.data, "test", run), trained(one.spec, run)
        _, scales = settings_of(one.spec, run.profile)
        found = predictions.log_probabilities(network, images, one.conditions, scales, run)
        rows = results.select(verdicts, data=one.data, network=one.spec.mix)
        for row in rows.to_dict("records"):
            log_p = found[row["condition"]]["256"][images.ids.index(row["item"])].log_softmax(dim=0)
            of = {column: row[column] for column in results.KEY if column != "experiment"}
            yield Prediction(of, log_p, images.classes).probability(int(log_p.argmax()))
    for one in predict_photographs(FIGURE3_CONDITIONS, run):
        yield one.probability(int(one.log_p.argmax()))
