"""Deblurring before the network sees an image, and how good the images become (Section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from blurpaper import deblurring
from blurpaper.data.images import images_of, same_shape
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import protocol
from blurpaper.evaluation.metrics import MEASURES
from blurpaper.evaluation.protocol import blurred
from blurpaper.evaluation.results import AS_IS
from blurpaper.kernels import CANONICAL, SHAKE, SHARP, psf_of
from blurpaper.networks import Reference
from blurpaper.runs.devices import device_of
from blurpaper.runs.profile import Profile
from blurpaper.runs.randomness import stream

_BATCH = 8
"""Images that are restored at a time."""

Treat = Callable[[Sequence[int]], tuple[list[torch.Tensor], dict[str, torch.Tensor]]]
"""Treats the images of a set that have these numbers: :func:`treated`, all else being given."""


@dataclass(frozen=True)
class Frame:
    """What is seen of a blurred scene.

    Attributes:
        word: before the treatment in the column ``input`` of results.
        border: as :func:`deblurring.restore` takes it.
        noise: standard deviation of the noise added, in grey levels.
    """

    word: str = ""
    border: str = deblurring.MIRROR
    noise: float = 0.0

    def of(
        self, blurred: torch.Tensor, sharp: torch.Tensor, ids: Sequence[str], reach: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The part of images, uint8 ``(B, 3, H, W)``, blurred and sharp, that a PSF of that reach
        does not bring the mirrored border into, with noise in the blurred ones; all of them if the
        border is a mirror.
        """
        if self.border == deblurring.MIRROR:
            return blurred, sharp
        (down, across), (height, width) = reach, sharp.shape[-2:]
        seen, clear = (
            one[..., down : height - down, across : width - across] for one in (blurred, sharp)
        )
        if self.noise:
            drawn = [stream("camera", one).standard_normal(seen.shape[1:]) for one in ids]
            noise = torch.from_numpy(np.stack(drawn)).to(seen.device, torch.float32)
            seen = (seen + self.noise * noise).round_().clamp_(0, 255).to(torch.uint8)
        return seen, clear


MIRRORED = Frame()
CAMERA = Frame("camera", deblurring.UNKNOWN)
NOISY = Frame("camera, noise 2", deblurring.UNKNOWN, 2.0)


@dataclass(frozen=True)
class Treatment:
    """A method of deblurring and its assumptions.

    Attributes:
        method: one of :data:`deblurring.METHODS`, or :data:`AS_IS`.
        psf: name of the assumed PSF; the true one if none is named.
        noise: standard deviation of the assumed noise, in grey levels; if none is said, that of
            rounding in a mirrored frame, and estimated in a camera's.
        by_channel: each channel is restored as a grey image.
        frame: what is seen.
    """

    method: str
    psf: str | None = None
    noise: float | None = None
    by_channel: bool = False
    frame: Frame = MIRRORED

    @classmethod
    def parse(cls, word: str) -> Treatment:
        """A method in a frame, from its word.

        >>> Treatment.parse("camera, noise 2: epll").frame.noise
        2.0
        """
        frame, _, method = word.rpartition(": ")
        (found,) = (one for one in (MIRRORED, CAMERA, NOISY) if one.word == frame)
        return cls(method, frame=found)

    @property
    def needs_prior(self) -> bool:
        """Whether its prior is a mixture."""
        return self.method in deblurring.NEED_PRIOR

    def __str__(self) -> str:
        """Its word in the column ``input`` of results."""
        frame = f"{self.frame.word}: " if self.frame.word else ""
        psf = f" as {self.psf}" if self.psf else ""
        noise = f", noise {self.noise:g}" if self.noise else ""
        channels = ", each channel by itself" if self.by_channel else ""
        return frame + self.method + psf + noise + channels

    def restore(
        self, images: torch.Tensor, psf: np.ndarray, prior: deblurring.Mixture | None
    ) -> torch.Tensor:
        """Deblur images, uint8 ``(B, 3, H, W)``."""
        if self.method == AS_IS:
            return images
        apart = images.flatten(0, 1)[:, None] if self.by_channel else images
        noise = self.noise or (deblurring.ROUNDING if self.frame == MIRRORED else None)
        restored = deblurring.restore(apart, psf, self.method, noise, prior, self.frame.border)
        return restored.reshape(images.shape)


def treated(
    treatment: Treatment,
    images: ImageSet,
    prior: Callable[[], deblurring.Mixture],
    profile: Profile,
    numbers: Sequence[int],
    tick: Callable[[int], object] = lambda done: None,
    condition: str | None = None,
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Blur images of a set by the profile's PSF at the canonical scale and treat them.

    Args:
        prior: that of EPLL, learnt or loaded when it is first called.
        condition: another than the profile's PSF, of which the frame has the reach nevertheless.

    Returns:
        the treated images, uint8 ``(3, H, W)``; and ``psnr`` and ``ssim`` of each against the sharp
        one, ``(N,)``.
    """
    sharp = images_of(images, numbers, profile.protocol)
    ids = [images.ids[number] for number in numbers]
    psf, canonical = profile.deblurring.psf, profile.protocol.canonical
    condition = condition or psf
    mixture = prior() if treatment.needs_prior else None
    device = device_of(profile.compute)
    pairs: list[list[torch.Tensor]] = [[]] * len(sharp)
    # Under shake each image has a PSF of its own.
    alone = treatment.by_channel or SHAKE in (condition, treatment.psf)
    for members in same_shape(sharp, 1 if alone else _BATCH):
        clear = torch.stack([sharp[member] for member in members]).to(device)
        own = [ids[member] for member in members]
        seen = blurred(clear, own, condition, canonical)
        kernel = psf_of(treatment.psf or psf, own[0], canonical / CANONICAL)
        seen, clear = treatment.frame.of(seen, clear, own, [side // 2 for side in kernel.shape])
        seen = treatment.restore(seen, kernel, mixture)
        for member, *pair in zip(members, seen.cpu(), clear.cpu(), strict=True):
            pairs[member] = pair
        tick(len(members))
    measured = {
        name: torch.tensor([measure(*pair) for pair in pairs]) for name, measure in MEASURES.items()
    }
    return [restored for restored, _ in pairs], measured


def shard_classified(
    network: Reference, treat: Treat, images: ImageSet, profile: Profile, numbers: range, _: str
) -> dict[str, torch.Tensor]:
    """PSNR and SSIM of treated images, ``(N,)``, and ``log_probabilities`` at scale 256, ``(N,
    K)``.
    """
    restored, measured = treat(numbers)
    ids = [images.ids[number] for number in numbers]
    settings = profile.protocol, profile.compute, profile.evaluation.batch
    found = protocol.log_probabilities({"256": network.loaded}, restored, ids, SHARP, *settings)
    return measured | {"log_probabilities": found["256"]}
