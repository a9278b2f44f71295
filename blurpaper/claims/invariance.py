"""Claims on the invariance of features (Section 4.3, Figure 4). The paper shows maps of one image
and gives no number.
"""

from __future__ import annotations

from collections.abc import Iterator

from blurpaper.claims.criteria import Criterion, above, below, claim
from blurpaper.claims.evidence import Evidence


@claim("4.3", "figure4", paper="not run")
def original_differs_at_all_stages(e: Evidence) -> Iterator[Criterion]:
    """The original's features of a blurred image differ from those of the sharp one at all stages.

    Under D8 more than 5 % of its channels differ after each of the five.

    The paper shows maps of one image and gives no number.
    """
    for stage in ("pool1", "pool2", "pool3", "pool4", "pool5"):
        yield above(
            f"channels of the original that differ after {stage}",
            e.hamming("original", "D8", stage),
            0.05,
            "share",
        )


@claim("4.3", "figure4", paper="not run")
def mix_is_invariant_at_the_last_stages(e: Evidence) -> Iterator[Criterion]:
    """The features that the mix has of both are much alike after the last stage, and less so after
    the fourth.

    Under D8 its distance is less than four fifths of the original's after the fifth, and less than
    the original's after the fourth.

    The paper shows maps of one image and gives no number.
    """
    for stage, limit in (("pool5", 0.8), ("pool4", 1.0)):
        ratio = e.hamming("mix", "D8", stage) / e.hamming("original", "D8", stage)
        yield below(
            f"distance of the mix over that of the original after {stage}", ratio, limit, "ratio"
        )


@claim("4.3", "figure4", paper="not run")
def invariance_arises_late(e: Evidence) -> Iterator[Criterion]:
    """Invariance arises late.

    Fine-tuning lessens the distance by a larger share after the fifth stage than after the first
    three.

    The paper shows maps of one image and gives no number.
    """
    ratio = {
        stage: e.hamming("mix", "D8", stage) / e.hamming("original", "D8", stage)
        for stage in ("pool1", "pool2", "pool3", "pool5")
    }
    for stage in ("pool1", "pool2", "pool3"):
        yield above(
            f"share of the distance that is left after {stage} beyond that after pool5",
            ratio[stage] - ratio["pool5"],
            unit="share",
        )


@claim("4.3", "figure4", paper="not run")
def first_stages_stay_as_they_are(e: Evidence) -> Iterator[Criterion]:
    """The first stages see the blur as before.

    After the first and the second the mix has more than four fifths of the original's distance.

    The paper shows maps of one image and gives no number.
    """
    for stage in ("pool1", "pool2"):
        ratio = e.hamming("mix", "D8", stage) / e.hamming("original", "D8", stage)
        yield above(
            f"distance of the mix over that of the original after {stage}", ratio, 0.8, "ratio"
        )
