"""Canonical images: each decoded once for all conditions, one part of a set in memory at a time."""

import gc
import weakref

import numpy as np
import pytest
import torch
from helpers import MemorySet
from PIL import Image

from blurpaper import data
from blurpaper.data import folders
from blurpaper.data.images import Shard, images_of, scenes_of, to_canonical, to_scene
from blurpaper.evaluation import predictions, protocol
from blurpaper.networks import NetworkSpec
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import Run
from blurpaper.runs.profile import load
from blurpaper.training import networks as trained

COUNT = 7
SHAPES = [(130, 150), (150, 130), (108, 108), (60, 200), (131, 131), (150, 130), (220, 210)]


@pytest.fixture
def tiny():
    return load("smoke", {"evaluation.images_per_shard": 3, "evaluation.batch": 2})


@pytest.fixture
def folder(tmp_path) -> folders.FolderSet:
    """Photographs of noise, one of which has the canonical size already."""
    draw = np.random.RandomState(0)
    (tmp_path / "noise").mkdir()
    for number, shape in enumerate(SHAPES):
        Image.fromarray(draw.randint(0, 256, (*shape, 3)).astype(np.uint8)).save(
            tmp_path / "noise" / f"{number}.png"
        )
    return folders.load_folder(tmp_path / "noise", name="noise")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are decoded from now on, in their order."""
    names, plain = [], folders.read_image
    monkeypatch.setattr(
        folders, "read_image", lambda path: (names.append(path.stem), plain(path))[1]
    )
    return names


def test_images_are_those_asked_for_the_smaller_side_canonical(folder, decoded, tiny) -> None:
    found = images_of(folder, range(2, 6), tiny.protocol)
    assert sorted(decoded) == ["2", "3", "4", "5"]
    for number, image in zip(range(2, 6), found, strict=True):
        assert torch.equal(image, to_canonical(folder[number], 108))


def test_scenes_keep_their_own_shapes(folder, tiny) -> None:
    found = scenes_of(folder, range(COUNT), tiny.protocol)
    assert [one.shape for one in found] == SHAPES
    for number, (one, (height, width)) in enumerate(zip(found, SHAPES, strict=True)):
        assert torch.equal(one.image, to_scene(folder[number], 108).image)
        assert one.image.shape[1] * one.image.shape[2] == pytest.approx(108**2, rel=0.02)
        assert one.image.shape[1] / one.image.shape[2] == pytest.approx(height / width, rel=0.03)


def test_a_subset_gives_its_own_images_whether_from_files_or_not(
    folder, tiny, random_images
) -> None:
    for whole in (folder, MemorySet(random_images, [0] * 5, ("a",))):
        found = images_of(data.Subset(whole, [3, 1]), range(2), tiny.protocol)
        for number, image in zip((3, 1), found, strict=True):
            assert torch.equal(image, to_canonical(whole[number], 108))


def test_a_shard_makes_a_part_once_until_another_is_asked_for() -> None:
    made = []
    shard = Shard(lambda numbers: made.append(numbers) or list(numbers))
    asked = [range(2), range(2), range(2, 4), range(2)]
    assert [shard(numbers) for numbers in asked] == [list(numbers) for numbers in asked]
    assert made == [range(2), range(2, 4), range(2)]


# --- In predictions -------------------------------------------------------------------------------


@pytest.fixture
def stand_in(monkeypatch, folder) -> NetworkSpec:
    """A network with random weights that nobody trains."""
    torch.manual_seed(0)
    network = small_vgg(folder.classes[:5]).eval()
    monkeypatch.setattr(trained, "network", lambda *_: network)
    monkeypatch.setattr(trained, "identity_of", lambda spec, *_: str(spec))
    return NetworkSpec("small_vgg")


def test_predictions_decode_each_image_once_for_all_conditions_and_scales(
    stand_in, folder, decoded, tiny, store
) -> None:
    predictions.log_probabilities(
        stand_in, folder, ["sharp", "D4", "D8"], ["128", "256+512"], Run(tiny, store)
    )
    assert sorted(decoded) == [str(number) for number in range(COUNT)]


def test_one_part_of_a_set_is_in_memory_at_a_time(
    stand_in, folder, tiny, store, monkeypatch
) -> None:
    alive: list[weakref.ref] = []
    plain_read, plain_look = folders.read_image, protocol.log_probabilities

    def read(path):
        gc.collect()
        assert not any(one() is not None for one in alive)
        return plain_read(path)

    def look(networks, images, *more):
        alive.extend(map(weakref.ref, images))
        return plain_look(networks, images, *more)

    monkeypatch.setattr(folders, "read_image", read)
    monkeypatch.setattr(protocol, "log_probabilities", look)
    predictions.log_probabilities(stand_in, folder, ["sharp", "D4"], ["256"], Run(tiny, store))
    assert len(alive) == 2 * COUNT
