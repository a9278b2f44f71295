"""Blind blur estimation: on photographs and blurs that it was not learnt from, against the radius
they were blurred with.
"""

import numpy as np
import pytest
import torch
from helpers import MemorySet
from scipy.stats import spearmanr

from blurpaper import blur, blurriness, resizing
from blurpaper.blurriness_reference import as_jpeg, learnt, radius_of, tried
from blurpaper.data import photos
from blurpaper.data.examples import CarriedSet

RADII = (0, 1, 2, 3, 4, 6, 8)


def estimated(images: list[torch.Tensor]) -> np.ndarray:
    return blurriness.reference().estimates(
        np.stack([blurriness.features(image) for image in images])
    )[:, 0]


@pytest.fixture(scope="module")
def carried() -> list[torch.Tensor]:
    """Photographs in colour that come with scikit-image, at the canonical scale."""
    sets = [CarriedSet("test"), CarriedSet("train")]
    found = [
        one[one.ids.index(name)]
        for one in sets
        for name in ("chelsea", "coffee", "astronaut", "rocket")
        if name in one.ids
    ]
    return [resizing.to_canonical(image, 384) for image in found]


def blurred(images: list[torch.Tensor], radius: float) -> list[torch.Tensor]:
    return [blur.apply(image, f"D{radius:g}") if radius else image for image in images]


def test_the_estimate_follows_the_radius_of_the_disk_on_every_photograph(carried) -> None:
    found = np.array([estimated(blurred(carried, radius)) for radius in RADII])
    assert (np.diff(found, axis=0) > 0).all()
    assert np.median(np.abs(found - np.array(RADII)[:, None])) < 0.6
    assert np.abs(found - np.array(RADII)[:, None]).max() < 2.5


def test_contrast_brightness_and_a_mirror_change_nothing_but_rounding(carried) -> None:
    images = blurred(carried, 3)
    plain = estimated(images)
    for changed in (
        [image // 2 for image in images],
        [255 - image for image in images],
        [image.flip(-1) for image in images],
    ):
        assert estimated(changed) == pytest.approx(plain, abs=0.4)


def test_compression_after_the_blur_moves_it_little(carried) -> None:
    for radius in (2, 4, 8):
        images = blurred(carried, radius)
        assert (
            np.median(np.abs(estimated([as_jpeg(image) for image in images]) - estimated(images)))
            < 0.5
        )


def test_an_image_without_texture_gets_no_estimate() -> None:
    flat = torch.full((3, 384, 400), 120, dtype=torch.uint8)
    ramp = torch.linspace(0, 40, 400).to(torch.uint8).expand(3, 384, 400)
    assert np.isnan(estimated([flat, ramp])).all()


def test_a_folder_is_told_by_its_median_its_range_and_the_share_above_d2() -> None:
    radii = [0.5, 1.0, 3.0, 4.0, 5.0, float("nan")]
    said = blurriness.told(radii, 200)
    assert "about like D3.0 (middle 80 %: 0.7–4.6), 60 % (" in said and "1 without texture" in said
    assert (
        blurriness.told([float("nan")], 200) == "blur: none of the images has the texture to tell."
    )


def test_what_is_measured_of_a_folder_is_kept_and_does_not_depend_on_the_network(
    carried, store, smoke
) -> None:
    images = MemorySet(carried, [-1] * len(carried), ("a", "b"))
    first = blurriness.of_images(images, smoke, store)
    assert list(first["image"]) == images.ids
    assert first["radius"].to_numpy() == pytest.approx(estimated(carried))
    assert ((first["low"] <= first["radius"]) & (first["radius"] <= first["high"])).all()
    images.images = []  # what is kept is not measured again
    assert blurriness.of_images(images, smoke, store).equals(first)


def test_blurs_of_other_shapes_stand_at_the_disk_of_equal_variance() -> None:
    assert radius_of("G4") == pytest.approx(8, abs=0.05)
    assert radius_of("H8") == pytest.approx(2 * np.sqrt((8**2 - 1) / 12 / 2))
    assert radius_of("sharp") == 0


def test_the_committed_trial_is_what_it_was_said_to_be() -> None:
    trial = blurriness.committed()["trial"]
    disks = [
        row
        for row in trial["rows"]
        if not row["file"] and (row["blur"] == "sharp" or row["blur"][0] == "D")
    ]
    assert [row["radius"] for row in disks] == list(range(9))
    assert np.mean([row["error"] for row in disks]) == pytest.approx(trial["error"], abs=0.1)
    assert all(row["low"] < row["radius"] < row["high"] for row in disks[1:])
    assert trial["error"] < 0.5 and trial["rank correlation"] > 0.95


def test_on_photographs_it_was_not_learnt_from_it_does_as_the_trial_says(photographs) -> None:
    images = photos.load("nips2017-dev", "test")
    shown = [resizing.to_canonical(images[number], 384) for number in range(3, 500, 25)]
    true = np.repeat(RADII, len(shown))
    found = np.concatenate([estimated(blurred(shown, radius)) for radius in RADII])
    assert spearmanr(true, found).statistic > 0.93
    assert np.median(np.abs(true - found)) < 2 * blurriness.committed()["trial"]["error"]


def test_the_figure_draws_a_line_of_medians_and_a_mark_for_each_other_shape() -> None:
    import matplotlib

    matplotlib.use("Agg")
    from blurpaper import figures

    rows = blurriness.committed()["trial"]["rows"]
    (axis,) = figures.estimated_radii(rows).axes
    medians = [
        row["median"]
        for row in rows
        if not row["file"] and (row["blur"] == "sharp" or row["blur"][0] == "D")
    ]
    assert axis.lines[1].get_ydata().tolist() == medians
    assert [text.get_text() for text in axis.texts] == ["disks", "H4", "H8", "G2", "G4", "shake"]


@pytest.mark.slow
def test_a_reference_learnt_from_a_few_photographs_is_near_the_committed_one(photographs) -> None:
    images = photos.load("nips2017-dev", "test")
    few = learnt([(images, number) for number in range(0, 500, 12)], (0.0, 2.0, 4.0, 8.0, 12.0))
    trial = tried(few, [(images, number) for number in range(5, 500, 50)])
    assert trial["rank correlation"] > 0.9 and trial["error"] < 1.0
    kept = blurriness.reference()
    for radius, means in zip(few.radii, few.means):
        (place,) = np.flatnonzero(kept.radii == radius)
        assert means == pytest.approx(kept.means[place], abs=0.35)
