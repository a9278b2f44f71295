"""What is done to blurred images before a network sees them, and how good they become (Section
4.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from blurpaper import deblurring
from blurpaper.evaluation import quality
from blurpaper.evaluation.protocol import blurred, same_shape, test_psf
from blurpaper.kernels import CANONICAL, SHAKE
from blurpaper.runs.devices import device_of
from blurpaper.runs.profile import Compute, Protocol

AS_IS = "as is"
"""The treatment that does nothing, as results call it."""

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
        kernel = test_psf(
            treatment.psf or condition, ids[members[0]], protocol.canonical / CANONICAL
        )
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
        for name, measure in quality.MEASURES.items()
    }
    return restored, {**numbers, "seconds": seconds}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
