"""The training loop: its batches, its rates, and that a killed run ends as if it had not been
killed.
"""

import os
import runpy
import shutil
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import MemorySet
from safetensors.torch import load_file
from torchvision.transforms import v2

from blurpaper import kernels
from blurpaper.cli import main
from blurpaper.data.images import images_of
from blurpaper.evaluation import protocol
from blurpaper.networks.base import unfolded
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import profile
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute, Phase, Protocol, Schedule
from blurpaper.training import batches, loop
from blurpaper.training.batches import Task, make_batch
from blurpaper.training.networks import SOURCE, objective_of
from blurpaper.training.objectives import Agreement, Labels

SETTINGS = Protocol(
    canonical=108, scales={"128": 36, "256": 72, "512": 144}, jitter=[356, 384, 410], field=64
)
CPU = Compute(device="cpu", precision="bfloat16", checkpoint_seconds=1)
SCHEDULE = Schedule(
    phases=[Phase(epochs=2, rate=0.02), Phase(epochs=1, rate=0.01, end_rate=0.0)],
    batch=4,
    momentum=0.9,
    weight_decay=5e-4,
)


@pytest.fixture
def images() -> MemorySet:
    """Two classes that differ at a glance: bright above, or bright below."""
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for number in range(16):
        picture = torch.randint(0, 60, (3, 120, 130), generator=generator, dtype=torch.uint8)
        picture[:, slice(0, 60) if number % 2 else slice(60, 120)] += 150
        pictures.append(picture)
    return MemorySet(pictures, [number % 2 for number in range(16)], ("below", "above"))


def task(images: MemorySet, mix: dict[str, float] | None = None, scale: str = "256") -> Task:
    return Task(images, mix or {"sharp": 1.0}, scale, seed=5)


def fresh() -> torch.nn.Module:
    torch.manual_seed(3)
    return small_vgg(("below", "above"))


def test_it_learns_what_can_be_learnt(images) -> None:
    schedule = SCHEDULE.model_copy(update={"phases": [Phase(epochs=12, rate=0.02, end_rate=0.001)]})
    network = loop.train(Labels(fresh()), task(images), schedule, SETTINGS, CPU)
    shown = images_of(images, range(16), SETTINGS)
    found = protocol.log_probabilities(
        {"256": network}, shown, images.ids, "sharp", SETTINGS, CPU, 16
    )["256"]
    assert (found.argmax(dim=1).numpy() == images.labels).mean() == 1.0


def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(images, tmp_path, monkeypatch) -> None:
    mixed = task(images, {"sharp": 0.5, "D8": 0.3, "shake": 0.2})
    whole = loop.train(Labels(fresh()), mixed, SCHEDULE, SETTINGS, CPU).state_dict()

    clock = count(step=10)
    # A checkpoint is due at every step.
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    checkpoint = tmp_path / "checkpoint.safetensors"

    for last in (5, 9):

        def killed(done: int, total: int, loss: float, last: int = last) -> None:
            if done == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            loop.train(Labels(fresh()), mixed, SCHEDULE, SETTINGS, CPU, checkpoint, killed)
    steps = []
    resumed = loop.train(
        Labels(fresh()),
        mixed,
        SCHEDULE,
        SETTINGS,
        CPU,
        checkpoint,
        lambda done, *_: steps.append(done),
    ).state_dict()
    assert steps[0] == 9
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_the_first_image_is_read_in_the_thread_that_hears_an_interrupt(images, monkeypatch) -> None:
    readers = []

    def read(self: MemorySet, number: int) -> torch.Tensor:
        readers.append(threading.current_thread())
        raise KeyboardInterrupt

    monkeypatch.setattr(MemorySet, "__getitem__", read)
    with pytest.raises(KeyboardInterrupt):
        loop.train(Labels(fresh()), task(images), SCHEDULE, SETTINGS, CPU)
    assert readers == [threading.main_thread()]


