"""Fine-tuning: what blur on the fly costs, how much faster than the plain float32 loop it is, and
the memory at its peak.

EfficientNet-Lite0 on photographs, batches of 32 crops of 224 pixels, by labels. The plain loop is
what one would write first: a DataLoader with a worker for each thread that decodes, resizes, blurs
by the fastest peer, crops and flips, and timm's network in float32.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.pipeline import blurred_by_peer, photographs
from blurpaper.data.sets import ImageSet
from blurpaper.kernels import MIXES, SHARP, psf
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs.profile import load
from blurpaper.training import loop
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Labels

IMAGES, WARM = 128, 3


def measure(quick: bool = False) -> list[dict[str, object]]:
    """A row for each way: images a second, peak of memory in MB, speed as a share of that without
    blur and of the plain loop.

    Medians of several rounds, each of which does every way once.
    """
    steps, rounds = (3, 1) if quick else (16, 3)
    measured: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        # Each in a process of its own, so that its peak of memory is known.
        for (
            way,
            mine,
        ) in measured.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                mine.append(process.submit(_alone, way, steps).result())
    found = {
        way: tuple(map(statistics.median, zip(*mine, strict=True)))
        for way, mine in measured.items()
    }
    rows = []
    for way, (rate, memory) in found.items():
        row = {"fine-tuning": way, "images/s": rate, "peak, MB": memory}
        if way.startswith("blurpaper"):
            precision = way.partition(", ")[2].partition(",")[0]
            row["of that without blur"] = rate / found[f"blurpaper, {precision}, sharp only"][0]
            row["to the plain loop"] = rate / found[f"plain, float32, {way.rpartition(', ')[2]}"][0]
        rows.append(row)
    return rows


def _alone(way: str, steps: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        images, paths = photographs(IMAGES, Path(folder))
        rate = WAYS[way](images, paths, steps)
    return rate, peak() / 1e6


def peak() -> int:
    """The most bytes that this process has had resident so far."""
    import resource

    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss may be the parent's
        (kilobytes,) = (
            line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")
        )
        return 1024 * int(kilobytes)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def ours(images: ImageSet, mix: str, precision: str, steps: int) -> float:
    """Images a second of the library's own loop."""
    epochs = -(-(steps + WARM) * load("photos").finetuning.batch // len(images))
    profile = load("photos", {"finetuning.phases": [{"epochs": epochs, "rate": 1e-4}]})
    compute = profile.compute.model_copy(update={"precision": precision})
    network = ORIGINALS[profile.model](profile.protocol.field)
    task = Task(images, MIXES[mix], "256", seed=0)
    times: list[float] = []
    schedule = profile.finetuning
    loop.train(
        Labels(network),
        task,
        schedule,
        profile.protocol,
        compute,
        None,
        lambda *_: times.append(time.perf_counter()),
    )
    return schedule.batch * (len(times) - WARM) / (times[-1] - times[WARM - 1])


def plain(paths: list[Path], labels: list[int], mix: str, steps: int) -> float:
    """Images a second of the plain loop."""
    import timm
    from torch.utils.data import DataLoader

    network = timm.create_model("tf_efficientnet_lite0").train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    batch = load("photos").finetuning.batch
    loader = DataLoader(
        _Plain(paths, labels, mix),
        batch_size=batch,
        shuffle=True,
        num_workers=torch.get_num_threads(),
        persistent_workers=True,
    )
    times: list[float] = []

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        while True:
            yield from loader

    for seen, wanted in batches():
        loss = nn.functional.cross_entropy(network(seen), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter())
        if len(times) == steps + WARM:
            return batch * steps / (times[-1] - times[WARM - 1])
    raise AssertionError


class _Plain(torch.utils.data.Dataset):
    def __init__(self, paths: list[Path], labels: list[int], mix: str) -> None:
        from torchvision.transforms import v2

        self.paths, self.labels, self.conditions = paths, labels, list(MIXES[mix])
        self.canonical = v2.Resize(384, v2.InterpolationMode.BICUBIC)
        self.transform = v2.Compose(
            [
                v2.Resize(256, v2.InterpolationMode.BICUBIC),
                v2.RandomCrop(224),
                v2.RandomHorizontalFlip(),
                v2.PILToTensor(),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        image = self.canonical(Image.open(self.paths[number]).convert("RGB"))
        condition = random.choice(self.conditions)  # all of them count the same in the mix
        if condition != SHARP:
            image = Image.fromarray(blurred_by_peer(np.asarray(image), psf(condition)))
        return self.transform(image), self.labels[number]


WAYS: dict[str, Callable[[ImageSet, list[Path], int], float]] = {
    "plain, float32, sharp only": lambda images, paths, steps: plain(
        paths, [0] * len(images), "sharp-only", steps
    ),
    "plain, float32, mix": lambda images, paths, steps: plain(
        paths, [0] * len(images), "mix", steps
    ),
    "blurpaper, float32, sharp only": lambda images, paths, steps: ours(
        images, "sharp-only", "float32", steps
    ),
    "blurpaper, float32, mix": lambda images, paths, steps: ours(images, "mix", "float32", steps),
    "blurpaper, bfloat16, sharp only": lambda images, paths, steps: ours(
        images, "sharp-only", "bfloat16", steps
    ),
    "blurpaper, bfloat16, mix": lambda images, paths, steps: ours(images, "mix", "bfloat16", steps),
}
