"""Deblurring first (Section 4.4): the prior of EPLL, learnt as a profile says, and the decisions of
the network on test images that were blurred and deblurred.

The store keeps the quality of an image and the network's log-probabilities, not its pixels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from blurpaper import data, deblurring
from blurpaper.blur import read_psf
from blurpaper.data.folders import fingerprint
from blurpaper.data.images import image_names, read_image
from blurpaper.data.sets import ImageSet
from blurpaper.deblurring import em
from blurpaper.evaluation import predictions
from blurpaper.evaluation.metrics import MEASURES, aligned_psnr
from blurpaper.evaluation.results import AS_IS
from blurpaper.experiments import treatment
from blurpaper.experiments.measurements import EXPERIMENTS, FRAMED, Measurement
from blurpaper.experiments.treatment import CAMERA, Treatment
from blurpaper.kernels import check_psf
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.files import UserError, data_folder
from blurpaper.runs.profile import Profile
from blurpaper.runs.progress import progress
from blurpaper.runs.store import Artifact
from blurpaper.training.networks import trained


def check_deblurring(profile: Profile) -> None:
    """Check a profile's settings of deblurring.

    Raises:
        UserError: for an unknown PSF, method or network, or a PSF under which the networks are not
            measured.
    """
    settings = profile.deblurring
    for name in (settings.psf, *settings.wrong_psfs):
        check_psf(name)
    for method in settings.methods:
        deblurring.check_method(method)
    for one in EXPERIMENTS["table5"].measures(profile):
        if settings.psf not in one.conditions:
            raise UserError(
                f"deblurring.psf is a condition under which {one.spec} is measured. Got "
                f"{settings.psf!r}."
            )


# --- The prior ------------------------------------------------------------------------------------


def prior_artifact(run: Run) -> Artifact[dict[str, torch.Tensor]]:
    """The prior of EPLL, a mixture learnt as the profile says."""
    images, _ = data.prior_sets(run)
    settings, seed = run.profile.deblurring.prior, run.profile.seed
    drawn = settings.model_dump(exclude={"images", "held_out_patches"})
    inputs = {"images": images.fingerprint, "seed": seed, **drawn}
    compute = partial(em.learn_from, images, seed=seed, **drawn)
    about = {"profile": run.profile.name, "data": images.fingerprint}
    name = f"{images.name}.{settings.components}"
    return Artifact("priors", name, inputs, compute, about=about)


def prior(run: Run) -> deblurring.Mixture:
    """The prior of EPLL, learnt or loaded."""
    return deblurring.Mixture.of_state(run.store.get(prior_artifact(run)))


def likelihoods(run: Run) -> dict[str, np.ndarray]:
    """Log-likelihood, in nats, of held-out patches under the mixture and under a single Gaussian:
    name -> ``(N,)``.
    """
    images, held_out = data.prior_sets(run)
    settings, seed, learnt = run.profile.deblurring.prior, run.profile.seed, prior_artifact(run)
    count = settings.held_out_patches
    inputs = {"prior": learnt.key, "images": held_out.fingerprint, "count": count, "seed": seed}
    sets = images, settings.patches, held_out, count, seed
    compute = partial(em.likelihoods, cache(lambda: prior(run)), *sets)
    found = run.store.artifact("likelihoods", learnt.name, inputs, compute, **learnt.about)
    return {
        f"mixture of {settings.components}": found["mixture"].numpy(),
        "single Gaussian": found["gaussian"].numpy(),
    }


# --- Test images ----------------------------------------------------------------------------------


def images_of(set_name: str, run: Run, most: int | None = None) -> ImageSet:
    """The test images of a set that are deblurred: as many as the profile says, or so many, spread
    over the set, in which images of a class follow one another.
    """
    images, most = data.load_images(set_name, "test", run), most or run.profile.deblurring.n_images
    if most is None or most >= (count := len(images)):
        return images
    return data.Subset(images, [number * count // most for number in range(most)])


def results_of(
    method: Treatment,
    images: ImageSet,
    run: Run,
    spec: NetworkSpec | None = None,
    condition: str | None = None,
) -> dict[str, torch.Tensor]:
    """Quality of images blurred and treated, and predictions on them.

    Args:
        spec: of the network; the original by default.
        condition: the profile's PSF by default.

    Returns:
        ``psnr`` and ``ssim`` of :func:`treatment.treated`, ``(N,)``, and the network's
        ``log_probabilities`` at scale 256, ``(N, K)``.
    """
    profile = run.profile
    network = trained(spec or NetworkSpec(profile.model), run)
    condition = condition or profile.deblurring.psf
    inputs = {
        **predictions.common_inputs(network, images, profile),
        "pixels": profile.protocol.pixels("256"),
        **_treatment_inputs(method, run),
        "condition": condition,
    }
    framed = method.frame.word != ""
    with progress(f"{method} on {images.name}", len(images), "image") as tick:
        of = method, images, cache(lambda: prior(run)), profile
        treat = partial(treatment.treated, *of, tick=tick, condition=condition)
        (found,) = run.store.sharded(
            "framed" if framed else "deblurred",
            f"{method}.{images.name}" + (f".{network}.{condition}" if framed else ""),
            inputs,
            partial(treatment.shard_classified, network, treat, images, profile),
            predictions.shards(len(images), profile),
            profile=profile.name,
            data=images.fingerprint,
        ).values()
    return found


def _treatment_inputs(method: Treatment, run: Run) -> dict[str, object]:
    """Inputs of every artifact of treated images, besides the images."""
    learnt = prior_artifact(run) if method.needs_prior else None
    if learnt:
        run.store.note(learnt)
    return {
        "psf": run.profile.deblurring.psf,
        "treatment": dataclasses.astuple(method),
        "prior": learnt.key if learnt else "",
    }


def treated_decisions(
    method: Treatment,
    images: ImageSet,
    run: Run,
    spec: NetworkSpec | None = None,
    condition: str | None = None,
) -> pd.DataFrame:
    """Decisions of a network on treated images, as of :func:`predictions.decisions`, with ``psnr``
    and ``ssim``; see :func:`results_of`.
    """
    spec = spec or NetworkSpec(run.profile.model)
    condition = condition or run.profile.deblurring.psf
    found = results_of(method, images, run, spec, condition)
    of = predictions.columns_of(spec, images.name, 0, "256", condition) | {"input": str(method)}
    decided = predictions.decided(found["log_probabilities"], images, of, run.profile)
    return decided.assign(**{name: found[name].numpy() for name in MEASURES})


def decisions(one: Measurement, word: str, run: Run) -> pd.DataFrame:
    """Decisions of a network on the images of a measurement, treated as the word says; on those
    that are left as they are in a camera's frame, without noise, sharp too where the measurement
    has it.
    """
    method, (*others, psf) = Treatment.parse(word), one.conditions
    most = run.profile.deblurring.n_camera if one.kind == FRAMED else None
    images = images_of(one.data, run, most)
    conditions = [psf] if method != Treatment(AS_IS, frame=CAMERA) else [*others, psf]
    frames = [treated_decisions(method, images, run, one.spec, each) for each in conditions]
    return pd.concat(frames, ignore_index=True)


# --- Photographs that were shaken -----------------------------------------------------------------


def shaken(run: Run) -> dict[str, dict[str, float]]:
    """PSNR, after alignment, of photographs that a moving camera took, deblurred with the kernels
    that were measured (Levin et al. 2009): method -> name -> decibels. Nothing where they are not
    in the data folder.

    The folder holds ``blurred/NAME_kernelN*.png``, ``sharp/NAME.png`` and ``kernels/kernelN.png``.
    """
    settings = run.profile.deblurring
    if not settings.shaken or not (folder := data_folder() / settings.shaken).is_dir():
        return {}
    content, found = fingerprint(folder, [*image_names(folder)]), {}
    for method in (AS_IS, *settings.methods):
        inputs = {"images": content, **_treatment_inputs(Treatment(method), run)}
        compute = partial(_of_shaken, folder, method, cache(lambda: prior(run)))
        of = "shaken", f"{method}.{settings.shaken}", inputs, compute
        kept = run.store.artifact(*of, profile=run.profile.name)
        found[method] = dict(zip(_blurred_in(folder), kept["psnr"].tolist(), strict=True))
    return found


def shaken_in(folder: Path) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """Photographs of :func:`shaken` in the order of their names, blurred and sharp, uint8 ``(1, H,
    W)``, and the kernel of each.
    """
    for name in _blurred_in(folder):
        of, _, number = Path(name).stem.removesuffix("_img").partition("_kernel")
        seen, sharp = (
            read_image(folder / one).float().mean(dim=0, keepdim=True).round().to(torch.uint8)
            for one in (name, f"sharp/{of}.png")
        )
        yield seen, sharp, read_psf(folder / "kernels" / f"kernel{number}.png")


def _blurred_in(folder: Path) -> list[str]:
    return [name for name in image_names(folder) if name.startswith("blurred/")]


def _of_shaken(
    folder: Path, method: str, mixture: Callable[[], deblurring.Mixture]
) -> dict[str, torch.Tensor]:
    scores = []
    for seen, sharp, kernel in shaken_in(folder):
        if method != AS_IS:
            noise = math.hypot(deblurring.estimated_noise(seen), deblurring.PSF_ERROR)
            needed = mixture() if method in deblurring.NEED_PRIOR else None
            seen = deblurring.restore(seen, kernel, method, noise, needed)
        scores.append(aligned_psnr(seen, sharp))
    return {"psnr": torch.tensor(scores)}
