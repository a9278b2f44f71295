"""What segmentation learns from: crops whose points carry the labels of the pixels they lie on, and
the loss at those.
"""

import numpy as np
import pytest
import torch
from helpers import LabelledScenes
from torch.nn import functional

from blurpaper.data.sets import VOID
from blurpaper.networks.vgg import VGG
from blurpaper.runs.profile import Compute, Phase, Protocol, Schedule
from blurpaper.segmentation import batches
from blurpaper.segmentation.batches import NOT_LABELLED, PerPixel, PixelBatch, make_batch
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import loop
from blurpaper.training.batches import Task

LABELS = tuple("abcdefgh")
COLOUR = 10
"""Grey levels between the colours of two labels, in the scenes that are painted by label."""
CPU = torch.device("cpu")
FLOAT32 = Compute(device="cpu", precision="float32", checkpoint_seconds=60)


def protocol_of(*jitter: int, canonical: int = 96) -> Protocol:
    return Protocol(
        canonical=canonical,
        scales={"128": 32, "256": 64, "512": 128},
        jitter=list(jitter),
        field=32,
    )


AS_THEY_ARE = protocol_of(384)
"""Scenes whose sides have a geometric mean of 96 pixels are not resized."""


def label_map_of(height: int, width: int, seed: int = 0, void: float = 0.05) -> torch.Tensor:
    """Blocks of 8 x 8 pixels of random labels, some pixels void."""
    draw = np.random.RandomState(seed)
    blocks = draw.randint(0, len(LABELS), (-(-height // 8), -(-width // 8)))
    grown = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width].astype(np.uint8)
    grown[draw.random_sample(grown.shape) < void] = VOID
    return torch.from_numpy(grown)


def painted(label_maps: list[torch.Tensor]) -> LabelledScenes:
    """Scenes whose grey level is ten times the label, and 255 where there is none."""
    images = [
        torch.where(one == VOID, 255, COLOUR * one)[None].expand(3, -1, -1).contiguous()
        for one in label_maps
    ]
    return LabelledScenes(images, label_maps, LABELS)


@pytest.fixture(scope="module")
def scenes() -> LabelledScenes:
    """Eight of two shapes, of a geometric mean of 96 pixels."""
    return painted(
        [
            label_map_of(*((72, 128) if number % 2 else (128, 72)), seed=number)
            for number in range(8)
        ]
    )


def task(images: LabelledScenes, mix: dict[str, float] | None = None, seed: int = 5) -> Task:
    return Task(images, mix or {"sharp": 1.0}, "", seed)


def crops(
    images: LabelledScenes,
    numbers: list[int] | range | None = None,
    epoch: int = 0,
    settings: Protocol = AS_THEY_ARE,
    flip: bool = True,
    side: int = 64,
    points: int = 300,
    **how: object,
) -> PixelBatch:
    return make_batch(
        task(images, **how), numbers or range(len(images)), epoch, settings, flip, CPU, side, points
    )


def at(batch: PixelBatch) -> torch.Tensor:
    """Grey level (B, P) of each crop at its points."""
    return torch.stack(
        [one[0, xy[:, 1], xy[:, 0]] for one, xy in zip(batch.seen, batch.points, strict=True)]
    )


# --- Shapes ---------------------------------------------------------------------------------------


def shapes_that_are_blurred(monkeypatch) -> list[tuple[int, int]]:
    """Of every scene from now on, once it has been resized."""
    seen, plain = [], batches.blur.apply

    def noted(images: torch.Tensor, psfs: list) -> torch.Tensor:
        seen.append(tuple(images.shape[-2:]))
        return plain(images, psfs)

    monkeypatch.setattr(batches.blur, "apply", noted)
    return seen


@pytest.mark.parametrize("jitter", [300, 384, 480])
def test_a_crop_is_cut_from_the_scene_at_its_jittered_scale(monkeypatch, scenes, jitter) -> None:
    shapes = shapes_that_are_blurred(monkeypatch)
    crops(scenes, range(2), settings=protocol_of(jitter))
    factor = jitter / 384
    assert sorted(shapes) == sorted(
        [(round(128 * factor), round(72 * factor)), (round(72 * factor), round(128 * factor))]
    )


def test_each_jitter_is_drawn(monkeypatch, scenes) -> None:
    shapes = shapes_that_are_blurred(monkeypatch)
    for epoch in range(4):
        crops(scenes, epoch=epoch, settings=protocol_of(300, 384, 480))
    assert {width for _, width in shapes} == {
        round(side * jitter / 384) for side in (72, 128) for jitter in (300, 384, 480)
    }


# --- What a batch depends on ----------------------------------------------------------------------


def same(one: PixelBatch, other: PixelBatch) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for name in ("seen", "points", "labels")
    )


def test_a_scenes_crop_depends_on_its_number_and_epoch_alone(scenes) -> None:
    how = {"mix": {"sharp": 0.3, "D8": 0.4, "shake": 0.3}, "settings": protocol_of(300, 384, 480)}
    whole = crops(scenes, **how)
    turned = crops(scenes, list(range(8))[::-1], **how)
    halves = [crops(scenes, numbers, **how) for numbers in (range(3), range(3, 8))]
    assert same(
        whole, PixelBatch(turned.seen.flip(0), turned.points.flip(0), turned.labels.flip(0))
    )
    assert same(
        whole,
        PixelBatch(
            *(torch.cat([getattr(h, n) for h in halves]) for n in ("seen", "points", "labels"))
        ),
    )
    for other in (crops(scenes, epoch=1, **how), crops(scenes, seed=6, **how)):
        for place in range(8):
            assert not torch.equal(other.points[place], whole.points[place])
        assert not torch.equal(other.seen, whole.seen)


def test_points_are_others_in_another_epoch_even_where_the_crop_is_the_same() -> None:
    whole = painted([label_map_of(96, 96, void=0.0)])
    first, second = (crops(whole, epoch=epoch, side=96, flip=False) for epoch in (0, 1))
    assert torch.equal(first.seen, second.seen)
    assert not torch.equal(first.points, second.points)


def test_a_batch_is_of_the_shapes_and_types_it_says(scenes) -> None:
    batch = crops(scenes, range(3), side=48, points=7)
    assert (batch.seen.shape, batch.seen.dtype) == ((3, 3, 48, 48), torch.float32)
    assert (batch.points.shape, batch.points.dtype) == ((3, 7, 2), torch.int64)
    assert (batch.labels.shape, batch.labels.dtype) == ((3, 7), torch.int64)
    assert float(batch.seen.max()) > 1  # grey levels


# --- Labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("flip", [True, False])
def test_a_points_label_is_that_of_the_pixel_it_lies_on(scenes, flip) -> None:
    for epoch in range(3):
        batch = crops(scenes, epoch=epoch, flip=flip)
        assert torch.equal(at(batch), COLOUR * batch.labels.float())
        assert batch.points.amin() >= 0
        assert batch.points.amax() < 64
        assert all(len(one.unique()) > 4 for one in batch.labels)


def test_half_of_the_crops_are_flipped_if_they_may_be(scenes) -> None:
    flipped = []
    for epoch in range(8):
        plain, maybe = (crops(scenes, epoch=epoch, flip=flip).seen for flip in (False, True))
        for one, other in zip(plain, maybe, strict=True):
            assert torch.equal(one, other) or torch.equal(one.flip(-1), other)
            flipped.append(not torch.equal(one, other))
    assert 0.3 < np.mean(flipped) < 0.7


def test_crops_are_cut_anywhere(scenes) -> None:
    """Of the 9 and 65 places that a side of 64 has in 72 and 128 pixels, the first and the last are
    reached, and no other.
    """
    places = {(72, 128): set(), (128, 72): set()}
    positions = torch.arange(128 * 128)
    for height, width in places:
        own = (positions[:height, None] * 128 + positions[None, :width]).int()
        for place in ((0.0, 0.0), (0.5, 0.5), (1 - 2**-53, 1 - 2**-53)):
            draw, seen = (0.0,) * 4 + place, own[None].expand(3, -1, -1)
            cut, labels = batches._cropped(seen, own % 251, 64, draw, False)
            assert cut.shape == (3, 64, 64)
            assert torch.equal(labels, cut[0] % 251)
            places[height, width].add((int(cut[0, 0, 0]) // 128, int(cut[0, 0, 0]) % 128))
    assert places == {(72, 128): {(0, 0), (4, 32), (8, 64)}, (128, 72): {(0, 0), (32, 4), (64, 8)}}


def test_every_other_point_is_any_labelled_pixel_and_the_rest_are_shared_out_among_the_labels(
    scenes,
) -> None:
    batch = crops(scenes, points=20000)
    for seen, labels in zip(batch.seen, batch.labels, strict=True):
        there = torch.bincount(
            (seen[0][seen[0] != 255] / COLOUR).long(), minlength=len(LABELS)
        ).double()
        by_area, by_label = (
            torch.bincount(half, minlength=len(LABELS)).double()
            for half in (labels[::2], labels[1::2])
        )
        torch.testing.assert_close(by_area / by_area.sum(), there / there.sum(), rtol=0, atol=0.02)
        alike = (there > 0).double() / (there > 0).sum()
        torch.testing.assert_close(by_label / by_label.sum(), alike, rtol=0, atol=0.02)


def test_labels_go_along_when_a_scene_is_resized(scenes) -> None:
    """Where the crop is of one colour around a point, that is the colour of its label."""
    surely = 0
    for jitter in (300, 480):
        batch = crops(
            painted([label_map_of(128, 72, seed, void=0.0) for seed in range(6)]),
            settings=protocol_of(jitter),
        )
        windows = (
            functional.pad(batch.seen[:, 0], (2, 2, 2, 2), mode="reflect")
            .unfold(1, 5, 1)
            .unfold(2, 5, 1)
            .flatten(3)
        )
        for place, (xy, labels) in enumerate(zip(batch.points, batch.labels, strict=True)):
            around = windows[place, xy[:, 1], xy[:, 0]]
            plain = (around.amax(dim=1) - around.amin(dim=1)) < 3
            assert torch.equal((around.mean(dim=1)[plain] / COLOUR).round().long(), labels[plain])
            surely += int(plain.sum())
    assert surely > 300


@pytest.mark.parametrize("shape", [(31, 40), (64, 64), (190, 101), (9, 300)])
def test_a_resized_label_is_that_at_the_pixels_centre(shape) -> None:
    labels = label_map_of(64, 48)
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    assert np.array_equal(
        batches._resized_labels(labels, shape), labels.numpy()[rows[:, None], columns]
    )


def test_void_is_never_drawn() -> None:
    lonely = torch.full((96, 96), VOID, dtype=torch.uint8)
    lonely[40, 50] = 3
    batch = crops(painted([lonely]), side=96, flip=False)
    assert batch.labels.unique().tolist() == [3]
    assert batch.points[0].unique(dim=0).tolist() == [[50, 40]]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("shape", [(48, 192), (192, 48), (32, 288)])
def test_a_scene_smaller_than_the_crop_is_enlarged_by_what_is_never_drawn(shape, flip) -> None:
    narrow = painted([label_map_of(*shape, seed=seed, void=0.0) for seed in range(6)])
    batch = crops(narrow, flip=flip, points=600)
    assert batch.seen.shape == (6, 3, 64, 64)
    assert torch.equal(at(batch), COLOUR * batch.labels.float())
    across = shape.index(min(shape))
    own = min(shape)
    for seen, points in zip(batch.seen, batch.points, strict=True):
        lines = seen[0] if across == 0 else seen[0].T
        drawn = points[:, 1 - across]
        assert drawn.max() - drawn.min() < own
        mirrored = bool((drawn >= own).any())
        assert not mirrored or (flip and across == 1)
        lines, drawn = (lines.flip(0), 63 - drawn) if mirrored else (lines, drawn)
        assert drawn.min() >= 0 and drawn.max() == own - 1
        assert (lines[own:] == lines[own - 1]).all()


def test_labels_are_not_blurred(scenes) -> None:
    settings = protocol_of(300, 480, canonical=108)
    sharp, blurred = (
        crops(scenes, settings=settings, mix={condition: 1.0}) for condition in ("sharp", "D8")
    )
    assert torch.equal(sharp.labels, blurred.labels)
    assert torch.equal(sharp.points, blurred.points)
    roughness = [float(batch.seen.diff(dim=-1).abs().mean()) for batch in (sharp, blurred)]
    assert roughness[1] < 0.8 * roughness[0]


# --- The loss -------------------------------------------------------------------------------------


def tiny(batch_norm: bool = False) -> ZoomOut:
    torch.manual_seed(0)
    backbone = VGG(("x", "y"), 64, (4, 8, 8, 8, 8), (1, 1, 1, 1, 1), (16,), batch_norm)
    network = ZoomOut(backbone.eval(), LABELS, 8, stride=1)
    torch.nn.init.normal_(network.bias)
    return network


def test_the_loss_is_the_mean_cross_entropy_of_the_drawn_pixels(scenes) -> None:
    network, batch = tiny(), crops(scenes)
    with torch.inference_mode():
        dense = network.logits(batch.seen).double()
        each = []
        for logits, points, labels in zip(dense, batch.points, batch.labels, strict=True):
            for (x, y), label in zip(points.tolist(), labels, strict=True):
                each.append(functional.cross_entropy(logits[:, y, x], label))
        assert len(each) == 8 * 300
        assert PerPixel(network, 64, 300)(batch).item() == pytest.approx(
            float(torch.stack(each).mean()), rel=1e-4
        )


def test_a_scene_without_a_label_teaches_nothing(scenes) -> None:
    void = painted([torch.full((96, 96), VOID, dtype=torch.uint8)] * 2)
    network, batch = tiny(), crops(void)
    assert (batch.labels == NOT_LABELLED).all()
    assert (batch.points == 0).all()
    loss = PerPixel(network, 64, 300)(batch)
    assert loss.item() == 0
    loss.backward()
    assert all(
        parameter.grad is not None and not parameter.grad.any()
        for parameter in network.parameters()
    )


def with_a_void_scene(scenes: LabelledScenes) -> PixelBatch:
    maps = [scenes.label_map(number) for number in range(3)] + [
        torch.full((96, 96), VOID, dtype=torch.uint8)
    ]
    return crops(painted(maps))


def test_what_a_void_scene_shows_does_not_matter(scenes) -> None:
    network, batch = tiny().eval(), with_a_void_scene(scenes)
    other = PixelBatch(batch.seen.clone(), batch.points, batch.labels)
    other.seen[3] = 99
    objective = PerPixel(network, 64, 300)
    assert objective(batch).item() == objective(other).item() > 0


def test_the_loss_of_a_batch_is_the_mean_of_its_parts_as_processes_share_it(scenes) -> None:
    # two processes than in one (training.train counts each process for its share of the crops).
    objective, batch = PerPixel(tiny().eval(), 64, 300), with_a_void_scene(scenes)
    parts = [
        PixelBatch(batch.seen[own], batch.points[own], batch.labels[own])
        for own in (slice(0, 2), slice(2, 4))
    ]
    shared = sum(objective(part).item() * len(part.labels) / 4 for part in parts)
    assert objective(batch).item() == pytest.approx(shared, rel=1e-5)


# --- Learning -------------------------------------------------------------------------------------


def test_perceptron_and_backbone_learn_apart_and_nothing_is_left_out() -> None:
    network = tiny(batch_norm=True)
    groups = PerPixel(network, 64, 300, lr_scale=7.0).groups()
    assert [group["lr_scale"] for group in groups] == [1.0, 7.0]
    below, above = ([id(parameter) for parameter in group["params"]] for group in groups)
    assert set(below) == {id(parameter) for parameter in network.backbone.parameters()}
    assert not set(below) & set(above)
    assert sorted(below + above) == sorted(id(parameter) for parameter in network.parameters())
    own = {id(p) for part in (network.columns, network.classifier) for p in part.parameters()} | {
        id(network.bias)
    }
    assert set(above) == own


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_perceptron_learns_at_its_own_rate(scenes, optimizer) -> None:
    schedule = Schedule(
        phases=[Phase(epochs=1, rate=1e-3)],
        batch=8,
        optimizer=optimizer,
        **{"sgd": {"momentum": 0.9}, "adamw": {"beta1": 0.9}}[optimizer],
        weight_decay=0.0,
    )
    start = tiny().state_dict()

    def moved(lr_scale: float) -> dict[str, torch.Tensor]:
        network = loop.train(
            PerPixel(tiny(), 64, 50, lr_scale), task(scenes), schedule, AS_THEY_ARE, FLOAT32
        )
        return {
            name: tensor.double() - start[name].double()
            for name, tensor in network.state_dict().items()
        }

    slow, fast = moved(1.0), moved(5.0)
    for name, step in slow.items():
        expected = step if name.startswith("backbone") else 5 * step
        assert step.any(), name
        torch.testing.assert_close(fast[name], expected, rtol=1e-3, atol=2e-6, msg=name)


def test_the_labels_of_coloured_blocks_can_be_learnt(scenes) -> None:
    """From what is at the points; not to look would leave ln 8 = 2.08."""
    schedule = Schedule(
        phases=[Phase(epochs=30, rate=1e-2, end_rate=0.0)],
        batch=4,
        optimizer="adamw",
        beta1=0.9,
        weight_decay=0.0,
    )
    losses = []
    objective = PerPixel(tiny(batch_norm=True), 64, 200)
    loop.train(
        objective,
        task(scenes),
        schedule,
        AS_THEY_ARE,
        FLOAT32,
        tick=lambda done, total, loss: losses.append(loss),
    )
    assert len(losses) == 60
    assert losses[0] > 1.95
    assert np.mean(losses[-4:]) < 1.7
