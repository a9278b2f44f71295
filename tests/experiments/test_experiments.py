"""From decisions to rows, on decisions made up for the purpose: pooling over seeds,
baselines, densities of labels.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from blurpaper import data, experiments
from blurpaper.evaluation import invariance, predictions, results
from blurpaper.experiments import fine_tuning, measurements, recognition
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import load
from blurpaper.runs.store import Store
from blurpaper.training.networks import trained

MODEL = "small_vgg"
COUNTS = {"many": 40, "few": 10}
# Share of images on which the truth is first, by network and condition.
RIGHT = {
    "original": {"sharp": 0.9, "D8": 0.4},
    "original#1": {"sharp": 0.8, "D8": 0.2},
    "mix": {"sharp": 0.9, "D8": 0.7},
    "mix#1": {"sharp": 0.8, "D8": 0.6},
    "mix/agreement": {"sharp": 0.8, "D8": 0.8},
}


class Labelled:
    """Images of which only the labels are known."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)


def made_up(spec: NetworkSpec, *_) -> pd.DataFrame:
    frames = []
    for condition, share in RIGHT[str(spec).partition(":")[2]].items():
        for name, count in COUNTS.items():
            frame = pd.DataFrame({"rank": np.where(np.arange(count) < round(share * count), 0, 7)})
            for column in ("entropy", "cross_entropy", "js_divergence", "confidence"):
                frame[column] = 0.5
            of = predictions.columns_of(spec, name, 100, "256", condition)
            frames.append(frame.assign(image=[f"{name}/{n}" for n in range(count)], label=0, **of))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def profile(monkeypatch):
    monkeypatch.setattr(
        predictions, "decisions", lambda spec, name, *_: results.select(made_up(spec), data=name)
    )
    overrides = {
        "evaluation.finetuned_networks": [
            name for name in RIGHT if not name.startswith("original")
        ],
        "evaluation.finetuned_conditions": ["sharp", "D8"],
        "evaluation.test_sets": list(COUNTS),
    }
    return load("smoke", overrides)


def test_recovery_is_over_all_seeds_each_of_which_has_its_own_start(profile) -> None:
    rows = experiments.EXPERIMENTS["table3"](Run(profile, None))
    rows = rows[rows["metric"].str.endswith("_recovered")]
    assert set(rows["data"]) == set(COUNTS)
    rows = results.select(rows, data="many").set_index(["recipe", "condition", "metric"])
    labels = rows.loc[("labels", "D8", "top1_recovered")]
    assert labels["value"] == pytest.approx((0.3 + 0.4) / (0.5 + 0.6))
    assert labels["seed"] == "all"
    assert labels["n"] == 2 * COUNTS["many"]
    agreement = rows.loc[("agreement", "D8", "top1_recovered")]
    assert agreement["value"] == pytest.approx(0.4 / 0.5)
    assert (agreement["seed"], agreement["n"]) == ("0", COUNTS["many"])
    assert ("labels", "sharp", "top1_recovered") not in rows.index  # nothing is lost there


def test_differences_are_from_the_network_each_started_from(profile) -> None:
    rows = experiments.EXPERIMENTS["table3"](Run(profile, None))
    gain = results.select(
        rows, network="mix", recipe="labels", condition="D8", metric="top1_vs_original", data="many"
    )
    assert gain.set_index("seed")["value"].to_dict() == pytest.approx(
        {"0": 0.3, "1": 0.4, "all": 0.35}
    )
    assert not rows.duplicated(list(results.KEY)).any()


def test_each_joined_set_has_rows_and_the_mean_over_its_classes(profile, monkeypatch) -> None:
    def joined(spec, name, *_):
        decided = made_up(spec if spec.mix != "sharp-only" else NetworkSpec(MODEL))
        decided["network"] = spec.mix
        numbers = decided["image"].str.partition("/")[2].astype(int)
        return decided.assign(data=name, label=(numbers >= 5).astype(int))

    monkeypatch.setattr(predictions, "decisions", joined)
    both = profile.evaluation.model_copy(update={"test_sets": ["many+few"]})
    run = Run(profile.model_copy(update={"evaluation": both}), None)
    rows = experiments.EXPERIMENTS["test_sets"](run)
    assert set(rows["data"]) == set(COUNTS)
    assert experiments.EXPERIMENTS["test_sets"](Run(profile, None)).empty  # none is joined
    for name, count in COUNTS.items():
        own = results.select(rows, data=name, network="original", condition="D8", seed="0")
        own = own.set_index("metric")["value"]
        right = np.arange(count) < round(RIGHT["original"]["D8"] * count)
        assert own["top1"] == pytest.approx(right.mean())
        assert own["top1_balanced"] == pytest.approx((right[:5].mean() + right[5:].mean()) / 2)


