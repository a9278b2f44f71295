"""The plan of a run: its list of work against what committed runs did, its arithmetic against
published numbers, its memory against a real pass, its times against those of an H100.
"""

import json
import re

import pytest
import torch

from blurpaper.experiments import measurements, plan
from blurpaper.experiments.sources import Committed
from blurpaper.networks import NetworkSpec, build
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import HOME
from blurpaper.training import networks


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> None:
    """A machine that has neither data nor a store."""
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))


# --- The list of work -----------------------------------------------------------------------------


def made(profile: str, kind: str) -> set[str]:
    """Names of a kind of artifact that the committed run of a profile left."""
    timings = Committed(profiles.load(profile)).timings()
    return {row["name"] for row in timings if row["kind"] == kind}


@pytest.mark.parametrize("name", ["emoji", "photos"])
def test_the_networks_are_those_that_the_committed_run_trained(name) -> None:
    profile = profiles.load(name)
    specs = map(NetworkSpec.parse, measurements.starts(profile))
    specs = [spec for spec in specs if not networks.is_published(spec)]
    segmenting = {spec.mix for spec in specs if spec.model == "segmentation"}
    planned = {str(spec) for spec in specs if spec.model != "segmentation"}
    if not made(name, "adapted"):  # the experiment is newer than the committed run
        planned -= {spec for spec in planned if spec.endswith(("/augmix", "/agreement-blurred"))}
    trained = {spec for spec in made(name, "networks") if " on " not in spec}
    if len(trained) == len(made(name, "networks")):  # nor were any at a density of their own
        trained -= {f"{profile.model}:sharp+{blur}" for blur in ("D4", "D8")} - planned
    assert planned == trained
    scenes = profile.segmentation.data
    assert {f"{profile.model}:{mix}.{scenes}" for mix in segmenting} == made(name, "segmenters")


@pytest.mark.parametrize("name", ["emoji", "photos"])
def test_the_measurements_are_those_that_the_committed_run_made(name) -> None:
    """But for networks from files, which are measured for comparison with their originals."""
    planned: dict[str, set[str]] = {}
    for publication in Committed(profiles.load(name)).publications():
        about = publication["profile"]
        # Settings that came after the publication do not count.
        newer = {} if "density" in about else {"density.parts": []}
        profile = profiles.load(name, {"evaluation": about["evaluation"]} | newer)
        for kind, names in _measured(profile, publication["experiments"]).items():
            if kind != "distances":  # which hold all conditions
                assert len(set(names)) == len(names), "each once"
            planned.setdefault(kind, set()).update(names)
    for kind, names in planned.items():
        done = {one.rpartition(".")[0] for one in made(name, kind) if ".safetensors" not in one}
        # Networks without labels have a set of their own.
        done = {one.replace(f" on {profile.agreement.train_set}", "") for one in done}
        if kind == "deblurred":  # other experiments deblur too
            done = {one for one in done if one.partition(".")[0] in profile.deblurring.methods}
        assert names == done, kind


def _measured(profile: profiles.Profile, experiments: list[str]) -> dict[str, list[str]]:
    """Kind of artifact -> names that the experiments make, without those of a pass."""
    planned: dict[str, list[str]] = {}
    for _, one in measurements.measurements(profile, experiments):
        # A camera's frame is not yet published.
        if one.spec.scale == "per-scale" or one.kind == "framed":
            continue
        for each in one.treatments if one.kind == "deblurred" else one.conditions:
            if one.kind == "adapted":  # its kinds of passes are counted by themselves
                continue
            what = each if one.kind == "deblurred" else str(one.spec)
            what += f" on {one.data}:{one.labelled}" if one.labelled else ""
            rest = [one.data] if one.kind in ("deblurred", "distances") else [one.data, each]
            planned.setdefault(one.kind, []).append(f"{what}.{'.'.join(rest)}")
    return planned


@pytest.mark.parametrize("name", profiles.names())
def test_every_network_comes_after_the_one_it_starts_from(name) -> None:
    seen = {""}
    for spec, start in measurements.starts(profiles.load(name)).items():
        assert start in seen, spec
        seen.add(spec)


def test_a_seed_of_its_own_starts_from_a_network_of_that_seed() -> None:
    emoji = profiles.load("emoji", {"evaluation.finetuned_networks": ["mix", "mix#1"]})
    starts = measurements.starts(emoji)
    assert starts["small_vgg:mix#1"] == "small_vgg:original#1"
    assert starts["segmentation:original"] == starts["small_vgg:mix"] == "small_vgg:original"
    assert starts["segmentation:mix"] == "segmentation:original"


# --- Costs ----------------------------------------------------------------------------------------


# Published: Simonyan and Zisserman's configuration D as torchvision documents it, and its
# ResNet-50; in multiply-adds.
@pytest.mark.parametrize(
    ("model", "published", "tolerance", "learnt"),
    [("vgg16", 15.47e9, 0.01, 138_357_544), ("resnet50", 4.09e9, 0.02, 25_557_032)],
)
def test_arithmetic_and_parameters_are_the_published_ones(
    model, published, tolerance, learnt
) -> None:
    network = plan.skeleton(model, 1000, 224)
    assert all(parameter.is_meta for parameter in network.parameters())
    for training in (False, True):
        found = plan.forward(network, (224, 224), training=training).flops / 2
        assert found == pytest.approx(published, rel=tolerance)
    assert plan.weights(network) == learnt


