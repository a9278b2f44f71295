"""Deblurring first (Section 4.4): the prior of EPLL as a profile learns it, and what the network
decided on test images that were blurred and deblurred.

What is kept of an image is how good it became and what the network said of it, not its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import data, deblurring
from blurpaper.data.sets import ImageSet
from blurpaper.deblurring import em
from blurpaper.evaluation import predictions
from blurpaper.evaluation.metrics import MEASURES
from blurpaper.experiments import treatment
from blurpaper.experiments.measurements import EXPERIMENTS
from blurpaper.experiments.treatment import Treatment
from blurpaper.kernels import PSF
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile
from blurpaper.runs.progress import progress
from blurpaper.runs.store import Artifact, surroundings
from blurpaper.training.networks import trained

if TYPE_CHECKING:
    import pandas as pd


def check_deblurring(profile: Profile) -> None:
    """See that what a profile says of deblurring can be done, before anything is.

    Raises:
        UserError: for the name of no PSF, method or network, or a PSF under which the networks are
            not measured.
    """
    settings = profile.deblurring
    for name in (settings.psf, *settings.wrong_psfs):
        PSF.parse(name)
    for method in settings.methods:
        deblurring.check_method(method, deblurring.ROUNDING)
    for one in EXPERIMENTS["table5"].measures(profile):
        if settings.psf not in one.conditions:
            raise UserError(
                f"deblurring.psf is a condition under which {one.spec} is measured. Got "
                f"{settings.psf!r}."
            )


# --- The prior ------------------------------------------------------------------------------------


def prior_artifact(run: Run) -> Artifact[dict[str, torch.Tensor]]:
    """The mixture that EPLL takes patches to come from, learnt as the profile says."""
    images, _ = data.prior_sets(run)
    settings, seed = run.profile.deblurring.prior, run.profile.seed
    drawn = settings.model_dump(include={"patches", "components", "passes", "batch"})
    return Artifact(
        "priors",
        f"{images.name}.{settings.components}",
        {
            "images": images.fingerprint,
            "seed": seed,
            **settings.model_dump(exclude={"images", "held_out_patches"}),
        },
        partial(em.learn_from, images, seed=seed, **drawn),
        about={"profile": run.profile.name, "data": images.fingerprint},
    )


def prior(run: Run) -> deblurring.Mixture:
    """The mixture that EPLL takes patches to come from, learnt as the profile says and kept."""
    return deblurring.Mixture.of_state(run.store.get(prior_artifact(run)))


def likelihoods(run: Run) -> dict[str, np.ndarray]:
    """Log-likelihood, in nats, of held-out patches under the mixture and under a single Gaussian:
    name -> ``(N,)``.
    """
    images, held_out = data.prior_sets(run)
    settings, seed, learnt = run.profile.deblurring.prior, run.profile.seed, prior_artifact(run)
    sets = images, settings.patches, held_out, settings.held_out_patches, seed
    found = run.store.artifact(
        "likelihoods",
        learnt.name,
        {
            "prior": learnt.key,
            "images": held_out.fingerprint,
            "count": settings.held_out_patches,
            "seed": seed,
        },
        partial(em.likelihoods, cache(lambda: prior(run)), *sets),
        **learnt.about,
    )
    names = {"mixture": f"mixture of {settings.components}", "gaussian": "single Gaussian"}
    return {names[name]: found[name].numpy() for name in sorted(found, key=names.get)}


# --- Test images ----------------------------------------------------------------------------------


def images_of(set_name: str, run: Run, most: int | None = None) -> ImageSet:
    """The test images of a set on which deblurring is tried: the profile's number of each class,
    and at most so many.
    """
    images = data.load_images(set_name, "test", run)
    each = run.profile.deblurring.images_per_class
    numbers = list(range(len(images)))
    if each:
        place = np.zeros(len(images), int)
        for label in np.unique(images.labels):
            place[images.labels == label] = np.arange((images.labels == label).sum())
        numbers = np.flatnonzero(place < each).tolist()
    if most is not None and most < len(numbers):
        # Spread over the classes.
        numbers = [numbers[at * len(numbers) // most] for at in range(most)]
    return images if len(numbers) == len(images) else data.Subset(images, numbers)


def results_of(method: Treatment, images: ImageSet, run: Run) -> dict[str, torch.Tensor]:
    """What became of images blurred by the profile's PSF and treated.

    Returns:
        ``psnr`` and ``ssim`` as :func:`treatment.treated` has them, ``(N,)``, and the original
        network's ``log_probabilities`` at scale 256, ``(N, K)``.
    """
    profile, network = run.profile, trained(NetworkSpec(run.profile.model), run)
    inputs = {
        **predictions.common_inputs(network, images, profile),
        "pixels": profile.protocol.pixels("256"),
        **_treatment_inputs(method, run),
    }
    mixture = cache(lambda: prior(run))
    with progress(f"{method} on {images.name}", len(images), "image") as tick:
        settings = network, method, images, mixture, profile, tick
        (found,) = run.store.sharded(
            "deblurred",
            f"{method}.{images.name}",
            inputs,
            partial(treatment.shard_classified, *settings),
            predictions.shards(len(images), profile),
            profile=profile.name,
            data=images.fingerprint,
        ).values()
    return found


def _treatment_inputs(method: Treatment, run: Run) -> dict[str, object]:
    """What the result of a treatment depends on besides the images."""
    learnt = prior_artifact(run) if method.needs_prior else None
    if learnt:
        run.store.note(learnt)
    return {
        "psf": run.profile.deblurring.psf,
        "treatment": [method.method, method.psf, method.noise],
        "prior": learnt.key if learnt else "",
    }


def treated_decisions(method: Treatment, images: ImageSet, run: Run) -> pd.DataFrame:
    """What the original network decided on treated images, with ``psnr`` and ``ssim``; see
    :func:`predictions.decisions`.
    """
    import pandas as pd

    found = results_of(method, images, run)
    of = predictions.columns_of(
        NetworkSpec(run.profile.model), images.name, 0, "256", run.profile.deblurring.psf
    )
    frames = list(
        predictions.decided(
            found["log_probabilities"], images, of | {"input": str(method)}, run.profile
        )
    )
    measured = {name: found[name].numpy() for name in MEASURES}
    return pd.concat([frame.assign(**measured) for frame in frames], ignore_index=True)


def seconds(run: Run) -> dict[str, float]:
    """Median seconds an image takes on this device each way, and by exact EPLL, on a few images of
    the first test set.
    """
    first, few = run.profile.evaluation.test_sets[0], run.profile.deblurring.n_timed
    images, device = images_of(first, run, few), {"device": surroundings()["device"]}
    found = {}
    for method in map(Treatment, (*run.profile.deblurring.methods, "epll-exact")):
        timed = _of_images(
            "deblurring-seconds", method, images, treatment.seconds_an_image, run, device
        )
        found[str(method)] = float(timed["seconds"].median())
    return found


def channel_by_channel(images: ImageSet, run: Run) -> dict[str, np.ndarray]:
    """PSNR of images that fast EPLL restores, ``(N,)``: as it does, and each channel as if it were
    an image by itself.
    """
    method = Treatment("epll")
    apart = _of_images("by-channel", method, images, treatment.psnr_by_channel, run)
    return {
        "epll": results_of(method, images, run)["psnr"].numpy(),
        "epll, each channel by itself": apart["psnr"].numpy(),
    }


def _of_images(
    kind: str,
    method: Treatment,
    images: ImageSet,
    compute: Callable[..., dict[str, torch.Tensor]],
    run: Run,
    inputs: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, torch.Tensor]:
    """What a function of :mod:`blurpaper.experiments.treatment` gives of a few images, kept."""
    profile, mixture = run.profile, cache(lambda: prior(run))
    with progress(f"{kind} of {method}", len(images), "image") as tick:
        return run.store.artifact(
            kind,
            f"{method}.{images.name}",
            {
                "images": images.fingerprint,
                "canonical": profile.protocol.canonical,
                **_treatment_inputs(method, run),
                **inputs,
            },
            partial(compute, method, images, mixture, profile, tick),
            profile=profile.name,
            data=images.fingerprint,
        )
