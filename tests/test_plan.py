"""The plan of a run: its arithmetic against published numbers, its steps and memory against counts
by hand.
"""

import pytest
import torch

from blurpaper import costs, jobs, needs, plan, segmented, tallies, trained
from blurpaper import profile as profiles
from blurpaper.gpus import GPUS
from blurpaper.networks import NetworkSpec, build


@pytest.fixture
def imagenet(tmp_path, monkeypatch) -> profiles.Profile:
    """The profile, on a machine that has neither data nor a store."""
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    return profiles.load("imagenet")


# Published: Simonyan and Zisserman's configuration D as torchvision documents it, and its
# ResNet-50; in multiply-adds.
@pytest.mark.parametrize(
    ("model", "published", "tolerance", "learnt"),
    [("vgg16", 15.47e9, 0.01, 138_357_544), ("resnet50", 4.09e9, 0.02, 25_557_032)],
)
def test_arithmetic_and_parameters_are_the_published_ones(
    model, published, tolerance, learnt
) -> None:
    for training in (False, True):
        assert costs.forward(
            model, 1000, 224, (224, 224), training=training
        ).flops / 2 == pytest.approx(published, rel=tolerance)
    assert costs.parameters(model, 1000, 224) == learnt


def test_a_skeleton_takes_no_memory() -> None:
    assert all(parameter.is_meta for parameter in costs.skeleton("vgg16", 1000, 224).parameters())


@pytest.mark.parametrize("half", [False, True])
def test_memory_of_training_grows_linearly_in_the_batch(half) -> None:
    one, two, five = (
        costs.forward("small_vgg", 10, 64, (64, 64), n, training=True, half=half).activations
        for n in (1, 2, 5)
    )
    assert five - two == pytest.approx(3 * (two - one), rel=0.01)
    assert two - one > 0
    schedule = profiles.load("emoji").finetuning
    fixed = (
        costs.training_memory("small_vgg", 10, 64, schedule.model_copy(update={"batch": 1}), half)
        - one
    )
    assert fixed == 3 * 4 * costs.parameters("small_vgg", 10, 64)  # weights, gradients, momentum


def test_memory_of_training_is_that_of_the_tensors_a_real_pass_keeps() -> None:
    torch.manual_seed(0)
    network = build("small_vgg", tuple(map(str, range(10))), 64).train()
    own = {
        tensor.untyped_storage().data_ptr()
        for tensor in (*network.parameters(), *network.buffers())
    }
    kept = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network(torch.zeros(4, 3, 64, 64))
    needed = sum(size for place, size in kept.items() if place not in own) + logits.nbytes
    assert costs.forward(
        "small_vgg", 10, 64, (64, 64), 4, training=True
    ).activations == pytest.approx(needed, rel=0.15)


def test_classifying_needs_less_memory_than_training() -> None:
    learn, classify = (
        costs.forward("small_vgg", 10, 64, (64, 64), 8, training=t).activations
        for t in (True, False)
    )
    assert classify < learn / 2


def test_agreement_takes_a_teacher_more() -> None:
    emoji = profiles.load("emoji")
    schedule = emoji.agreement.model_copy(
        update={"optimizer": "sgd", "batch": emoji.finetuning.batch}
    )
    more = costs.training_memory("small_vgg", 10, 64, schedule, False) - costs.training_memory(
        "small_vgg", 10, 64, emoji.finetuning, False
    )
    assert more == 4 * costs.parameters("small_vgg", 10, 64)


def test_every_network_of_table_4_and_of_the_seeds_is_needed_once_and_after_its_start() -> None:
    emoji = profiles.load("emoji", {"evaluation.finetuned": ["mix", "mix#1"]})
    found = [str(spec) for spec in needs.networks(emoji)]
    assert len(set(found)) == len(found)
    assert {
        "small_vgg:mix",
        "small_vgg:mix#1",
        "small_vgg:mix@512",
        "small_vgg:mix@256+512",
        "small_resnet:mix",
    } <= set(found)
    assert found.index("small_vgg:original#1") < found.index("small_vgg:mix#1")


def test_a_model_that_cannot_be_had_is_told() -> None:
    photos = profiles.load("photos")
    with pytest.raises(ValueError, match="no pretraining"):
        trained.schedule_of(NetworkSpec("small_vgg"), photos)


