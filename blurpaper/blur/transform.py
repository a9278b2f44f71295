"""Blur as a torchvision transform for users' pipelines; the library's own training draws its blurs
by sample and epoch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from blurpaper.blur.convolution import apply
from blurpaper.data.images import srgb
from blurpaper.kernels import check_mix, check_scale, draw


class RandomBlur(v2.Transform):
    """Blur each image with a PSF drawn from a mix: a transform for any torchvision-v2 pipeline
    (Sec. 4).

    Args:
        mix: condition -> probability, or the name of one of the paper's mixes.
        scale: smaller side of the images it will see, divided by 384, so that PSF names keep their
            meaning.

    Takes uint8 tensors ``(..., C, H, W)`` with C = 3 or, for grey ones, 1, tv_tensors images and
    videos, and PIL images of eight bits (grey ones stay grey, others come out as a file of theirs
    is read, :func:`blurpaper.data.images.srgb`); leaves boxes, masks and labels alone. Each image
    of a batch, each frame of a video, gets its own PSF. Within ``torch.compile`` it runs as it is,
    between two graphs; ``fullgraph=True`` is not supported.

    Raises:
        UserError: for an invalid mix or scale.
        TypeError: if applied to floats, or to a PIL image of more than eight bits.

    >>> transform = RandomBlur({"sharp": 0.2, "D2": 0.2, "D4": 0.2, "D6": 0.2, "D8": 0.2})
    >>> transform(torch.zeros(4, 3, 32, 32, dtype=torch.uint8)).shape
    torch.Size([4, 3, 32, 32])
    """

    def __init__(self, mix: str | Mapping[str, float] = "mix", scale: float = 1.0) -> None:
        super().__init__()
        self.scale = check_scale(scale)
        self.mix = check_mix(mix)

    forward = torch.compiler.disable(v2.Transform.forward)

    def make_params(self, flat_inputs: list) -> dict:
        count = max((_batch_of(one) for one in flat_inputs if _is_image(one)), default=1)
        uniform = torch.rand(count, 2).tolist()
        return {"psfs": [draw(self.mix, *pair, scale=self.scale) for pair in uniform]}

    def transform(self, inpt, params: dict):  # noqa: ANN001, ANN201 (torchvision's own signature)
        if not _is_image(inpt):
            return inpt
        if not isinstance(inpt, torch.Tensor):
            if inpt.mode in ("F", "I") or inpt.mode.startswith("I;16"):
                raise TypeError(
                    "images have eight bits; scale this one first. Got a PIL image of mode "
                    f"{inpt.mode}."
                )
            seen = v2.functional.to_pil_image(
                self.transform(v2.functional.pil_to_tensor(srgb(inpt)), params)
            )
            return seen.convert("L") if inpt.mode == "L" else seen
        plain = inpt.as_subclass(torch.Tensor)
        flat = plain.reshape(-1, *plain.shape[-3:])
        return tv_tensors.wrap(
            apply(flat, params["psfs"][: len(flat)]).reshape(plain.shape), like=inpt
        )

    def extra_repr(self) -> str:
        return f"mix={self.mix}, scale={self.scale:g}"


def _is_image(one: object) -> bool:
    if isinstance(one, tv_tensors.TVTensor):
        return isinstance(one, (tv_tensors.Image, tv_tensors.Video))
    if isinstance(one, torch.Tensor):
        return one.ndim >= 3
    return type(one).__module__.startswith("PIL.")


def _batch_of(one: object) -> int:
    return int(np.prod(one.shape[:-3], dtype=int)) if isinstance(one, torch.Tensor) else 1


uncompiled = torch.compiler.disable(apply)
"""What ``torch.compile`` is to call in place of :func:`apply`, whose arrays are numpy's."""
