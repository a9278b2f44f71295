"""Adaptation at test time against small implementations of its own: statistics by loops, a step of
TENT by autograd, EATA's filter and anchor by numpy; and what is left of it after a reset.
"""

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, MemorySet
from torch import nn

from blurpaper import experiments, kernels
from blurpaper.data.images import images_of
from blurpaper.evaluation import metrics, predictions, protocol, results
from blurpaper.experiments import adaptation, recognition
from blurpaper.experiments.adaptation import BATCH_NORM, EATA, TENT, Adapted, Method
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.base import MixedNorm, unfolded
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute, Profile, load

CPU = Compute(device="cpu", precision="float32", checkpoint_seconds=1)
CLASSES = ("a", "b", "c", "d")


@pytest.fixture
def network() -> nn.Module:
    """A network whose statistics of batch normalisation are those of no batch in particular."""
    torch.manual_seed(1)
    found = small_vgg(CLASSES)
    for layer in found.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    nn.init.normal_(found.classifier[-1].weight, std=0.3)
    return found.eval()


@pytest.fixture
def file(network, tmp_path) -> NetworkFile:
    files.save(network, NetworkSpec("small_vgg"), tmp_path / "network.safetensors")
    return NetworkFile.at(tmp_path / "network.safetensors")


@pytest.fixture
def images() -> MemorySet:
    pictures = [one.to(torch.uint8) for one in crops(12, seed=3)]
    return MemorySet(pictures, [number % 4 for number in range(12)], CLASSES)


@pytest.fixture
def profile(smoke) -> Profile:
    return smoke.model_copy(update={"compute": CPU})


def crops(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 9, 9, generator=generator) * 255
    return nn.functional.interpolate(coarse, (72, 72), mode="bicubic").clamp(0, 255)


def by_batch(network: nn.Module) -> nn.Module:
    """A plain copy that normalises by the batch alone, by torch's own means."""
    found = unfolded(copy.deepcopy(network))
    for layer in found.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.train()
    return found


# --- Statistics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [0, 16, 256])
@pytest.mark.parametrize("batch", [1, 5])
def test_mixed_statistics_are_those_of_the_formula(source, batch) -> None:
    norm = nn.BatchNorm2d(2).eval()
    norm.running_mean.copy_(torch.tensor([1.0, -2.0]))
    norm.running_var.copy_(torch.tensor([0.5, 3.0]))
    norm.weight.data.copy_(torch.tensor([2.0, 0.5]))
    norm.bias.data.copy_(torch.tensor([0.1, -0.1]))
    x = torch.randn(batch, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = np.empty(x.shape)
    for channel in range(2):
        values = x[:, channel].numpy().astype(np.float64)
        mean = (source * norm.running_mean[channel].item() + batch * values.mean()) / (
            source + batch
        )
        var = (source * norm.running_var[channel].item() + batch * values.var()) / (source + batch)
        scale = norm.weight[channel].item() / math.sqrt(var + norm.eps)
        expected[:, channel] = (values - mean) * scale + norm.bias[channel].item()
    found = MixedNorm(norm, source)(x)
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-5)


def test_without_the_sources_share_a_network_normalises_as_torch_does_in_training(network) -> None:
    images = crops(6)
    expected = by_batch(network).log_probabilities(images)
    found = Adapted(copy.deepcopy(network), Method(BATCH_NORM), CPU)(images)
    assert torch.allclose(found, expected, atol=1e-4)
    unlike = Adapted(copy.deepcopy(network), Method(), CPU)(images)
    assert torch.equal(unlike, network.log_probabilities(images))
    assert not torch.allclose(found, unlike, atol=1e-2)


def test_with_nearly_the_whole_share_for_the_source_nothing_adapts(network) -> None:
    images, start = crops(6), network.log_probabilities(crops(6))
    distances = [
        (Adapted(copy.deepcopy(network), Method(BATCH_NORM, source), CPU)(images) - start).norm()
        for source in (0, 10**7)
    ]
    assert distances[1] < 1e-2 < distances[0]


def test_layers_of_timm_that_also_activate_still_do() -> None:
    from timm.layers import BatchNormAct2d

    x = torch.randn(4, 2, 3, 3)
    norm = BatchNormAct2d(2)
    assert torch.allclose(MixedNorm(norm, 0)(x), norm.train()(x), atol=1e-6)


def test_a_network_without_batch_normalisation_cannot_adapt(network) -> None:
    for module in network.modules():
        if hasattr(module, "norm"):
            module.norm = nn.Identity()
    with pytest.raises(UserError, match="VGG has no batch normalisation"):
        Adapted(network, Method(TENT), CPU)


