"""What the chapters need of a profile: sets of images, networks, and which network classifies what,
without doing any of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from blurpaper import data, predictions, tallies, trained
from blurpaper.data import photos, voc
from blurpaper.data.reading import image_files
from blurpaper.data.sources import SOURCES
from blurpaper.networks import NetworkSpec
from blurpaper.networks.weights import ORIGINALS
from blurpaper.profile import Profile


@dataclass(frozen=True)
class Measurement:
    """One network classifying every test image, under some conditions, at some of the scales 128,
    256 and 512.

    Attributes:
        chapter: number of the chapter that shows it.
        features: its features are compared (Fig. 4), no log-probabilities kept.
    """

    chapter: str
    spec: NetworkSpec
    conditions: tuple[str, ...]
    scales: tuple[str, ...]
    features: bool = False


def measurements(profile: Profile) -> list[Measurement]:
    """Every classification of the test images that the chapters need."""
    original = NetworkSpec(profile.model)
    found = []
    for chapter, specs in (
        ("02", [original, *tallies.pooled(profile)]),
        ("03", tallies.finetuned(profile)),
        ("04", tallies.at_scales(profile)),
        ("08", tallies.second(profile)),
    ):
        for spec in specs:
            conditions, settings = tallies.settings_of(spec, profile)
            scales = predictions.base_scales(settings)
            if spec.train_scale == "per-scale":
                found += [
                    Measurement(chapter, replace(spec, train_scale=one), tuple(conditions), (one,))
                    for one in scales
                ]
            else:
                found.append(Measurement(chapter, spec, tuple(conditions), tuple(scales)))
    conditions = ("sharp", *profile.evaluation.invariance_conditions)
    for name in profile.evaluation.invariance_networks:
        spec = NetworkSpec.parse(f"{profile.model}:{name}")
        found.append(Measurement("05", spec, conditions, ("256",), features=True))
    return found


def sets_of(one: Measurement, profile: Profile) -> list[str]:
    """The test sets of a measurement."""
    return profile.evaluation.test_sets[:1] if one.features else tallies.sets_of(one.spec, profile)


def networks(profile: Profile) -> list[NetworkSpec]:
    """Every network of the chapters, each after the one it starts from."""
    wanted = []
    for one in measurements(profile):
        wanted += [trained.start_of(one.spec), one.spec]
    return list(dict.fromkeys(wanted))


def is_published(spec: NetworkSpec) -> bool:
    """Whether a network's weights are had, not trained."""
    return spec.is_original and spec.model in ORIGINALS


def images_in(name: str, split: str, profile: Profile) -> int:
    """How many images a set has: those that are there, else those it is known to have; 0 where that
    is not known.
    """
    if name == "emoji":
        return getattr(profile.emoji, split)
    if not photos.is_there(name, split):
        return known_count(name, split)
    if (name, split) in photos.LISTS:
        return len(photos.load(name, split))
    return sum(1 for _ in image_files(photos.set_folder(name, split)))


def images_known(name: str, split: str, profile: Profile) -> int:
    """How many images a set has as the profile makes it, or as it is known when it is whole, found
    without looking for it.
    """
    return getattr(profile.emoji, split) if name == "emoji" else known_count(name, split)


def scenes_in(split: str, profile: Profile) -> int:
    """How many scenes with label maps a profile has: those that are there, else those that VOC has."""
    name = profile.segmentation.data
    if name == data.SCENES:
        return getattr(profile.segmentation.scenes, split)
    return len(voc.load(name, split)) if voc.is_there(name, split) else voc.COUNTS[name][split]


def known_count(name: str, split: str) -> int:
    """How many images a known set of photographs has when it is whole; 0 where that is not known."""
    return (
        SOURCES[name].counts.get(split, 0)
        if name in SOURCES and (name, split) not in photos.LISTS
        else 0
    )
