"""What a GPU reaches: blur, training, classification, segmentation and EPLL, and which share of its
peak that is.

python -m benchmarks.gpu [--out FILE] [--only blur train ...] [--models vgg16 ...] [--seconds 2]
[--device cuda]

Networks have random weights and images are made here; nothing is read from disk. A step of training
is measured on a batch that lies on the GPU, ``batches`` is the making of batches alone (scale,
blur, crop), ``loop`` both as the library does them together. ``share`` is arithmetic done over
the peak, both by blurpaper.experiments.plan; ``memory`` is the most that was allocated and
``foreseen`` what blurpaper.experiments.plan says. In the mode float32 convolutions do without TF32,
in tf32 they use it, as torch has it by default; ``tuned`` lets cuDNN try its algorithms first.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from blurpaper import blur, deblurring, kernels
from blurpaper.data.sets import ImageSet
from blurpaper.evaluation import protocol
from blurpaper.experiments import plan
from blurpaper.networks import Network, build
from blurpaper.runs import profile as profiles
from blurpaper.runs.devices import autocast
from blurpaper.runs.profile import Phase, Schedule
from blurpaper.segmentation.batches import PerPixel, PixelBatch
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import batches, loop
from blurpaper.training.batches import Batch, Task
from blurpaper.training.objectives import Agreement, Labels, Objective

MODES = {
    "float32": ("float32", False, False),
    "tf32": ("float32", True, False),
    "bfloat16": ("bfloat16", True, False),
    "bfloat16 tuned": ("bfloat16", True, True),
}
"""Precision of the profile; whether convolutions may use TF32; whether cuDNN tries its algorithms.
"""
SHAPES = (
    (375, 500),
    (500, 375),
    (333, 500),
    (500, 500),
    (500, 334),
    (480, 640),
    (375, 500),
    (400, 300),
)
"""Rows and columns of photographs as ImageNet has them."""
CANONICAL = (384, 512)
CLASSES = tuple(map(str, range(1000)))
LABELS = 21

Row = dict[str, object]


class Photographs(ImageSet):
    """Random smooth pictures of a few shapes, in memory."""

    def __init__(self, size: int) -> None:
        self.pictures = [smooth(1, *shape)[0] for shape in SHAPES]
        labels = np.arange(size, dtype=np.int64) % len(CLASSES)
        super().__init__(
            "made here", CLASSES, labels, [f"train/{number}" for number in range(size)], ""
        )

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.pictures[number % len(SHAPES)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, help="JSON file to write the numbers to, after each part"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--models", nargs="+", default=["vgg16", "resnet50", "efficientnet_lite0"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument(
        "--batch", type=int, help="images in a batch; those of the profile imagenet by default"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="to measure for, at least")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    options.device, options.profile = torch.device(options.device), profiles.load("imagenet")
    found: dict[str, object] = about(options.device)
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    for part in options.only:
        rows = []
        started = time.perf_counter()
        for row in PARTS[part](options):
            rows.append(row)
            torch.cuda.empty_cache()
        found[part] = rows
        print(f"\n{part}, {time.perf_counter() - started:.0f} s\n{table(rows)}", flush=True)
        if options.out:
            options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def about(device: torch.device) -> dict[str, object]:
    cudnn = torch.backends.cudnn.version() if device.type == "cuda" else None
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    return {
        "device": name,
        "torch": torch.__version__,
        "cudnn": cudnn,
        "assumed share": plan.SHARE,
    }


def table(rows: list[Row]) -> str:
    import pandas as pd

    return pd.DataFrame(rows).to_string(
        index=False, na_rep="", float_format=lambda value: f"{value:.4g}"
    )


# --- Measuring ------------------------------------------------------------------------------------


def spent(work: Callable[[], object], options: argparse.Namespace) -> float:
    """Seconds a call, warm, the device being waited for."""
    work()
    if _timed(work, 1, options.device) < options.seconds:
        work()
    once = _timed(work, 1, options.device)
    times = max(3, min(500, int(options.seconds / once)))
    return _timed(work, times, options.device) / times


def _timed(work: Callable[[], object], times: int, device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def share(flops: float, mode: str) -> float | None:
    """Of the peak, if the GPU's is known; there is none for float32 without tensor cores."""
    gpu = next(
        (
            gpu
            for name, gpu in plan.GPUS.items()
            if torch.cuda.is_available() and name in torch.cuda.get_device_name()
        ),
        None,
    )
    if gpu is None or mode == "float32":
        return None
    return (
        flops
        / 1e12
        / (gpu.bfloat16 if mode.startswith("bfloat16") and gpu.bfloat16 else gpu.float32)
    )


