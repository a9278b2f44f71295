"""One function a table or figure of the paper: from a profile and a store to tidy rows.

Each computes what is new and loads the rest. Given :class:`Published` instead of a store, each reads the committed results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import intervals, metrics, results
from blurpaper.networks import NetworkSpec
from blurpaper.profile import Profile
from blurpaper.store import Store

if TYPE_CHECKING:
    import pandas as pd


class Published:
    """Stands in for a store: everything comes from the committed results."""


Experiment = Callable[[Profile, "Store | Published"], "pd.DataFrame"]
EXPERIMENTS: dict[str, Experiment] = {}
"""Every experiment by its name in the results."""

DECISION_KEY = ("model", "network", "train_scale", "recipe", "data", "classes", "input", "scale", "condition", "seed")


def experiment(make_rows: Callable[[Profile, Store], Iterable[dict[str, Any]]]) -> Experiment:
    """Register a function that yields rows under its own name, and let it read published results instead."""
    name = make_rows.__name__

    @wraps(make_rows)
    def run(profile: Profile, store: Store | Published) -> pd.DataFrame:
        if isinstance(store, Published):
            return results.select(results.published(profile.name), experiment=name)
        return results.table({"experiment": name, **row} for row in make_rows(profile, store))

    EXPERIMENTS[name] = run
    return run


def decisions(profile: Profile, store: Store | Published) -> pd.DataFrame:
    """What every network of the profile decided on every test image, as the tables below count it."""
    import pandas as pd

    if isinstance(store, Published):
        return results.published_decisions(profile.name)
    return pd.concat([_original(profile, store)], ignore_index=True)


# --- Tables 1 and 2: a network trained on sharp photographs (Sec. 3) -----------------------------------------------------


@experiment
def table1(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Accuracy of the original network under every condition, at every scale setting."""
    yield from _means(_original(profile, store), ("top1", "top5"), profile)


@experiment
def table2(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Entropy, cross-entropy and calibration under defocus, and what confidence is worth."""
    decided = results.select(_original(profile, store), condition=["sharp", "D2", "D4", "D6", "D8"], scale="256")
    yield from _means(decided, ("entropy", "cross_entropy"), profile)
    yield from _confidence(decided, profile)


def _original(profile: Profile, store: Store) -> pd.DataFrame:
    import pandas as pd

    from blurpaper import runs

    settings = profile.evaluation
    spec = NetworkSpec(profile.model)
    return pd.concat(
        [runs.decisions(spec, name, settings.conditions, settings.scales, profile, store) for name in settings.test_sets],
        ignore_index=True,
    )


def _means(decided: pd.DataFrame, wanted: Iterable[str], profile: Profile) -> Iterator[dict[str, Any]]:
    for key, group in decided.groupby(list(DECISION_KEY), sort=False):
        terms = metrics.per_image(group)
        for metric in wanted:
            value, low, high = intervals.of_mean(terms[metric], profile.evaluation.bootstrap)
            yield _row(key, metric, value, low, high, len(group))


def _confidence(decided: pd.DataFrame, profile: Profile) -> Iterator[dict[str, Any]]:
    """Calibration error and area under the risk-coverage curve."""
    for key, group in decided.groupby(list(DECISION_KEY), sort=False):
        confidence, correct = group["confidence"].to_numpy(), (group["rank"] < 1).to_numpy()

        def ece(weights: np.ndarray, confidence: np.ndarray = confidence, correct: np.ndarray = correct) -> np.ndarray:
            return metrics.calibration_error(confidence, correct, weights)

        found = intervals.of_statistic(ece, len(group), profile.evaluation.bootstrap)
        yield _row(key, "ece", *found, len(group))
        yield _row(key, "aurc", metrics.area_under_risk_coverage(confidence, correct), None, None, len(group))


def _row(key: tuple, metric: str, value: float, low: float | None, high: float | None, n: int) -> dict[str, Any]:
    return dict(zip(DECISION_KEY, key, strict=True)) | {"metric": metric, "value": value, "low": low, "high": high, "n": n}


# --- Figure 1: what one network says of one image, sharp and blurred -----------------------------------------------------

FIGURE1_CONDITIONS = ("sharp", "D8")
_FIGURE1_CLASSES = 5


@experiment
def figure1(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """The five likeliest classes of a few images, sharp and under D8, and the entropy of the whole distribution.

    Test images of the profile, chosen by rule (:func:`_telling`), and scikit-image's photographs with EfficientNet-Lite0.
    """
    from blurpaper import data, protocol, runs
    from blurpaper import profile as profiles
    from blurpaper.data.examples import EXAMPLES, photograph

    shown: list[tuple[Profile, NetworkSpec, str, Any, set[str]]] = []
    spec = NetworkSpec(profile.model)
    for name in profile.evaluation.test_sets:
        if name == "emoji":  # other people's photographs are not ours to show
            images = data.load(name, "test", profile, store)
            number = _telling(_original(profile, store))
            shown.append((profile, spec, images.ids[number], images[number], {images.classes[images.labels[number]]}))
    photos = profiles.load("photos")
    for example in EXAMPLES:
        place = f"scikit-image/{example.name}"
        shown.append((photos, NetworkSpec(photos.model), place, photograph(example), set(example.answers)))

    for settings, one, place, image, answers in shown:
        network = runs.network(one, settings, store)
        canonical = protocol.to_canonical(image, settings.protocol.canonical)
        for condition in FIGURE1_CONDITIONS:
            log_p = protocol.log_probabilities(
                {"256": network}, [canonical], [place], condition, settings.protocol, settings.compute, batch=1
            )["256"][0].log_softmax(dim=0)
            key = runs.columns_of(one, place, len(log_p), "256", condition)
            likely = log_p.topk(_FIGURE1_CLASSES).indices.tolist()
            for number in likely:
                name = network.classes[number]
                yield key | {"region": name, "metric": "probability", "value": float(log_p[number].exp()), "n": 1}
            right = [number for number, name in enumerate(network.classes) if name in answers]
            rank = min(int((log_p > log_p[number]).sum()) for number in right)
            yield key | {"metric": "rank", "value": rank + 1, "n": 1}
            yield key | {"metric": "entropy", "value": float(-(log_p.exp() * log_p).sum()), "n": 1}


def _telling(decided: pd.DataFrame) -> int:
    """Number of the first test image that is recognised with confidence when sharp, and is not even second under D8."""
    at_256 = results.select(decided, scale="256")
    sharp, blurred = (results.select(at_256, condition=c).reset_index(drop=True) for c in FIGURE1_CONDITIONS)
    fits = (sharp["rank"] == 0) & (sharp["confidence"] > 0.5) & (blurred["rank"] >= 2)
    return int(fits.to_numpy().argmax())