def test_the_plan_of_imagenet_names_what_is_missing_and_comes_out_without_it(
    imagenet, tmp_path
) -> None:
    said = plan.describe(imagenet, ["02_pretrained", "03_finetuning"])
    for split, count in (("train", "1,281,167"), ("val", "50,000")):
        assert f"{count} images, MISSING" in said
        assert str(tmp_path / "data" / "imagenet" / split) in said
    assert "image-net.org" in said
    epochs = sum(phase.epochs for phase in imagenet.finetuning.phases)
    assert f"vgg16:mix to train, {epochs * (1281167 // 128):,} steps of 128" in said
    assert (
        "vgg16:original on imagenet, 50,000 images x 12 conditions x scales 128, 256, 512" in said
    )
    assert "without a GPU: not known" in said
    assert not (tmp_path / "store").exists()


def test_a_fine_tuning_on_imagenet_is_the_papers_three_epochs(imagenet) -> None:
    said = plan.describe(imagenet, [])
    assert (
        f"vgg16:sharp-only to train, {3 * (1281167 // 128):,} steps of 128 (1,281,167 images, 3 epochs)"
        in said
    )


def test_hours_are_those_of_the_gpu_that_is_named(imagenet) -> None:
    a100, h100, t4 = (plan.describe(imagenet, [], gpu) for gpu in ("A100", "H100", "T4"))
    assert "one A100 80GB: 312 TFLOPS in bfloat16" in a100
    assert "one H100 SXM: 989 TFLOPS in bfloat16" in h100
    assert (
        "one T4: 8.1 TFLOPS in float32" in t4
    )  # it has no bfloat16, and then the library computes in float32
    assert "MORE than the 16 GB of one T4" in plan.describe(
        profiles.load("imagenet", {"finetuning.batch": 256}), [], "T4"
    )
    assert all(gpu.single < gpu.half for gpu in GPUS.values())


def test_hours_are_arithmetic_over_the_peak_and_the_assumed_utilisation(imagenet) -> None:
    said = plan.describe(imagenet, ["02_pretrained"])
    flops = 0
    for spec in needs.networks(imagenet):
        if not trained.is_published(spec):
            schedule = trained.schedule_of(spec, imagenet)
            steps = sum(phase.epochs for phase in schedule.phases) * (1281167 // 128)
            forward = costs.forward(spec.model, 1000, 224, (224, 224)).flops
            flops += steps * 128 * forward * (4 if spec.recipe == "agreement" else 3)
    for spec in tallies.by_table(imagenet)["table6"]:
        settings, schedule = imagenet.segmentation, segmented.schedule_of(spec, imagenet)
        network = costs.segmenter("vgg16", 1000, 224, 21, settings)
        steps = sum(phase.epochs for phase in schedule.phases) * (1464 // schedule.batch)
        forward = costs.segmenting(network, (settings.crop,) * 2, points=settings.points).flops
        flops += steps * schedule.batch * forward * 3
    assert f"training {flops / (312e12 * plan.UTILISATION) / 3600:,.1f} h," in said


def test_what_is_in_the_store_is_marked_and_counted_above_only_once(
    tmp_path, monkeypatch, smoke
) -> None:
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    said = plan.describe(smoke, ["02_pretrained", "04_scales"])
    assert "in the store" not in said
    assert (
        "small_vgg:original on emoji, 100 images x 12 conditions x scales 128, 256, 512: counted above"
        in said
    )
    assert "small_vgg:mix on emoji, 100 images x 5 conditions x scale 256: counted above" in said

    from blurpaper.store import Store

    trained.network(NetworkSpec("small_vgg"), smoke, Store())
    again = plan.describe(smoke, ["02_pretrained", "04_scales"])
    line = next(line for line in again.splitlines() if "small_vgg:original to train" in line)
    assert line.endswith("in the store")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 "), (999, "999 "), (1_234_000_000, "1.23 G"), (999_600, "1 M"), (4e18, "4 E")],
)
def test_numbers_are_told_with_decimal_prefixes(number, text) -> None:
    assert jobs.counted(number) == text
