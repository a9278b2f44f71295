"""What is trained and measured once: networks by name, their log-probabilities, and which changes make them anew."""

import numpy as np
import pytest
import torch

from blurpaper import batches, data, experiments, metrics, protocol, results, runs, tallies, training
from blurpaper.blur import MIXES
from blurpaper.networks import NetworkSpec
from blurpaper.profile import load

TINY = {
    "emoji.classes": 4,
    "emoji.train": 64,
    "emoji.test": 12,
    "pretraining.phases": [{"epochs": 1, "rate": 0.02}],
    "pretraining.batch": 32,
    "finetuning.phases": [{"epochs": 1, "rate": 0.02}],
    "finetuning.batch": 32,
    "evaluation.bootstrap": 50,
}


@pytest.fixture(scope="module")
def tiny():
    return load("smoke", TINY)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    from blurpaper.store import Store

    return Store(tmp_path_factory.mktemp("store"))


def spec(text: str) -> NetworkSpec:
    return NetworkSpec.parse(text, model="small_vgg")


def test_a_network_is_trained_once_and_loaded_afterwards(tiny, kept, monkeypatch) -> None:
    first = runs.network(spec("mix"), tiny, kept)
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("trained again"))
    again = runs.network(spec("mix"), tiny, kept)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_networks_key_follows_what_it_is_made_from_and_nothing_else(tiny, kept) -> None:
    def key(text: str, **overrides) -> str:
        return runs.network_recipe(spec(text), load("smoke", TINY | overrides), kept).key

    plain = {text: key(text) for text in ("original", "mix", "onlyD8", "mix@512", "mix#1", "mix/batch-norm", "mix/agreement")}
    assert len(set(plain.values())) == len(plain)
    assert key("mix", **{"evaluation.bootstrap": 77}) == plain["mix"]
    assert key("original", **{"finetuning.momentum": 0.5}) == plain["original"]
    assert key("mix", **{"finetuning.momentum": 0.5}) != plain["mix"]
    assert key("mix/agreement", **{"agreement.features": 0.5}) != plain["mix/agreement"]
    assert key("mix", **{"agreement.features": 0.5}) == plain["mix"]
    assert key("mix", **{"pretraining.momentum": 0.5}) != plain["mix"]  # it starts from another original
    assert key("original", **{"emoji.train": 96}) != plain["original"]


def test_one_network_for_each_scale_averages_their_log_probabilities(tiny, kept) -> None:
    images = data.load("emoji", "test", tiny, kept)
    found = runs.log_probabilities(spec("mix@per-scale"), images, ["D4"], ["256+512"], tiny, kept)["D4"]["256+512"]
    canonical = protocol.canonical_images(images, range(len(images)), tiny.protocol)
    parts = []
    for scale, name in (("256", "mix"), ("512", "mix@512")):
        one = {scale: runs.network(spec(name), tiny, kept)}
        parts.append(protocol.log_probabilities(one, canonical, images.ids, "D4", tiny.protocol, tiny.compute, 128)[scale])
    torch.testing.assert_close(found, (parts[0] + parts[1]) / 2)


def test_new_statistics_are_those_of_the_blurred_images_and_no_weight_moves(tiny, kept) -> None:
    original, adapted = (runs.network(spec(name), tiny, kept) for name in ("original", "onlyD8/batch-norm"))
    for (name, before), after in zip(original.named_parameters(), adapted.parameters(), strict=True):
        assert torch.equal(before, after), name
    images = data.load("emoji", "train", tiny, kept)
    task = batches.Task(images, MIXES["onlyD8"], "256", runs.seed_of(tiny.seed, 0))
    order = batches.epoch_order(task, 0)
    means = []
    for start in (0, 32):
        crops = batches.make_batch(task, order[start : start + 32], 0, tiny.protocol, True, torch.device("cpu")).seen
        with torch.inference_mode():
            means.append(original.stages[0][0].conv(original.normalised(crops)).mean(dim=(0, 2, 3)))
    torch.testing.assert_close(adapted.stages[0][0].norm.running_mean, (means[0] + means[1]) / 2, rtol=0.03, atol=0.01)


