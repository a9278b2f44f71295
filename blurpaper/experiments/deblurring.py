"""Deblurring before recognition: Table 5, and what the paper's best case hides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import intervals, metrics, results
from blurpaper.evaluation.results import AS_IS
from blurpaper.experiments import restoration, tallies
from blurpaper.experiments.measurements import (
    DEBLURRED,
    Measurement,
    experiment,
    named,
    on_test_images,
)
from blurpaper.experiments.treatment import Treatment
from blurpaper.kernels import SHARP
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = Treatment("epll")
"""What the others are compared with, image by image."""
_MEASURED = ("top1", "top5", "psnr", "ssim")


def _of_table5(profile: Profile) -> list[Measurement]:
    settings = profile.deblurring
    (original,), psf = named(["original"], profile), [settings.psf]
    return [
        *on_test_images([original], profile, [SHARP, *psf], ["256"]),
        *on_test_images(named(settings.networks, profile), profile, psf, ["256"]),
        *(
            Measurement(original, name, psf, ["256"], settings.methods, DEBLURRED)
            for name in profile.evaluation.test_sets
        ),
    ]


@experiment(_of_table5)
def table5(run: Run) -> Iterator[dict[str, Any]]:
    """The original network on sharp, blurred and deblurred images, and fine-tuned ones on the
    blurred.

    With the share of the loss that each brings back (``top5_recovered``), and its paired difference
    from the original network on what EPLL deblurred (``top5_vs_epll``).
    """
    psf, decided = run.profile.deblurring.psf, list(table5.decisions(run).values())
    for one in table5.measures(run.profile):
        if one.kind != DEBLURRED:
            continue
        images = restoration.images_of(one.data, run)
        original, *tuned = (_of(images, found) for found in decided)
        sharp = results.select(original, condition=SHARP)
        yield from tallies.means(sharp, ("top1", "top5"), run.profile)
        treated = {
            treatment: _of(images, restoration.treated_decisions(treatment, images, run))
            for treatment in map(Treatment, (AS_IS, *one.treatments))
        }
        for found in treated.values():
            yield from tallies.means(found, _MEASURED, run.profile)
        blurred, reference = treated[Treatment(AS_IS)], treated.get(REFERENCE)
        instead = [results.select(found, condition=psf) for found in tuned]
        for found in instead:
            yield from tallies.means(found, ("top1", "top5"), run.profile)
        for found in (*treated.values(), *instead):
            if found is not blurred:
                yield from _recovered(found, blurred, sharp, run.profile)
            if reference is not None and found is not reference:
                yield from tallies.differences(found, reference, str(REFERENCE), run.profile)


@experiment()
def deblurring_exact(run: Run) -> Iterator[dict[str, Any]]:
    """EPLL exactly and the fast way, on the same few images of each test set; and what is lost
    between the two.
    """
    for name in run.profile.evaluation.test_sets:
        images = restoration.images_of(name, run, run.profile.deblurring.n_exact)
        exact, fast = (
            _of(images, restoration.treated_decisions(treatment, images, run))
            for treatment in (Treatment("epll-exact"), REFERENCE)
        )
        for found in (exact, fast):
            yield from tallies.means(found, _MEASURED, run.profile)
        yield from tallies.differences(fast, exact, "epll-exact", run.profile, _MEASURED)


def _of_deblurring_psf(profile: Profile) -> list[Measurement]:
    specs = named(["original", *profile.deblurring.networks], profile)
    first = profile.evaluation.test_sets[:1]
    return on_test_images(specs, profile, [profile.deblurring.psf], ["256"], first)


@experiment(_of_deblurring_psf)
def deblurring_psf(run: Run) -> Iterator[dict[str, Any]]:
    """EPLL with a PSF that is not the true one, on a few images of the first test set, reckoning
    with rounding or with more.

    A mistaken PSF is as if there were more noise; what is taken to be there is raised as the
    profile says. With the original and fine-tuned networks on the same images as they are.
    """
    images = restoration.images_of(
        run.profile.evaluation.test_sets[0], run, run.profile.deblurring.n_ablation
    )
    for decided in deblurring_psf.decisions(run).values():
        yield from tallies.means(_of(images, decided), ("top1", "top5"), run.profile)
    for psf in (run.profile.deblurring.psf, *run.profile.deblurring.wrong_psfs):
        for noise in (REFERENCE.noise, *run.profile.deblurring.assumed_noises):
            treatment = Treatment("epll", None if psf == run.profile.deblurring.psf else psf, noise)
            found = _of(images, restoration.treated_decisions(treatment, images, run))
            for row in tallies.means(found, _MEASURED, run.profile):
                yield row | {"parameter": psf}


@experiment()
def deblurring_noise(run: Run) -> Iterator[dict[str, Any]]:
    """EPLL by the noise it reckons with, in grey levels, on a few images of the first test set."""
    images = restoration.images_of(
        run.profile.evaluation.test_sets[0], run, run.profile.deblurring.n_ablation
    )
    for noise in run.profile.deblurring.noise_sweep:
        found = _of(
            images, restoration.treated_decisions(Treatment("epll", noise=noise), images, run)
        )
        yield from (
            row | {"parameter": f"{noise:g}"}
            for row in tallies.means(found, _MEASURED, run.profile)
        )


@experiment()
def deblurring_colour(run: Run) -> Iterator[dict[str, Any]]:
    """PSNR of what EPLL makes of a few images by the mean of their channels, and of each channel by
    itself.
    """
    images = restoration.images_of(
        run.profile.evaluation.test_sets[0], run, run.profile.deblurring.n_exact
    )
    for name, terms in restoration.channel_by_channel(images, run).items():
        value, low, high = intervals.of_mean(terms, run.profile.evaluation.bootstrap)
        of = {
            "data": images.name,
            "input": name,
            "condition": run.profile.deblurring.psf,
            "metric": "psnr",
        }
        yield of | {"value": value, "low": low, "high": high, "n": len(terms)}


@experiment()
def prior(run: Run) -> Iterator[dict[str, Any]]:
    """Mean log-likelihood of held-out patches, in nats a patch, under the prior of EPLL and under a
    single Gaussian.
    """
    for name, terms in restoration.likelihoods(run).items():
        value, low, high = intervals.of_mean(terms, run.profile.evaluation.bootstrap)
        of = {"model": name, "data": Path(run.profile.deblurring.prior.images).name}
        yield of | {
            "metric": "log_likelihood",
            "value": value,
            "low": low,
            "high": high,
            "n": len(terms),
        }


def _of(images: ImageSet, decided: pd.DataFrame) -> pd.DataFrame:
    """The decisions on these images, among all classes, at scale 256."""
    return tallies.widest(
        results.select(decided, data=images.name, image=set(images.ids), scale="256")
    )


def _recovered(
    found: pd.DataFrame, blurred: pd.DataFrame, sharp: pd.DataFrame, profile: Profile
) -> Iterator[dict[str, Any]]:
    """The share of what blur costs the original that this brings back."""
    key = tuple(found.iloc[0][list(tallies.DECISION_KEY)])
    terms = [metrics.per_image(one) for one in (found, blurred, sharp)]
    for metric in ("top1", "top5"):
        now, before, best = (np.asarray(one[metric])[None] for one in terms)
        if best.mean() > before.mean():
            share = intervals.of_ratio_over_seeds(
                now - before, best - before, profile.evaluation.bootstrap
            )
            yield tallies.row(key, f"{metric}_recovered", *share, len(found))
