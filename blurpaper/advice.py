"""At which confidence to ask for another picture, so that those kept are right as often as was
asked for.

A network that is unsure under blur can say so: it answers where its confidence, the probability of
its first class, reaches a threshold, and asks for another picture elsewhere (selective
classification; Geifman and El-Yaniv 2017). The threshold is chosen on decisions whose truth is
known, over all conditions together, each as likely as the others. It is judged by cross-fitting:
each half of the images with the threshold chosen on the other half, so that nothing is flattered.
What is promised holds for images like these and for no others.

Without another wish, those kept shall be as often right as the network is on all sharp images: who
uses a network has accepted that, and any network whose confidence means something can keep it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from blurpaper import blurriness, intervals, metrics, predictions, results
from blurpaper import profile as profiles
from blurpaper.evaluation import Measured
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.weights import released
from blurpaper.profile import Profile
from blurpaper.randomness import stream
from blurpaper.store import Store
from blurpaper.tables import rounded
from blurpaper.writing import written

if TYPE_CHECKING:
    import pandas as pd

FEWEST_IMAGES = 50
"""Labelled images below which no threshold is chosen."""
FEWEST_KEPT = 20
"""Decisions that have to be kept for their accuracy to be looked at."""

Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Decided:
    """Decisions of one network on the same images under several conditions.

    Attributes:
        conditions: their names.
        confidence: float ``(conditions, images)``.
        correct: bool ``(conditions, images)``.
        where: what the images are, for people.

    >>> confidence, correct = np.array([[0.9, 0.8], [0.6, 0.3]]), np.array([[True, True], [True, False]])
    >>> decided = Decided(("sharp", "D8"), confidence, correct, "two photographs of mine")
    >>> decided.images, decided.of(np.array([1])).confidence.tolist()
    (2, [[0.8], [0.3]])
    """

    conditions: tuple[str, ...]
    confidence: np.ndarray
    correct: np.ndarray
    where: str

    def of(self, images: np.ndarray) -> Decided:
        """Those on some of the images."""
        return Decided(
            self.conditions, self.confidence[:, images], self.correct[:, images], self.where
        )

    @property
    def images(self) -> int:
        return self.confidence.shape[1]


@dataclass(frozen=True)
class Advice:
    """A threshold on confidence, and what it does; each number with its 95 % interval over images.

    Attributes:
        threshold: below it, ask again; 0 where all can be kept.
        right: how often those kept were to be right; ``as_sharp`` if that is the accuracy on all
            sharp images.
        kept_right: how often they were.
        turned_away: condition -> share of its images that is turned away.
        images: how many there were.

    >>> from blurpaper.networks import NetworkSpec
    >>> spec, photos = NetworkSpec("efficientnet_lite0"), profiles.load("photos")
    >>> advice = advise(committed(spec, ["sharp", "D8"], "256", photos), right=0.9, resamples=100)
    >>> value, low, high = advice.kept_right
    >>> low < value < high, advice.turned_away["sharp"] < advice.turned_away["D8"]
    (True, True)
    """

    threshold: float
    right: float
    as_sharp: bool
    kept_right: Interval
    turned_away: Mapping[str, Interval]
    where: str
    images: int


def threshold(confidence: np.ndarray, correct: np.ndarray, right: float) -> float | None:
    """The lowest confidence such that those that reach it are right at this rate; None if no
    confidence does that.

    Args:
        confidence, correct: of each decision, of any shape.

    >>> round(threshold(np.linspace(0, 1, 100), np.arange(100) >= 50, 0.9), 2)
    0.45
    """
    confidence, correct = np.ravel(confidence), np.ravel(correct)
    kept, wrong = metrics.risk_coverage(confidence, correct)
    fine = np.flatnonzero((wrong <= 1 - right + 1e-12) & (kept * len(confidence) >= FEWEST_KEPT))
    if not len(fine):
        return None
    return 0.0 if fine[-1] == len(confidence) - 1 else float(np.sort(confidence)[::-1][fine[-1]])


def advise(decided: Decided, right: float | None, resamples: int) -> Advice | None:
    """The threshold for some decisions, judged by cross-fitting; None where they are too few or
    nothing reaches the rate.

    Args:
        right: how often those kept shall be right, above 0 and at most 1; without it, as often as
            all sharp images are.

    >>> draw = np.random.RandomState(0)
    >>> confidence = draw.rand(1, 400)
    >>> decided = Decided(["sharp"], confidence, draw.rand(1, 400) < confidence, "an invented set")
    >>> advice = advise(decided, right=0.8, resamples=100)
    >>> 0 < advice.threshold < 1
    True
    """
    if decided.images < FEWEST_IMAGES or (right is None and SHARP not in decided.conditions):
        return None
    first = np.zeros(decided.images, bool)
    first[stream("advice", decided.images).permutation(decided.images)[: decided.images // 2]] = (
        True
    )
    thresholds = np.empty(decided.images)
    for half in (first, ~first):
        found = _chosen(decided.of(~half), right)
        if found is None:
            return None
        thresholds[half] = found
    whole = _chosen(decided, right)
    if whole is None:
        return None
    kept = decided.confidence >= thresholds
    turned_away = _shares(dict(zip(decided.conditions, ~kept, strict=True)), resamples)
    wanted = _accuracy_on_sharp(decided) if right is None else right
    kept_right = _accuracy_of(kept, decided.correct, resamples)
    return Advice(
        whole, wanted, right is None, kept_right, turned_away, decided.where, decided.images
    )


def transferred(
    chosen_on: Decided, judged_on: Decided, right: float, resamples: int
) -> Advice | None:
    """The threshold chosen on all of some decisions, judged on others.

    >>> from blurpaper.networks import NetworkSpec
    >>> spec, photos = NetworkSpec("efficientnet_lite0"), profiles.load("photos")
    >>> names = ("nips2017-dev", "imagewoof")
    >>> common, dogs = (committed(spec, ["sharp", "D8"], "256", photos, name) for name in names)
    >>> harder, easier = (transferred(*one, 0.9, 100) for one in ((common, dogs), (dogs, common)))
    >>> harder.kept_right[0] < easier.kept_right[0], harder.images == dogs.images
    (True, True)
    """
    found = _chosen(chosen_on, right)
    if found is None:
        return None
    kept = judged_on.confidence >= found
    turned_away = _shares(dict(zip(judged_on.conditions, ~kept, strict=True)), resamples)
    kept_right = _accuracy_of(kept, judged_on.correct, resamples)
    return Advice(found, right, False, kept_right, turned_away, judged_on.where, judged_on.images)


def _chosen(decided: Decided, right: float | None) -> float | None:
    return threshold(
        decided.confidence, decided.correct, _accuracy_on_sharp(decided) if right is None else right
    )


def _accuracy_on_sharp(decided: Decided) -> float:
    return float(decided.correct[decided.conditions.index(SHARP)].mean())


def _shares(of: Mapping[str, np.ndarray], resamples: int) -> dict[str, Interval]:
    return {name: tuple(map(float, intervals.of_mean(one, resamples))) for name, one in of.items()}


def _accuracy_of(kept: np.ndarray, correct: np.ndarray, resamples: int) -> Interval:
    """Of the decisions kept, the share that is right, images being resampled with all their
    conditions.
    """
    above, below = (kept & correct).sum(axis=0), kept.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return intervals.of_statistic(
            lambda weights: (weights @ above) / (weights @ below), kept.shape[1], resamples
        )


# --- Whose decisions ------------------------------------------------------------------------------


def in_table(decisions: pd.DataFrame, where: str) -> Decided | None:
    """Decisions as they are committed, of one network on one test set at one scale; None if there
    are none.

    >>> import pandas as pd
    >>> rows = [("sharp", "a.jpg", 0.9, 0), ("D8", "a.jpg", 0.4, 3)]
    >>> table = pd.DataFrame(rows, columns=["condition", "image", "confidence", "rank"])
    >>> decided = in_table(table, "a photograph of mine")
    >>> decided.conditions, decided.correct[:, 0].tolist()
    (('sharp', 'D8'), [True, False])
    """
    found = {
        name: group.sort_values("image")
        for name, group in decisions.groupby("condition", observed=True, sort=False)
    }
    if not found:
        return None
    confidence = np.stack([group["confidence"].to_numpy(np.float64) for group in found.values()])
    correct = np.stack([group["rank"].to_numpy() < 1 for group in found.values()])
    return Decided(tuple(map(str, found)), confidence, correct, where)


def committed(
    spec: NetworkSpec,
    conditions: Sequence[str],
    scale: str,
    profile: Profile,
    test_set: str | None = None,
) -> Decided | None:
    """Committed decisions of this very network under those of the conditions that were measured;
    None if there are none.

    Args:
        test_set: the profile's first, if no other is named.

    >>> from blurpaper.networks import NetworkSpec
    >>> spec, photos = NetworkSpec("efficientnet_lite0"), profiles.load("photos")
    >>> found = committed(spec, ["sharp", "D4", "D5"], "256", photos)
    >>> found.conditions, found.where
    (('sharp', 'D4'), 'the committed run on nips2017-dev')
    """
    if isinstance(spec, NetworkFile) and not _is_released(spec):
        return None  # of its own name there may be another
    if (
        not _as_committed(profile)
        or not (results.PUBLISHED / f"{profile.name}.decisions.parquet").is_file()
    ):
        return None
    test_set = test_set or profile.evaluation.test_sets[0]
    of = predictions.columns_of(spec, test_set, 0, scale, "")
    wanted = {
        name: of[name]
        for name in ("model", "network", "train_scale", "recipe", "data", "input", "scale", "seed")
    }
    found = results.select(
        results.published_decisions(profile.name), **wanted, condition=list(conditions)
    )
    widest = max(found["classes"].unique(), key=int, default="")
    return in_table(results.select(found, classes=widest), f"the committed run on {test_set}")


def _is_released(file: NetworkFile) -> bool:
    known = released(file.model, file.mix)
    return known is not None and known.identity == file.identity


def _as_committed(profile: Profile) -> bool:
    """Whether it is a profile that comes with the library, but for how it computes."""
    if profile.name not in profiles.names():
        return False
    return profiles.load(profile.name).model_copy(update={"compute": profile.compute}) == profile


def of_measured(
    spec: NetworkSpec,
    measured: Measured,
    conditions: Sequence[str],
    scale: str,
    profile: Profile,
    right: float | None = None,
) -> tuple[Advice | None, pd.DataFrame]:
    """Advice on images that a network was measured on, and its confidence in each as it is
    (``image``, ``confidence``).

    From their own labels if there are enough, else from the committed decisions of the same
    network. There is no confidence where the images were not looked at as they are.

    >>> import tempfile
    >>> from blurpaper.data.examples import album
    >>> from blurpaper.evaluation import measure
    >>> folder, store, photos = album(Path(tempfile.mkdtemp()), ["coffee"]), Store(tempfile.mkdtemp()), profiles.load("photos")
    >>> network = released("efficientnet_lite0", "mix")
    >>> measured = measure(network, folder, ["sharp"], ["256"], photos, store)
    >>> advice, as_is = of_measured(network, measured, ["sharp", "D8"], "256", photos)
    >>> advice.where, as_is["image"].tolist()
    ('the committed run on nips2017-dev', ['coffee.png'])
    """
    import pandas as pd

    images, found = measured.images, measured.log_probabilities
    decided = {
        name: metrics.decisions(by_scale[scale], measured.truth[scale])
        for name, by_scale in found.items()
    }
    as_is = pd.DataFrame({"image": list(images.ids)})
    if SHARP in decided:
        as_is["confidence"] = decided[SHARP]["confidence"]
    own: Decided | None
    if measured.labelled and len(images) >= FEWEST_IMAGES:
        confidence, rank = (
            np.stack([decided[name][what] for name in conditions])
            for what in ("confidence", "rank")
        )
        own = Decided(tuple(conditions), confidence, rank < 1, images.name)
    else:
        own = committed(spec, conditions, scale, profile)
    return (None if own is None else advise(own, right, profile.evaluation.bootstrap)), as_is


# --- In words -------------------------------------------------------------------------------------


def lines(
    spec: NetworkSpec,
    measured: Measured,
    conditions: Sequence[str],
    scale: str,
    profile: Profile,
    store: Store,
    right: float | None = None,
    per_image: Path | None = None,
) -> list[str]:
    """What is told of a folder that was measured, a line each: when to ask for another picture, how
    blurred the images are.

    Args:
        right: how often the answers kept shall be right; told if that cannot be had.
        per_image: CSV file for the radius of each image, its range and the network's confidence.

    >>> import tempfile
    >>> from blurpaper.data.examples import album
    >>> from blurpaper.evaluation import measure
    >>> folder, store, photos = album(Path(tempfile.mkdtemp()), ["coffee"]), Store(tempfile.mkdtemp()), profiles.load("photos")
    >>> network = released("efficientnet_lite0", "mix")
    >>> measured = measure(network, folder, ["sharp"], ["256"], photos, store)
    >>> told_of_it = lines(network, measured, ["sharp", "D8"], "256", photos, store)
    >>> [line.partition(" ")[0] for line in told_of_it]
    ['confidence:', 'blur:']
    """
    images = measured.images
    blurred = blurriness.of_images(images, profile, store)
    advice, as_is = of_measured(spec, measured, conditions, scale, profile, right)
    if per_image:
        with written(per_image) as temporary:
            blurred.merge(as_is, on="image").to_csv(
                temporary, index=False, float_format="%.4g", lineterminator="\n"
            )
    found = []
    if advice:
        others = advice.where != images.name and "confidence" in as_is
        found.append(told(advice, as_is["confidence"].to_numpy() if others else None))
    elif right is not None:
        found.append(
            f"no threshold on confidence is known that keeps {_percent(right)} right: that takes {FEWEST_IMAGES} labelled images "
            "or committed decisions of this network, and a confidence that tells right from wrong."
        )
    return [*found, blurriness.told(blurred["radius"].to_numpy(), profile.evaluation.bootstrap)]


def told(advice: Advice, confidence: np.ndarray | None = None) -> str:
    """Advice in one line.

    Args:
        confidence: ``(N,)``, in images as they are that are not those it was judged on.

    >>> away = {"sharp": (0.05, 0.03, 0.07), "D8": (0.41, 0.37, 0.45)}
    >>> advice = Advice(0.45, 0.9, False, (0.912, 0.89, 0.93), away, "my photographs", 400)
    >>> said = told(advice).partition(" (wished: 90.0 %) and ")
    >>> said[0]
    'confidence: ask for another picture below 0.45; then 91.2 % (89.0–93.0) of the answers are right'
    >>> said[2].partition(" (of ")[0]
    'turned away are 5 % of sharp, 41 % of D8'
    """
    value, low, high = advice.kept_right
    between = f"{rounded(100 * low, 1)}–{rounded(100 * high, 1)}"
    as_sharp = ", as on all sharp images" if advice.as_sharp else ""
    away = ", ".join(
        f"{_percent(share[0], 0)} of {name}" for name, share in advice.turned_away.items()
    )
    own = ""
    if confidence is not None and len(confidence):
        own = f", {_percent(float(np.mean(confidence < advice.threshold)), 0)} of these"
    return (
        f"confidence: ask for another picture below {advice.threshold:.2f}; then {_percent(value)} ({between}) of the answers "
        f"are right (wished: {_percent(advice.right)}{as_sharp}) and turned away are {away}{own} (of "
        f"{advice.where}, {advice.images} images, each half by the threshold of the other)."
    )


def _percent(share: float, digits: int = 1) -> str:
    return f"{rounded(100 * share, digits)} %"
