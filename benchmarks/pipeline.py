"""Table 1 as a whole, on photographs: our pipeline beside the plain one, and where the time of each
goes.

Plain means what one would write first: for each condition and each setting of the scale (256+512 is
two), each photograph is decoded, resized, blurred by the fastest peer, resized again, and given to
timm's network in float32. A second plain pipeline makes 256+512 of what it has of 256 and 512.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import seconds
from blurpaper import data, kernels
from blurpaper.data import examples, folders
from blurpaper.data import images as canonical
from blurpaper.data.images import to_canonical
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import protocol
from blurpaper.networks import Network
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs.profile import Profile, load

PHOTOGRAPHS = 50
STAGES = ("decode", "resize", "blur", "network")


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row for each pipeline: seconds, images a second at each condition and scale, seconds of
    each stage, our ratio to it.
    """
    profile = load("photos")
    conditions = profile.evaluation.original_conditions[:: 6 if quick else 1]
    once = list(profile.protocol.scales)
    each = [scale for setting in profile.evaluation.original_scales for scale in setting.split("+")]
    with tempfile.TemporaryDirectory() as folder:
        images, paths = photographs(3 if quick else PHOTOGRAPHS, Path(folder))
        pipelines: dict[str, Callable[[list[str]], dict[str, float]]] = {
            "plain, float32": lambda conditions: plain(
                paths, images.ids, conditions, each, profile
            ),
            "plain, float32, each scale once": lambda conditions: plain(
                paths, images.ids, conditions, once, profile
            ),
            "blurpaper, float32": lambda conditions: ours(images, conditions, profile, "float32"),
            "blurpaper, bfloat16": lambda conditions: ours(images, conditions, profile, "bfloat16"),
        }
        rows = []
        for name, run in pipelines.items():
            run(conditions[:1])  # warm
            stages: dict[str, float] = {}
            spent = seconds(lambda run=run, stages=stages: stages.update(run(conditions)))
            looks = len(images) * len(conditions) * len(once)
            row = {
                "pipeline": name,
                "photographs": len(images),
                "conditions": len(conditions),
                "seconds": spent,
            }
            rows.append(
                row
                | {"images/s": looks / spent}
                | {f"{stage}, s": stages[stage] for stage in STAGES}
            )
    for row in rows:
        row["blurpaper is"] = row["seconds"] / rows[-1]["seconds"]
        row["at equal precision"] = (
            row["seconds"] / rows[2]["seconds"] if "plain" in row["pipeline"] else None
        )
    return rows


def photographs(count: int, folder: Path) -> tuple[ImageSet, list[Path]]:
    """Photographs as JPEG files: those of the profile photos if they are there, else crops of those
    that scikit-image carries.
    """
    if folders.is_there("nips2017-dev", "test"):
        whole = folders.load_images("nips2017-dev", "test")
        return data.Subset(whole, range(count)), [whole.root / name for name in whole.ids[:count]]
    carried = examples.CarriedSet("test")
    generator = np.random.default_rng(0)
    for number in range(count):
        image = to_canonical(carried[number % len(carried)], 480)
        top, left = (int(generator.integers(0, side - 400)) for side in image.shape[-2:])
        crop = image[:, top : top + 400, left : left + 560].permute(1, 2, 0).numpy()
        Image.fromarray(crop).save(folder / f"{number:03d}.jpg", quality=92)
    whole = folders.load_folder(folder, labelled=False)
    return whole, [folder / name for name in whole.ids]


class _Clock(defaultdict):
    """Seconds by stage, of the functions that it was given."""

    def __init__(self) -> None:
        super().__init__(float)

    def of(self, stage: str, function: Callable) -> Callable:
        """The function, its time counted as that of a stage."""

        def timed(*arguments, **options):
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self[stage] += time.perf_counter() - started

        return timed


def ours(
    images: ImageSet, conditions: Sequence[str], profile: Profile, precision: str
) -> dict[str, float]:
    """What the library does for Table 1."""
    compute = profile.compute.model_copy(update={"precision": precision})
    networks = dict.fromkeys(
        profile.protocol.scales, ORIGINALS[profile.model](profile.protocol.field)
    )
    clock = _Clock()
    stages = {
        "decode": (canonical, "images_of"),
        "blur": (protocol, "blurred"),
        "resize": (protocol, "network_input"),
        "network": (Network, "log_probabilities"),
    }
    with ExitStack() as stack:
        for stage, (owner, name) in stages.items():
            stack.enter_context(
                mock.patch.object(owner, name, clock.of(stage, getattr(owner, name)))
            )
        found = canonical.images_of(images, range(len(images)), profile.protocol)
        for condition in conditions:
            protocol.log_probabilities(
                networks,
                found,
                images.ids,
                condition,
                profile.protocol,
                compute,
                profile.evaluation.batch,
            )
    return clock


def plain(
    paths: Sequence[Path],
    ids: Sequence[str],
    conditions: Sequence[str],
    scales: Sequence[str],
    profile: Profile,
) -> dict[str, float]:
    """The plain pipeline, one photograph at a time."""
    import timm
    from torchvision.transforms.v2 import InterpolationMode, functional

    network = timm.create_model("tf_efficientnet_lite0").eval()  # its weights do not matter here
    mean, std = torch.full((3, 1, 1), 127.0), torch.full((3, 1, 1), 128.0)
    clock, found = _Clock(), []
    decode = clock.of("decode", lambda path: Image.open(path).convert("RGB"))
    resize = clock.of(
        "resize", lambda image, side: functional.resize(image, [side], InterpolationMode.BICUBIC)
    )
    blur = clock.of(
        "blur", lambda image, kernel: Image.fromarray(blurred_by_peer(np.asarray(image), kernel))
    )
    look = clock.of("network", lambda batch: network(batch).log_softmax(dim=1))
    with torch.inference_mode():
        for condition, scale in product(conditions, scales):
            for path, image_id in zip(paths, ids, strict=True):
                image = resize(decode(path), profile.protocol.canonical)
                if (kernel := kernels.psf_of(condition, image_id, 1.0)) is not None:
                    image = blur(image, kernel)
                image = functional.pil_to_tensor(resize(image, profile.protocol.pixels(scale)))
                found.append(look(((image.float() - mean) / std)[None]))
    return clock


def blurred_by_peer(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One image by the fastest library for a PSF of that size: OpenCV, with its own threads, or
    scipy's Fourier transforms.
    """
    import cv2
    from scipy import fft

    if kernel.size <= 11 * 11:
        cv2.setNumThreads(torch.get_num_threads())
        return cv2.filter2D(image, -1, kernel[::-1, ::-1], borderType=cv2.BORDER_REFLECT_101)
    down, across = (side // 2 for side in kernel.shape)
    padded = np.pad(image, ((down, down), (across, across), (0, 0)), "reflect").astype(np.float32)
    sides = tuple(fft.next_fast_len(side, real=True) for side in padded.shape[:2])
    spectrum = (
        fft.rfft2(padded, sides, axes=(0, 1), workers=torch.get_num_threads())
        * fft.rfft2(kernel, sides)[..., None]
    )
    whole = fft.irfft2(spectrum, sides, axes=(0, 1), workers=torch.get_num_threads())
    height, width = image.shape[:2]
    return np.clip(np.rint(whole[2 * down :, 2 * across :][:height, :width]), 0, 255).astype(
        np.uint8
    )
