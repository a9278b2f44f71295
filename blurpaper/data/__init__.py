"""Sets of images by name, embedded or photographed: loaded, counted, and checked for."""

from __future__ import annotations

from pathlib import Path

from blurpaper.data import catalogue, folders, images, sets, voc
from blurpaper.data.emoji import EmojiSet
from blurpaper.data.examples import CarriedSet
from blurpaper.data.scenes import LABELS, SceneSet
from blurpaper.data.sets import BACKGROUND, ImageSet, JoinedSet, SegmentedSet, Subset
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Profile

__all__ = [
    "SCENES",
    "ImageSet",
    "JoinedSet",
    "SegmentedSet",
    "Subset",
    "check_segmented",
    "classes",
    "count",
    "fingerprints",
    "is_known",
    "labels_of",
    "load_images",
    "load_segmented",
    "missing",
    "prior_sets",
    "wanted",
]


def load_images(name: str, split: str, run: Run) -> ImageSet:
    """A set of images by name: ``emoji`` is drawn and kept in the store, ``scikit-image`` comes
    with that package, others are read from the data folder.

    Args:
        name: of a set, or of several joined by ``+``; ``NAME:validation`` and ``NAME:training`` are
            parts of its training images, ``NAME:100`` a hundred of each class
            (:func:`blurpaper.data.sets.part_of`).
        split: ``train`` or ``test``.

    Raises:
        UserError: for an unknown name or split.
        MissingDataError: if photographs are not there, saying how to get them.
    """
    if "+" in name:
        return JoinedSet([load_images(part, split, run) for part in name.split("+")])
    _check_known(name)
    whole, _, part = name.partition(":")
    if part:
        return sets.part_of(load_images(whole, "train", run), part)
    if name == "emoji":
        return EmojiSet(split, run)
    if name == "scikit-image":
        return CarriedSet(split)
    return folders.load_images(name, split)


SCENES = "emoji-scenes"
"""The embedded set with a label at every pixel."""


def check_segmented(name: str) -> None:
    """Check that a name is that of a set with a label at every pixel.

    Raises:
        UserError: if it is not, listing those there are.
    """
    if name != SCENES and name not in voc.TASKS:
        raise UserError(
            f"a segmented set is one of {SCENES}, {', '.join(voc.TASKS)}. Got {name!r}."
        )


def labels_of(name: str) -> tuple[str, ...]:
    """Names of the labels of a set with a label at every pixel, without reading the set."""
    check_segmented(name)
    return (BACKGROUND, *LABELS) if name == SCENES else voc.TASKS[name]


def load_segmented(name: str, split: str, run: Run) -> SegmentedSet:
    """A set of images with a label at every pixel: ``emoji-scenes`` is drawn and kept in the
    store, VOC's are read from the data folder.

    Args:
        name: ``emoji-scenes``, or one of :data:`blurpaper.data.voc.TASKS`.
        split: ``train`` or ``test``.

    Raises:
        UserError: for an unknown name or split.
        MissingDataError: if photographs are not there, saying how to get them.
    """
    check_segmented(name)
    return SceneSet(split, run) if name == SCENES else voc.load_segmented(name, split)


def is_known(name: str) -> bool:
    """Whether a set of images has that name.

    >>> is_known("emoji"), is_known("emojis")
    (True, False)
    """
    whole, colon, part = name.partition(":")
    known = whole in ("emoji", "scikit-image", *folders.SETS)
    return known and (not colon or part in sets.PARTS or part.isdecimal())


def _check_known(name: str) -> None:
    if not is_known(name):
        raise UserError(
            f"a data set is one of emoji, scikit-image, {', '.join(folders.SETS)}, or one of them "
            f"with :{', :'.join(sets.PARTS)} or a number of images a class. Got {name!r}."
        )


