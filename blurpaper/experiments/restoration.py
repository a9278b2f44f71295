"""Deblurring first (Section 4.4): test images blurred, deblurred by a treatment and classified.

What is kept of an image is how good it became and what the network said of it, not its pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from blurpaper import data, deblurring
from blurpaper.data import images as canonical
from blurpaper.data.images import same_shape
from blurpaper.data.sets import ImageSet
from blurpaper.deblurring import em
from blurpaper.deblurring.prior import sample
from blurpaper.evaluation import metrics, predictions, protocol
from blurpaper.evaluation.metrics import MEASURES
from blurpaper.evaluation.protocol import blurred
from blurpaper.experiments import tallies
from blurpaper.experiments.results import AS_IS
from blurpaper.kernels import CANONICAL, PSF, SHAKE, SHARP, psf_of
from blurpaper.networks import NetworkSpec, module_of
from blurpaper.runs import Run
from blurpaper.runs.devices import device_of
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute, Profile, Protocol
from blurpaper.runs.progress import progress
from blurpaper.runs.store import TENSORS, Recipe, surroundings
from blurpaper.training import networks

if TYPE_CHECKING:
    import pandas as pd


# --- Treatments -----------------------------------------------------------------------------------

_BATCH = 8
"""Images that are restored at a time."""


@dataclass(frozen=True)
class Treatment:
    """A method of deblurring, and what it takes for true.

    Attributes:
        method: one of :data:`deblurring.METHODS`, or :data:`AS_IS`.
        psf: name of the PSF it undoes; the true one if none is named.
        noise: the noise it reckons with, in grey levels.
    """

    method: str
    psf: str | None = None
    noise: float = deblurring.ROUNDING

    @property
    def needs_prior(self) -> bool:
        """Whether it takes patches to come from a mixture."""
        return self.method in deblurring.NEED_PRIOR

    def __str__(self) -> str:
        """Its word in the column ``input`` of results."""
        psf = f" as {self.psf}" if self.psf else ""
        return f"{self.method}{psf}" + (
            f", noise {self.noise:g}" if self.noise != deblurring.ROUNDING else ""
        )


def treated(
    treatment: Treatment,
    images: Sequence[torch.Tensor],
    ids: Sequence[str],
    condition: str,
    prior: deblurring.Mixture | None,
    protocol: Protocol,
    compute: Compute,
    tick: Callable[[int], object] = lambda done: None,
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Canonical images, uint8 ``(3, H, W)``, blurred as a condition says and treated.

    Returns:
        the images then, and ``psnr`` and ``ssim`` against the sharp ones and the ``seconds`` that
        each took, ``(N,)``.
    """
    device = device_of(compute)
    restored: list[torch.Tensor] = [torch.empty(0)] * len(images)
    seconds = torch.zeros(len(images))
    batches = list(same_shape(images, 1 if SHAKE in (condition, treatment.psf) else _BATCH))
    # The first twice: nobody's seconds count preparations.
    for number, members in enumerate([batches[0][:1], *batches]):
        clear = torch.stack([images[member] for member in members]).to(device)
        seen = blurred(clear, [ids[member] for member in members], condition, protocol.canonical)
        kernel = psf_of(treatment.psf or condition, ids[members[0]], protocol.canonical / CANONICAL)
        started = _now(device)
        if treatment.method != AS_IS:
            seen = deblurring.restore(seen, kernel, treatment.method, treatment.noise, prior)
        seconds[members] = (_now(device) - started) / len(members)
        for member, image in zip(members, seen.cpu(), strict=True):
            restored[member] = image
        tick(len(members) if number else 0)
    pairs = list(zip(restored, images, strict=True))
    numbers = {
        name: torch.tensor([measure(*pair) for pair in pairs])
        for name, measure in metrics.MEASURES.items()
    }
    return restored, {**numbers, "seconds": seconds}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def check(profile: Profile) -> None:
    """See that what a profile says of deblurring can be done, before anything is.

    Raises:
        UserError: for the name of no PSF, method or network, or a PSF under which the networks are
            not measured.
    """
    settings = profile.deblurring
    for name in (settings.psf, *settings.mistaken):
        PSF.parse(name)
    for method in settings.methods:
        deblurring.check(method, deblurring.ROUNDING)
    for spec in tallies.by_table(profile)["table5"]:
        if settings.psf not in tallies.settings_of(spec, profile)[0]:
            raise UserError(
                f"deblurring.psf is a condition under which {spec} is measured. Got "
                f"{settings.psf!r}."
            )


# --- The prior ------------------------------------------------------------------------------------