def test_paired_differences_are_those_of_the_decisions(tiny, kept) -> None:
    rows = experiments.EXPERIMENTS["table3"](tiny, kept)
    decided = experiments.decisions(tiny, kept)
    for network, condition in (("mix", "D8"), ("onlyD8", "sharp")):
        of = {"condition": condition, "scale": "256", "recipe": ["", "labels"], "train_scale": ["", "256"]}
        of |= {"model": "small_vgg", "input": "as is"}
        own = metrics.per_image(results.select(decided, network=network, **of))["top1"]
        first = metrics.per_image(results.select(decided, network="original", **of))["top1"]
        difference = results.select(rows, network=network, condition=condition, recipe="labels", metric="top1_vs_original")
        assert difference["value"].item() == pytest.approx((own - first).mean())
        assert difference["low"].item() <= difference["value"].item() <= difference["high"].item()


def test_divergence_from_the_sharp_prediction_is_zero_on_sharp_images(tiny, kept) -> None:
    decided = runs.decisions(spec("original"), "emoji", ["sharp", "D8"], ["256"], tiny, kept)
    divergence = decided.groupby("condition")["js_divergence"].max()
    assert divergence["sharp"] == pytest.approx(0, abs=1e-9)
    assert 0 < divergence["D8"] <= 0.6932


def test_decisions_hold_every_setting_once(tiny, kept) -> None:
    decided = experiments.decisions(tiny, kept)
    assert not decided.duplicated([*tallies.DECISION_KEY, "image"]).any()


def test_profiles_that_cannot_make_a_network_say_so(kept) -> None:
    with pytest.raises(ValueError, match="has no pretraining"):
        runs.network_recipe(NetworkSpec("small_vgg"), load("photos"), kept)
    with pytest.raises(ValueError, match="one for each scale"):
        runs.network_recipe(spec("mix@per-scale"), load("smoke"), kept)


def test_a_network_in_a_file_is_measured_like_any_other(tiny, kept, tmp_path) -> None:
    from blurpaper.networks import files
    from blurpaper.networks.released import NetworkFile

    files.save(runs.network(spec("mix"), tiny, kept), spec("mix"), tmp_path / "mix.safetensors")
    images = data.load("emoji", "test", tiny, kept)
    ours, theirs = (
        runs.log_probabilities(one, images, ["D8"], ["256"], tiny, kept)["D8"]["256"]
        for one in (NetworkFile(tmp_path / "mix.safetensors"), spec("mix"))
    )
    assert torch.equal(ours, theirs)


def test_another_precision_is_of_the_same_network(tiny, kept, monkeypatch) -> None:
    runs.network(spec("original"), tiny, kept)
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("trained again"))
    rows = experiments.EXPERIMENTS["precision"](tiny, kept).set_index(["condition", "metric"])["value"]
    assert rows["sharp", "top1_vs_float32"] == pytest.approx(0, abs=0.1)  # one image of twelve at most
    exact = tiny.model_copy(update={"compute": tiny.compute.model_copy(update={"precision": "float32"})})
    images = data.load("emoji", "test", tiny, kept)
    ours, theirs = (
        runs.log_probabilities(runs.kept(spec("original"), tiny, kept), images, ["D8"], ["256"], one, kept)["D8"]["256"]
        for one in (tiny, exact)
    )
    assert 0 < float((ours - theirs).abs().max()) < 0.1


def test_a_restricted_choice_is_among_the_classes_of_the_test_set(tiny, kept, monkeypatch) -> None:
    restricted = load("smoke", TINY | {"evaluation.restricted": ["emoji"]})
    images = data.load("emoji", "test", tiny, kept)
    images.labels[:] = np.where(images.labels % 2 == 0, 0, 3)  # only classes 0 and 3 occur
    monkeypatch.setattr(data, "load", lambda *_: images)
    decided = runs.decisions(spec("original"), "emoji", ["D4"], ["256"], restricted, kept)
    log_p = runs.log_probabilities(spec("original"), images, ["D4"], ["256"], restricted, kept)["D4"]["256"]
    two = decided[decided["classes"] == "2"]
    assert set(decided["classes"]) == {"4", "2"}
    expected = (log_p[:, 0] < log_p[:, 3]).numpy() != (images.labels == 3)
    assert ((two["rank"] > 0).to_numpy() == expected).all()
