"""The embedded data: the same on every machine, balanced, and with the statistics it promises."""

from pathlib import Path

import numpy as np
import pytest

from blurpaper import data
from blurpaper.data import emoji
from blurpaper.runs import Run
from blurpaper.runs.profile import Emoji

REFERENCE = Path(__file__).parents[1] / "reference" / "emoji.npz"
"""Six images as first drawn, derived from OpenMoji artwork (CC BY-SA 4.0)."""


def draw(split: str, index: int) -> np.ndarray:
    return emoji.render(0, split, index, 100, 120)


def test_images_are_those_first_drawn_within_one_grey_level() -> None:
    with np.load(REFERENCE) as known:
        for name, image in known.items():
            split, index = name.split("-")
            difference = np.abs(draw(split, int(index)).astype(int) - image.astype(int))
            assert difference.max() <= 1


def test_an_image_depends_on_its_number_and_split_alone() -> None:
    assert np.array_equal(draw("test", 7), draw("test", 7))
    assert not np.array_equal(draw("test", 7), draw("train", 7))
    settings = Emoji(classes=100, train=1, test=9, side=120, seed=0)
    whole = emoji.draw_split(settings, "test")["images"]
    assert np.array_equal(whole[7].permute(1, 2, 0), draw("test", 7))


def test_there_are_a_hundred_classes_each_with_a_drawing_of_its_own() -> None:
    codes = [*emoji.CLASSES.values(), *emoji.DISTRACTORS]
    assert len(emoji.CLASSES) == 100
    assert len(set(codes)) == len(codes)
    pixels = {emoji.sprite(code, 40).tobytes() for code in codes}
    assert len(pixels) == len(codes)


def test_every_class_comes_equally_often(smoke, store) -> None:
    images = data.load_images("emoji", "test", Run(smoke, store))
    assert set(np.bincount(images.labels)) == {smoke.emoji.test // smoke.emoji.classes}


def test_backgrounds_have_the_spectrum_of_natural_images() -> None:
    """Amplitude falls as a power of frequency between 1 and 2 on average: a slope fitted to the
    mean log spectrum.
    """
    fields = [
        emoji.background(np.random.RandomState(seed), 128, 128).mean(axis=2) for seed in range(40)
    ]
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)[None])
    band = (frequency > 0.03) & (frequency < 0.4)
    amplitude = np.mean([np.log(np.abs(np.fft.rfft2(field))[band]) for field in fields], axis=0)
    slope = np.polyfit(np.log(frequency[band]), amplitude, 1)[0]
    assert -2.0 < slope < -1.0


def test_colour_does_not_tell_a_class() -> None:
    """The hue of one class is anywhere: the mean colour of its objects is grey."""
    turned = np.mean([emoji._recolour(np.random.RandomState(seed)) for seed in range(2000)], axis=0)
    assert np.abs(turned @ [1.0, 0.0, 0.0] - 1 / 3).max() < 0.05


def test_unknown_sets_and_splits_are_told(smoke, store) -> None:
    with pytest.raises(ValueError, match="'cifar'"):
        data.load_images("cifar", "test", Run(smoke, store))
    with pytest.raises(ValueError, match="'val'"):
        data.load_images("emoji", "val", Run(smoke, store))