def performance(images: int, seconds: float, flops: float, mode: str) -> Row:
    """Images a second, TFLOPS, and their share of the peak."""
    row: Row = {
        "images/s": images / seconds,
        "ms a batch": 1000 * seconds,
        "TFLOPS": flops * images / seconds / 1e12,
    }
    of_peak = share(flops * images / seconds, mode)
    return row | ({} if of_peak is None else {"share": round(of_peak, 3)})


@contextmanager
def computing(mode: str) -> Iterator[str]:
    """A mode of :data:`MODES`; gives the profile's word for its precision."""
    precision, tf32, tuned = MODES[mode]
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = tf32, tuned
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    try:
        yield precision
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before


def memory(foreseen: int) -> Row:
    taken = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return {"memory, GB": taken / 1e9, "foreseen, GB": foreseen / 1e9}


def smooth(count: int, *shape: int) -> torch.Tensor:
    """Random pictures whose spectrum falls as that of photographs: uint8 (count, 3, H, W)."""
    generator = torch.Generator().manual_seed(sum(shape))
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    frequency[0, 0] = np.inf
    noise = torch.randn(count, 3, *shape, generator=generator)
    field = torch.fft.irfft2(torch.fft.rfft2(noise) / torch.from_numpy(frequency).float(), s=shape)
    field = field / field.std(dim=(1, 2, 3), keepdim=True)
    return (128 + 50 * field).clamp(0, 255).to(torch.uint8)


# --- Parts ----------------------------------------------------------------------------------------


def measure_blur(options: argparse.Namespace) -> Iterator[Row]:
    """Blur of a batch that lies on the device, one PSF for all; shake with one for each."""
    count = options.batch or 32
    images = smooth(count, *CANONICAL).to(options.device)
    ids = [f"test/{number}" for number in range(count)]
    for name in ("D2", "D8", "G8", "shake"):
        seconds = spent(partial(protocol.blurred, images, ids, name, 384), options)
        yield {
            "psf": name,
            "batch": f"{count} x 3 x {CANONICAL[0]} x {CANONICAL[1]}",
            "images/s": count / seconds,
        }


def measure_training(options: argparse.Namespace) -> Iterator[Row]:
    """Fine-tuning with labels on a batch on the device, for each model and mode; agreement for the
    first model.
    """
    schedule, field = options.profile.finetuning, options.profile.protocol.field
    count = options.batch or schedule.batch
    seen = smooth(count, field, field).to(options.device).float()
    batch = Batch(seen, torch.arange(count, device=options.device), seen)
    for model in options.models:
        flops = plan.TRAINING * plan.forward(outline(model, field), (field, field)).flops
        for mode in options.modes:
            with computing(mode) as precision:
                seconds = step(Labels(build(model, CLASSES, field)), batch, precision, options)
                sized = schedule.model_copy(update={"batch": count})
                foreseen = training_memory(model, field, sized, precision == "bfloat16")
                row: Row = {"model": model, "recipe": "labels", "mode": mode, "batch": count}
                yield row | performance(count, seconds, flops, mode) | memory(foreseen)
    model, mode = options.models[0], "bfloat16"
    flops = (plan.TRAINING + 1) * plan.forward(outline(model, field), (field, field)).flops
    with computing(mode) as precision:
        networks = [build(model, CLASSES, field) for _ in range(2)]
        seconds = step(
            Agreement(*networks, options.profile.agreement.feature_weight),
            batch,
            precision,
            options,
        )
        sized = options.profile.agreement.model_copy(update={"batch": count})
        foreseen = training_memory(model, field, sized, True)
        row = {"model": model, "recipe": "agreement", "mode": mode, "batch": count}
        yield row | performance(count, seconds, flops, mode) | memory(foreseen)


def outline(model: str, field: int) -> Network:
    """The network without numbers, that costs are counted on."""
    return plan.skeleton(model, len(CLASSES), field)


