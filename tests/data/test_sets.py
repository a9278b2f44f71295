"""Images kept in memory for all the epochs of a training: the same images, each read once while
there is room.
"""

import numpy as np
import pytest
import torch

from blurpaper.data import sets
from blurpaper.data.sets import ImageSet, KeptSet, room


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