def prior_recipe(run: Run) -> Recipe[dict[str, torch.Tensor]]:
    """What the prior of a profile is made from."""
    images, _ = data.prior_sets(run)
    settings = run.profile.deblurring.prior
    inputs = {
        "images": images.fingerprint,
        "seed": run.profile.seed,
        **settings.model_dump(exclude={"images", "held_out"}),
    }
    about = {"profile": run.profile.name, "data": images.fingerprint}
    return Recipe(
        "priors",
        f"{images.name}.{settings.components}",
        inputs,
        ["blurpaper.deblurring.em"],
        TENSORS,
        about,
    )


def prior(run: Run) -> deblurring.Mixture:
    """The mixture that EPLL takes patches to come from, learnt as the profile says and kept."""

    def make(_: object) -> dict[str, torch.Tensor]:
        settings = run.profile.deblurring.prior
        images, _ = data.prior_sets(run)
        learnt_from = sample(images, settings.patches, run.profile.seed)
        with progress(
            f"learning patches of {images.name}", len(learnt_from) * settings.passes, "patch"
        ) as tick:
            learnt = em.learn(
                learnt_from,
                settings.components,
                settings.passes,
                settings.batch,
                run.profile.seed,
                tick,
            )
        return learnt.state()

    return deblurring.Mixture.of_state(run.store.get(prior_recipe(run), make))


def likelihoods(run: Run) -> dict[str, np.ndarray]:
    """Log-likelihood, in nats, of held-out patches under the mixture and under a single Gaussian:
    name -> ``(N,)``.
    """
    images, held_out = data.prior_sets(run)
    settings, recipe = run.profile.deblurring.prior, prior_recipe(run)

    def make(_: object) -> dict[str, torch.Tensor]:
        seen = sample(held_out, settings.held_out, run.profile.seed)
        single = em.gaussian(sample(images, settings.patches, run.profile.seed))
        models = {
            f"mixture of {settings.components}": prior(run),
            "single Gaussian": single,
        }
        return {name: model.log_likelihood(seen) for name, model in models.items()}

    inputs = {
        "prior": recipe.key,
        "images": held_out.fingerprint,
        "count": settings.held_out,
        "seed": run.profile.seed,
    }
    found = run.store.get(
        Recipe("likelihoods", recipe.name, inputs, recipe.modules, TENSORS, recipe.about), make
    )
    return {name: found[name].numpy() for name in sorted(found)}


# --- Test images ----------------------------------------------------------------------------------


def images_of(set_name: str, run: Run, most: int | None = None) -> ImageSet:
    """The test images of a set on which deblurring is tried: the profile's number of each class,
    and at most so many.
    """
    images = data.load(set_name, "test", run)
    each = run.profile.deblurring.each
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


def recipes(
    treatment: Treatment, images: ImageSet, run: Run
) -> Iterator[tuple[range, Recipe[dict[str, torch.Tensor]]]]:
    """The parts in which what became of treated images is kept: (numbers of the images, recipe)."""
    spec = NetworkSpec(run.profile.model)
    identity = networks.identity_of(spec, run)
    modules = ["blurpaper.experiments.treatment", module_of(spec.model)]
    about = {"profile": run.profile.name, "data": images.fingerprint}
    for numbers in predictions.shards(len(images), run.profile):
        inputs = {
            **predictions.common_inputs(identity, images, numbers, run.profile),
            "pixels": run.profile.protocol.pixels("256"),
            **_treatment_inputs(treatment, run),
        }
        yield (
            numbers,
            Recipe(
                "deblurred",
                f"{treatment}.{images.name}.{numbers.start}",
                inputs,
                modules,
                TENSORS,
                about,
            ),
        )


