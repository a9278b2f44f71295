"""One function a table or figure of the paper: from a profile and a store to tidy rows.

Each computes what is new and loads the rest. Given :class:`Published` instead of a store, each reads the committed results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper import data, intervals, metrics, protocol, results, runs
from blurpaper import profile as profiles
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.networks import STAGES, NetworkSpec
from blurpaper.profile import Profile
from blurpaper.store import Store

if TYPE_CHECKING:
    import pandas as pd


class Published:
    """Stands in for a store: everything comes from the committed results."""


Experiment = Callable[[Profile, "Store | Published"], "pd.DataFrame"]
EXPERIMENTS: dict[str, Experiment] = {}
"""Every experiment by its name in the results."""

DISKS = ["sharp", "D2", "D4", "D6", "D8"]

DECISION_KEY = ("model", "network", "train_scale", "recipe", "data", "classes", "input", "scale", "condition", "seed")


def experiment(make_rows: Callable[[Profile, Store], Iterable[dict[str, Any]]]) -> Experiment:
    """Register a function that yields rows under its own name, and let it read published results instead."""
    name = make_rows.__name__

    @wraps(make_rows)
    def run(profile: Profile, store: Store | Published) -> pd.DataFrame:
        if isinstance(store, Published):
            rows = results.select(results.published(profile.name), experiment=name)
            if rows.empty:
                raise results.ResultsError(f"the committed results of profile {profile.name} have no {name}.")
            return rows
        return results.table({"experiment": name, **row} for row in make_rows(profile, store))

    EXPERIMENTS[name] = run
    return run


# --- Decisions: what the tables count -------------------------------------------------------------------------------------


def decisions(profile: Profile, store: Store | Published) -> pd.DataFrame:
    """What every network of the profile decided on every test image, in every setting that a table counts."""
    import pandas as pd

    if isinstance(store, Published):
        return results.published_decisions(profile.name)
    parts = [_decided(NetworkSpec(profile.model), profile, store)]
    parts += [_decided(spec, profile, store) for spec in _finetuned(profile)]
    parts += [_decided(spec, profile, store) for spec in _at_scales(profile) if spec.train_scale != "256"]
    return pd.concat(parts, ignore_index=True)


def _finetuned(profile: Profile) -> list[NetworkSpec]:
    return [NetworkSpec.parse(f"{profile.model}:{name}") for name in profile.evaluation.finetuned]


def _at_scales(profile: Profile) -> list[NetworkSpec]:
    """The networks of Table 4: the original, and one fine-tuned at each scale setting."""
    mixes = [NetworkSpec(profile.model, "mix", scale) for scale in ("256", "512", "256+512", "per-scale")]
    return [NetworkSpec(profile.model), *mixes]


def _decided(spec: NetworkSpec, profile: Profile, store: Store) -> pd.DataFrame:
    """Decisions of one network, at the scales and under the conditions at which the profile measures it."""
    import pandas as pd

    settings = profile.evaluation
    if spec.is_original:
        conditions, scales = settings.conditions, settings.scales
    elif spec.train_scale == "256":
        conditions, scales = settings.finetuned_conditions, ["256"]
    else:
        conditions = settings.scale_conditions
        scales = {"512": ["512"], "256+512": ["256", "512", "256+512"], "per-scale": ["256+512"]}[spec.train_scale]
    found = [runs.decisions(spec, name, conditions, scales, profile, store) for name in settings.test_sets]
    return pd.concat(found, ignore_index=True)


# --- Tables 1 and 2: a network trained on sharp photographs (Sec. 3) -----------------------------------------------------


@experiment
def table1(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Accuracy of the original network under every condition, at every scale setting."""
    yield from _means(_decided(NetworkSpec(profile.model), profile, store), ("top1", "top5"), profile)


