"""Training batches as the paper makes them (Section 4): scale before the blur, kernel from the mix,
crop, flip.

Each image is brought to a pre-blur scale drawn around 384, blurred with a kernel drawn from the mix
(or not at all), resized by target / 384 so that a kernel always has the same size at the network,
cropped to the field, and flipped or not. All draws of an image come from a hash of (seed, set,
image, epoch), so a batch depends on its number alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch

from blurpaper import blur, kernels
from blurpaper.data.images import resized, resized_8bit, scaled_shape
from blurpaper.data.sets import ImageSet
from blurpaper.kernels import CANONICAL
from blurpaper.runs.profile import Protocol
from blurpaper.runs.randomness import stream, uniforms
from blurpaper.runs.threads import in_threads

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """Images, a mix of blurs and a train scale: the data that a network is trained on."""

    images: ImageSet
    mix: dict[str, float]
    train_scale: str
    seed: int


@dataclass(frozen=True)
class Batch:
    """Crops in grey levels, float32 ``(B, 3, field, field)``: as the network sees them, and the
    same ones not blurred.

    Attributes:
        seen: blurred by the mix, some of them sharp.
        sharp: the same crops without blur, if they were asked for.
        labels: int64 ``(B,)``; -1 where the class is not known.
    """

    seen: torch.Tensor
    labels: torch.Tensor
    sharp: torch.Tensor | None = None


def epoch_order(task: Task, epoch: int) -> np.ndarray:
    """Numbers of the images of an epoch in their order, int64 ``(N,)``, shuffled anew each time."""
    return _order(task.seed, task.images.name, epoch, len(task.images))


@lru_cache(maxsize=2)
def _order(seed: int, name: str, epoch: int, count: int) -> np.ndarray:
    return stream(seed, "order", name, epoch).permutation(count)


def make_batch(
    task: Task,
    numbers: Sequence[int],
    epoch: int,
    settings: Protocol,
    flip: bool,
    device: torch.device,
    with_sharp: bool = False,
) -> Batch:
    """The batch of some images in an epoch."""
    draws = [
        uniforms(task.seed, "augmentation", task.images.name, task.images.ids[n], epoch)
        for n in numbers
    ]
    images = task.images.batch(numbers)
    groups = defaultdict(list)
    for place, (image, draw) in enumerate(zip(images, draws, strict=True)):
        jitter = _pick(settings.jitter, draw[0])
        target = _pick(task.train_scale.split("+"), draw[3])
        groups[tuple(image.shape), jitter, target].append(place)
    scale = settings.canonical / CANONICAL
    seen = torch.empty(len(numbers), 3, settings.field, settings.field, device=device)
    sharp = torch.empty_like(seen) if with_sharp else None

    def fill(kind: tuple[tuple[int, ...], int, str]) -> None:
        (shape, jitter, target), places = kind, groups[kind]
        group = torch.stack([images[place] for place in places]).to(device)
        before = scaled_shape(shape, jitter * scale / min(shape[-2:]))
        after = scaled_shape(before, settings.pixels(target) / settings.canonical)
        clear = resized_8bit(group, before)
        # One draw chooses the condition, the next one the kernel of camera shake.
        psfs = [kernels.draw(task.mix, *draws[place][1:3], scale) for place in places]
        blurred = blur.apply(clear, psfs)
        for crops, source in ((seen, blurred), (sharp, clear)):
            if crops is not None:
                for place, image in zip(places, resized(source, after), strict=True):
                    crops[place] = cropped(image, settings.field, draws[place], flip)

    if device.type == "cpu":  # photographs differ in shape, so that most groups are single images
        in_threads(fill, groups)
    else:
        for kind in groups:
            fill(kind)
    return Batch(seen, torch.as_tensor(task.images.labels[list(numbers)], device=device), sharp)


def ahead(
    make: Callable[[int], T], numbers: Sequence[int], device: torch.device
) -> Iterator[tuple[int, T]]:
    """Batches by number; while one is used, the next is made in another thread, and on a GPU in
    another stream.

    Args:
        make: returns an object whose attributes are tensors on ``device``, or None.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def made(number: int) -> tuple[T, torch.cuda.Event | None]:
        with torch.cuda.stream(stream):
            batch = make(number)
            return batch, stream and stream.record_event()

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(made, numbers[0]) if numbers else None
        for number, following in zip(numbers, [*numbers[1:], None], strict=True):
            batch, ready = coming.result()
            coming = None if following is None else pool.submit(made, following)
            if stream:
                used_in = torch.cuda.current_stream(device)
                used_in.wait_event(ready)
                for tensor in filter(torch.is_tensor, vars(batch).values()):
                    tensor.record_stream(used_in)
            yield number, batch


def _pick(choices: Sequence, at: float):  # noqa: ANN202 (an element of the choices)
    return choices[int(at * len(choices))]


def cropped(image: torch.Tensor, field: int, draw: Sequence[float], flip: bool) -> torch.Tensor:
    """A square of ``field`` pixels of an image ``(..., H, W)``, placed and flipped by its draws."""
    top, left = (
        int(at * (side - field + 1)) for at, side in zip(draw[4:6], image.shape[-2:], strict=True)
    )
    crop = image[..., top : top + field, left : left + field]
    return crop.flip(-1) if flip and draw[6] < 0.5 else crop