def test_networks_of_a_density_are_tuned_on_so_many_images_a_class_and_start_alike(
    tmp_path,
) -> None:
    own, store = load("smoke"), Store(tmp_path)
    few, mix = Run(measurements.at_density(3, own), store), NetworkSpec(MODEL, "mix")
    labels = data.load_images(few.profile.finetuning.train_set, "train", few).labels
    assert np.bincount(labels).tolist() == [3] * own.emoji.classes
    networks = trained(mix, few), trained(replace(mix, recipe="agreement"), few)
    assert list(map(str, networks)) == [f"{one.name} on emoji:3" for one in networks]
    assert few.profile.agreement.phases == few.profile.finetuning.phases
    assert networks[0].identity != trained(mix, Run(own, store)).identity
    assert networks[0].start.identity == trained(mix, Run(own, store)).start.identity


def test_densities_are_compared_with_the_original_and_the_control_of_their_own(monkeypatch) -> None:
    right = {("original", 0): 0.5, ("mix", 0): 0.9, ("sharp-only", 10): 0.4, ("mix", 10): 0.7}
    right |= {("sharp-only", 20): 0.6, ("mix", 20): 0.8}

    def made(one, _):
        decided = [made_up(NetworkSpec(MODEL)) for _ in one.conditions]
        for frame, condition in zip(decided, one.conditions, strict=True):
            share = right[one.spec.mix, one.labelled] if condition == "D8" else 0.9
            of = predictions.columns_of(one.spec, one.data, 10, "256", condition)
            frame[list(of)] = list(of.values())
            frame["rank"] = np.where(np.arange(len(frame)) < share * len(frame), 0, 7)
        return pd.concat(decided, ignore_index=True).assign(parameter=one.parameter)

    monkeypatch.setattr(measurements, "decisions", made)
    parts = [{"labelled": one, "networks": ["sharp-only", "mix"]} for one in (20, 10)]
    run = Run(load("smoke", {"density.parts": parts}), None)
    rows = results.select(experiments.EXPERIMENTS["densities"](run), condition="D8", seed="0")
    rows = rows.set_index(["parameter", "network", "metric"])["value"]
    assert rows["10 a class", "mix", "top1_vs_sharp-only"] == pytest.approx(0.3)
    assert rows["20 a class", "mix", "top1_vs_sharp-only"] == pytest.approx(0.2)
    assert rows["20 a class", "mix", "top1_vs_original"] == pytest.approx(0.3)
    assert rows["10 a class", "mix", "top1_recovered"] == pytest.approx(0.2 / 0.4)
    assert rows["", "mix", "top1_recovered"] == pytest.approx(1.0)  # without labels, on all images
    assert list(rows.index).count(("", "original", "top1")) == 1


