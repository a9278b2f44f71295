"""Claims on deblurring first (Section 4.4, Table 5) and on segmentation (Section 5, Table 6)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from blurpaper.claims.criteria import Criterion, above, below, claim
from blurpaper.claims.evidence import Evidence
from blurpaper.experiments.measurements import DISKS
from blurpaper.experiments.segmentation import REGIONS
from blurpaper.experiments.sources import PAPER
from blurpaper.experiments.treatment import CAMERA, Treatment


def _top5(
    e: Evidence, network: str = "original", condition: str = "D8", treatment: str = "as is"
) -> np.ndarray:
    """In a camera's frame, without noise; the paper does not say in which."""
    if e.name == PAPER:
        return e.accuracy(network, condition, experiment="table5", input=treatment)
    framed = str(Treatment(treatment, frame=CAMERA))
    return e.accuracy(network, condition, experiment="table5_camera", input=framed)


@claim("4.4", "table5")
def deblurring_helps(e: Evidence) -> Iterator[Criterion]:
    """Deblurring with the true kernel helps the original.

    Top-5 after EPLL is above that on the blurred images.
    """
    yield above("top-5 gained by EPLL", _top5(e, treatment="epll") - _top5(e))


@claim("4.4", "table5")
def deblurring_nearly_restores(e: Evidence) -> Iterator[Criterion]:
    """Deblurring allows the use of a network trained on sharp images.

    After EPLL top-5 is within 5 points of that on sharp images.
    """
    missing = _top5(e, condition="sharp") - _top5(e, treatment="epll")
    yield below("top-5 still missing after EPLL", missing, 0.05)


@claim("4.4", "table5")
def mix_does_as_well_as_deblurring(e: Evidence) -> Iterator[Criterion]:
    """Fine-tuning on the mix does as well as deblurring.

    Its top-5 on the blurred images is at most a point below that after EPLL.
    """
    lead = _top5(e, "mix") - _top5(e, treatment="epll")
    yield above("top-5 of the mix less that after EPLL", lead, -0.01)


@claim("2", "table5", paper="undecided")
def deblurring_is_inferior_to_the_mix(e: Evidence) -> Iterator[Criterion]:
    """Deblurring first is inferior to fine-tuning on the mix.

    Top-5 of the mix on the blurred images is above that after EPLL.

    The difference is within its interval: that both do as well is reproduced, better is not.
    """
    lead = _top5(e, "mix") - _top5(e, treatment="epll")
    yield above("top-5 of the mix less that after EPLL", lead)


@claim("4.4", "table5")
def only_d8_beats_deblurring(e: Evidence) -> Iterator[Criterion]:
    """With a known kernel, fine-tuning on it beats deblurring.

    Top-5 of onlyD8 on the blurred images is above that after EPLL.
    """
    lead = _top5(e, "onlyD8") - _top5(e, treatment="epll")
    yield above("top-5 of onlyD8 less that after EPLL", lead)


# --- Segmentation: the paper gives no intervals, so that its verdicts are by points ---------------


@claim("5", "table6")
def blur_degrades_segmentation(e: Evidence) -> Iterator[Criterion]:
    """Blur degrades segmentation, over all pixels and near boundaries.

    Mean IoU of the original falls at each step from sharp to D8.
    """
    for region in REGIONS:
        for less, more in pairwise(DISKS):
            lost = e.miou(condition=less, region=region) - e.miou(condition=more, region=region)
            yield above(f"mean IoU ({region}) lost from {less} to {more}", lost)


@claim("5", "table6")
def boundaries_suffer_more(e: Evidence) -> Iterator[Criterion]:
    """Pixels near boundaries suffer more than others.

    D8 takes a larger share of the mean IoU near boundaries than over all pixels.
    """
    near, over_all = (
        1 - e.miou(condition="D8", region=region) / e.miou(region=region)
        for region in ("boundary", "all")
    )
    words = "share of mean IoU lost near boundaries beyond that over all pixels"
    yield above(words, near - over_all)


@claim("5", "table6")
def mix_improves_segmentation(e: Evidence) -> Iterator[Criterion]:
    """Fine-tuning on the mix improves segmentation, over all pixels and near boundaries.

    Mean IoU rises under D2, D4, D6 and D8, over all pixels and near boundaries.
    """
    for region in REGIONS:
        for condition in DISKS[1:]:
            gained = e.miou("mix", condition, region) - e.miou(condition=condition, region=region)
            yield above(f"mean IoU ({region}) gained under {condition}", gained)


@claim("5", "table6")
def segmentation_pays_more_on_sharp(e: Evidence) -> Iterator[Criterion]:
    """On sharp images fine-tuning costs more in segmentation than in classification.

    The mix loses a larger share of mean IoU on sharp scenes than of top-5.
    """
    labelled, recognised = 1 - e.miou("mix") / e.miou(), 1 - e.accuracy("mix") / e.accuracy()
    yield above("share of mean IoU lost on sharp beyond that of top-5", labelled - recognised)


@claim("5", "table6")
def segmentation_keeps_a_larger_gap(e: Evidence) -> Iterator[Criterion]:
    """After fine-tuning a larger gap remains in segmentation than in classification.

    From sharp to D8 the mix loses a larger share of mean IoU than of top-5.
    """
    labelled = 1 - e.miou("mix", "D8") / e.miou("mix")
    recognised = 1 - e.accuracy("mix", "D8") / e.accuracy("mix")
    gap = labelled - recognised
    yield above("share of mean IoU lost from sharp to D8 beyond that of top-5", gap)


@claim("5", "table6")
def segmentation_regains_less(e: Evidence) -> Iterator[Criterion]:
    """In segmentation less of the loss is recovered than in classification.

    The share of the loss under D8 that the mix recovers is smaller in mean IoU than in top-5.
    """

    def regained(sharp: np.ndarray, blurred: np.ndarray, mix: np.ndarray) -> np.ndarray:
        lost = sharp - blurred
        # Of no loss nothing can be recovered.
        return np.divide(mix - blurred, lost, out=np.full_like(lost, np.nan), where=lost != 0)

    labelled = regained(e.miou(), e.miou(condition="D8"), e.miou("mix", "D8"))
    recognised = regained(e.accuracy(), e.accuracy(condition="D8"), e.accuracy("mix", "D8"))
    gap = recognised - labelled
    yield above("share of the loss regained in top-5 beyond that in mean IoU", gap)