def test_an_images_crop_does_not_depend_on_its_neighbours(images) -> None:
    mixed = task(images, {"sharp": 0.2, "D4": 0.4, "shake": 0.4}, scale="256+512")
    together = make_batch(
        mixed, list(range(16)), 3, SETTINGS, flip=True, device=torch.device("cpu")
    ).seen
    for number in (0, 7, 15):
        alone = make_batch(mixed, [number], 3, SETTINGS, flip=True, device=torch.device("cpu")).seen
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-3)


def test_images_differ_from_epoch_to_epoch_and_come_each_once(images) -> None:
    one = task(images)
    first, again, other = (batches.epoch_order(one, epoch).tolist() for epoch in (0, 0, 1))
    assert first == again != other
    assert sorted(first) == sorted(other) == list(range(16))
    crops = [
        make_batch(one, [0], epoch, SETTINGS, flip=True, device=torch.device("cpu")).seen
        for epoch in (0, 1)
    ]
    assert not torch.equal(*crops)


def test_a_kernel_has_the_same_size_at_the_network_whatever_the_jitter() -> None:
    """Blur adds the same variance to a bright square in a crop at each pre-blur scale (Sec. 4)."""
    square = torch.zeros(3, 108, 108, dtype=torch.uint8)
    square[:, 46:62, 46:62] = 255

    def variance(mix: dict[str, float], jitter: int) -> float:
        settings = SETTINGS.model_copy(update={"jitter": [jitter]})
        one = Task(MemorySet([square], [0], ("square",)), mix, "256", 0)
        crop = make_batch(one, [0], 0, settings, False, torch.device("cpu")).seen
        return float(kernels.axis_variance(crop[0, 0].double().numpy())[1])

    added = [
        variance({"G8": 1.0}, jitter) - variance({"sharp": 1.0}, jitter)
        for jitter in (356, 384, 410)
    ]
    expected = kernels.axis_variance(kernels.psf("G8", 108 / 384))[1] * (72 / 108) ** 2
    assert added == pytest.approx([expected] * 3, rel=0.05)


def test_learning_rates_follow_the_phases() -> None:
    steps = list(loop.steps_of(SCHEDULE, 16))
    assert [epoch for epoch, _, _ in steps] == [0] * 4 + [1] * 4 + [2] * 4
    assert [rate for _, _, rate in steps] == pytest.approx(
        [0.02] * 8 + [0.01, 0.0075, 0.005, 0.0025]
    )


def test_a_loss_that_is_not_finite_stops_and_names_its_batch(images) -> None:
    schedule = SCHEDULE.model_copy(update={"phases": [Phase(epochs=3, rate=1e30)]})
    with pytest.raises(UserError, match=r"step \d+ of 12 .*test/\d+"):
        loop.train(Labels(fresh()), task(images), schedule, SETTINGS, CPU)


def test_the_mix_decides_how_often_an_image_is_sharp(images, monkeypatch) -> None:
    drawn = []
    plain = batches.blur.apply
    monkeypatch.setattr(
        batches.blur, "apply", lambda group, psfs: (drawn.extend(psfs), plain(group, psfs))[1]
    )
    for epoch in range(40):
        make_batch(
            task(images, {"sharp": 0.25, "D4": 0.75}),
            range(16),
            epoch,
            SETTINGS,
            True,
            torch.device("cpu"),
        )
    assert np.mean([psf is None for psf in drawn]) == pytest.approx(0.25, abs=0.05)


def test_the_sharp_crops_are_those_of_an_unblurred_mix(images) -> None:
    blurred, plain = (task(images, mix) for mix in ({"D8": 1.0}, {"sharp": 1.0}))
    pair = make_batch(blurred, range(16), 1, SETTINGS, True, torch.device("cpu"), with_sharp=True)
    alone = make_batch(plain, range(16), 1, SETTINGS, True, torch.device("cpu"))
    assert torch.equal(pair.sharp, alone.seen)
    assert not torch.equal(pair.sharp, pair.seen)
    assert alone.sharp is None


def agreement(features: float = 1.0) -> Agreement:
    torch.manual_seed(3)
    network, teacher = (small_vgg(("below", "above")) for _ in range(2))
    teacher.load_state_dict(network.state_dict())
    return Agreement(network.eval(), teacher.eval(), features)


