"""Claims on networks trained on sharp photographs (Section 3, Tables 1, 2 and A, Figure 1) and on
the invariance of their features (Section 4.3, Figure 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from blurpaper.claims.criteria import Criterion, above, below, claim
from blurpaper.claims.evidence import Evidence
from blurpaper.experiments.measurements import DISKS

BLURS = ("D2", "D4", "D6", "D8", "H4", "H8", "V4", "V8", "shake", "G4", "G8")


def _drop(e: Evidence, condition: str, scale: str = "256") -> np.ndarray:
    """Top-5 accuracy that the original loses under a condition."""
    return e.accuracy(scale=scale) - e.accuracy(condition=condition, scale=scale)


@claim("3", "table1")
def every_blur_costs_accuracy(e: Evidence) -> Iterator[Criterion]:
    """Every blur costs the original network accuracy.

    Top-5 at scale 256 falls under each of the eleven.
    """
    for condition in BLURS:
        yield above(f"top-5 lost under {condition}", _drop(e, condition))


@claim("1", "table1")
def moderate_blur_hurts(e: Evidence) -> Iterator[Criterion]:
    """Even a moderate blur hurts.

    D4 costs more than a point of top-5 at scale 256.
    """
    yield above("top-5 lost under D4", _drop(e, "D4"), 0.01)


@claim("3", "table1")
def more_defocus_costs_more(e: Evidence) -> Iterator[Criterion]:
    """The more defocus, the lower the accuracy.

    Top-5 at scale 256 falls at each step from sharp to D8.
    """
    for less, more in pairwise(DISKS):
        lost = e.accuracy(condition=less) - e.accuracy(condition=more)
        yield above(f"top-5 lost from {less} to {more}", lost)


@claim("3", "table1")
def more_of_other_blurs_costs_more(e: Evidence) -> Iterator[Criterion]:
    """Longer motion, wider shake and Gaussians cost more too.

    Top-5 at 256 falls from H4 to H8, V4 to V8, G4 to G8.
    """
    for less, more in (("H4", "H8"), ("V4", "V8"), ("G4", "G8")):
        lost = e.accuracy(condition=less) - e.accuracy(condition=more)
        yield above(f"top-5 lost from {less} to {more}", lost)


@claim("3", "table1")
def fall_is_steeper_with_512(e: Evidence) -> Iterator[Criterion]:
    """The fall is steeper for large kernels where the larger scale takes part.

    D8 costs more top-5 at 512, and at 256+512, than at 256.
    """
    for scale in ("512", "256+512"):
        steeper = _drop(e, "D8", scale) - _drop(e, "D8")
        yield above(f"top-5 lost under D8 at {scale} beyond that at 256", steeper)


@claim("4.2", "table1")
def two_scales_are_best_when_sharp(e: Evidence) -> Iterator[Criterion]:
    """On sharp images both scales together are best.

    Top-5 on sharp images at 256+512 is above that at 256 and at 512.
    """
    for scale in ("256", "512"):
        lead = e.accuracy(scale="256+512") - e.accuracy(scale=scale)
        yield above(f"top-5 at 256+512 less that at {scale}", lead)


@claim("4.1", "table1")
def scale_256_is_best_overall(e: Evidence) -> Iterator[Criterion]:
    """Over all conditions scale 256 is best.

    The mean top-5 over the twelve conditions at 256 is above that at 128, 512 and 256+512.
    """

    def overall(scale: str) -> np.ndarray:
        return np.mean(
            [e.accuracy(condition=one, scale=scale) for one in ("sharp", *BLURS)], axis=0
        )

    for scale in ("128", "512", "256+512"):
        yield above(f"mean top-5 at 256 less that at {scale}", overall("256") - overall(scale))


@claim("3", "table1")
def scale_128_hurts_but_for_the_largest_kernel(e: Evidence) -> Iterator[Criterion]:
    """The smallest scale hurts, except under the largest kernel.

    Top-5 at 128 is below that at 256 under every condition but G8, and above it there.
    """
    for condition in ("sharp", *BLURS[:-1]):
        gap = e.accuracy(condition=condition) - e.accuracy(condition=condition, scale="128")
        yield above(f"top-5 at 256 less that at 128 under {condition}", gap)
    lead = e.accuracy(condition="G8", scale="128") - e.accuracy(condition="G8")
    yield above("top-5 at 128 less that at 256 under G8", lead)


@claim("3", "table2")
def entropy_rises_with_blur(e: Evidence) -> Iterator[Criterion]:
    """Predictions under blur are uncertain.

    Entropy rises from sharp to D4 and from D4 to D8.
    """
    for less, more in (("sharp", "D4"), ("D4", "D8")):
        rise = e.entropy(condition=more) - e.entropy(condition=less)
        yield above(f"entropy at {more} less that at {less}", rise, unit="nats")


@claim("3", "table2")
def strong_blur_doubles_the_entropy(e: Evidence) -> Iterator[Criterion]:
    """Under strong blur the original network has low confidence.

    Entropy under D8 is more than twice that on sharp images.
    """
    ratio = e.entropy(condition="D8") / e.entropy()
    yield above("entropy under D8 over that on sharp images", ratio, 2.0, "ratio")


@claim("A", "tableA")
def second_model_suffers_too(e: Evidence) -> Iterator[Criterion]:
    """A second architecture suffers alike.

    Its top-5 at scale 256 falls at each step from sharp to D8.
    """
    for less, more in pairwise(DISKS):
        step = _second(e, less) - _second(e, more)
        yield above(f"top-5 of the second model lost from {less} to {more}", step)


@claim("A", "tableA")
def second_model_falls_more_with_512(e: Evidence) -> Iterator[Criterion]:
    """In a second architecture too the larger scale makes the fall steeper.

    D8 costs the second model more top-5 at 256+512 than at 256.
    """
    one = _second(e, "sharp") - _second(e, "D8")
    both = _second(e, "sharp", "256+512") - _second(e, "D8", "256+512")
    yield above("top-5 lost under D8 at 256+512 beyond that at 256", both - one)


@claim("A", "tableA")
def both_models_fall_alike(e: Evidence) -> Iterator[Criterion]:
    """The fall is of the same order in both architectures.

    Their losses of top-5 under D8 differ by less than 15 points.
    """
    gap = (_second(e, "sharp") - _second(e, "D8")) - _drop(e, "D8")
    yield above("loss of the second model beyond the first's", gap, -0.15)
    yield below("loss of the second model beyond the first's", gap, 0.15)


def _second(e: Evidence, condition: str, scale: str = "256") -> np.ndarray:
    return e.accuracy(condition=condition, scale=scale, model=e.second_model)


# --- Invariance of features: the paper shows maps of one image and gives no number ----------------


@claim("4.3", "figure4", paper="not run")
def original_differs_at_all_stages(e: Evidence) -> Iterator[Criterion]:
    """The original's features of a blurred image differ from those of the sharp one at all stages.

    Under D8 more than 5 % of its channels differ after each of the five stages.

    The paper shows maps of one image and gives no number.
    """
    for stage in ("pool1", "pool2", "pool3", "pool4", "pool5"):
        different = e.hamming("original", "D8", stage)
        yield above(f"channels of the original that differ after {stage}", different, 0.05, "share")


@claim("4.3", "figure4", paper="not run")
def mix_is_invariant_at_the_last_stages(e: Evidence) -> Iterator[Criterion]:
    """After fine-tuning, features of sharp and blurred images are alike after the last stage, and
    less so after the fourth.

    Under D8 their distance is less than four fifths of the original's after the fifth stage, and
    less than the original's after the fourth.

    The paper shows maps of one image and gives no number.
    """
    for stage, limit in (("pool5", 0.8), ("pool4", 1.0)):
        words = f"distance of the mix over that of the original after {stage}"
        yield below(words, _left(e, stage), limit, "ratio")


@claim("4.3", "figure4", paper="not run")
def invariance_arises_late(e: Evidence) -> Iterator[Criterion]:
    """Invariance to blur arises in the last stages.

    Fine-tuning reduces the distance by a larger share after the fifth stage than after the first
    three.

    The paper shows maps of one image and gives no number.
    """
    for stage in ("pool1", "pool2", "pool3"):
        words = f"share of the distance that is left after {stage} beyond that after pool5"
        yield above(words, _left(e, stage) - _left(e, "pool5"), unit="share")


@claim("4.3", "figure4", paper="not run")
def first_stages_stay_as_they_are(e: Evidence) -> Iterator[Criterion]:
    """Fine-tuning hardly changes what blur does to the first stages.

    After the first and second stage more than four fifths of the distance remain.

    The paper shows maps of one image and gives no number.
    """
    for stage in ("pool1", "pool2"):
        words = f"distance of the mix over that of the original after {stage}"
        yield above(words, _left(e, stage), 0.8, "ratio")


def _left(e: Evidence, stage: str) -> np.ndarray:
    """Hamming distance between the mix's features, sharp and under D8, over the original's."""
    return e.hamming("mix", "D8", stage) / e.hamming("original", "D8", stage)
