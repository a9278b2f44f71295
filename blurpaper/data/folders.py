"""Photographs in folders: a folder a class, named by WordNet id or class name, or a bare folder
without labels. A few that cannot be read are left out and named; many are an error.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.images import SUFFIXES, ImageError, image_names, problems, read_image
from blurpaper.data.sets import ImageSet, Subset, imagenet_names, imagenet_wnids
from blurpaper.runs.files import data_folder, hashes, text_of
from blurpaper.runs.store import Store

SETS = {source.name: source.folders for source in CATALOGUE.values()}
"""Known sets of photographs, each with the folders of its splits below the data folder."""

LISTS = {
    (name, "train"): f"{name}/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt"
    for name in ("voc-animals", "voc2012")
}
"""Where a folder holds several splits, the file that names the images of one."""

BEGINNINGS = {("imagewoof", "test"): "ILSVRC2012_val_"}
"""Beginnings of the names of a split's images. Most of fast.ai's validation images are from
ImageNet's training set, which ImageNet's networks have seen; these are not."""


class MissingDataError(ImageError):
    """A data set that is not where it is looked for, and how to get it."""


@dataclass
class FolderSet(ImageSet):
    """Photographs that are decoded from files each time they are read."""

    reads_files = True
    root: Path = field(kw_only=True)

    def __getitem__(self, number: int) -> torch.Tensor:
        return read_image(self.root / self.ids[number])


def set_folder(name: str, split: str) -> Path:
    """The folder of a known set, whether or not it is there.

    Raises:
        ImageError: if it has no such split.
    """
    if split not in SETS[name]:
        raise ImageError(f"{name} has {' and '.join(SETS[name])} images. Got {split!r}.")
    return data_folder() / SETS[name][split]


def is_there(name: str, split: str) -> bool:
    """Whether the folder of a known set exists."""
    return set_folder(name, split).is_dir()


def load_images(name: str, split: str) -> FolderSet:
    """A known set of photographs.

    Raises:
        MissingDataError: if its folder is not there, saying how to get it.
    """
    if not is_there(name, split):
        raise MissingDataError(CATALOGUE[name].lacks(set_folder(name, split)))
    only = set(listed(data_folder() / LISTS[name, split])) if (name, split) in LISTS else None
    begins = BEGINNINGS.get((name, split), "")
    return load_folder(set_folder(name, split), name=name, only=only, begins=begins)


def listed(path: Path) -> list[str]:
    """Names, without suffix, of the images in a list.

    Raises:
        MissingDataError: if the list cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingDataError(
            f"cannot read {path}, which says which images to use: {error}."
        ) from None


def folder_of(path: Path | str | bytes) -> Path:
    """The folder that a path names, ``~`` being the user's own."""
    text = os.path.expanduser(os.fsdecode(path))  # noqa: PTH111 (Path's fails for ~nobody)
    return Path(text)


def load_folder(
    folder: Path | str,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    only: set[str] | None = None,
    begins: str = "",
    labelled: bool = True,
    tolerant: bool = False,
) -> FolderSet:
    """Any folder of photographs, labelled if its subfolders are named by classes (or WordNet ids).

    Args:
        classes: names of the classes in the order of a network's outputs; ImageNet's by default.
        only: names, without suffix, of the images to use; all of them by default.
        begins: how the names of the images to use begin.
        labelled: whether the names of subfolders are classes; if not, no image has a label.
        tolerant: whether to list a file that cannot be opened, as a broken image.

    Raises:
        ImageError: if the folder is missing or holds no image, or only some of its subfolders are
            named by classes.

    >>> import tempfile
    >>> from blurpaper.data.images import write_image
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("cat/a.png", "dog/b.png"):
    ...     write_image(torch.zeros(3, 4, 6).byte(), folder / name)
    >>> images = load_folder(folder, classes=["dog", "cat"])
    >>> images.ids, images.labels.tolist()
    (['cat/a.png', 'dog/b.png'], [1, 0])
    """
    folder = folder_of(folder)
    if not folder.is_dir():
        raise ImageError(f"no folder at {folder.absolute()}.")
    ids = [
        name
        for name in image_names(folder)
        if (only is None or PurePosixPath(name).stem in only)
        and name.rpartition("/")[2].startswith(begins)
    ]
    if not ids:
        raise ImageError(f"no image below {folder.absolute()} (looked for {', '.join(SUFFIXES)}).")
    classes = tuple(classes or imagenet_names())
    labels = _labels(ids, classes, folder) if labelled else np.full(len(ids), -1, np.int64)
    content = fingerprint(folder, ids, tolerant)
    return FolderSet(name or text_of(folder.name), classes, labels, ids, content, root=folder)