@pytest.mark.parametrize("half", [False, True])
def test_memory_of_training_grows_linearly_in_the_batch(half) -> None:
    network = plan.skeleton("small_vgg", 10, 64)
    one, two, five = (
        plan.forward(network, (64, 64), batch, True, half).activations for batch in (1, 2, 5)
    )
    assert five - two == pytest.approx(3 * (two - one), rel=0.01)
    assert two > one


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
    outline = plan.skeleton("small_vgg", 10, 64)
    found = plan.forward(outline, (64, 64), 4, training=True).activations
    assert found == pytest.approx(needed, rel=0.15)
    assert plan.forward(outline, (64, 64), 4).activations < found / 2  # nothing to go back through


def test_training_keeps_gradients_moments_and_without_labels_a_teacher() -> None:
    emoji, network = profiles.load("emoji"), plan.skeleton("small_vgg", 10, 64)
    copies = {
        name: plan.training_memory(network, schedule, 0) / (4 * plan.weights(network))
        for name, schedule in (("sgd", emoji.finetuning), ("adamw, teacher", emoji.agreement))
    }
    assert copies == {"sgd": 3, "adamw, teacher": 5}


def test_times_are_those_of_an_h100_within_a_factor_of_two() -> None:
    """Images a second of the whole loop and the whole protocol, in the committed benchmark."""
    profile = profiles.load("imagenet")
    measured = json.loads((HOME / "results" / "bench.gpu.json").read_text(encoding="utf-8"))
    on_h100 = plan._Plan(profile, plan.GPUS["H100"])
    rates = [
        (row["what"].removeprefix("loop, "), (224, 224), plan.TRAINING, row["images/s"])
        for row in measured["loop"]
        if row.get("mode") == "bfloat16"
    ]
    shapes = {"256": (256, 341), "512": (512, 683)}
    rates += [
        (row["model"], shapes[row["scale"]], 1, row["whole protocol, images/s"])
        for row in measured["classify"]
        if row["mode"] == "bfloat16"
    ]
    assert len(rates) == 2 + 3 * 2
    for model, shape, passes, rate in rates:
        flops = passes * plan.forward(plan.skeleton(model, 1000, 224), shape).flops
        assert 0.5 < 1 / (3600 * on_h100._hours(1, flops)) / rate < 2, (model, shape)


# --- What is said ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_has_a_plan_without_data_and_nothing_is_written(
    nowhere, tmp_path, name
) -> None:
    said = plan.describe(profiles.load(name))
    assert said.count("MISSING") == {"emoji": 0, "smoke": 0, "photos": 10, "imagenet": 3}[name]
    assert "GPU-hours on one A100 80GB" in said
    assert not list(tmp_path.iterdir())


def test_the_plan_of_imagenet_is_the_papers_three_epochs(nowhere, tmp_path) -> None:
    said = plan.describe(profiles.load("imagenet"))
    for split, count in (("train", "1,281,167"), ("val", "50,000")):
        assert f"{count} images" in said
        assert f"not at {tmp_path / 'data' / 'imagenet' / split}" in said
    assert "register at image-net.org" in said
    steps = 3 * (1281167 // 128)
    hours = steps * 128 * (3 * 2 * 15.47e9 / (plan.SHARE * 312e12) + plan.HANDLING) / 3600
    assert f"vgg16:mix: {steps:,} steps of 128 (1,281,167 images): {hours:.1f} h" in said
    conditions = "50,000 images x 12 conditions at 128, 256, 512"
    assert f"table1: vgg16:original on imagenet, {conditions}" in said
    assert "table5: vgg16:original on imagenet, 10,000 images x 5 treatments" in said


def test_totals_are_the_sums_of_the_jobs(nowhere) -> None:
    said = plan.describe(profiles.load("imagenet"))
    unit = {"h": 3600, "min": 60, "s": 1}
    jobs = re.findall(r"^  \S+: .*: ([\d.]+) (h|min|s), [\d.]+[kMG]B, ", said, re.MULTILINE)
    total = re.search(r"from an empty store: ([\d.]+) h", said)[1]
    assert sum(float(n) * unit[u] for n, u in jobs) / 3600 == pytest.approx(float(total), abs=0.6)
    assert "GPU memory: 8.24GB, of the 80GB" in said


def test_a_gpu_without_bfloat16_computes_in_float32_and_may_be_too_small(nowhere) -> None:
    said = plan.describe(profiles.load("imagenet", {"finetuning.batch": 256}), "t4")
    assert "8.1 TFLOPS in float32" in said
    assert "MORE than the 16GB of one T4" in said


@pytest.mark.parametrize(
    ("hours", "said"), [(1234, "1,234.0 h"), (0.5, "30.0 min"), (0.01, "36.0 s")]
)
def test_few_hours_are_minutes_or_seconds(hours, said) -> None:
    assert plan.in_hours(hours) == said