def results_of(treatment: Treatment, images: ImageSet, run: Run) -> dict[str, torch.Tensor]:
    """What became of images blurred by the profile's PSF and treated.

    Returns:
        ``psnr`` and ``ssim`` as :func:`treatment.treated` has them, ``(N,)``, and the original
        network's ``log_probabilities`` at scale 256, ``(N, K)``.
    """
    spec = NetworkSpec(run.profile.model)
    given = lru_cache(
        lambda: (
            networks.network(spec, run),
            prior(run) if treatment.needs_prior else None,
        )
    )
    with progress(f"{treatment} on {images.name}", len(images), "image") as tick:

        def make(numbers: range) -> dict[str, torch.Tensor]:
            network, mixture = given()
            restored, measured = _treated(treatment, images, numbers, mixture, run.profile, tick)
            ids = [images.ids[number] for number in numbers]
            found = protocol.log_probabilities(
                {"256": network},
                restored,
                ids,
                SHARP,
                run.profile.protocol,
                run.profile.compute,
                run.profile.evaluation.batch,
            )
            return {name: measured[name] for name in MEASURES} | {"log_probabilities": found["256"]}

        parts = [
            run.store.get(recipe, lambda _, numbers=numbers: make(numbers))
            for numbers, recipe in recipes(treatment, images, run)
        ]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _treated(
    treatment: Treatment,
    images: ImageSet,
    numbers: range,
    mixture: deblurring.Mixture | None,
    profile: Profile,
    tick: Callable[[int], object],
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    sharp = canonical.images_of(images, numbers, profile.protocol)
    ids = [images.ids[number] for number in numbers]
    return treated(
        treatment,
        sharp,
        ids,
        profile.deblurring.psf,
        mixture,
        profile.protocol,
        profile.compute,
        tick,
    )


def _treatment_inputs(treatment: Treatment, run: Run) -> dict[str, object]:
    """What the result of a treatment depends on besides the images."""
    recipe = prior_recipe(run) if treatment.needs_prior else None
    if recipe:
        run.store.note(recipe)
    return {
        "psf": run.profile.deblurring.psf,
        "treatment": [treatment.method, treatment.psf, treatment.noise],
        "prior": recipe.key if recipe else "",
    }


def decisions(treatment: Treatment, images: ImageSet, run: Run) -> pd.DataFrame:
    """What the original network decided on treated images, with ``psnr`` and ``ssim``; see
    :func:`predictions.decisions`.
    """
    import pandas as pd

    found = results_of(treatment, images, run)
    of = predictions.columns_of(
        NetworkSpec(run.profile.model), images.name, 0, "256", run.profile.deblurring.psf
    )
    frames = list(
        predictions.decided(
            found["log_probabilities"], images, of | {"input": str(treatment)}, run.profile
        )
    )
    measured = {name: found[name].numpy() for name in MEASURES}
    return pd.concat([frame.assign(**measured) for frame in frames], ignore_index=True)


def of_table5(profile: Profile) -> list[Treatment]:
    """The profile's methods with the true PSF: the treatments of Table 5."""
    return [Treatment(method) for method in profile.deblurring.methods]


def all_decisions(run: Run) -> list[pd.DataFrame]:
    """The decisions on every test set treated in every way of Table 5."""
    return [
        decisions(treatment, images_of(name, run), run)
        for name in run.profile.evaluation.test_sets
        for treatment in of_table5(run.profile)
    ]


def seconds(run: Run) -> dict[str, float]:
    """Median seconds an image takes on this device each way, and by exact EPLL, on a few images of
    the first test set.
    """
    images = images_of(run.profile.evaluation.test_sets[0], run, run.profile.deblurring.timed)
    found = {}
    for treatment in (*of_table5(run.profile), Treatment("epll-exact")):

        def make(_: object, treatment: Treatment = treatment) -> dict[str, torch.Tensor]:
            mixture = prior(run) if treatment.needs_prior else None
            with progress(f"timing {treatment}", len(images), "image") as tick:
                return {
                    "seconds": _treated(
                        treatment, images, range(len(images)), mixture, run.profile, tick
                    )[1]["seconds"]
                }

        inputs = _inputs_of(images, treatment, run) | {"device": surroundings()["device"]}
        recipe = Recipe(
            "deblurring-seconds",
            f"{treatment}.{images.name}",
            inputs,
            ["blurpaper.experiments.treatment"],
            TENSORS,
            {"profile": run.profile.name, "data": images.fingerprint},
        )
        found[str(treatment)] = float(run.store.get(recipe, make)["seconds"].median())
    return found


def _inputs_of(images: ImageSet, treatment: Treatment, run: Run) -> dict[str, object]:
    of = {"images": images.fingerprint, "canonical": run.profile.protocol.canonical}
    return of | _treatment_inputs(treatment, run)


def channel_by_channel(images: ImageSet, run: Run) -> dict[str, np.ndarray]:
    """PSNR of images that fast EPLL restores, ``(N,)``: as it does, and each channel as if it were
    an image by itself.
    """
    treatment = Treatment("epll")

    def make(_: object) -> dict[str, torch.Tensor]:
        mixture, psf = prior(run), run.profile.deblurring.psf
        scores = []
        with progress("EPLL by channel", len(images), "image") as tick:
            for number, name in enumerate(images.ids):
                (sharp,) = canonical.images_of(images, [number], run.profile.protocol)
                seen = protocol.blurred(sharp[None], [name], psf, run.profile.protocol.canonical)
                kernel = psf_of(psf, name, run.profile.protocol.canonical / CANONICAL)
                apart = deblurring.restore(
                    seen[0][:, None], kernel, treatment.method, treatment.noise, mixture
                )
                scores.append(metrics.psnr(apart[:, 0], sharp))
                tick(1)
        return {"psnr": torch.tensor(scores)}

    inputs = _inputs_of(images, treatment, run)
    about = {"profile": run.profile.name, "data": images.fingerprint}
    recipe = Recipe(
        "by-channel", images.name, inputs, ["blurpaper.experiments.treatment"], TENSORS, about
    )
    together = results_of(treatment, images, run)["psnr"]
    return {
        "epll": together.numpy(),
        "epll, each channel by itself": run.store.get(recipe, make)["psnr"].numpy(),
    }