def test_each_half_is_calibrated_by_the_temperature_of_the_other(monkeypatch) -> None:
    """Predictions of 0.9, right on four of five even images and on three of five odd ones."""
    labels = np.zeros(100, np.int64)
    labels[[n for n in range(100) if n // 2 % 5 >= (4 if n % 2 == 0 else 3)]] = 1
    log_p = torch.tensor([[0.9, 0.1]] * 100).log()
    monkeypatch.setattr(data, "load_images", lambda *_: Labelled(labels))
    monkeypatch.setattr(recognition, "trained", lambda spec, _: spec)
    found = {condition: {"256": log_p} for condition in measurements.DISKS}
    monkeypatch.setattr(predictions, "log_probabilities", lambda *_: found)
    rows = experiments.EXPERIMENTS["calibrated"](Run(load("smoke"), None))
    rows = results.select(rows, metric="entropy").set_index("condition")["value"]
    expected = np.mean([-p * np.log(p) - (1 - p) * np.log(1 - p) for p in (0.8, 0.6)])
    assert rows["sharp"] == rows["D8"] == pytest.approx(expected, abs=1e-4)


def test_an_image_without_another_of_its_shape_is_left_out_of_that_distance(monkeypatch) -> None:
    distances = {
        "D8": np.full((3, 5), 0.2),
        invariance.UNRELATED: np.array([[0.4] * 5, [np.nan] * 5, [0.6] * 5]),
    }
    monkeypatch.setattr(predictions, "distances", lambda *_: distances)
    rows = experiments.EXPERIMENTS["figure4"](Run(load("smoke"), None))
    other = results.select(rows, condition=invariance.UNRELATED)
    assert other["value"].to_numpy() == pytest.approx(0.5)
    assert set(other["n"]) == {2}
    assert set(results.select(rows, condition="D8")["n"]) == {3}


def test_networks_and_settings_of_every_profile_can_be_named() -> None:
    for name in ("emoji", "photos", "imagenet", "smoke"):
        profile = load(name)
        for _, one in measurements.measurements(profile):
            treated = one.kind in (measurements.DEBLURRED, measurements.FRAMED)
            assert one.conditions[0] == "sharp" or (treated and one.conditions == ["D8"])
            assert set(one.scales) <= {"128", "256", "384", "512", "256+512"}
            sets = [*profile.evaluation.test_sets, profile.segmentation.data]
            assert one.data in [*sets, profile.density.data]


@pytest.mark.parametrize("name", ["emoji", "photos", "imagenet", "smoke"])
def test_an_experiment_takes_of_a_network_only_what_is_measured_for_all(name) -> None:
    profile = load(name)
    whole = {
        (one.kind, one.spec, one.data, one.labelled): one
        for _, one in measurements.measurements(profile)
    }
    for experiment in experiments.EXPERIMENTS.values():
        for one in experiment.measures(profile):
            measured = whole[one.kind, one.spec, one.data, one.labelled]
            assert one.conditions and set(one.conditions) <= set(measured.conditions)
            assert one.scales and set(one.scales) <= set(measured.scales)


def test_the_networks_of_a_table_are_those_that_the_profile_names() -> None:
    def named(table: str, profile: str) -> list[str]:
        declared = experiments.EXPERIMENTS[table].measures(load(profile))
        return list(dict.fromkeys(str(one.spec) for one in declared))

    tuned = ["original", "mix", "mix@512", "mix@256+512", "mix@per-scale"]
    assert named("table4", "emoji") == [f"small_vgg:{name}" for name in tuned]
    assert named("tableA", "emoji") == ["small_resnet:original", "small_resnet:mix"]
    assert named("table1", "emoji") == ["small_vgg:original"]
    assert named("table1", "photos")[1:] == ["efficientnet_lite0_pooled:original"]
    assert named("table3", "emoji")[:4] == [
        f"small_vgg:{name}" for name in ("original", "sharp-only", "sharp+D4", "mix")
    ]


def test_only_networks_of_the_usual_scale_are_measured_on_all_sets() -> None:
    both = load("photos", {"evaluation.test_sets": ["nips2017-dev", "amd-tiny"]})
    measured = [
        measurements.sets_of(NetworkSpec("efficientnet_lite0", "mix", scale), both)
        for scale in ("256", "512")
    ]
    assert measured == [["nips2017-dev", "amd-tiny"], ["nips2017-dev"]]


def test_a_network_is_compared_with_the_control_of_its_own_seed_if_there_is_one() -> None:
    model = "efficientnet_lite0"  # whose seeds start from the same weights
    names = ("original", "sharp-only", "sharp-only#1")
    tuned = {NetworkSpec.parse(name, model): name for name in names}
    own, other = (
        fine_tuning.baselines_of(NetworkSpec(model, "mix", seed=seed), tuned) for seed in (1, 2)
    )
    assert own == {"original": "original", "sharp-only": "sharp-only#1"}
    assert other == {"original": "original", "sharp-only": "sharp-only"}
    control = NetworkSpec(model, "sharp-only", seed=1)
    assert list(fine_tuning.baselines_of(control, tuned)) == ["original"]
