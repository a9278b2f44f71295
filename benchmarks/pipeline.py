"""Table 1 as a whole, on photographs: our pipeline beside the plain one, and where the time of each goes.

Plain means what one would write first: for each condition and scale, each photograph is decoded, resized, blurred by the fastest
peer, resized again, and given to timm's network in float32. It gets 256+512 for nothing, from 256 and 512.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import seconds
from blurpaper import canonical, data, protocol, resizing
from blurpaper.data import examples, photos
from blurpaper.data.base import ImageSet
from blurpaper.networks import Network
from blurpaper.networks.pretrained import ORIGINALS
from blurpaper.profile import Profile, load
from blurpaper.store import Store

PHOTOGRAPHS = 50
STAGES = ("decode", "resize", "blur", "network")


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row for each pipeline: seconds, images a second of all conditions and scales, seconds of each stage, our ratio to it."""
    profile = load("photos", {"compute.cache_gb": 0.0})
    conditions = profile.evaluation.conditions[:: 6 if quick else 1]
    with tempfile.TemporaryDirectory() as folder:
        images, paths = photographs(3 if quick else PHOTOGRAPHS, Path(folder))
        pipelines: dict[str, Callable[[list[str]], dict[str, float]]] = {
            "plain, float32": lambda conditions: plain(paths, images.ids, conditions, profile),
            "blurpaper, float32": lambda conditions: ours(images, conditions, profile, "float32"),
            "blurpaper, bfloat16": lambda conditions: ours(images, conditions, profile, "bfloat16"),
        }
        rows = []
        for name, run in pipelines.items():
            run(conditions[:1])  # warm
            stages: dict[str, float] = {}
            spent = seconds(lambda run=run, stages=stages: stages.update(run(conditions)))
            looks = len(images) * len(conditions) * len(profile.protocol.scales)
            row = {"pipeline": name, "photographs": len(images), "conditions": len(conditions), "seconds": spent}
            rows.append(row | {"images/s": looks / spent} | {f"{stage}, s": stages[stage] for stage in STAGES})
    for row in rows:
        row["blurpaper is"] = row["seconds"] / rows[-1]["seconds"]
        row["at equal precision"] = row["seconds"] / rows[1]["seconds"] if row is rows[0] else None
    return rows


def photographs(count: int, folder: Path) -> tuple[ImageSet, list[Path]]:
    """Photographs as JPEG files: those of the profile photos if they are there, else crops of those that scikit-image carries."""
    if photos.is_there("nips2017-dev", "test"):
        whole = photos.load("nips2017-dev", "test")
        return data.Subset(whole, range(count)), [whole.root / name for name in whole.ids[:count]]
    carried = examples.CarriedSet("test")
    generator = np.random.default_rng(0)
    for number in range(count):
        image = resizing.to_canonical(carried[number % len(carried)], 480)
        top, left = (int(generator.integers(0, side - 400)) for side in image.shape[-2:])
        crop = image[:, top : top + 400, left : left + 560].permute(1, 2, 0).numpy()
        Image.fromarray(crop).save(folder / f"{number:03d}.jpg", quality=92)
    whole = photos.load_folder(folder, labelled=False)
    return whole, [folder / name for name in whole.ids]


@contextmanager
def _clocked(calls: dict[str, list[tuple[object, str]]]) -> Iterator[dict[str, float]]:
    """Seconds spent in some functions, by the name of the stage that they are."""
    spent: dict[str, float] = defaultdict(float)

    def timed(stage: str, function: Callable) -> Callable:
        def call(*arguments, **options):
            found = None

            def work() -> None:
                nonlocal found
                found = function(*arguments, **options)

            spent[stage] += seconds(work)
            return found

        return call

    with ExitStack() as stack:
        for stage, functions in calls.items():
            for owner, name in functions:
                stack.enter_context(mock.patch.object(owner, name, timed(stage, getattr(owner, name))))
        yield spent


def ours(images: ImageSet, conditions: Sequence[str], profile: Profile, precision: str) -> dict[str, float]:
    """What the library does for Table 1; the store keeps nothing of it."""
    compute = profile.compute.model_copy(update={"precision": precision})
    network = ORIGINALS[profile.model](profile.protocol.field)
    calls = {
        "decode": [(canonical, "images_of")],
        "blur": [(protocol, "blurred")],
        "resize": [(protocol, "network_input")],
        "network": [(Network, "log_probabilities")],
    }
    with tempfile.TemporaryDirectory() as folder, _clocked(calls) as spent:
        found = canonical.images_of(images, range(len(images)), profile, Store(folder))
        networks = dict.fromkeys(profile.protocol.scales, network)
        for condition in conditions:
            protocol.log_probabilities(
                networks, found, images.ids, condition, profile.protocol, compute, profile.evaluation.batch
            )
    return spent


def plain(paths: Sequence[Path], ids: Sequence[str], conditions: Sequence[str], profile: Profile) -> dict[str, float]:
    """The plain pipeline, one photograph at a time."""
    import timm
    from torchvision.transforms.v2 import InterpolationMode, functional

    network = timm.create_model("tf_efficientnet_lite0").eval()  # its weights do not matter here
    mean, std = torch.tensor([127.0] * 3).view(3, 1, 1), torch.tensor([128.0] * 3).view(3, 1, 1)
    spent: dict[str, float] = defaultdict(float)
    found = []

    def stage(name: str, function: Callable):
        result = None

        def work() -> None:
            nonlocal result
            result = function()

        spent[name] += seconds(work)
        return result

    with torch.inference_mode():
        for condition in conditions:
            for scale in profile.protocol.scales:
                for path, image_id in zip(paths, ids, strict=True):
                    image = stage("decode", lambda p=path: Image.open(p).convert("RGB"))
                    size = [profile.protocol.canonical]
                    image = stage("resize", lambda i=image, s=size: functional.resize(i, s, InterpolationMode.BICUBIC))
                    kernel = protocol.test_psf(condition, image_id, 1.0)
                    if kernel is not None:
                        image = stage("blur", lambda i=image, k=kernel: Image.fromarray(blurred_by_peer(np.asarray(i), k)))
                    size = [profile.protocol.pixels(scale)]
                    image = stage("resize", lambda i=image, s=size: functional.resize(i, s, InterpolationMode.BICUBIC))
                    batch = ((functional.pil_to_tensor(image).float() - mean) / std)[None]
                    found.append(stage("network", lambda b=batch: network(b).log_softmax(dim=1)))
    return spent


def blurred_by_peer(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One image by the fastest library for a PSF of that size: OpenCV, with its own threads, or scipy's Fourier transforms."""
    import cv2
    from scipy import fft

    if kernel.size <= 11 * 11:
        cv2.setNumThreads(torch.get_num_threads())
        return cv2.filter2D(image, -1, kernel[::-1, ::-1], borderType=cv2.BORDER_REFLECT_101)
    down, across = (side // 2 for side in kernel.shape)
    padded = np.pad(image, ((down, down), (across, across), (0, 0)), "reflect").astype(np.float32)
    sides = tuple(fft.next_fast_len(side, real=True) for side in padded.shape[:2])
    spectrum = fft.rfft2(padded, sides, axes=(0, 1), workers=torch.get_num_threads()) * fft.rfft2(kernel, sides)[..., None]
    whole = fft.irfft2(spectrum, sides, axes=(0, 1), workers=torch.get_num_threads())
    height, width = image.shape[:2]
    return np.clip(np.rint(whole[2 * down :, 2 * across :][:height, :width]), 0, 255).astype(np.uint8)