def _labels(ids: Sequence[str], classes: Sequence[str], folder: Path) -> np.ndarray:
    class_of = {name: number for number, name in enumerate(classes)}
    if classes == imagenet_names():
        class_of |= {wnid: number for number, wnid in enumerate(imagenet_wnids())}
    # "Cardigan" is a dog and "cardigan" a garment: only exact spelling tells them apart.
    spelled = Counter(map(_plain, classes))
    class_of |= {
        _plain(name): number for number, name in enumerate(classes) if spelled[_plain(name)] == 1
    }
    parents = [one.rpartition("/")[0].partition("/")[0] for one in ids]
    known = {
        parent: class_of.get(parent, class_of.get(_plain(parent), -1)) for parent in set(parents)
    }
    unknown = sorted(parent for parent, number in known.items() if number < 0)
    if unknown and len(unknown) < len(known):
        raise ImageError(
            f"{folder}: some folders are named by classes, but not "
            f"{', '.join(map(repr, unknown[:3]))}: name them so (by class "
            "name or WordNet id), or move them away."
        )
    return np.array([known[parent] for parent in parents], np.int64)


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ").strip()


def fingerprint(folder: Path, ids: Sequence[str], tolerant: bool = False) -> str:
    """Hash of the names and the contents of files below a folder, 16 hexadecimal digits; a file is
    read again only if its size or its time has changed (:func:`blurpaper.runs.files.hashes`).

    Args:
        tolerant: hash the error of a file that cannot be opened in place of its content.

    Raises:
        ImageError: if one cannot be opened and that is not tolerated, naming it.
    """
    digest = hashlib.sha256()
    for one, content in zip(ids, hashes(folder, ids), strict=True):
        if isinstance(content, OSError):
            if not tolerant:
                raise ImageError(f"cannot read {folder / one}: {content.strerror}.")
            content = f"cannot be opened: {content.strerror}"
        digest.update(f"{one}\0{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


# --- Images that cannot be read -------------------------------------------------------------------

TOLERATED = 0.01
"""Share of a folder's images that may be broken; none of fewer than a hundred images."""


def readable(images: FolderSet, store: Store) -> tuple[ImageSet, list[str]]:
    """The readable images of a folder, and a sentence on each broken one, which is left out.

    Every image is decoded once, before a network sees any, and the store remembers the broken ones
    until a file changes. The others keep their ids, and so the kernels drawn for them.

    Raises:
        ImageError: if more than 1 % are broken, with their number, the names of some and the
            problem of the first.
    """
    from PIL import __version__ as pillow

    inputs = {"images": images.fingerprint, "pillow": pillow}
    compute = partial(_broken, images)
    kept = store.artifact("broken-images", images.name, inputs, compute, data=images.fingerprint)
    numbers = kept["numbers"].tolist()
    broken = problems(images.__getitem__, numbers, f"reading {images.name}")
    if len(broken) > TOLERATED * len(images):
        names = ", ".join(images.ids[number] for number in list(broken)[:10])
        raise ImageError(
            f"{len(broken):,} of the {len(images):,} images below {images.root} cannot be read, "
            f"more than the {100 * TOLERATED:g} % that may be left out; mend or remove them, such "
            f"as {names} ({next(iter(broken.values())).removesuffix('.')})."
        )
    if not broken:
        return images, []
    whole = [number for number in range(len(images)) if number not in broken]
    return Subset(images, whole), list(broken.values())


def _broken(images: FolderSet) -> dict[str, torch.Tensor]:
    """The ``numbers`` of the images that cannot be read, int64 ``(B,)``."""
    broken = problems(images.__getitem__, range(len(images)), f"reading {images.name}")
    return {"numbers": torch.tensor(list(broken), dtype=torch.int64)}