def missing(profile: Profile) -> list[str]:
    """One sentence for each missing set and split of photographs that a profile needs, with how
    to get it.

    Raises:
        UserError: if it names a set that is not known.
    """
    sets = [(name, split) for name, split in wanted(profile) if name in folders.SETS]
    found = [
        catalogue.CATALOGUE[name].lacks(folders.set_folder(name, split))
        for name, split in sets
        if not folders.is_there(name, split)
    ]
    name = profile.segmentation.data
    if name != SCENES:
        check_segmented(name)
        places = [place for split in voc.LISTS if (place := voc.absent(name, split))]
        found += [catalogue.CATALOGUE[name].lacks(place) for place in places[:1]]
    prior = profile.deblurring.prior.images
    if not is_known(prior) and not Path(prior).is_dir():
        found.append(
            f"deblurring.prior.images is the name of a set, or the path of a folder. Got {prior!r}."
        )
    return found


def wanted(profile: Profile) -> list[tuple[str, str]]:
    """Name and split of every set of images that a profile uses, except scikit-image's and those
    with label maps.

    Raises:
        UserError: if it names a set that is not known.
    """
    density = profile.density.data
    own = profile.finetuning.train_set or profile.train_set
    trained = "+".join([profile.train_set, own, profile.agreement.train_set, density]).split("+")
    tested = "+".join([*profile.evaluation.test_sets, density]).split("+")
    for name in (*trained, *tested):
        _check_known(name)
    prior = profile.deblurring.prior.images
    uses = [(name, "train") for name in trained] + [(name, "test") for name in tested]
    uses += [(prior, split) for split in ("train", "test") if is_known(prior)]
    whole = [(name.partition(":")[0], "train" if ":" in name else split) for name, split in uses]
    return [(name, split) for name, split in dict.fromkeys(whole) if name != "scikit-image"]


def count(name: str, split: str, profile: Profile, published: bool = False) -> int:
    """Number of images of a set, with label maps or without, in the data folder; of a missing set,
    or if so asked, as published; 0 where that is not known. Of a part by share, the expected
    number.
    """
    if "+" in name:
        return sum(count(one, split, profile, published) for one in name.split("+"))
    whole, _, part = name.partition(":")
    if part:
        every = count(whole, "train", profile, published)
        share = sets.PARTS.get(part)
        return round(share * every) if share else min(every, int(part) * classes(whole, profile))
    if name in ("emoji", SCENES):
        return getattr(profile.emoji if name == "emoji" else profile.segmentation.scenes, split)
    if name == "scikit-image":
        return len(CarriedSet(split))
    if name in voc.TASKS:
        there = not published and not voc.absent(name, split)
        return len(voc.load_segmented(name, split)) if there else voc.COUNTS[name][split]
    source = catalogue.known_set(name)
    if not published and folders.is_there(name, split):
        return sum(1 for _ in images.image_files(folders.set_folder(name, split)))
    return source.counts.get(split, 0)


def classes(name: str, profile: Profile) -> int:
    """Number of classes that the training images of a set are labelled with, or of labels of its
    pixels; 0 if it has no labels.
    """
    if name in (SCENES, *voc.TASKS):
        return len(labels_of(name))
    if name == "emoji":
        return profile.emoji.classes
    wholes = [part.partition(":")[0] for part in name.split("+")]
    return max(catalogue.known_set(whole).classes for whole in wholes)


def fingerprints(run: Run) -> dict[str, str]:
    """Fingerprint of every set that a profile uses, by name and split, without decoding or drawing
    an image.
    """
    found = {
        f"{name}/{split}": load_images(name, split, run).fingerprint
        for name, split in wanted(run.profile)
    }
    if not is_known(prior := run.profile.deblurring.prior.images):
        found[f"{prior}/prior"] = folders.load_folder(Path(prior), labelled=False).fingerprint
    name = run.profile.segmentation.data
    segmented = {
        f"{name}/{split}": load_segmented(name, split, run).fingerprint
        for split in ("train", "test")
    }
    return found | segmented


def prior_sets(run: Run) -> tuple[ImageSet, ImageSet]:
    """Images to learn the prior of EPLL from, and held-out ones to measure its likelihood on."""
    name = run.profile.deblurring.prior.images
    if is_known(name):
        return load_images(name, "train", run), load_images(name, "test", run)
    found = folders.load_folder(Path(name), labelled=False)
    held_out = range(0, len(found), 10)
    others = sorted(set(range(len(found))) - set(held_out))
    return Subset(found, others or [0]), Subset(found, held_out)
