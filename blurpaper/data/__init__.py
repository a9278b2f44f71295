"""Data: one way to ask for any set of images, embedded or photographed."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from blurpaper.data.base import ImageSet
from blurpaper.data.joined import JoinedSet
from blurpaper.profile import Emoji, Profile
from blurpaper.store import TENSORS, Recipe, Store

__all__ = ["EmojiSet", "ImageSet", "load", "missing", "wanted"]


def load(name: str, split: str, profile: Profile, store: Store) -> ImageSet:
    """A set of images by name: ``emoji`` is made (and kept in the store), the others are read from the data folder.

    Args:
        name: of a set, or of several joined by ``+``.
        split: ``train`` or ``test``.

    Raises:
        ValueError: for an unknown name or split.
        MissingDataError: if photographs are not there, saying how to get them.
    """
    if "+" in name:
        return JoinedSet([load(part, split, profile, store) for part in name.split("+")])
    if name == "emoji":
        return EmojiSet(split, profile, store)
    from blurpaper.data import photos

    if name not in photos.SETS:
        raise ValueError(f"a data set is one of emoji, {', '.join(photos.SETS)}. Got {name!r}.")
    return photos.load(name, split)


def missing(profile: Profile) -> list[str]:
    """One sentence for each set of photographs the profile needs that is not there, saying how to get it."""
    from blurpaper.data import photos

    sets = [(name, split) for name, split in wanted(profile) if name in photos.SETS]
    return [photos.how_to_get(name, split) for name, split in sets if not photos.is_there(name, split)]


def wanted(profile: Profile) -> list[tuple[str, str]]:
    """Name and split of every set of images that a profile uses."""
    trained = f"{profile.train_set}+{profile.agreement.train_set}".split("+")
    return list(
        dict.fromkeys([*((name, "train") for name in trained), *((name, "test") for name in profile.evaluation.test_sets)])
    )


class EmojiSet(ImageSet):
    """The embedded images of a split, drawn (or loaded from the store) when the first is asked for."""

    def __init__(self, split: str, profile: Profile, store: Store) -> None:
        from blurpaper.data import artwork

        if split not in ("train", "test"):
            raise ValueError(f"emoji has train and test images. Got {split!r}.")
        settings = profile.emoji
        count = getattr(settings, split)
        inputs = settings.model_dump(include={"classes", "side", "seed"})
        inputs |= {"split": split, "count": count, "artwork": artwork.version()}
        recipe = Recipe("data", f"emoji-{split}", inputs, ["blurpaper.data.emoji"], TENSORS)
        store.note(recipe)
        super().__init__(
            name="emoji",
            classes=tuple(artwork.CLASSES)[: settings.classes],
            labels=np.arange(count, dtype=np.int64) % settings.classes,
            ids=[f"{split}/{number:06d}" for number in range(count)],
            fingerprint=recipe.key,
        )
        self._load = lambda: store.get(recipe, lambda _: {"images": _drawn(settings, split, count)})["images"]

    @cached_property
    def _images(self) -> torch.Tensor:
        return self._load()

    def __getitem__(self, number: int) -> torch.Tensor:
        return self._images[number]


def _drawn(settings: Emoji, split: str, count: int) -> torch.Tensor:
    from blurpaper.data import emoji
    from blurpaper.progress import progress

    with progress(f"drawing emoji/{split}", count, "image") as tick:
        return torch.from_numpy(emoji.render_split(settings.seed, split, count, settings.classes, settings.side, tick))