@experiment
def table2(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Entropy, cross-entropy and calibration under defocus, and what confidence is worth, before and after fine-tuning.

    ``js_divergence`` is that between a network's predictions on an image sharp and blurred: the paper finds the fine-tuned
    network's much alike.
    """
    for spec in (NetworkSpec(profile.model), *(NetworkSpec(profile.model, mix) for mix in ("sharp-only", "mix"))):
        decided = results.select(_decided(spec, profile, store), condition=DISKS, scale="256")
        yield from _means(decided, ("entropy", "cross_entropy", "js_divergence"), profile)
        yield from _confidence(decided, profile)


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


# --- Table 3: fine-tuning on blur (Sec. 4.1) ------------------------------------------------------------------------------

BASELINES = ("original", "sharp-only")
"""What fine-tuned networks are compared with, image by image: the start, and as much training without blur."""


@experiment
def table3(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Every network under every condition, and its paired differences from the baselines (``top1_vs_original``, ...)."""
    conditions = profile.evaluation.finetuned_conditions
    original = results.select(_decided(NetworkSpec(profile.model), profile, store), condition=conditions, scale="256")
    yield from _means(original, ("top1", "top5"), profile)
    networks = {spec: _decided(spec, profile, store) for spec in _finetuned(profile)}
    baselines = {"original": original, "sharp-only": networks.get(NetworkSpec(profile.model, "sharp-only"))}
    for spec, decided in networks.items():
        yield from _means(decided, ("top1", "top5"), profile)
        for name, baseline in baselines.items():
            if baseline is not None and spec.mix != name:
                yield from _differences(decided, baseline, name, profile)


def _differences(decided: pd.DataFrame, baseline: pd.DataFrame, name: str, profile: Profile) -> Iterator[dict[str, Any]]:
    """Paired differences of accuracy: the same images, resampled together."""
    setting = ["data", "scale", "condition"]
    others = dict(iter(baseline.groupby(setting, sort=False)))
    for key, group in decided.groupby(list(DECISION_KEY), sort=False):
        other = others[tuple(group.iloc[0][setting])]
        own, their = metrics.per_image(group), metrics.per_image(other)
        for metric in ("top1", "top5"):
            found = intervals.paired_difference(own[metric], their[metric], profile.evaluation.bootstrap)
            yield _row(key, f"{metric}_vs_{name}", *found, len(group))


# --- Table 4: fine-tuning at other scales (Sec. 4.2) ----------------------------------------------------------------------


@experiment
def table4(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """The original and networks fine-tuned at 256, 512, both, or one for each, applied at those scales; with entropies."""
    conditions = profile.evaluation.scale_conditions
    for spec in _at_scales(profile):
        decided = results.select(_decided(spec, profile, store), condition=conditions, scale=["256", "512", "256+512"])
        yield from _means(decided, ("top1", "top5", "entropy"), profile)


# --- Figure 3: verdicts on single images ----------------------------------------------------------------------------------

FIGURE3_MIXES = ("original", "mix", "sharp+shake")
FIGURE3_CONDITIONS = ("D4", "D8", "shake", "H8", "G4")
_FIGURE3_EACH = 2


@experiment
def figure3(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Rank of the truth by three networks, on the first images of each condition on which they do not agree (top-5)."""
    networks = {mix: _decided(NetworkSpec(profile.model, mix), profile, store) for mix in FIGURE3_MIXES}
    for name in profile.evaluation.test_sets:
        for condition in FIGURE3_CONDITIONS:
            found = {
                mix: results.select(decided, data=name, condition=condition, scale="256").reset_index(drop=True)
                for mix, decided in networks.items()
            }
            right = np.array([(decided["rank"] < 5).to_numpy() for decided in found.values()])
            split = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))
            for number in split[:_FIGURE3_EACH]:
                for decided in found.values():
                    one = decided.iloc[number]
                    key = tuple(one[list(DECISION_KEY)])
                    row = _row(key, "rank", float(one["rank"] + 1), None, None, 1)
                    yield row | {"data": one["image"], "region": str(one["label"])}


# --- Figure 4: invariance of features (Sec. 4.3) --------------------------------------------------------------------------


@experiment
def figure4(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """Mean Hamming distance between features of the sharp and the blurred image, after each of the five stages."""
    for mix in profile.evaluation.invariance_networks:
        spec = NetworkSpec(profile.model, mix)
        for name in profile.evaluation.test_sets:
            distances = runs.distances(spec, name, profile, store)
            for condition, by_stage in distances.items():
                key = runs.columns_of(spec, name, 0, "256", condition) | {"classes": "", "metric": "hamming"}
                value, low, high = intervals.of_mean(by_stage, profile.evaluation.bootstrap)
                for place, stage in enumerate(STAGES):
                    yield key | {
                        "region": stage,
                        "value": value[place],
                        "low": low[place],
                        "high": high[place],
                        "n": len(by_stage),
                    }


# --- Figure 1: what one network says of one image, sharp and blurred -----------------------------------------------------

FIGURE1_CONDITIONS = ("sharp", "D8")
_FIGURE1_CLASSES = 5


@experiment
def figure1(profile: Profile, store: Store) -> Iterator[dict[str, Any]]:
    """The five likeliest classes of a few images, sharp and under D8, before and after fine-tuning, and the entropy.

    Test images of the profile, chosen by rule (:func:`_telling`), and scikit-image's photographs with EfficientNet-Lite0.
    """
    shown: list[tuple[Profile, NetworkSpec, str, Any, set[str]]] = []
    spec = NetworkSpec(profile.model)
    for name in profile.evaluation.test_sets:
        if name == "emoji":  # other people's photographs are not ours to show
            images = data.load(name, "test", profile, store)
            number = _telling(_decided(spec, profile, store))
            answers = {images.classes[images.labels[number]]}
            for one in (spec, NetworkSpec(profile.model, "mix")):
                shown.append((profile, one, images.ids[number], images[number], answers))
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