def training_memory(model: str, field: int, schedule: Schedule, half: bool) -> int:
    """Bytes that a step of training is foreseen to take."""
    network = outline(model, field)
    one = plan.forward(network, (field, field), schedule.batch, training=True, half=half)
    return plan.training_memory(network, schedule, one.activations)


def step(
    objective: Objective, batch: Batch | PixelBatch, precision: str, options: argparse.Namespace
) -> float:
    """Seconds a step of training takes, without the making of the batch."""
    compute = options.profile.compute.model_copy(update={"precision": precision})
    objective.to(options.device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(objective.groups(), lr=1e-6, momentum=0.9, weight_decay=5e-4)

    def one() -> None:
        with autocast(compute, options.device):
            loss = objective(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return spent(one, options)


def measure_loop(options: argparse.Namespace) -> Iterator[Row]:
    """The making of batches alone, then the library's loop: both, the next batch being made in a
    thread.
    """
    schedule, settings = options.profile.finetuning, options.profile.protocol
    count = options.batch or schedule.batch
    images = Photographs(4 * count)
    for mix in ("sharp-only", "mix", "sharp+shake"):
        task, numbers = Task(images, kernels.MIXES[mix], "256", 0), list(range(count))
        seconds = spent(
            partial(batches.make_batch, task, numbers, 0, settings, True, options.device), options
        )
        yield {
            "what": "batches",
            "mix": mix,
            "batch": count,
            "images/s": count / seconds,
            "ms a batch": 1000 * seconds,
        }
    task = Task(images, kernels.MIXES["mix"], "256", 0)
    short = schedule.model_copy(update={"batch": count, "phases": [Phase(epochs=6, rate=1e-6)]})
    for model in options.models:
        for mode in (mode for mode in options.modes if mode in ("tf32", "bfloat16")):
            with computing(mode) as precision:
                compute = options.profile.compute.model_copy(
                    update={"precision": precision, "device": options.device.type}
                )
                times: list[float] = []
                network = build(model, CLASSES, settings.field)
                loop.train(
                    Labels(network),
                    task,
                    short,
                    settings,
                    compute,
                    tick=lambda *_, times=times: times.append(time.perf_counter()),
                )
                seconds = (times[-1] - times[7]) / (len(times) - 8)
                flops = (
                    plan.TRAINING
                    * plan.forward(outline(model, settings.field), (settings.field,) * 2).flops
                )
                row: Row = {"what": f"loop, {model}", "mix": "mix", "mode": mode, "batch": count}
                yield row | performance(count, seconds, flops, mode)


def measure_classification(options: argparse.Namespace) -> Iterator[Row]:
    """Classification of a batch on the device at two scales, and the whole protocol from images in
    memory, under D8.
    """
    settings = options.profile.protocol
    count = options.batch or options.profile.evaluation.batch
    for model in options.models:
        network = (
            build(model, CLASSES, settings.field)
            .eval()
            .to(options.device, memory_format=torch.channels_last)
        )
        for scale in ("256", "512"):
            side = settings.pixels(scale)
            shape = (side, round(side * plan.ASPECT))
            images, canonical = (
                smooth(count, *shape).to(options.device).float(),
                list(smooth(count, *CANONICAL)),
            )
            flops, ids = (
                plan.forward(outline(model, settings.field), shape).flops,
                [f"test/{n}" for n in range(count)],
            )
            for mode in options.modes:
                with computing(mode) as precision:
                    compute = options.profile.compute.model_copy(
                        update={"precision": precision, "device": options.device.type}
                    )
                    with torch.inference_mode(), autocast(compute, options.device):
                        seconds = spent(partial(network.log_probabilities, images), options)
                    half = precision == "bfloat16"
                    row: Row = {"model": model, "scale": scale, "mode": mode, "batch": count}
                    row |= performance(count, seconds, flops, mode)
                    bare = outline(model, settings.field)
                    seen = plan.forward(bare, shape, count, half=half)
                    row |= memory(4 * plan.weights(bare) + seen.activations)
                    if mode == "bfloat16":
                        by_scale = {scale: network}
                        seconds = spent(
                            partial(
                                protocol.log_probabilities,
                                by_scale,
                                canonical,
                                ids,
                                "D8",
                                settings,
                                compute,
                                count,
                            ),
                            options,
                        )
                        row["whole protocol, images/s"] = count / seconds
                    yield row


def measure_segmentation(options: argparse.Namespace) -> Iterator[Row]:
    """A training step of Zoomout on a batch on the device, and the segmentation of whole scenes."""
    settings, field = options.profile.segmentation, options.profile.protocol.field
    count, model = options.batch or settings.pretraining.batch, options.profile.model
    if model not in options.models:
        return
    skeleton = plan.segmenter(model, len(CLASSES), field, LABELS, settings)
    crops = smooth(count, settings.crop, settings.crop).to(options.device).float()
    points = torch.randint(
        0, settings.crop, (count, settings.pixels_per_crop, 2), device=options.device
    )
    batch = PixelBatch(
        crops,
        points,
        torch.randint(0, LABELS, (count, settings.pixels_per_crop), device=options.device),
    )
    whole = smooth(count, *CANONICAL).to(options.device).float()
    for mode in options.modes:
        with computing(mode) as precision:
            compute = options.profile.compute.model_copy(update={"precision": precision})
            network = ZoomOut(
                build(model, CLASSES, field),
                CLASSES[:LABELS],
                settings.hidden_units,
                stride=settings.stride,
            )
            objective = PerPixel(
                network, settings.crop, settings.pixels_per_crop, settings.head_lr_scale
            )
            flops = (
                plan.TRAINING
                * plan.forward(
                    skeleton, (settings.crop,) * 2, training=True, points=settings.pixels_per_crop
                ).flops
            )
            seconds = step(objective, batch, precision, options)
            yield {"what": "training", "mode": mode, "batch": count} | performance(
                count, seconds, flops, mode
            )
            network.eval()
            with torch.inference_mode(), autocast(compute, options.device):
                seconds = spent(partial(network.log_probabilities, whole, CANONICAL), options)
            flops = plan.forward(skeleton, CANONICAL).flops
            yield {"what": "segmenting", "mode": mode, "batch": count} | performance(
                count, seconds, flops, mode
            )


def measure_deblurring(options: argparse.Namespace) -> Iterator[Row]:
    """Seconds an image in colour takes each way, alone and in a batch, under a PSF that is
    symmetric and one that is not.
    """
    clear = smooth(8, *CANONICAL).to(options.device)
    for name in ("D8", "shake:3"):
        seen = blur.apply(clear, name)
        for method in ("epll", "gradient", "total-variation", "epll-exact"):
            for count in (1, 8) if method != "epll-exact" else (1,):
                known = seen[:count], name, method, deblurring.ROUNDING
                seconds = spent(partial(deblurring.restore, *known, border="mirror"), options)
                yield {"method": method, "psf": name, "batch": count, "s an image": seconds / count}


def measure_peak(options: argparse.Namespace) -> Iterator[Row]:
    """What the device reaches on a large matrix product and on a layer of VGG-16, for the shares to
    be judged by.
    """
    for mode, kind in (("tf32", torch.float32), ("bfloat16", torch.bfloat16)):
        with computing(mode):
            size = 8192 if options.device.type == "cuda" else 256
            one, other = (
                torch.randn(size, size, device=options.device, dtype=kind) for _ in range(2)
            )
            before = torch.backends.cuda.matmul.allow_tf32
            torch.backends.cuda.matmul.allow_tf32 = True
            seconds = spent(partial(torch.mm, one, other), options)
            torch.backends.cuda.matmul.allow_tf32 = before
            yield {"what": f"product of {size} x {size}", "mode": mode} | {
                "TFLOPS": 2 * size**3 / seconds / 1e12
            }
            maps = torch.randn(options.batch or 128, 256, 56, 56, device=options.device, dtype=kind)
            maps = maps.to(memory_format=torch.channels_last)
            kernel = torch.randn(256, 256, 3, 3, device=options.device, dtype=kind).to(
                memory_format=torch.channels_last
            )
            seconds = spent(partial(functional.conv2d, maps, kernel, padding=1), options)
            flops = 2 * len(maps) * 56 * 56 * 256 * 256 * 9
            yield {
                "what": "3 x 3 convolution, 256 channels, 56 x 56",
                "mode": mode,
                "TFLOPS": flops / seconds / 1e12,
            }


PARTS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "peak": measure_peak,
    "blur": measure_blur,
    "train": measure_training,
    "loop": measure_loop,
    "classify": measure_classification,
    "segment": measure_segmentation,
    "deblur": measure_deblurring,
}

if __name__ == "__main__":
    main()
