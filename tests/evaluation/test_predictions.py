"""What networks predict of test images: log-probabilities, and the decisions and tables made from
them.
"""

import numpy as np
import pytest
import torch
from helpers import TINY

from blurpaper import data, experiments
from blurpaper.data.images import images_of
from blurpaper.evaluation import metrics, predictions, protocol, results
from blurpaper.experiments.sources import Computed
from blurpaper.networks import NetworkSpec, Reference
from blurpaper.runs import Run, devices
from blurpaper.runs.profile import Profile, load
from blurpaper.runs.store import Store
from blurpaper.training import loop, networks


@pytest.fixture(scope="module")
def tiny():
    return load("smoke", TINY)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def spec(text: str) -> NetworkSpec:
    return NetworkSpec.parse(text, model="small_vgg")


def reference(text: str, tiny: Profile, kept: Store) -> Reference:
    return networks.trained(spec(text), Run(tiny, kept))


def test_one_network_for_each_scale_averages_their_log_probabilities(tiny, kept) -> None:
    images = data.load_images("emoji", "test", Run(tiny, kept))
    found = predictions.log_probabilities(
        reference("mix@per-scale", tiny, kept), images, ["D4"], ["256+512"], Run(tiny, kept)
    )["D4"]["256+512"]
    shown = images_of(images, range(len(images)), tiny.protocol)
    parts = []
    for scale, name in (("256", "mix"), ("512", "mix@512")):
        one = {scale: reference(name, tiny, kept).load()}
        parts.append(
            protocol.log_probabilities(
                one, shown, images.ids, "D4", tiny.protocol, tiny.compute, 128
            )[scale]
        )
    torch.testing.assert_close(found, (parts[0] + parts[1]) / 2)


def test_paired_differences_are_those_of_the_decisions(tiny, kept) -> None:
    rows = experiments.EXPERIMENTS["table3"](Run(tiny, kept))
    networks = {"model": "small_vgg", "network": ["original", "mix", "onlyD8"]}
    decided = Computed(Run(tiny, kept)).decisions(input="as is", seed="0", **networks)
    for network, condition in (("mix", "D8"), ("onlyD8", "sharp")):
        of = {
            "condition": condition,
            "scale": "256",
            "recipe": ["", "labels"],
            "train_scale": ["", "256"],
        }
        of |= {"model": "small_vgg", "input": "as is", "parameter": ""}
        own = metrics.per_image(results.select(decided, network=network, **of))["top1"]
        first = metrics.per_image(results.select(decided, network="original", **of))["top1"]
        difference = results.select(
            rows, network=network, condition=condition, recipe="labels", metric="top1_vs_original"
        )
        assert difference["value"].item() == pytest.approx((own - first).mean())
        assert difference["low"].item() <= difference["value"].item() <= difference["high"].item()


def test_divergence_from_the_sharp_prediction_is_zero_on_sharp_images(tiny, kept) -> None:
    decided = predictions.decisions(
        reference("original", tiny, kept), "emoji", ["sharp", "D8"], ["256"], Run(tiny, kept)
    )
    divergence = decided.groupby("condition")["js_divergence"].max()
    assert divergence["sharp"] == pytest.approx(0, abs=1e-9)
    assert 0 < divergence["D8"] <= 0.6932


def test_decisions_hold_every_setting_once(tiny, kept) -> None:
    decided = Computed(Run(tiny, kept)).decisions()
    assert not decided.duplicated([*results.DECISION_KEY, "image"]).any()


def test_a_network_in_a_file_is_measured_like_any_other(tiny, kept, tmp_path) -> None:
    from blurpaper.networks import files
    from blurpaper.networks.files import NetworkFile

    files.save(
        reference("mix", tiny, kept).load(),
        spec("mix"),
        tmp_path / "mix.safetensors",
    )
    images = data.load_images("emoji", "test", Run(tiny, kept))
    ours, theirs = (
        predictions.log_probabilities(one, images, ["D8"], ["256"], Run(tiny, kept))["D8"]["256"]
        for one in (NetworkFile.at(tmp_path / "mix.safetensors"), reference("mix", tiny, kept))
    )
    assert torch.equal(ours, theirs)


def test_another_precision_is_of_the_same_network(tiny, kept, monkeypatch) -> None:
    reference("original", tiny, kept).load()
    monkeypatch.setattr(loop, "train", lambda *_: pytest.fail("trained again"))
    rows = experiments.EXPERIMENTS["precision"](Run(tiny, kept)).set_index(["condition", "metric"])[
        "value"
    ]
    # One image of twelve at most.
    assert rows["sharp", "top1_vs_float32"] == pytest.approx(0, abs=0.1)
    exact = tiny.model_copy(
        update={"compute": tiny.compute.model_copy(update={"precision": "float32"})}
    )
    images = data.load_images("emoji", "test", Run(tiny, kept))
    ours, theirs = (
        predictions.log_probabilities(
            networks.kept(reference("original", tiny, kept)),
            images,
            ["D8"],
            ["256"],
            Run(one, kept),
        )["D8"]["256"]
        for one in (tiny, exact)
    )
    difference = float((ours - theirs).abs().max())
    assert difference < 0.1
    assert (difference > 0) == devices.has_bfloat16(torch.device("cpu"))


def test_a_restricted_choice_is_among_the_classes_of_the_test_set(tiny, kept, monkeypatch) -> None:
    restricted = load("smoke", TINY | {"evaluation.class_restricted_sets": ["emoji"]})
    images = data.load_images("emoji", "test", Run(tiny, kept))
    images.labels[:] = np.where(images.labels % 2 == 0, 0, 3)  # only classes 0 and 3 occur
    monkeypatch.setattr(data, "load_images", lambda *_: images)
    decided = predictions.decisions(
        reference("original", restricted, kept), "emoji", ["D4"], ["256"], Run(restricted, kept)
    )
    log_p = predictions.log_probabilities(
        reference("original", restricted, kept), images, ["D4"], ["256"], Run(restricted, kept)
    )["D4"]["256"]
    assert set(decided["classes"]) == {"2"}
    expected = (log_p[:, 0] < log_p[:, 3]).numpy() != (images.labels == 3)
    assert ((decided["rank"] > 0).to_numpy() == expected).all()