def test_agreement_is_perfect_on_sharp_images_before_training(images) -> None:
    pair = make_batch(
        task(images), range(16), 0, SETTINGS, True, torch.device("cpu"), with_sharp=True
    )
    assert agreement()(pair).item() == pytest.approx(0, abs=1e-9)


def test_agreement_is_the_divergence_from_the_sharp_prediction(images) -> None:
    pair = make_batch(
        task(images, {"D8": 1.0}),
        range(16),
        0,
        SETTINGS,
        True,
        torch.device("cpu"),
        with_sharp=True,
    )
    objective = agreement(features=0.0)
    with torch.no_grad():
        right, given = (
            objective.teacher(crops)[:, :, 0, 0].double().softmax(dim=1)
            for crops in (pair.sharp, pair.seen)
        )
        assert objective(pair).item() == pytest.approx(
            float((right * (right / given).log()).sum(dim=1).mean()), rel=1e-3
        )


def test_agreement_needs_no_labels_and_leaves_the_teacher_alone(images) -> None:
    def trained(labels: list[int]) -> Agreement:
        objective = agreement()
        unlabelled = MemorySet([images[number] for number in range(16)], labels, ("below", "above"))
        schedule = SCHEDULE.model_copy(
            update={"optimizer": "adamw", "beta1": 0.9, "freeze_batch_norm": True}
        )
        loop.train(objective, task(unlabelled, {"sharp": 0.5, "D8": 0.5}), schedule, SETTINGS, CPU)
        return objective

    with_labels, without = trained([0, 1] * 8), trained([-1] * 16)
    start = agreement().teacher.state_dict()
    for name, tensor in without.network.state_dict().items():
        assert torch.equal(tensor, with_labels.network.state_dict()[name]), name
        assert torch.equal(without.teacher.state_dict()[name], start[name]), name
    assert any(
        not torch.equal(tensor, start[name])
        for name, tensor in without.network.state_dict().items()
    )


