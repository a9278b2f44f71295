"""Images at the canonical scale, decoded and resized once for all networks and runs that look at
them.

Decoding a photograph and resizing it takes about as long as a small network takes to look at it.
Parts of a set are therefore kept in a cache, within the profile's ``compute.cache_gb``; embedded
images are not, as they are kept drawn. A part that was kept is mapped into memory, not read into
it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from blurpaper import resizing
from blurpaper.cache import Cache
from blurpaper.data.base import ImageSet
from blurpaper.data.photos import FolderSet, in_threads
from blurpaper.data.subset import Subset
from blurpaper.data.voc import VocSet
from blurpaper.profile import Profile
from blurpaper.resizing import Scene
from blurpaper.store import TENSORS, Codec, Recipe, Store

_MODULES = ("blurpaper.resizing", "blurpaper.data.reading")
_HEAD = 256
"""Bytes that the name, type, shape and place of a tensor may take in a file."""


def images_of(
    whole: ImageSet, numbers: range, profile: Profile, store: Store
) -> list[torch.Tensor]:
    """Some images of a set whose smaller side is the canonical one: uint8 ``(3, H, W)`` each.

    >>> import tempfile
    >>> from blurpaper.data.photos import load_folder
    >>> from blurpaper.data.reading import write_image
    >>> from blurpaper.profile import load
    >>> folder, store = Path(tempfile.mkdtemp()), Store(tempfile.mkdtemp())
    >>> write_image(torch.zeros(3, 216, 300, dtype=torch.uint8), folder / "a.png")
    >>> [tuple(one.shape) for one in images_of(load_folder(folder), range(1), load("smoke"), store)]
    [(3, 108, 150)]
    >>> [path.name for path in store.root.glob("cache/*")]
    ['canonical']
    """

    def made(number: int) -> Scene:
        image = whole[number]
        return Scene(
            resizing.to_canonical(image, profile.protocol.canonical),
            (image.shape[-2], image.shape[-1]),
        )

    return [one.image for one in _found(whole, numbers, "smaller side", made, profile, store)]


def scenes_of(whole: ImageSet, numbers: range, profile: Profile, store: Store) -> list[Scene]:
    """Some scenes of a set the geometric mean of whose sides is the canonical one.

    >>> import tempfile
    >>> from blurpaper.data.examples import CarriedSet
    >>> from blurpaper.profile import load
    >>> scenes = scenes_of(CarriedSet("test"), range(2), load("smoke"), Store(tempfile.mkdtemp()))
    >>> [(scene.shape, tuple(scene.image.shape[1:])) for scene in scenes]
    [((300, 451), (88, 132)), ((400, 600), (88, 132))]
    """

    def made(number: int) -> Scene:
        return resizing.to_scene(whole[number], profile.protocol.canonical)

    return _found(whole, numbers, "mean side", made, profile, store)


class Shard:
    """The part of a set that is looked at: it stays at hand for all conditions, and goes before the
    next is decoded.

    >>> import tempfile
    >>> from blurpaper.data.examples import CarriedSet
    >>> from blurpaper.profile import load
    >>> shard = Shard(CarriedSet("test"), load("smoke"), Store(tempfile.mkdtemp()))
    >>> first = shard(range(0, 1))
    >>> shard(range(0, 1)) is first, shard(range(1, 2)) is first
    (True, False)
    """

    def __init__(self, whole: ImageSet, profile: Profile, store: Store) -> None:
        self._whole, self._profile, self._store = whole, profile, store
        self._numbers, self._images = range(0), list[torch.Tensor]()

    def __call__(self, numbers: range) -> list[torch.Tensor]:
        """Its images, as :func:`images_of` gives them."""
        if numbers != self._numbers:
            self._images = []
            self._images, self._numbers = (
                images_of(self._whole, numbers, self._profile, self._store),
                numbers,
            )
        return self._images


def _found(
    whole: ImageSet,
    numbers: range,
    what: str,
    made: Callable[[int], Scene],
    profile: Profile,
    store: Store,
) -> list[Scene]:
    """A part of a set, from the cache if it is decoded from files; ``what`` is of canonical length."""
    if not _from_files(whole):
        return list(map(made, numbers))

    def make() -> list[Scene]:
        return [Scene(_interleaved(one.image), one.shape) for one in in_threads(made, numbers)]

    cache = Cache(store, int(profile.compute.cache_gb * 1e9))
    if not cache.limit:
        return make()
    inputs = {
        "images": whole.fingerprint,
        "numbers": [numbers.start, numbers.stop, numbers.step],
        "canonical": profile.protocol.canonical,
        "of": what,
    }
    recipe = Recipe("canonical", f"{whole.name}.{numbers.start}", inputs, _MODULES, _SCENES)
    return cache.found(recipe, make, _size)


def _from_files(images: ImageSet) -> bool:
    """Whether a set decodes an image each time that it is asked for it."""
    while isinstance(images, Subset):
        images = images.whole
    return isinstance(images, (FolderSet, VocSet))


def _interleaved(image: torch.Tensor) -> torch.Tensor:
    """An image with the channels of a pixel side by side in memory, as resizing leaves them: an
    image is the same kept or not.
    """
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def _size(scenes: list[Scene]) -> int:
    return sum(one.image.numel() + _HEAD for one in scenes)


def _save(scenes: list[Scene], path: Path) -> None:
    pixels = {str(number): one.image.permute(1, 2, 0) for number, one in enumerate(scenes)}
    TENSORS.save({"shapes": torch.tensor([one.shape for one in scenes]), **pixels}, path)


def _load(path: Path) -> list[Scene]:
    tensors = TENSORS.load(path)
    shapes = tensors.pop("shapes").tolist()
    return [
        Scene(tensors[str(number)].permute(2, 0, 1), tuple(shape))
        for number, shape in enumerate(shapes)
    ]


_SCENES: Codec[list[Scene]] = Codec(".safetensors", _save, _load)
