"""Images kept in memory for all the epochs of a training: the same images, each read once while
there is room; and the parts of a training set.
"""

import numpy as np
import pytest
import torch

from blurpaper import data
from blurpaper.data import sets
from blurpaper.data.sets import ImageSet, KeptSet, room
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import load
from blurpaper.runs.store import Store


class Counted(ImageSet):
    """Images of different sizes, which knows how often each was asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(
            "counted", ("a", "b"), np.arange(count) % 2, [f"{n}.png" for n in range(count)], "hash"
        )
        self.asked = [0] * count

    def __getitem__(self, number: int) -> torch.Tensor:
        self.asked[number] += 1
        return torch.full((3, 4, 5 + number), number, dtype=torch.uint8)


def epochs(images: ImageSet, count: int) -> list[torch.Tensor]:
    orders = [np.random.RandomState(epoch).permutation(len(images)) for epoch in range(count)]
    return [
        image
        for order in orders
        for start in range(0, len(order), 4)
        for image in images.batch(order[start : start + 4])
    ]


def test_epochs_see_the_same_images_and_read_each_once() -> None:
    plain, counted = Counted(10), Counted(10)
    kept = KeptSet(counted, 1e6)
    for own, theirs in zip(epochs(kept, 3), epochs(plain, 3), strict=True):
        assert torch.equal(own, theirs)
    assert counted.asked == [1] * 10
    assert plain.asked == [3] * 10


def test_what_has_no_room_is_read_again_and_is_the_same() -> None:
    counted, enough = Counted(10), 3 * 4 * (13 + 14)  # for the two largest
    kept = KeptSet(counted, enough)
    for own, theirs in zip(epochs(kept, 3), epochs(Counted(10), 3), strict=True):
        assert torch.equal(own, theirs)
    assert sum(image.numel() for image in kept._kept.values()) <= enough
    assert set(counted.asked) == {1, 3}
    assert counted.asked.count(1) >= 2
    nothing = KeptSet(counted, 0)
    assert torch.equal(nothing[7], counted[7])
    assert not nothing._kept


def test_it_is_the_same_set_to_whoever_asks_and_may_be_asked_for_an_image_twice_at_once() -> None:
    counted = Counted(5)
    kept = KeptSet(counted, 1e6)
    assert (kept.name, kept.classes, kept.ids, kept.fingerprint) == (
        counted.name,
        counted.classes,
        counted.ids,
        "hash",
    )
    assert len(kept) == 5
    assert [image[0, 0, 0].item() for image in kept.batch([2, 0, 2])] == [2, 0, 2]
    assert counted.asked == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("gigabytes", "expected"), [(0.5, 0.0625e9), (16, 2e9), (32, 4e9), (2000, 4e9)]
)
def test_the_room_is_an_eighth_of_the_memory_and_at_most_four_gigabytes(
    monkeypatch, gigabytes, expected
) -> None:
    says = {"SC_PHYS_PAGES": gigabytes * 1e6, "SC_PAGE_SIZE": 1000}
    monkeypatch.setattr(sets.os, "sysconf", says.__getitem__, raising=False)
    assert room() == expected


def test_where_the_system_does_not_say_the_room_is_bounded_too(monkeypatch) -> None:
    monkeypatch.delattr(sets.os, "sysconf", raising=False)
    assert room() == 4e9


# --- A part for validation ------------------------------------------------------------------------


def parts(names: list[str]) -> tuple[set[str], set[str]]:
    images = Counted(len(names))
    images.ids = names
    return tuple(set(sets.part_of(images, part).ids) for part in sets.PARTS)


def test_the_parts_of_a_training_set_are_disjoint_whole_and_of_their_shares() -> None:
    names = [f"n{number % 10:08d}/{number}.JPEG" for number in range(4000)]
    training, validation = parts(names)
    assert training.isdisjoint(validation) and training | validation == set(names)
    # Five standard deviations of a binomial distribution.
    assert abs(len(validation) - 800) < 5 * np.sqrt(4000 * 0.2 * 0.8)
    of_class = sum(name.startswith("n00000003") for name in validation)
    assert abs(of_class - 80) < 5 * np.sqrt(400 * 0.2 * 0.8)


def test_a_file_that_is_added_moves_no_other_between_the_parts() -> None:
    names = [f"n/{number}.JPEG" for number in range(200)]
    for before, after in zip(parts(names[50:]), parts(["m/first.JPEG", *names]), strict=True):
        assert before <= after


def test_so_many_images_of_each_class_are_among_those_of_a_larger_number() -> None:
    images = Counted(50)
    few, more = (sets.part_of(images, part) for part in ("5", "20"))
    assert few.name == "counted:5" and set(few.ids) < set(more.ids)
    assert [np.bincount(one.labels).tolist() for one in (few, more)] == [[5, 5], [20, 20]]
    assert set(few.ids) != set(images.ids[:10])  # by their hashes, not the first
    assert len(sets.part_of(images, "100")) == 50


def test_parts_are_loaded_by_name_whatever_the_split_and_counted_as_expected() -> None:
    profile = load("smoke")
    run = Run(profile, Store(None, computes=False))  # their ids need no drawing
    whole = data.load_images("emoji", "train", run)
    validation = data.load_images("emoji:validation", "test", run)
    training = data.load_images("emoji:training", "train", run)
    assert validation.name == "emoji:validation"
    assert sorted([*training.ids, *validation.ids]) == whole.ids
    assert data.count("emoji:validation", "test", profile) == round(0.2 * profile.emoji.train)
    assert data.classes("imagewoof:training+imagewoof:validation", profile) == 10
    assert validation.fingerprint != training.fingerprint
    chosen = load("smoke", {"train_set": "emoji:training"})
    assert ("emoji", "train") in data.wanted(chosen)
    assert data.count("emoji:3", "train", profile) == len(data.load_images("emoji:3", "train", run))
    with pytest.raises(UserError, match=r"or a number of images a class\. Got 'emoji:test'"):
        data.load_images("emoji:test", "test", run)
