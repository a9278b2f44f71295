"""Networks as a profile asks for them: each trained once, and which changes make it anew."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from helpers import TINY

from blurpaper import data
from blurpaper.kernels import MIXES
from blurpaper.networks import NetworkSpec, Reference, build, files, weights
from blurpaper.runs import Run, devices
from blurpaper.runs.profile import load
from blurpaper.runs.randomness import seed_of
from blurpaper.runs.store import Store
from blurpaper.training import batches, loop, networks


@pytest.fixture(scope="module")
def tiny():
    return load("smoke", TINY)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def spec(text: str) -> NetworkSpec:
    return NetworkSpec.parse(text, model="small_vgg")


def test_a_network_is_trained_once_and_loaded_afterwards(tiny, kept, monkeypatch) -> None:
    first = networks.trained(spec("mix"), Run(tiny, kept)).load()
    monkeypatch.setattr(loop, "train", lambda *_: pytest.fail("trained again"))
    again = networks.trained(spec("mix"), Run(tiny, kept)).load()
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_a_networks_key_follows_what_it_is_made_from_and_nothing_else(tiny, kept) -> None:
    def key(text: str, **overrides) -> str:
        return networks.trained(spec(text), Run(load("smoke", TINY | overrides), kept)).artifact.key

    plain = {
        text: key(text)
        for text in (
            "original",
            "mix",
            "onlyD8",
            "mix@512",
            "mix#1",
            "mix/batch-norm",
            "mix/agreement",
        )
    }
    assert len(set(plain.values())) == len(plain)
    assert key("mix", **{"evaluation.bootstrap": 77}) == plain["mix"]
    assert key("original", **{"finetuning.momentum": 0.5}) == plain["original"]
    assert key("mix", **{"finetuning.momentum": 0.5}) != plain["mix"]
    assert key("mix/agreement", **{"agreement.feature_weight": 0.5}) != plain["mix/agreement"]
    assert key("mix", **{"agreement.feature_weight": 0.5}) == plain["mix"]
    # It starts from another original.
    assert key("mix", **{"pretraining.momentum": 0.5}) != plain["mix"]
    assert key("original", **{"emoji.train": 96}) != plain["original"]


def test_new_statistics_are_those_of_the_blurred_images_and_no_weight_moves(tiny, kept) -> None:
    original, adapted = (
        networks.trained(spec(name), Run(tiny, kept)).load()
        for name in ("original", "onlyD8/batch-norm")
    )
    for (name, before), after in zip(
        original.named_parameters(), adapted.parameters(), strict=True
    ):
        assert torch.equal(before, after), name
    images = data.load_images("emoji", "train", Run(tiny, kept))
    task = batches.Task(images, MIXES["onlyD8"], "256", seed_of(tiny.seed, 0))
    order = batches.epoch_order(task, 0)
    means = []
    for start in (0, 32):
        crops = batches.make_batch(
            task, order[start : start + 32], 0, tiny.protocol, True, torch.device("cpu")
        ).seen
        with torch.inference_mode():
            means.append(original.stages[0][0].conv(original.normalised(crops)).mean(dim=(0, 2, 3)))
    torch.testing.assert_close(
        adapted.stages[0][0].norm.running_mean, (means[0] + means[1]) / 2, rtol=0.03, atol=0.01
    )


def test_profiles_that_cannot_make_a_network_say_so(kept) -> None:
    with pytest.raises(ValueError, match="has no pretraining"):
        networks.trained(NetworkSpec("small_vgg"), Run(load("photos"), kept)).load()
    with pytest.raises(ValueError, match="one for each scale"):
        networks.trained(spec("mix@per-scale"), Run(load("smoke"), kept)).load()


# --- Networks as plain modules --------------------------------------------------------------------


@pytest.fixture(scope="module")
def references(tmp_path_factory) -> dict[str, Reference]:
    """Two networks in files, with batch norms drawn at random, and the bundled one."""
    found: dict[str, Reference] = {}
    for model in ("small_vgg", "small_resnet"):
        torch.manual_seed(0)
        network, path = build(model, ("a", "b", "c"), 64), tmp_path_factory.mktemp("files") / model
        for layer in batch_norms(network):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.uniform_(0.5, 2.0)
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.normal_()
        files.save(network, NetworkSpec(model), path)
        found[model] = files.NetworkFile.at(path)
    bundled = NetworkSpec("efficientnet_lite0", "mix", recipe="agreement")
    return found | {"efficientnet_lite0": weights.bundled(bundled)}


def batch_norms(network: torch.nn.Module) -> list[torch.nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]


def called_norms(network: torch.nn.Module, images: torch.Tensor) -> tuple[int, torch.Tensor]:
    """How many of its batch norms call their hooks for images, and its logits."""
    called, norms = [], batch_norms(network)
    for number, layer in enumerate(norms):
        layer.register_forward_hook(lambda *_, number=number: called.append(number))
    with torch.inference_mode():
        logits = network(images)
    assert len(called) == len(set(called))
    return len(called), logits


@pytest.mark.parametrize("model", ["small_vgg", "small_resnet", "efficientnet_lite0"])
def test_a_plain_network_calls_the_hooks_of_its_batch_norms_and_predicts_the_same(
    references, model
) -> None:
    reference, draw = references[model], torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 224, 256), generator=draw).float()
    plain, folded = (reference.load(plain=plain) for plain in (True, False))
    assert not plain.training and not folded.training
    (hooks, expected), (none, found) = (called_norms(one, images) for one in (plain, folded))
    assert hooks == len(batch_norms(plain)) > 0 and none == 0
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
    # Each load is another network: the one that others share is still folded.
    assert called_norms(reference.loaded, images)[0] == 0


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("name", ["original", "onlyD8/batch-norm"])
def test_each_of_several_processes_trains_what_can_be_resumed_and_what_cannot(
    tiny, kept, monkeypatch, name, number
) -> None:
    network = networks.trained(spec(name), Run(tiny, kept))
    whole = network.load().state_dict()
    shutil.rmtree(kept.path(network.artifact))
    computed, really = [], network.artifact.function

    def noted(*arguments):
        computed.append(really(*arguments))
        return computed[-1]

    bound = network.artifact.compute
    noted.__module__ = really.__module__
    artifact = replace(network.artifact, compute=partial(noted, *bound.args))
    answers = {"count": 2, "number": number, "led": True, "wait": None, "join": None}
    for told, answer in answers.items():
        monkeypatch.setattr(devices, told, lambda *_, answer=answer: answer)
    monkeypatch.setattr(devices, "share", lambda members: (slice(0, len(members)), members))
    monkeypatch.setattr(loop, "train", lambda objective, *_: objective.network)
    networks._computed_together(artifact, kept)
    assert len(computed) == 1
    assert kept.has(artifact) == (number == 0)
    assert computed[0].state_dict().keys() == whole.keys()
    shutil.rmtree(kept.path(artifact), ignore_errors=True)
