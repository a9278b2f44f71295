"""When to ask for another picture: what is promised of the answers kept holds on images that the
threshold was not chosen on.
"""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from blurpaper import advice, tallies
from blurpaper import profile as profiles
from blurpaper.advice import Decided
from blurpaper.cli import main
from blurpaper.networks import NetworkSpec

COMMITTED = [
    (name, mix, recipe, test_set)
    for name, test_sets in (("photos", ("nips2017-dev", "imagewoof")), ("emoji", ("emoji",)))
    for mix, recipe in (("original", "labels"), ("mix", "labels"), ("mix", "agreement"))
    for test_set in test_sets
]


def calibrated(images: int, seed: int = 0) -> Decided:
    """Decisions that are right as often as their confidence says, less confident the stronger the
    blur.
    """
    random = np.random.RandomState(seed)
    confidence = np.stack([random.beta(5 - blur, 1 + blur, images) for blur in range(3)])
    return Decided(
        ("sharp", "D4", "D8"), confidence, random.rand(3, images) < confidence, "made up"
    )


def test_the_threshold_is_the_lowest_that_keeps_the_rate_by_trying_all() -> None:
    decided = calibrated(200)
    found = advice.threshold(decided.confidence, decided.correct, 0.9)
    rates = {
        one: decided.correct[decided.confidence >= one].mean() for one in decided.confidence.ravel()
    }
    counts = {one: (decided.confidence >= one).sum() for one in decided.confidence.ravel()}
    assert found == min(
        one for one, rate in rates.items() if rate >= 0.9 and counts[one] >= advice.FEWEST_KEPT
    )


def test_equal_confidences_are_kept_or_turned_away_together() -> None:
    confidence = np.repeat([0.2, 0.5, 0.9], 100)
    correct = np.concatenate([np.zeros(100), np.arange(100) < 80, np.ones(100)]).astype(bool)
    assert advice.threshold(confidence, correct, 0.9) == 0.5
    assert advice.threshold(confidence, correct, 0.91) == 0.9


def test_nothing_is_promised_that_confidence_cannot_keep() -> None:
    random = np.random.RandomState(1)
    blind = Decided(("sharp",), random.rand(1, 400), random.rand(1, 400) < 0.5, "made up")
    assert advice.advise(blind, 0.95, 100) is None
    assert advice.advise(calibrated(40), 0.5, 100) is None  # too few images
    assert advice.threshold(np.ones(100), np.ones(100, bool), 0.99) == 0.0  # all can be kept


def test_of_calibrated_decisions_the_share_turned_away_grows_with_blur_and_the_rate_is_kept() -> (
    None
):
    found = advice.advise(calibrated(4000), None, 200)
    away = [share for share, _, _ in found.turned_away.values()]
    assert away == sorted(away) and away[0] < 0.35 < 0.6 < away[-1]
    assert found.kept_right[1] <= found.right <= found.kept_right[2]


def test_an_image_is_judged_by_no_threshold_that_it_had_a_part_in() -> None:
    """Confidence that says nothing would seem to keep a rate on the few images it was chosen on; by
    halves it does not.
    """
    flattered, honest = [], []
    for seed in range(40):
        random = np.random.RandomState(seed)
        decided = Decided(
            ("sharp",), random.rand(1, 120), random.permutation(120)[None] < 84, "made up"
        )
        if found := advice.advise(decided, 0.76, 20):
            honest.append(found.kept_right[0])
            flattered.append(decided.correct[decided.confidence >= found.threshold].mean())
    assert np.mean(flattered) >= 0.76
    assert np.mean(honest) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("right", [None, 0.8, 0.9, 0.95])
@pytest.mark.parametrize(("name", "mix", "recipe", "test_set"), COMMITTED)
def test_on_committed_decisions_the_other_half_keeps_the_promised_rate(
    name, mix, recipe, test_set, right
) -> None:
    settings = profiles.load(name)
    spec = NetworkSpec(settings.model, mix, recipe=recipe)
    found = advice.advise(
        advice.committed(spec, tallies.DISKS, "256", settings, test_set), right, 500
    )
    assert found.kept_right[2] >= found.right
    if found.threshold > 0:  # else all are kept, and more may be right than was asked for
        assert found.kept_right[1] <= found.right
        away = [found.turned_away[condition][0] for condition in ("sharp", "D4", "D8")]
        assert away == sorted(away)


