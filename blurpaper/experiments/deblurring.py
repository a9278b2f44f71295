"""Deblurring before recognition: Table 5, and EPLL with wrong assumptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import intervals, results
from blurpaper.evaluation.results import AS_IS
from blurpaper.experiments import restoration
from blurpaper.experiments.fine_tuning import recovered
from blurpaper.experiments.measurements import (
    DEBLURRED,
    FRAMED,
    Measurement,
    Rows,
    experiment,
    on_test_images,
    specs_of,
)
from blurpaper.experiments.treatment import CAMERA, NOISY, Treatment
from blurpaper.kernels import SHARP
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import Profile

REFERENCE = Treatment("epll")
"""The treatment that the others are compared with, image by image."""
_MEASURED = ("top1", "top5", "psnr", "ssim")


def _of_table5(profile: Profile) -> list[Measurement]:
    settings, original = profile.deblurring, NetworkSpec(profile.model)
    psf, tuned = [settings.psf], specs_of(settings.networks, profile)
    found = on_test_images([original], profile, [SHARP, *psf], ["256"])
    found += on_test_images(tuned, profile, psf, ["256"])
    for name in profile.evaluation.test_sets:
        found.append(Measurement(original, name, psf, ["256"], settings.methods, DEBLURRED))
    return found


@experiment(_of_table5)
def table5(run: Run) -> Rows:
    """The original network on sharp, blurred and deblurred images, and fine-tuned ones on blurred
    images.

    With the share of the loss that each recovers (``top5_recovered``), and its paired difference
    from the original network on images deblurred by EPLL (``top5_vs_epll``).
    """
    psf, decided = run.profile.deblurring.psf, table5.decisions(run).values()
    for one in table5.measures(run.profile):
        if one.kind == DEBLURRED:
            images = restoration.images_of(one.data, run)
            original, *tuned = (_of(images, found) for found in decided)
            methods = map(Treatment, (AS_IS, *one.treatments))
            treated = {method.method: _treated(method, images, run) for method in methods}
            instead = [results.select(found, condition=psf) for found in tuned]
            sharp = results.select(original, condition=SHARP)
            yield from intervals.means(sharp, ("top1", "top5"), run.profile)
            yield from _compared(treated, instead, sharp, run.profile)


def _of_table5_camera(profile: Profile) -> list[Measurement]:
    settings, (first, *_) = profile.deblurring, profile.evaluation.test_sets
    original, psf = NetworkSpec(profile.model), settings.psf
    as_is = [str(Treatment(AS_IS, frame=frame)) for frame in (CAMERA, NOISY)]
    methods = [str(Treatment(method, frame=CAMERA)) for method in settings.methods]
    words = [*as_is, *methods, str(Treatment(REFERENCE.method, frame=NOISY))]
    tuned = specs_of(settings.networks, profile)
    return [
        Measurement(original, first, [SHARP, psf], ["256"], words, FRAMED),
        *(Measurement(one, first, [psf], ["256"], as_is, FRAMED) for one in tuned),
    ]


@experiment(_of_table5_camera)
def table5_camera(run: Run) -> Rows:
    """Table 5 in a camera's frame, which is cut from images that were blurred at a larger field,
    without and with noise, on some images of the first test set.
    """
    psf, (whole, *tuned) = run.profile.deblurring.psf, table5_camera.measures(run.profile)

    def decided(one: Measurement, treatment: Treatment, condition: str = psf) -> pd.DataFrame:
        found = restoration.decisions(one, str(treatment), run)
        return results.select(found, condition=condition)

    sharp = decided(whole, Treatment(AS_IS, frame=CAMERA), SHARP)
    yield from intervals.means(sharp, ("top1", "top5"), run.profile)
    for frame in (CAMERA, NOISY):
        words = [one for one in map(Treatment.parse, whole.treatments) if one.frame == frame]
        treated = {one.method: decided(whole, one) for one in words}
        instead = [decided(one, Treatment(AS_IS, frame=frame)) for one in tuned]
        yield from _compared(treated, instead, sharp, run.profile)


@experiment()
def deblurring_exact(run: Run) -> Rows:
    """Exact EPLL, and the loss of the fast one against it, on a few images of each test set."""
    for name in run.profile.evaluation.test_sets:
        images = restoration.images_of(name, run, run.profile.deblurring.n_exact)
        exact, fast = (_treated(one, images, run) for one in (Treatment("epll-exact"), REFERENCE))
        for found in (exact, fast):
            yield from intervals.means(found, _MEASURED, run.profile)
        yield from intervals.differences(fast, exact, "epll-exact", run.profile, _MEASURED)


def _of_deblurring_psf(profile: Profile) -> list[Measurement]:
    specs = specs_of(["original", *profile.deblurring.networks], profile)
    first = profile.evaluation.test_sets[:1]
    return on_test_images(specs, profile, [profile.deblurring.psf], ["256"], first)


@experiment(_of_deblurring_psf)
def deblurring_psf(run: Run) -> Rows:
    """EPLL with the true and with wrong PSFs, on a few images of the first test set.

    An error of the PSF acts like more noise, so the assumed noise is varied too. The original and
    the fine-tuned networks on the same images, blurred, stand beside it.
    """
    settings = run.profile.deblurring
    images = _first_images(run, settings.n_ablation)
    for decided in deblurring_psf.decisions(run).values():
        yield from intervals.means(_of(images, decided), ("top1", "top5"), run.profile)
    for psf in (settings.psf, *settings.wrong_psfs):
        for noise in (REFERENCE.noise, *settings.assumed_noises):
            treatment = Treatment("epll", None if psf == settings.psf else psf, noise)
            yield from _varied(psf, treatment, images, run)


@experiment()
def deblurring_noise(run: Run) -> Rows:
    """EPLL by the assumed noise (standard deviation in grey levels), on a few images of the first
    test set.
    """
    images = _first_images(run, run.profile.deblurring.n_ablation)
    for noise in run.profile.deblurring.noise_sweep:
        yield from _varied(f"{noise:g}", Treatment("epll", noise=noise), images, run)


def _varied(parameter: str, treatment: Treatment, images: ImageSet, run: Run) -> Rows:
    """Accuracy and quality of treated images, by an assumption of the treatment."""
    for row in intervals.means(_treated(treatment, images, run), _MEASURED, run.profile):
        yield row | {"parameter": parameter}


@experiment()
def deblurring_colour(run: Run) -> Rows:
    """PSNR of a few images that EPLL restores by the mean of their channels, and each channel by
    itself.
    """
    images = _first_images(run, run.profile.deblurring.n_exact)
    for treatment in (REFERENCE, Treatment("epll", by_channel=True)):
        terms = restoration.results_of(treatment, images, run)["psnr"].numpy()
        found = intervals.of_mean(terms, run.profile.evaluation.bootstrap)
        psf = run.profile.deblurring.psf
        of = {"data": images.name, "input": str(treatment), "condition": psf}
        yield of | results.number("psnr", *found, len(terms))


@experiment()
def deblurring_shaken(run: Run) -> Rows:
    """PSNR of photographs that a moving camera took, as they are and by every method, of each and
    in the mean; none where they are not in the data folder.
    """
    for method, scores in restoration.shaken(run).items():
        of = {"data": run.profile.deblurring.shaken, "input": method}
        found = intervals.of_mean(np.array([*scores.values()]), run.profile.evaluation.bootstrap)
        yield of | results.number("psnr", *found, len(scores))
        for name, score in scores.items():
            yield of | {"item": name} | results.number("psnr", score, n=1)


@experiment()
def prior(run: Run) -> Rows:
    """Mean log-likelihood of held-out patches, in nats a patch, under the prior of EPLL and under a
    single Gaussian.
    """
    images = Path(run.profile.deblurring.prior.images).name
    for name, terms in restoration.likelihoods(run).items():
        found = intervals.of_mean(terms, run.profile.evaluation.bootstrap)
        number = results.number("log_likelihood", *found, len(terms))
        yield {"model": name, "data": images} | number


def _first_images(run: Run, most: int) -> ImageSet:
    """A few test images of the first set."""
    return restoration.images_of(run.profile.evaluation.test_sets[0], run, most)


def _of(images: ImageSet, decided: pd.DataFrame) -> pd.DataFrame:
    """The decisions on these images, at scale 256."""
    return results.select(decided, data=images.name, image=set(images.ids), scale="256")


def _treated(treatment: Treatment, images: ImageSet, run: Run) -> pd.DataFrame:
    """The decisions on treated images."""
    return _of(images, restoration.treated_decisions(treatment, images, run))


def _compared(
    treated: Mapping[str, pd.DataFrame],
    instead: Sequence[pd.DataFrame],
    sharp: pd.DataFrame,
    profile: Profile,
) -> Rows:
    """Accuracy and quality of treated images, and accuracy of fine-tuned networks instead; of all,
    the share of the loss that they recover and their difference from the reference.
    """
    blurred, reference = treated[AS_IS], treated.get(REFERENCE.method)
    for found in treated.values():
        yield from intervals.means(found, _MEASURED, profile)
    for found in instead:
        yield from intervals.means(found, ("top1", "top5"), profile)
    for found in (*treated.values(), *instead):
        if found is not blurred:
            yield from recovered([found], [blurred], [sharp], profile)
        if reference is not None and found is not reference:
            yield from intervals.differences(found, reference, REFERENCE.method, profile)
