"""Canonical images: the same kept or not, decoded once for all networks and runs, one part of a set
in memory at a time.
"""

import gc
import weakref

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from helpers import MemorySet
from PIL import Image

from blurpaper import cache, canonical, data, predictions, protocol, resizing, trained
from blurpaper.data import photos
from blurpaper.networks import NetworkSpec
from blurpaper.networks.vgg import small_vgg
from blurpaper.profile import load
from blurpaper.store import Store

COUNT = 7
SHAPES = [(130, 150), (150, 130), (108, 108), (60, 200), (131, 131), (150, 130), (220, 210)]


@pytest.fixture
def tiny():
    return load("smoke", {"evaluation.shard": 3, "evaluation.batch": 2})


@pytest.fixture
def folder(tmp_path) -> photos.FolderSet:
    """Photographs of noise, one of which has the canonical size already."""
    draw = np.random.RandomState(0)
    (tmp_path / "noise").mkdir()
    for number, shape in enumerate(SHAPES):
        Image.fromarray(draw.randint(0, 256, (*shape, 3)).astype(np.uint8)).save(
            tmp_path / "noise" / f"{number}.png"
        )
    return photos.load_folder(tmp_path / "noise", name="noise")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are decoded from now on, in their order."""
    names, plain = [], photos.read_image
    monkeypatch.setattr(
        photos, "read_image", lambda path: (names.append(path.stem), plain(path))[1]
    )
    return names


def without_cache(profile):
    return profile.model_copy(
        update={"compute": profile.compute.model_copy(update={"cache_gb": 0.0})}
    )


def alike(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(
        torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(one, other, strict=True)
    )


def test_a_part_of_a_set_is_decoded_once_and_found_by_the_next_run(
    folder, decoded, tiny, store
) -> None:
    first = canonical.images_of(folder, range(2, 6), tiny, store)
    assert sorted(decoded) == ["2", "3", "4", "5"]
    again = canonical.images_of(folder, range(2, 6), tiny, Store(store.root))
    assert len(decoded) == 4
    assert alike(first, again)
    plain = resizing.canonical_images(folder, range(2, 6), tiny.protocol)
    assert all(torch.equal(a, b) for a, b in zip(first, plain, strict=True))


def test_without_a_cache_all_is_the_same_but_decoded_each_time(
    folder, decoded, tiny, store
) -> None:
    kept = canonical.images_of(folder, range(COUNT), tiny, store)
    nowhere = Store(store.root / "another")
    for times in (2, 3):
        assert alike(canonical.images_of(folder, range(COUNT), without_cache(tiny), nowhere), kept)
        assert len(decoded) == times * COUNT
    assert not nowhere.root.exists()


def test_scenes_keep_their_own_shapes(folder, decoded, tiny, store) -> None:
    first = canonical.scenes_of(folder, range(COUNT), tiny, store)
    again = canonical.scenes_of(folder, range(COUNT), tiny, store)
    assert len(decoded) == COUNT
    for found in (first, again):
        assert [one.shape for one in found] == SHAPES
        for one, (height, width) in zip(found, SHAPES, strict=True):
            assert one.image.shape[1] * one.image.shape[2] == pytest.approx(108**2, rel=0.02)
            assert one.image.shape[1] / one.image.shape[2] == pytest.approx(
                height / width, rel=0.03
            )
    assert alike([one.image for one in first], [one.image for one in again])


def test_other_images_numbers_or_scales_are_decoded_anew(folder, decoded, tiny, store) -> None:
    def count(images, numbers, profile=tiny, ask=canonical.images_of) -> int:
        before = len(decoded)
        ask(images, numbers, profile, store)
        return len(decoded) - before

    assert count(folder, range(3)) == 3
    assert count(folder, range(4)) == 4
    assert count(folder, range(3), ask=canonical.scenes_of) == 3
    assert count(folder, range(3), load("smoke", {"protocol.canonical": 110})) == 3
    assert count(data.Subset(folder, [4, 3, 2, 1]), range(3)) == 3
    assert count(folder, range(3)) == 0
    path = folder.root / "1.png"
    path.write_bytes((folder.root / "0.png").read_bytes())
    assert count(photos.load_folder(folder.root, name="noise"), range(3)) == 3


def test_images_that_are_not_decoded_from_files_are_not_kept(tiny, store, random_images) -> None:
    images = MemorySet(random_images, [0] * 5, ("a",))
    found = canonical.images_of(data.Subset(images, [3, 1]), range(2), tiny, store)
    assert torch.equal(found[0], resizing.to_canonical(random_images[3], 108))
    assert not store.root.exists()


def test_the_parts_of_a_set_together_stay_within_the_bound(folder, tiny, store) -> None:
    part = 3 * 3 * 108 * 130
    bounded = load("smoke", {"compute.cache_gb": (part + cache._STAMP) * 2.5 / 1e9})
    for start in range(5):
        canonical.images_of(folder, range(start, start + 3), bounded, store)
    files = list(store.root.rglob("data.safetensors"))
    assert 1 <= len(files) <= 2
    assert sum(path.stat().st_size for path in files) <= bounded.compute.cache_gb * 1e9


# --- In predictions -------------------------------------------------------------------------------


@pytest.fixture
def stand_ins(monkeypatch, folder) -> list[NetworkSpec]:
    """Two networks with random weights that nobody trains."""
    specs = [NetworkSpec("small_vgg"), NetworkSpec("small_vgg", "mix")]
    networks = {}
    for seed, spec in enumerate(specs):
        torch.manual_seed(seed)
        networks[spec] = small_vgg(folder.classes[:5]).eval()
    monkeypatch.setattr(trained, "network", lambda spec, *_: networks[spec])
    monkeypatch.setattr(trained, "identity_of", lambda spec, *_: str(spec))
    return specs


def test_networks_share_what_was_decoded_and_predict_the_same_bit_for_bit(
    stand_ins, folder, decoded, tiny, store, tmp_path
) -> None:
    def predicted(profile, place: Store) -> list[torch.Tensor]:
        found = [
            predictions.log_probabilities(
                spec, folder, ["sharp", "D8"], ["256+512"], profile, place
            )
            for spec in stand_ins
        ]
        return [log_p for one in found for by_scale in one.values() for log_p in by_scale.values()]

    kept = predicted(tiny, store)
    assert len(decoded) == COUNT
    fresh = Store(tmp_path / "fresh")
    (fresh.root).mkdir()
    (store.root / "cache").rename(fresh.root / "cache")
    mapped = predicted(tiny, fresh)
    assert len(decoded) == COUNT
    plain = predicted(without_cache(tiny), Store(tmp_path / "plain"))
    assert len(decoded) == 3 * COUNT
    assert not torch.equal(kept[0], kept[2])
    assert all(
        torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(kept, mapped, plain, strict=True)
    )
    assert {recipe.kind for recipe in store.used()} == {"log-probabilities"}


@pytest.mark.parametrize("kept", [True, False])
def test_one_part_of_a_set_is_in_memory_at_a_time(
    stand_ins, folder, tiny, store, monkeypatch, kept
) -> None:
    profile = tiny if kept else without_cache(tiny)
    alive: list[weakref.ref] = []
    plain_read, plain_look = photos.read_image, protocol.log_probabilities

    def read(path):
        gc.collect()
        assert not any(one() is not None for one in alive)
        return plain_read(path)

    def look(networks, images, *more):
        alive.extend(map(weakref.ref, images))
        return plain_look(networks, images, *more)

    monkeypatch.setattr(photos, "read_image", read)
    monkeypatch.setattr(protocol, "log_probabilities", look)
    predictions.log_probabilities(stand_ins[0], folder, ["sharp", "D4"], ["256"], profile, store)
    assert len(alive) == 2 * COUNT


def test_images_look_the_same_to_every_measure_whether_they_were_kept_or_not(
    stand_ins, folder, tiny, store, tmp_path
) -> None:
    from blurpaper import quality

    for profile, place in (
        (tiny, store),
        (tiny, store),
        (without_cache(tiny), Store(tmp_path / "plain")),
    ):
        found = canonical.images_of(folder, range(COUNT), profile, place)
        seen = protocol.blurred(torch.stack(found[:1]), ["a"], "D8", 108)
        numbers = [float(measure(seen[0], found[0])) for measure in quality.MEASURES.values()]
        if place is store and profile is tiny:
            first = numbers
        assert numbers == first


# --- On the command line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], 4.0),
        (["--cache-gb", "0"], 0.0),
        (["-p", "compute.cache_gb=9", "--cache-gb", "0.5"], 0.5),
    ],
)
def test_the_bound_can_be_given_on_the_command_line(monkeypatch, options, expected) -> None:
    from blurpaper import execution
    from blurpaper.cli import main

    given = []
    monkeypatch.setattr(execution, "execute", lambda chapter, run: given.append(run))
    done = CliRunner().invoke(
        main, ["chapter", "01", "--profile", "smoke", *options], catch_exceptions=False
    )
    assert done.exit_code == 0
    (run,) = given
    assert run.profile.compute.cache_gb == expected
    assert run.overrides == ({"compute.cache_gb": expected} if options else {})


@pytest.mark.parametrize("wrong", ["-1", "much", "inf", "nan"])
def test_a_bound_that_is_none_is_told_back(wrong) -> None:
    from blurpaper.cli import main

    done = CliRunner().invoke(main, ["chapter", "01", "--profile", "smoke", "--cache-gb", wrong])
    assert done.exit_code != 0 and "Traceback" not in done.output
    assert wrong in done.output
