"""Deblurring before the network sees an image, and how good the images become (Section 4.4)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from blurpaper import deblurring
from blurpaper.data.images import images_of, same_shape
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import protocol
from blurpaper.evaluation.metrics import MEASURES, psnr
from blurpaper.evaluation.protocol import blurred
from blurpaper.evaluation.results import AS_IS
from blurpaper.kernels import CANONICAL, SHAKE, SHARP, psf_of
from blurpaper.networks import Reference
from blurpaper.runs.devices import device_of
from blurpaper.runs.profile import Compute, Profile, Protocol

_BATCH = 8
"""Images that are restored at a time."""

Prior = Callable[[], "deblurring.Mixture"]
"""Gives the prior of EPLL, learnt or loaded when it is first asked for."""


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
        name: torch.tensor([measure(*pair) for pair in pairs]) for name, measure in MEASURES.items()
    }
    return restored, {**numbers, "seconds": seconds}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


# --- Parts of a set, as they are kept -------------------------------------------------------------


def shard_restored(
    treatment: Treatment,
    images: ImageSet,
    prior: Prior,
    profile: Profile,
    tick: Callable[[int], object],
    numbers: Sequence[int],
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """A part of a set blurred by the profile's PSF and treated, as :func:`treated` has it."""
    sharp = images_of(images, numbers, profile.protocol)
    ids = [images.ids[number] for number in numbers]
    mixture = prior() if treatment.needs_prior else None
    settings = profile.protocol, profile.compute, tick
    return treated(treatment, sharp, ids, profile.deblurring.psf, mixture, *settings)


def shard_classified(
    network: Reference,
    treatment: Treatment,
    images: ImageSet,
    prior: Prior,
    profile: Profile,
    tick: Callable[[int], object],
    numbers: range,
    _: str,
) -> dict[str, torch.Tensor]:
    """PSNR and SSIM of treated images, ``(N,)``, and ``log_probabilities`` at scale 256, ``(N, K)``."""
    restored, measured = shard_restored(treatment, images, prior, profile, tick, numbers)
    ids = [images.ids[number] for number in numbers]
    settings = profile.protocol, profile.compute, profile.evaluation.batch
    found = protocol.log_probabilities({"256": network.loaded}, restored, ids, SHARP, *settings)
    return {name: measured[name] for name in MEASURES} | {"log_probabilities": found["256"]}


def seconds_an_image(
    treatment: Treatment,
    images: ImageSet,
    prior: Prior,
    profile: Profile,
    tick: Callable[[int], object],
) -> dict[str, torch.Tensor]:
    """The ``seconds`` that each image takes on this device, ``(N,)``."""
    numbers = range(len(images))
    _, measured = shard_restored(treatment, images, prior, profile, tick, numbers)
    return {"seconds": measured["seconds"]}


def psnr_by_channel(
    treatment: Treatment,
    images: ImageSet,
    prior: Prior,
    profile: Profile,
    tick: Callable[[int], object],
) -> dict[str, torch.Tensor]:
    """``psnr``, ``(N,)``, of images each channel of which is restored as if it were one by itself."""
    psf, canonical = profile.deblurring.psf, profile.protocol.canonical
    scores = []
    for number, name in enumerate(images.ids):
        (sharp,) = images_of(images, [number], profile.protocol)
        seen = blurred(sharp[None], [name], psf, canonical)
        kernel = psf_of(psf, name, canonical / CANONICAL)
        apart = deblurring.restore(
            seen[0][:, None], kernel, treatment.method, treatment.noise, prior()
        )
        scores.append(psnr(apart[:, 0], sharp))
        tick(1)
    return {"psnr": torch.tensor(scores)}