def test_on_easier_photographs_more_is_right_than_was_promised_and_on_harder_ones_less() -> None:
    settings = profiles.load("photos")
    spec = NetworkSpec(settings.model)
    common, dogs = (
        advice.committed(spec, tallies.DISKS, "256", settings, one)
        for one in ("nips2017-dev", "imagewoof")
    )
    assert common.correct[0].mean() > dogs.correct[0].mean()
    assert advice.transferred(dogs, common, 0.9, 500).kept_right[1] > 0.9
    assert advice.transferred(common, dogs, 0.9, 500).kept_right[2] < 0.9


def test_committed_decisions_stand_in_for_the_same_network_only() -> None:
    settings = profiles.load("photos")
    found = advice.committed(NetworkSpec(settings.model), ["sharp", "D4", "D5"], "256", settings)
    assert found.conditions == ("sharp", "D4") and found.images == 500
    changed = profiles.load("photos", {"seed": 1})
    assert advice.committed(NetworkSpec(settings.model), ["sharp"], "256", changed) is None
    assert advice.committed(NetworkSpec("vgg16"), ["sharp"], "256", settings) is None
    assert advice.committed(NetworkSpec(settings.model), ["D5"], "256", settings) is None


def test_a_file_of_the_same_name_is_not_the_network_that_was_measured(tmp_path) -> None:
    from blurpaper.networks import files
    from blurpaper.networks.files import NetworkFile
    from blurpaper.networks.weights import released

    settings, known = profiles.load("photos"), released("efficientnet_lite0", "mix")
    assert advice.committed(known, ["sharp"], "256", settings) is not None
    network = known.load()
    with_other_weights = tmp_path / "tuned.safetensors"
    next(network.parameters()).data.add_(1)
    files.save(network, NetworkSpec.parse(known.name), with_other_weights)
    assert advice.committed(NetworkFile.at(with_other_weights), ["sharp"], "256", settings) is None


def test_evaluate_ends_with_both_lines_and_a_file_of_each_image(tmp_path) -> None:
    from PIL import Image
    from skimage import data

    from blurpaper import files

    (tmp_path / "photos").mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()).save(tmp_path / "photos" / f"{name}.png")
    files.blur(tmp_path / "photos", tmp_path / "blurred", "D5", False)
    store = {"BLURPAPER_STORE": str(tmp_path / "store")}
    options = [
        "--network",
        "efficientnet_lite0",
        "--conditions",
        "D2",
        "--per-image",
        str(tmp_path / "each.csv"),
    ]
    said = CliRunner().invoke(
        main,
        ["evaluate", "--images", str(tmp_path / "blurred"), *options, "--right", "0.9"],
        env=store,
    )
    assert said.exit_code == 0, said.output
    confidence, blurred = said.output.strip().splitlines()[-2:]
    assert (
        confidence.startswith("confidence: ask for another picture below 0.")
        and "nips2017-dev" in confidence
    )
    assert "% of these (of the committed run" in confidence
    assert blurred.startswith("blur: about like D")
    rows = pd.read_csv(tmp_path / "each.csv")
    assert list(rows.columns) == ["image", "radius", "low", "high", "confidence"]
    assert rows["radius"].to_numpy() == pytest.approx([5, 5, 5], abs=1.5)


def test_a_rate_that_is_none_is_refused_and_one_that_cannot_be_kept_is_told(tmp_path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    arguments = [
        "evaluate",
        "--network",
        "efficientnet_lite1",
        "--images",
        str(tmp_path / "photos"),
        "--conditions",
        "sharp",
    ]
    store = {"BLURPAPER_STORE": str(tmp_path / "store")}
    assert "0<x<=1" in CliRunner().invoke(main, [*arguments, "--right", "0"], env=store).output
    said = CliRunner().invoke(main, [*arguments, "--scales", "128", "--right", "0.99"], env=store)
    assert said.exit_code == 0, said.output
    assert "no threshold on confidence is known that keeps 99.0 % right" in said.output
