"""Data: one way to ask for any set of images, embedded or photographed."""

from __future__ import annotations

from pathlib import Path

from blurpaper.data.sets import ImageSet, JoinedSet, SegmentedSet, Subset
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
    """A set of images by name: ``emoji`` is made (and kept in the store), ``scikit-image`` comes
    with that, others are read.

    Args:
        name: of a set, or of several joined by ``+``.
        split: ``train`` or ``test``.

    Raises:
        UserError: for an unknown name or split.
        MissingDataError: if photographs are not there, saying how to get them.
    """
    if "+" in name:
        return JoinedSet([load_images(part, split, run) for part in name.split("+")])
    if name == "emoji":
        from blurpaper.data.emoji import EmojiSet

        return EmojiSet(split, run)
    if name == "scikit-image":
        from blurpaper.data.examples import CarriedSet

        return CarriedSet(split)
    from blurpaper.data import folders

    _check_known(name)
    return folders.load_images(name, split)


SCENES = "emoji-scenes"
"""The embedded set with a label at every pixel."""


def check_segmented(name: str) -> None:
    """See that it is the name of a set with a label at every pixel.

    Raises:
        UserError: if it is not, listing those there are.
    """
    from blurpaper.data import voc

    if name != SCENES and name not in voc.TASKS:
        raise UserError(
            f"a segmented set is one of {SCENES}, {', '.join(voc.TASKS)}. Got {name!r}."
        )


def labels_of(name: str) -> tuple[str, ...]:
    """Names of the labels of a set with a label at every pixel, found without reading it."""
    from blurpaper.data import scenes, voc
    from blurpaper.data.sets import BACKGROUND

    check_segmented(name)
    return (BACKGROUND, *scenes.LABELS) if name == SCENES else voc.TASKS[name]


def load_segmented(name: str, split: str, run: Run) -> SegmentedSet:
    """A set of images with a label at every pixel: ``emoji-scenes`` is made (and kept in the
    store), VOC's are read.

    Args:
        name: ``emoji-scenes``, or one of :data:`blurpaper.data.voc.TASKS`.
        split: ``train`` or ``test``.

    Raises:
        UserError: for an unknown name or split.
        MissingDataError: if photographs are not there, saying how to get them.
    """
    check_segmented(name)
    if name == SCENES:
        from blurpaper.data.scenes import SceneSet

        return SceneSet(split, run)
    from blurpaper.data import voc

    return voc.load_segmented(name, split)


def is_known(name: str) -> bool:
    """Whether it is the name of a set.

    >>> is_known("emoji"), is_known("emojis")
    (True, False)
    """
    from blurpaper.data import folders

    return name in ("emoji", "scikit-image", *folders.SETS)


def _check_known(name: str) -> None:
    from blurpaper.data import folders

    if not is_known(name):
        raise UserError(
            f"a data set is one of emoji, scikit-image, {', '.join(folders.SETS)}. Got {name!r}."
        )


def missing(profile: Profile) -> list[str]:
    """One sentence for each set and split of photographs the profile needs that is not there,
    saying how to get it.

    Raises:
        UserError: if it names a set that is not known.
    """
    from blurpaper.data import folders, voc

    sets = [(name, split) for name, split in wanted(profile) if name in folders.SETS]
    found = [
        folders.how_to_get(name, split) for name, split in sets if not folders.is_there(name, split)
    ]
    name = profile.segmentation.data
    if name != SCENES:
        check_segmented(name)
        found += [
            voc.how_to_get(name, split) for split in voc.LISTS if not voc.is_there(name, split)
        ][:1]
    prior = profile.deblurring.prior.images
    if not is_known(prior) and not Path(prior).is_dir():
        found.append(
            f"deblurring.prior.images is the name of a set, or the path of a folder. Got {prior!r}."
        )
    return found


def wanted(profile: Profile) -> list[tuple[str, str]]:
    """Name and split of every set of images that a profile uses, but for those of scikit-image and
    those with label maps.

    Raises:
        UserError: if it names a set that is not known.
    """
    trained = f"{profile.train_set}+{profile.agreement.train_set}".split("+")
    for name in "+".join([*trained, *profile.evaluation.test_sets]).split("+"):
        _check_known(name)
    prior = profile.deblurring.prior.images
    uses = [(name, "train") for name in trained] + [
        (name, "test") for name in profile.evaluation.test_sets
    ]
    uses += [(prior, split) for split in ("train", "test") if is_known(prior)]
    return [(name, split) for name, split in dict.fromkeys(uses) if name != "scikit-image"]


def count(name: str, split: str, profile: Profile) -> int:
    """Number of images of a set, with label maps or without: of those that are there, else of the
    whole set as it is published; 0 where that is not known.
    """
    from blurpaper.data import examples, folders, images, sources, voc

    if name in ("emoji", SCENES):
        return getattr(profile.emoji if name == "emoji" else profile.segmentation.scenes, split)
    if name == "scikit-image":
        return len(examples.CarriedSet(split))
    if name in voc.TASKS:
        whole = voc.COUNTS[name][split]
        return len(voc.load_segmented(name, split)) if voc.is_there(name, split) else whole
    if folders.is_there(name, split):
        return sum(1 for _ in images.image_files(folders.set_folder(name, split)))
    return sources.source_of(name).counts.get(split, 0)


def fingerprints(run: Run) -> dict[str, str]:
    """Fingerprint of every set that a profile uses, by name and split; none is read or drawn for
    it.
    """
    found = {
        f"{name}/{split}": load_images(name, split, run).fingerprint
        for name, split in wanted(run.profile)
    }
    if not is_known(prior := run.profile.deblurring.prior.images):
        found[f"{prior}/prior"] = _bare_folder(Path(prior)).fingerprint
    name = run.profile.segmentation.data
    segmented = {
        f"{name}/{split}": load_segmented(name, split, run).fingerprint
        for split in ("train", "test")
    }
    return found | segmented


def prior_sets(run: Run) -> tuple[ImageSet, ImageSet]:
    """The images that the prior of EPLL is learnt from, and others to measure its likelihood on."""
    name = run.profile.deblurring.prior.images
    if is_known(name):
        return load_images(name, "train", run), load_images(name, "test", run)
    images = _bare_folder(Path(name))
    held_out = range(0, len(images), 10)
    return Subset(images, sorted(set(range(len(images))) - set(held_out)) or [0]), Subset(
        images, held_out
    )


def _bare_folder(path: Path) -> ImageSet:
    from blurpaper.data import folders

    return folders.load_folder(path, labelled=False)