# --- The trap: our networks fold batch normalisation in evaluation --------------------------------


def test_a_plain_network_is_changed_by_hooks_that_adapt_it_and_a_folded_one_is_not(file) -> None:
    def by_hooks(plain: bool) -> torch.Tensor:
        """As a library outside does it: each layer's statistics are set when it is called."""
        network = file.load(plain=plain)

        def adapt(layer: nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
            var, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
            layer.running_mean, layer.running_var = mean, var

        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_pre_hook(adapt)
        with torch.no_grad():
            return network.log_probabilities(crops(6))

    adapted = Adapted(file.load(), Method(BATCH_NORM), CPU)(crops(6))
    assert torch.allclose(by_hooks(plain=True), adapted, atol=1e-4)
    start = Adapted(file.load(), Method(), CPU)(crops(6))
    assert torch.equal(by_hooks(plain=False), start)
    assert not torch.allclose(adapted, start, atol=1e-2)


@pytest.mark.parametrize("method", [Method(BATCH_NORM, 16), Method(TENT), Method(EATA)])
def test_folded_or_plain_makes_no_difference_to_a_method_of_ours(file, method, monkeypatch) -> None:
    monkeypatch.setattr(adaptation, "RATE", 0.05)
    folded, plain = (Adapted(file.load(plain), method, CPU) for plain in (False, True))
    for seed in range(3):
        assert torch.allclose(folded(crops(4, seed)), plain(crops(4, seed)), atol=1e-3)


# --- TENT -----------------------------------------------------------------------------------------


def test_steps_of_tent_are_those_of_autograd_by_hand(network) -> None:
    first, second = crops(6, 1), crops(6, 2)
    tent = Adapted(copy.deepcopy(network), Method(TENT), CPU)
    found = [tent(first), tent(second)]

    own, momentum = by_batch(network), {}
    affine = {
        f"{place}.{name}": parameter
        for place, layer in own.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
        for name, parameter in layer.named_parameters()
    }
    for images, given in zip((first, second), found, strict=True):
        log_p = own(images).log_softmax(dim=1).mean(dim=(2, 3))
        assert torch.allclose(given, log_p, atol=1e-4)  # before it learns from them
        p = log_p.softmax(dim=1)
        loss = -(p * p.log()).sum() / len(images)
        gradients = torch.autograd.grad(loss, list(affine.values()))
        for (name, parameter), gradient in zip(affine.items(), gradients, strict=True):
            momentum[name] = gradient + 0.9 * momentum.get(name, 0.0)
            parameter.data -= 2.5e-4 * momentum[name]
    assert tent.learnt.keys() == affine.keys()
    others = dict(network.named_parameters())
    for name, parameter in tent.learnt.items():
        moved = parameter.detach() - others[name]
        by_hand = affine[name].detach() - others[name]
        assert torch.allclose(moved, by_hand, rtol=1e-2, atol=3e-7), name  # some ulps of 1
        assert moved.abs().max() > 0, name
    for name, parameter in tent.network.named_parameters():
        assert name in affine or torch.equal(parameter, others[name]), name


# --- EATA -----------------------------------------------------------------------------------------


def sure_of(number: int, share: float) -> list[float]:
    rest = (1 - share) / (len(CLASSES) - 1)
    return [share if place == number else rest for place in range(len(CLASSES))]


def test_eata_learns_from_images_that_it_is_sure_of_and_that_are_new_to_it(network) -> None:
    eata = Adapted(network, Method(EATA), CPU)
    margin = 0.4 * math.log(len(CLASSES))

    def loss_of(*p: list[float]) -> float | None:
        found = eata._selected(torch.tensor(p).log())
        return None if found is None else found.item()

    def expected(*shares: float) -> float:
        entropies = [-sum(one * math.log(one) for one in sure_of(0, share)) for share in shares]
        assert max(entropies) < margin
        return sum(each * math.exp(margin - each) for each in entropies) / len(entropies)

    assert loss_of(sure_of(0, 0.3), sure_of(1, 0.5)) is None  # too uncertain
    found = loss_of(sure_of(0, 0.99), sure_of(0, 0.97), sure_of(1, 0.4))
    assert found == pytest.approx(expected(0.99, 0.97), rel=1e-4)
    # Now it has seen class 0: another such image teaches it nothing, one of class 2 does.
    assert loss_of(sure_of(0, 0.98)) is None
    assert loss_of(sure_of(0, 0.98), sure_of(2, 0.99)) == pytest.approx(expected(0.99), rel=1e-4)
    mean = 0.9 * np.mean([sure_of(0, 0.99), sure_of(0, 0.97)], axis=0) + 0.1 * np.array(
        sure_of(2, 0.99)
    )
    assert eata._mean.numpy() == pytest.approx(mean, abs=1e-6)
    assert loss_of(sure_of(2, 0.99)) is None


def test_eatas_anchor_is_the_weighted_distance_from_the_start(network) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = Adapted(copy.deepcopy(network), Method(EATA), CPU).learnt
    weights = {name: torch.rand(one.shape, generator=generator) for name, one in shapes.items()}
    free, held = (
        Adapted(copy.deepcopy(network), Method(EATA), CPU, anchor) for anchor in (None, weights)
    )
    log_p = torch.tensor([sure_of(0, 0.99)]).log()
    assert held._selected(log_p).item() == free._selected(log_p).item()
    distance = 0.0
    for number, (name, parameter) in enumerate(held.learnt.items()):
        moved = 1e-3 * (number + 1)
        parameter.data += moved
        distance += weights[name].sum().item() * moved**2
    for one in (free, held):
        one._mean = None
    gap = held._selected(log_p).item() - free._selected(log_p).item()
    assert gap == pytest.approx(2000 * distance, rel=1e-3)


def test_fisher_information_is_the_mean_of_squared_gradients(
    file, images, profile, monkeypatch
) -> None:
    monkeypatch.setattr(adaptation, "BATCH", 6)
    seen = adaptation.Shown(images, profile)
    found = adaptation.fisher(file, seen)
    own, sums = by_batch(file.load()), {}
    for batch in seen("sharp").split(6):
        log_p = own.log_probabilities(batch)
        loss = nn.functional.cross_entropy(log_p, log_p.argmax(dim=1))
        own.zero_grad()
        loss.backward()
        for name, parameter in own.named_parameters():
            if name in found:
                sums[name] = sums.get(name, 0.0) + parameter.grad.square() / 2
    for name, values in found.items():
        assert torch.allclose(values, sums[name], rtol=1e-2, atol=1e-8), name


# --- Resets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TENT, EATA])
@pytest.mark.parametrize("continual", [False, True])
def test_what_is_learnt_under_one_condition_is_kept_for_the_next_only_if_wanted(
    file, images, profile, monkeypatch, kind, continual
) -> None:
    monkeypatch.setattr(adaptation, "RATE", 0.1)
    monkeypatch.setattr(adaptation, "ENTROPY_MARGIN", 1.1)
    method, seen = Method(kind, batch=4, continual=continual), adaptation.Shown(images, profile)

    def under(*conditions: str, seed: int = 0) -> torch.Tensor:
        return adaptation.decisions(method, conditions, seed, dict, file, seen)["D8.entropy"]

    alone, after = under("D8"), under("sharp", "D8")
    assert torch.equal(alone, after) != continual
    assert torch.equal(under("sharp", "D8"), after)  # there is no chance in it
    assert not torch.equal(under("D8", seed=1), alone)


def test_decisions_come_in_the_order_of_the_set_whatever_the_order_in_time(
    file, images, profile
) -> None:
    seen = adaptation.Shown(images, profile)
    log_p = file.load().log_probabilities(seen("D4")).detach()
    expected = metrics.decide(log_p, images.labels)
    for seed in range(2):
        found = adaptation.decisions(Method(batch=5), ("D4",), seed, dict, file, seen)
        for name in adaptation.DECIDED:
            assert found[f"D4.{name}"].numpy() == pytest.approx(expected[name], abs=1e-4), name


def test_images_are_seen_as_the_protocol_has_them_and_as_squares(images, profile) -> None:
    wide = MemorySet([one[:, :60] for one in images.images], images.labels.tolist(), CLASSES)
    for kept, shape in ((images, (72, 72)), (wide, (72, 87))):
        canonical = images_of(kept, [3], profile.protocol)[0][None]
        seen = protocol.blurred(canonical, [kept.ids[3]], "shake", 108)
        whole = protocol.network_input(seen, 72, 108)
        assert whole.shape[-2:] == shape
        left = (shape[1] - 72) // 2
        square = whole[0, :, :, left : left + 72]
        assert torch.equal(adaptation.Shown(kept, profile)("shake")[3], square)


# --- Severities -----------------------------------------------------------------------------------


def severity_of_imagenet_c(name: str) -> np.ndarray:
    """The kernel as its authors draw it, at 224 of 256 pixels; motion to the right."""
    kind, number = name.removeprefix("C-").split(":")
    if kind == "defocus":
        radius = (3, 4, 6, 8, 10)[int(number) - 1]
        y, x = np.mgrid[-10:11, -10:11]
        return (x**2 + y**2 <= radius**2).astype(float)
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[int(number) - 1]
    steps = np.arange(2 * radius + 1)
    return np.r_[np.zeros(2 * radius), np.exp(-(steps**2) / (2 * sigma**2))][None]


@pytest.mark.parametrize("name", recognition.SEVERITIES)
def test_each_severity_has_the_spread_of_its_psf(name) -> None:
    expected = np.sqrt(kernels.axis_variance(severity_of_imagenet_c(name)).sum()) * 384 / 256
    found = np.sqrt(kernels.axis_variance(kernels.psf(recognition.SEVERITIES[name])).sum())
    assert found == pytest.approx(expected, rel=0.03)


# --- Rows -----------------------------------------------------------------------------------------


def test_rows_pair_every_method_and_network_with_the_original_and_pool_seeds(monkeypatch) -> None:
    def frame(spec: NetworkSpec, right: int, seed: int = 0) -> pd.DataFrame:
        of = predictions.columns_of(spec, "many", 4, "256", "D8") | {"seed": str(seed)}
        return pd.DataFrame({**of, "rank": np.where(np.arange(40) < right, 0, 7)}, range(40))

    original, tuned, again = (
        NetworkSpec.parse(name, "small_vgg") for name in ("original", "mix", "mix#1")
    )
    tent = Method(TENT)
    made = {
        (original, Method()): [frame(original, 20)],
        (original, tent): [frame(original, right, seed) for seed, right in enumerate((22, 26))],
        (tuned, Method()): [frame(tuned, 30)],
        (again, Method()): [frame(again, 34)],
    }
    monkeypatch.setattr(adaptation, "decided", lambda *_: made)
    rows = experiments.EXPERIMENTS["adaptation"](Run(load("smoke"), None))
    rows = rows.set_index(["network", "parameter", "metric"])
    assert rows.loc[("original", "as is", "top1"), "value"] == 0.5
    assert rows.loc[("original", "as is", "top1_vs_original"), "value"] == 0.0
    gain = rows.loc[("original", str(tent), "top1_vs_original")]
    assert gain["value"] == pytest.approx(0.1)
    assert (gain["seed"], gain["n"]) == ("all", 80)
    gain = rows.loc[("mix", "as is", "top1_vs_original")]
    assert gain["value"] == pytest.approx(0.3)
    assert gain["low"] > 0
    assert not rows.reset_index().duplicated(list(results.KEY)).any()


def test_the_whole_in_miniature_is_computed_once(store, monkeypatch) -> None:
    tent, eata = Method(TENT), Method(EATA, continual=True)
    monkeypatch.setattr(adaptation, "CONDITIONS", ("sharp", "D8"))
    monkeypatch.setattr(adaptation, "METHODS", (Method(), Method(BATCH_NORM, 16), tent, eata))
    few = {"agreement.phases": [{"epochs": 1, "rate": 1e-4}], "adaptation.images": 8}
    few |= {"adaptation.seeds": 2}
    tiny = load("smoke", TINY | few | {"adaptation.networks": ["mix/agreement-blurred"]})
    rows = experiments.EXPERIMENTS["adaptation"](Run(tiny, store))
    rows = results.select(rows, metric="top1")
    assert rows["value"].between(0, 1).all()
    found = set(
        zip(rows["network"], rows["recipe"], rows["parameter"], rows["condition"], rows["n"])
    )
    variant, both = str(Method(BATCH_NORM, 16)), ("sharp", "D8")
    assert found == {
        *(("original", "", "as is", condition, 8) for condition in both),
        *(("mix", "agreement-blurred", "as is", condition, 8) for condition in both),
        *(("original", "", str(tent), condition, 16) for condition in both),
        *(("original", "", str(eata), condition, 8) for condition in both),
        *(("original", "", variant, condition, 16) for condition in both),
    }
    made = store.names()
    assert any(name.startswith("fisher/") for name in made)
    experiments.EXPERIMENTS["adaptation"](Run(tiny, store))
    assert store.names() == made
    near = experiments.EXPERIMENTS["severities"](Run(tiny, store))
    assert set(near["parameter"]) == {"", *recognition.SEVERITIES}
    same = results.select(near, condition="D6", metric=["top1", "effective_radius"])
    assert set(same["parameter"]) == {"", "C-defocus:2"}
    assert (same.groupby("metric")["value"].nunique() == 1).all()
    radius = results.select(same, metric="effective_radius")["value"].to_numpy()
    assert radius == pytest.approx(6, abs=0.1)
