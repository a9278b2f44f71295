"""The embedded scenes: the same on every machine, with every class, and with exact labels."""

from types import SimpleNamespace

import numpy as np
import pytest

from blurpaper.data import emoji, scenes
from blurpaper.data.sets import BACKGROUND, VOID
from blurpaper.runs import Run
from blurpaper.runs.profile import Scenes

WIDTH, HEIGHT = 160, 120
OF_CODE = {code: label for label, codes in enumerate(scenes.LABELS.values(), 1) for code in codes}


def draw(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    return scenes.render(0, split, index, WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def label_maps() -> np.ndarray:
    """Labels of 200 scenes: uint8 (200, HEIGHT, WIDTH)."""
    return np.stack([draw("test", index)[1] for index in range(200)])


@pytest.fixture
def things(monkeypatch) -> list[tuple[int, np.ndarray]]:
    """Label and RGBA layer of everything that is placed from now on, hindmost first."""
    seen = []

    def placed(draw: np.random.RandomState, code: str, *where: object) -> np.ndarray:
        layer = emoji.placed(draw, code, *where)
        seen.append((OF_CODE.get(code, 0), layer))
        return layer

    monkeypatch.setattr(scenes, "placed", placed)
    return seen


def profile() -> SimpleNamespace:
    """As much of a profile as a set of scenes asks for."""
    settings = Scenes(train=4, test=3, width=48, height=36, seed=0)
    return SimpleNamespace(segmentation=SimpleNamespace(scenes=settings))


def test_a_scene_depends_on_its_number_and_split_alone() -> None:
    for one, again in zip(draw("test", 7), draw("test", 7), strict=True):
        assert np.array_equal(one, again)
    for other in (draw("train", 7), draw("test", 8), scenes.render(1, "test", 7, WIDTH, HEIGHT)):
        assert not np.array_equal(draw("test", 7)[0], other[0])
        assert not np.array_equal(draw("test", 7)[1], other[1])


def test_scenes_of_a_split_are_in_turns_landscape_and_portrait() -> None:
    settings = Scenes(train=1, test=4, width=WIDTH, height=HEIGHT, seed=0)
    images, labels = scenes.draw_split(settings, "test").values()
    for index, (width, height) in enumerate([(WIDTH, HEIGHT), (HEIGHT, WIDTH)] * 2):
        image, label_map = scenes.render(0, "test", index, width, height)
        assert np.array_equal(images[index].reshape(3, height, width).permute(1, 2, 0), image)
        assert np.array_equal(labels[index].reshape(height, width), label_map)


def test_every_drawing_is_there_and_stands_for_one_class() -> None:
    assert len(scenes.LABELS) == 19
    assert list(scenes.LABELS) == sorted(scenes.LABELS)
    codes = [code for drawings in scenes.LABELS.values() for code in drawings]
    assert len(codes) == len(OF_CODE)
    assert not set(codes) & set(emoji.DISTRACTORS)
    assert len({emoji.sprite(code, 40).tobytes() for code in codes}) == len(codes)


def test_every_class_occurs_in_scenes_and_no_other(label_maps) -> None:
    assert set(np.unique(label_maps)) == {*range(len(scenes.LABELS) + 1), VOID}
    scenes_with = [(label_maps == label).any(axis=(1, 2)).sum() for label in range(1, 20)]
    assert max(scenes_with) < 3 * min(scenes_with)


def test_void_is_a_thin_line(label_maps) -> None:
    void = np.pad(label_maps == VOID, ((0, 0), (1, 1), (1, 1)))
    around = np.lib.stride_tricks.sliding_window_view(void, (3, 3), axis=(1, 2))
    assert not around.all(axis=(-2, -1)).any()
    assert 0.005 < void.mean() < 0.04


def test_void_lies_where_labels_meet(label_maps, things) -> None:
    for index in range(20):
        things.clear()
        _, labels = draw("test", index)
        geometry = topmost(things)
        padded = np.pad(geometry, 1, mode="edge")
        neighbours = np.stack(
            [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
        )
        assert (neighbours != geometry).any(axis=0)[labels == VOID].all()


def topmost(things: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Label of the last thing that covers half of a pixel: (H, W)."""
    covers = (
        np.stack([np.full((HEIGHT, WIDTH), 1.0), *(layer[..., 3] for _, layer in things)]) >= 0.5
    )
    last = len(things) - covers[::-1].argmax(axis=0)
    return np.array([0, *(label for label, _ in things)])[last]


def test_the_mask_is_exact_and_later_things_hide_earlier_ones(things) -> None:
    overlaps = 0
    for index in range(40):
        things.clear()
        _, labels = draw("train", index)
        known = labels != VOID
        assert np.array_equal(labels[known], topmost(things)[known])
        (label, behind), (other, front) = things[-2:] if len(things) > 1 else things * 2
        if label not in (0, other):
            both = (behind[..., 3] >= 0.5) & (front[..., 3] >= 0.5)
            overlaps += both.any()
            assert not (labels[both] == label).any()
    assert overlaps


def test_the_labelled_region_is_what_black_and_white_do_not_shine_through(things) -> None:
    """Coverage of a lone object, seen from outside: one less the difference between it on white and
    on black.
    """
    alone = 0
    for index in range(60):
        things.clear()
        _, labels = draw("test", index)
        if len(things) > 1:
            continue
        alone += 1
        [(label, layer)] = things
        white, black = (
            np.ones((HEIGHT, WIDTH, 3), np.float32),
            np.zeros((HEIGHT, WIDTH, 3), np.float32),
        )
        emoji.lay(white, layer)
        emoji.lay(black, layer)
        cover = 1 - (white - black).mean(axis=2)
        known = labels != VOID
        assert np.array_equal((labels == label)[known], (cover >= 0.5)[known])
        assert known[(cover < 0.1) | (cover > 0.9)].all()
    assert alone


def test_an_object_is_seen_where_its_label_is() -> None:
    """Image and labels coincide: along outlines the picture changes more than elsewhere."""
    steeper = []
    for index in range(20):
        image, labels = draw("test", index)
        slope = np.hypot(*np.gradient(image.mean(axis=2)))
        steeper.append(slope[labels == VOID].mean() / slope[labels == 0].mean())
    assert np.mean(steeper) > 2


def test_a_set_is_drawn_once_and_loaded_afterwards(store, monkeypatch) -> None:
    images = scenes.SceneSet("train", Run(profile(), store))
    assert images.name == "emoji-scenes"
    assert images.classes == (BACKGROUND, *scenes.LABELS)
    assert list(images.labels) == [-1] * 4
    assert images.ids[0] == "train/000000"
    for number, shape in enumerate([(36, 48), (48, 36)] * 2):
        image, labels = scenes.render(0, "train", number, *shape[::-1])
        assert images[number].shape == (3, *shape)
        assert np.array_equal(images[number].permute(1, 2, 0), image)
        assert np.array_equal(images.label_map(number), labels)
    monkeypatch.delattr(scenes, "render")
    again = scenes.SceneSet("train", Run(profile(), store))
    assert again.fingerprint == images.fingerprint
    assert (again[1] == images[1]).all()
    assert (again.label_map(1) == images.label_map(1)).all()


def test_splits_are_other_scenes_and_others_are_told(store) -> None:
    train, test = (scenes.SceneSet(split, Run(profile(), store)) for split in ("train", "test"))
    assert len(test) == 3
    assert train.fingerprint != test.fingerprint
    assert not (train[0] == test[0]).all()
    with pytest.raises(ValueError, match="'val'"):
        scenes.SceneSet("val", Run(profile(), store))
