"""From decisions to rows, on decisions made up for the purpose: pooling over sets and seeds,
baselines, restricted choices.
"""

import numpy as np
import pandas as pd
import pytest

from blurpaper import experiments
from blurpaper.evaluation import invariance, predictions, results
from blurpaper.experiments import measurements, recognition
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run
from blurpaper.runs.profile import load

MODEL = "small_vgg"
COUNTS = {"many": 40, "few": 10}
# Share of images on which the truth is first, by network and condition; the second test set is
# decided twice.
RIGHT = {
    "original": {"sharp": 0.9, "D8": 0.4},
    "original#1": {"sharp": 0.8, "D8": 0.2},
    "mix": {"sharp": 0.9, "D8": 0.7},
    "mix#1": {"sharp": 0.8, "D8": 0.6},
    "mix/agreement": {"sharp": 0.8, "D8": 0.8},
}


def made_up(spec: NetworkSpec, *_) -> pd.DataFrame:
    frames = []
    for condition, share in RIGHT[str(spec).partition(":")[2]].items():
        for name, classes in (("many", "100"), ("few", "100"), ("few", "10")):
            right = share if classes == "100" else 1.0
            count = COUNTS[name]
            frame = pd.DataFrame({"rank": np.where(np.arange(count) < round(right * count), 0, 7)})
            for column in ("entropy", "cross_entropy", "js_divergence", "confidence"):
                frame[column] = 0.5
            of = predictions.columns_of(spec, name, int(classes), "256", condition)
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


def test_recovery_pools_both_sets_among_all_classes_and_each_seed_has_its_own_start(
    profile,
) -> None:
    rows = experiments.EXPERIMENTS["recovery"](Run(profile, None)).set_index(
        ["recipe", "condition", "metric"]
    )
    assert set(rows["data"]) == {"many+few"}
    labels = rows.loc[("labels", "D8", "top1_recovered")]
    assert labels["value"] == pytest.approx((0.3 + 0.4) / (0.5 + 0.6))
    assert labels["seed"] == "all"
    assert labels["n"] == 2 * 50
    assert rows.loc[("labels", "D8", "top5_vs_original"), "value"] == pytest.approx((0.3 + 0.4) / 2)
    agreement = rows.loc[("agreement", "D8", "top1_recovered")]
    assert agreement["value"] == pytest.approx(0.4 / 0.5)
    assert (agreement["seed"], agreement["n"]) == ("0", 50)
    assert rows.loc[("agreement", "sharp", "top1_vs_original"), "value"] == pytest.approx(-0.1)
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


def test_a_choice_among_fewer_classes_has_rows_of_its_own(profile) -> None:
    rows = results.select(
        experiments.EXPERIMENTS["table3"](Run(profile, None)),
        network="mix",
        metric="top1",
        data="few",
        condition="D8",
    )
    value = results.select(rows, seed="0", recipe="labels").set_index("classes")["value"]
    assert value.to_dict() == pytest.approx({"100": 0.7, "10": 1.0})


def test_the_widest_choice_is_taken_set_by_set(profile) -> None:
    decided = results.widest(made_up(NetworkSpec(MODEL)))
    assert set(decided["classes"]) == {"100"}
    assert len(decided) == 2 * 50


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
            assert one.data in (*profile.evaluation.test_sets, profile.segmentation.data)


@pytest.mark.parametrize("name", ["emoji", "photos", "imagenet", "smoke"])
def test_an_experiment_takes_of_a_network_only_what_is_measured_for_all(name) -> None:
    profile = load(name)
    whole = {(one.kind, one.spec, one.data): one for _, one in measurements.measurements(profile)}
    for experiment in experiments.EXPERIMENTS.values():
        for one in experiment.measures(profile):
            measured = whole[one.kind, one.spec, one.data]
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
    photos = load("photos")
    measured = [
        measurements.sets_of(NetworkSpec("efficientnet_lite0", "mix", scale), photos)
        for scale in ("256", "512")
    ]
    assert measured == [["nips2017-dev", "imagewoof"], ["nips2017-dev"]]


def test_a_network_is_compared_with_the_control_of_its_own_seed_if_there_is_one() -> None:
    model = "efficientnet_lite0"  # whose seeds start from the same weights
    names = ("original", "sharp-only", "sharp-only#1")
    tuned = {NetworkSpec.parse(name, model): name for name in names}
    own, other = (
        recognition.baselines_of(NetworkSpec(model, "mix", seed=seed), tuned) for seed in (1, 2)
    )
    assert own == {"original": "original", "sharp-only": "sharp-only#1"}
    assert other == {"original": "original", "sharp-only": "sharp-only"}
    control = NetworkSpec(model, "sharp-only", seed=1)
    assert list(recognition.baselines_of(control, tuned)) == ["original"]