def test_from_blurred_images_alone_the_teacher_sees_the_blurred_crop_by_mixed_statistics(
    images,
) -> None:
    schedule = profile.load("smoke").agreement
    objective = objective_of(agreement().network, schedule, "agreement-blurred")
    objective.train()
    blurred = task(images, {"D8": 1.0})
    batch = objective.batch(blurred, range(16), 0, SETTINGS, True, torch.device("cpu"))
    assert batch.sharp is None
    network = objective.network.eval()
    start, given = network.state_dict(), network(batch.seen)[:, :, 0, 0].double().softmax(dim=1)
    teacher = unfolded(fresh()).eval()
    teacher.load_state_dict(start)

    def mix(layer: torch.nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
        own = inputs[0].transpose(0, 1).flatten(1)
        for name, found in (("mean", own.mean(dim=1)), ("var", own.var(dim=1, correction=0))):
            kept = getattr(layer, f"running_{name}")
            setattr(layer, f"running_{name}", (SOURCE * kept + 16 * found) / (SOURCE + 16))

    for layer in teacher.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.register_forward_pre_hook(mix)
    with torch.no_grad():
        right = teacher(batch.seen)[:, :, 0, 0].double().softmax(dim=1)
    divergence = (right * (right / given).log()).sum(dim=1).mean().item()
    assert divergence > 0
    objective.features = 0.0
    assert objective(batch).item() == pytest.approx(divergence, rel=0.02, abs=1e-6)


def test_augmix_trains_on_what_torchvision_makes_of_the_sharp_crops(images) -> None:
    objective = objective_of(fresh(), SCHEDULE, "augmix").eval()
    batch = objective.batch(task(images), range(16), 0, SETTINGS, True, torch.device("cpu"))
    crops = batch.seen.round().clamp(0, 255).to(torch.uint8)
    torch.manual_seed(7)
    mixed = torch.stack([v2.AugMix(all_ops=False)(crop) for crop in crops])
    assert (mixed != crops).float().mean() > 0.5
    logits = objective.network(mixed)[:, :, 0, 0]
    torch.manual_seed(7)
    loss = objective(batch).item()
    assert loss == pytest.approx(
        torch.nn.functional.cross_entropy(logits, batch.labels).item(), rel=1e-4
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_optimizers_state_survives_a_kill(images, tmp_path, monkeypatch, optimizer) -> None:
    schedule = SCHEDULE.model_copy(update={"optimizer": optimizer, "beta1": 0.9})
    whole = loop.train(Labels(fresh()), task(images), schedule, SETTINGS, CPU).state_dict()
    clock = count(step=10)
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    checkpoint = tmp_path / "checkpoint.safetensors"

    def killed(done: int, total: int, loss: float) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.train(Labels(fresh()), task(images), schedule, SETTINGS, CPU, checkpoint, killed)
    resumed = loop.train(
        Labels(fresh()), task(images), schedule, SETTINGS, CPU, checkpoint
    ).state_dict()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


# --- Several processes ----------------------------------------------------------------------------

LIGHT = {
    "emoji.classes": 4,
    "emoji.train": 48,
    "emoji.test": 8,
    "pretraining.batch": 16,
    "pretraining.phases": "[{epochs: 1, rate: 0.02}]",
    "agreement.batch": 15,
    "agreement.phases": "[{epochs: 2, rate: 1.0e-3}]",
    # AdamW would divide what rounding leaves of a gradient by its own size.
    "agreement.optimizer": "sgd",
    "agreement.momentum": 0.9,
    "agreement.beta1": "null",
    "compute.precision": "float32",
    "finetuning.batch_norm_batches": 1,
}
"""Overrides of the smoke profile."""
TUNED = "networks/small_vgg_mix_agreement-*/data.safetensors"


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> tuple[Path, list[str]]:
    """Where one process wrote what it trained (``1``, ``1.safetensors``) and two of torchrun
    likewise (``2``), and what the two said.
    """
    folder, script = (
        tmp_path_factory.mktemp("together"),
        Path(__file__).with_name("train_together.py"),
    )
    options = [part for item in LIGHT.items() for part in ("-p", "=".join(map(str, item)))]
    stores = [{"BLURPAPER_STORE": str(folder / number)} for number in "12"]

    def train(spec: str) -> list[str]:
        return ["train", spec, "--profile", "smoke", *options]

    runpy.run_path(str(script))["main"](folder / "1.safetensors")
    for spec in ("original", "mix/agreement"):
        done = CliRunner().invoke(main, train(spec), env=stores[0])
        assert done.exit_code == 0 and done.stdout.count("is in") == 1, done.output
        if spec == "original":
            shutil.copytree(folder / "1", folder / "2")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*torchrun, script, folder / "2.safetensors", *train("mix/agreement")],
        capture_output=True,
        text=True,
        env=os.environ | paths | stores[1],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, done.stdout.splitlines()


def test_two_processes_end_with_the_weights_of_one(together) -> None:
    """One process and two (Gloo, float32, the same global batch), dropout included; an odd batch is
    shared unevenly.

    A classifier and, of scenes, a per-pixel classifier with the network below it.
    """
    ends = [load_file(together[0] / f"{number}.safetensors") for number in "12"]
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=0, atol=1e-5, msg=name)
    for kind in ("classifier", "segmenter"):
        own = [tensor for name, tensor in ends[0].items() if name.startswith(kind)]
        assert any((tensor - tensor.mean()).abs().max() > 1e-3 for tensor in own)


def test_torchrun_trains_a_network_of_the_store_once_and_as_one_process_would(together) -> None:
    folder, said = together
    (one,), (two,) = ((folder / number).glob(TUNED) for number in "12")
    assert one.parent.name == two.parent.name
    ends = [load_file(path) for path in (one, two)]
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=0, atol=1e-5, msg=name)
    assert sum("is in" in line for line in said) == 2  # it was asked for twice
    assert [line for line in said if line.isdecimal()] == [str(two.stat().st_mtime_ns)] * 2
