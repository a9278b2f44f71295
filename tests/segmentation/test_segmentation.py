"""Segmentation under blur: scenes scored as plain loops would, and networks that are trained once
and always alike.
"""

import copy
import math
import shutil
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import TINY, LabelledScenes, scored
from skimage import measure
from torch.nn import functional

from blurpaper import blur, data, kernels, training
from blurpaper.data.images import scenes_of
from blurpaper.data.sets import VOID
from blurpaper.experiments import measurements, segmentation
from blurpaper.networks import NetworkSpec
from blurpaper.networks.vgg import VGG
from blurpaper.runs import Run
from blurpaper.runs.files import UserError
from blurpaper.runs.profile import load
from blurpaper.runs.store import Store
from blurpaper.segmentation import batches, networks, protocol
from blurpaper.segmentation.protocol import COUNTED
from blurpaper.segmentation.zoomout import ZoomOut
from blurpaper.training import loop

SMALL = TINY | {
    "segmentation.scenes.train": 16,
    "segmentation.scenes.test": 5,
    "segmentation.hidden_units": 8,
    "segmentation.pixels_per_crop": 40,
    "segmentation.pretraining.phases": [{"epochs": 1, "rate": 1e-3}],
    "segmentation.pretraining.batch": 4,
    "segmentation.finetuning.phases": [{"epochs": 1, "rate": 1e-3}],
    "segmentation.finetuning.batch": 4,
    "segmentation.networks": ["mix"],
    "segmentation.conditions": ["sharp", "D8"],
    "evaluation.batch": 2,
    "evaluation.images_per_shard": 3,
    "compute.precision": "float32",
}
ORIGINAL, MIX = NetworkSpec("small_vgg"), NetworkSpec("small_vgg", "mix")
TIES = 4
"""Pixels that rounding may give another label, where two are as likely: convolutions of two images
at once are not exactly those of one."""


@pytest.fixture(scope="module")
def tiny():
    return load("smoke", SMALL)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def scenes(tiny, kept) -> data.SegmentedSet:
    return data.load_segmented("emoji-scenes", "test", Run(tiny, kept))


@pytest.fixture(scope="module")
def random_network(scenes) -> ZoomOut:
    torch.manual_seed(0)
    backbone = VGG(("x", "y"), 64, (4, 8, 8, 8, 8), (1, 1, 1, 1, 1), (16,), batch_norm=False)
    network = ZoomOut(backbone, scenes.classes, 16)
    torch.nn.init.normal_(network.classifier.weight)
    with torch.no_grad():  # no label is to be likelier than the others
        network.classifier.bias -= network.logits(scenes[0][None].float()).mean(dim=(0, 2, 3))
    return network.eval()


# --- Scores ---------------------------------------------------------------------------------------


def slowly_segmented(
    network: ZoomOut, image: torch.Tensor, number: int, condition: str, canonical: int
) -> np.ndarray:
    """Scores (K, H, W) of one scene, step by step."""
    height, width = image.shape[1:]
    factor = canonical / math.sqrt(height * width)
    size = (round(height * factor), round(width * factor))
    small = image[None].contiguous(memory_format=torch.channels_last)
    small = functional.interpolate(small, size, mode="bicubic", antialias=True)
    if condition == "shake":
        at = kernels.uniforms("shake", "test", f"test/{number:06d}")[0]
        small = blur.apply(small, kernels.shake_bank("test", canonical / 384)[int(at * 100)])
    elif condition != "sharp":
        small = blur.apply(small, kernels.psf(condition, canonical / 384))
    with torch.inference_mode():
        logits = network.logits(small.float())
        grown = functional.interpolate(
            logits, (height, width), mode="bilinear", align_corners=False
        )
    return grown[0].log_softmax(dim=0).numpy()


def slowly_counted(truth: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Confusions of one scene by loops over its pixels, boundaries being one pixel wide at each
    side.
    """
    labels, (height, width) = len(scores), truth.shape
    found = {name: np.zeros((labels, labels), np.int64) for name in COUNTED}
    present = sorted(set(truth.ravel().tolist()) - {VOID})
    regions = measure.label(np.where(truth == VOID, 0, truth.astype(int) + 1), connectivity=2)
    of_region = [
        scores[:, regions == region].astype(np.float64).mean(axis=1).argmax()
        for region in range(1, regions.max() + 1)
    ]
    for row in range(height):
        for column in range(width):
            label = truth[row, column]
            if label == VOID:
                continue
            best = scores[:, row, column].argmax()
            found["all"][label, best] += 1
            beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            if any(0 <= y < height and 0 <= x < width and truth[y, x] != label for y, x in beside):
                found["boundary"][label, best] += 1
            found["labels given"][
                label, max(present, key=lambda one: scores[one, row, column])
            ] += 1
            found["regions given"][label, of_region[regions[row, column] - 1]] += 1
    return found


@pytest.mark.parametrize("condition", ["sharp", "D8", "shake"])
def test_scores_are_those_of_plain_loops(random_network, scenes, tiny, condition) -> None:
    numbers = [0, 1, 4]
    found = scored(random_network, scenes, numbers, condition, tiny)
    assert tuple(found) == COUNTED
    for place, number in enumerate(numbers):
        scores = slowly_segmented(
            random_network, scenes[number], number, condition, tiny.protocol.canonical
        )
        assert len(np.unique(scores.argmax(axis=0))) > 3
        for name, expected in slowly_counted(scenes.label_map(number).numpy(), scores).items():
            assert found[name].dtype == torch.int64
            assert np.abs(found[name][place].numpy() - expected).sum() <= 2 * TIES, name


def test_scores_come_in_the_order_of_the_numbers_whatever_the_shapes(
    random_network, scenes, tiny
) -> None:
    """Scenes 0, 2 and 4 lie and 1 and 3 stand; two of a shape are segmented at once."""
    numbers, ticks = [3, 0, 4, 1, 2], []
    found = scored(random_network, scenes, numbers, "sharp", tiny, ticks.append)
    plain = scored(random_network, scenes, range(5), "sharp", tiny)
    for name in COUNTED:
        assert found[name].shape == (5, 20, 20)
        assert (found[name] - plain[name][numbers]).abs().sum() <= 2 * TIES
    for place, number in enumerate(numbers):
        truth = scenes.label_map(number).flatten()
        assert torch.equal(
            found["all"][place].sum(dim=1), torch.bincount(truth[truth != VOID], minlength=20)
        )
    assert len({tuple(one.flatten().tolist()) for one in found["all"]}) == 5
    assert ticks == [1] * 5


def test_a_network_that_gives_nan_is_an_error_that_names_the_scene(
    random_network, scenes, tiny
) -> None:
    broken = copy.deepcopy(random_network)
    with torch.no_grad():
        list(broken.parameters())[-1].fill_(float("nan"))
    with pytest.raises(UserError, match=rf"gives nan on {scenes.ids[2]} under D8: train it anew"):
        scored(broken, scenes, [2], "D8", tiny)


@pytest.mark.parametrize("condition", ["sharp", "D8"])
def test_every_pixel_that_is_not_void_is_counted_once_and_its_label_is_never_blurred(
    random_network, scenes, tiny, condition
) -> None:
    found = scored(random_network, scenes, range(5), condition, tiny)
    for number in range(5):
        truth = scenes.label_map(number)
        assert 0 < (truth == VOID).sum() < truth.numel() / 10
        own = torch.bincount(truth[truth != VOID], minlength=20)
        for name in ("all", "labels given", "regions given"):
            assert torch.equal(found[name][number].sum(dim=1), own), name
    assert (found["boundary"] <= found["all"]).all()
    assert 0 < found["boundary"].sum() < found["all"].sum() / 2


def test_blur_changes_what_the_network_says(random_network, scenes, tiny) -> None:
    sharp, blurred = (
        scored(random_network, scenes, range(5), condition, tiny)["all"]
        for condition in ("sharp", "D8")
    )
    assert (sharp - blurred).abs().sum() > 100


def test_a_wider_boundary_has_more_pixels(random_network, scenes, tiny) -> None:
    wider = tiny.model_copy(
        update={"segmentation": tiny.segmentation.model_copy(update={"boundary_distance": 3.0})}
    )
    narrow, wide = (scored(random_network, scenes, range(3), "sharp", one) for one in (tiny, wider))
    assert torch.equal(narrow["all"], wide["all"])
    assert (narrow["boundary"] <= wide["boundary"]).all()
    assert narrow["boundary"].sum() < wide["boundary"].sum()


def test_scenes_of_many_shapes_and_without_labels_are_scored(random_network, tiny) -> None:
    draw = torch.Generator().manual_seed(0)
    shapes = [(70, 90), (61, 61), (70, 90), (90, 70), (150, 40)]
    images = [
        torch.randint(0, 256, (3, *shape), generator=draw, dtype=torch.uint8) for shape in shapes
    ]
    label_maps = [
        torch.randint(0, 20, shape, generator=draw, dtype=torch.uint8) for shape in shapes
    ]
    label_maps[1][:] = VOID
    various = LabelledScenes(images, label_maps, tuple(map(str, range(20))))
    found = scored(random_network, various, [4, 3, 2, 1, 0], "D4", tiny)["all"]
    assert found.sum(dim=(1, 2)).tolist() == [6000, 6300, 6300, 0, 6300]
    given = scenes_of(various, [4, 1], tiny.protocol)
    maps = dict(protocol.log_probabilities(random_network, given, ["test/4", "test/1"], "D4", tiny))
    assert {number: tuple(one.shape) for number, one in maps.items()} == {
        0: (20, 150, 40),
        1: (20, 61, 61),
    }
    torch.testing.assert_close(maps[0].exp().sum(dim=0), torch.ones(150, 40))


# --- Networks -------------------------------------------------------------------------------------


def copy_of(store: Store, path, *kinds: str) -> Store:
    """A store that has of another what is of these kinds."""
    for kind in kinds:
        shutil.copytree(store.root / kind, path / kind)
    return Store(path)


def alike(one: ZoomOut, other: ZoomOut) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == again and torch.equal(own, their) for (name, own), (again, their) in pairs)


def test_training_again_gives_the_same_network_bit_for_bit_and_once_is_enough(
    tiny, kept, tmp_path, monkeypatch
) -> None:
    first = {
        one.spec: networks.segmenter(one.spec, Run(tiny, kept)).load()
        for one in measurements.on_test_scenes(tiny)
    }
    again = copy_of(kept, tmp_path / "again", "data", "networks")
    for spec, network in first.items():
        assert alike(networks.segmenter(spec, Run(tiny, again)).load(), network)
        assert not network.training
        assert network.labels == networks.labels(tiny)
    assert not alike(first[ORIGINAL], first[MIX])
    monkeypatch.setattr(loop, "train", lambda *_: pytest.fail("trained again"))
    for spec, network in first.items():
        assert alike(networks.segmenter(spec, Run(tiny, kept)).load(), network)


def test_the_original_starts_from_the_classification_network_and_the_others_from_the_original(
    tiny, kept, tmp_path, monkeypatch
) -> None:
    starts = []

    def noted(objective: batches.PerPixel, task: object, schedule: object, *_: object) -> ZoomOut:
        starts.append(
            (
                {name: tensor.clone() for name, tensor in objective.network.state_dict().items()},
                task.mix,
                schedule,
            )
        )
        return objective.network.eval()

    networks.segmenter(MIX, Run(tiny, kept)).load()
    backbone = training.networks.trained(ORIGINAL, Run(tiny, kept)).load().state_dict()
    original = networks.segmenter(ORIGINAL, Run(tiny, kept)).load().state_dict()
    monkeypatch.setattr(loop, "train", noted)
    bare = copy_of(kept, tmp_path / "bare", "data", "networks")
    networks.segmenter(ORIGINAL, Run(tiny, bare)).load()
    shutil.rmtree(bare.root / "segmenters")
    shutil.copytree(
        kept.path(networks.segmenter(ORIGINAL, Run(tiny, kept)).artifact),
        bare.path(networks.segmenter(ORIGINAL, Run(tiny, bare)).artifact),
    )
    networks.segmenter(MIX, Run(tiny, bare)).load()
    (first, first_mix, pretraining), (second, second_mix, finetuning) = starts
    below = {
        name.removeprefix("backbone."): tensor
        for name, tensor in first.items()
        if name.startswith("backbone.")
    }
    assert below
    assert all(torch.equal(tensor, backbone[name]) for name, tensor in below.items())
    assert all(torch.equal(tensor, original[name]) for name, tensor in second.items())
    assert (first_mix, second_mix) == ({"sharp": 1.0}, kernels.MIXES["mix"])
    assert (pretraining, finetuning) == (
        tiny.segmentation.pretraining,
        tiny.segmentation.finetuning,
    )


@pytest.mark.parametrize("spec", [ORIGINAL, MIX], ids=str)
def test_a_killed_run_ends_with_the_same_segmenter_bit_for_bit(
    tiny, kept, tmp_path, monkeypatch, spec
) -> None:
    whole = networks.segmenter(spec, Run(tiny, kept)).load()
    again = copy_of(kept, tmp_path / "again", "data", "networks")
    if spec == MIX:
        assert alike(
            networks.segmenter(ORIGINAL, Run(tiny, again)).load(),
            networks.segmenter(ORIGINAL, Run(tiny, kept)).load(),
        )
    clock = count(step=10)
    # A checkpoint is due at every step.
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    done_at, last = [], [3]

    @contextmanager
    def killing(*_: object, **__: object):
        def tick(done: int, total: int, loss: float) -> None:
            done_at.append(done)
            if done in last:
                raise KeyboardInterrupt

        yield tick

    monkeypatch.setattr(loop, "progress", killing)
    with pytest.raises(KeyboardInterrupt):
        networks.segmenter(spec, Run(tiny, again)).load()
    last.clear()
    assert alike(networks.segmenter(spec, Run(tiny, again)).load(), whole)
    assert done_at == [1, 2, 3, 3, 4]  # the third step was done, but not yet kept
    assert not list(again.root.glob("segmenters/*.partial"))


# --- What is kept ---------------------------------------------------------------------------------


class Shards(Store):
    """Notes the keys of confusions instead of computing them."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.keys: dict[str, str] = {}

    def get(self, artifact):
        if artifact.kind != "confusions":
            return super().get(artifact)
        spec, numbers = NetworkSpec.parse(artifact.name.split(".")[0]), artifact.inputs["numbers"]
        name = f"{spec.mix} {artifact.inputs['condition']} {numbers[0]}"
        self.keys[name] = artifact.key
        return {name: torch.zeros(1) for name in COUNTED}


def test_keys_follow_what_a_thing_is_made_from_and_nothing_else(tiny, kept) -> None:
    def keys(**overrides: object) -> dict[str, str]:
        profile = load(
            "smoke", SMALL | {name.replace("__", "."): value for name, value in overrides.items()}
        )
        found = {
            spec.mix: networks.segmenter(spec, Run(profile, kept)).artifact.key
            for spec in (ORIGINAL, MIX)
        }
        shards = Shards(kept.root)
        for spec, condition in ((ORIGINAL, "sharp"), (ORIGINAL, "D8"), (MIX, "D8")):
            networks.confusions(networks.segmenter(spec, Run(profile, shards)), [condition])
        return found | shards.keys

    plain = keys()
    assert len(set(plain.values())) == len(plain) == 2 + 3 * 2
    trained, confusions = {"original", "mix"}, set(plain) - {"original", "mix"}
    of_mix = {name for name in plain if name.startswith("mix")}

    def changed(**overrides: object) -> set[str]:
        other = keys(**overrides)
        return {name for name in plain if plain[name] != other[name]}

    assert changed(segmentation__boundary_distance=2.0) == confusions
    assert (
        changed(segmentation__scenes={**tiny.segmentation.scenes.model_dump(), "test": 6})
        == confusions
    )
    assert changed(segmentation__finetuning__beta1=0.5) == of_mix
    for field, value in (
        ("hidden_units", 9),
        ("crop", 64),
        ("pixels_per_crop", 41),
        ("head_lr_scale", 2.0),
        ("stride", 4),
    ):
        assert changed(**{f"segmentation__{field}": value}) == trained | confusions, field
    assert changed(segmentation__pretraining__batch=8) == trained | confusions
    # The network below is another.
    assert changed(pretraining__momentum=0.5) == trained | confusions
    assert changed(seed=1) == trained | confusions
    assert (
        changed(
            segmentation__conditions=["D2"],
            segmentation__networks=["onlyD8"],
            evaluation__bootstrap=77,
        )
        == set()
    )


def test_confusions_are_those_of_all_scenes_computed_once(tiny, kept, scenes, monkeypatch) -> None:
    """Five scenes in parts of three; part by part they are found in the store again."""
    network = networks.segmenter(ORIGINAL, Run(tiny, kept)).load()
    expected = scored(network, scenes, range(5), "D8", tiny)
    found = networks.confusions(networks.segmenter(ORIGINAL, Run(tiny, kept)), ["D8"])["D8"]
    assert tuple(found) == COUNTED
    for name in COUNTED:
        assert found[name].shape == (5, 20, 20)
        assert np.abs(found[name] - expected[name].numpy()).sum() <= 2 * TIES
    monkeypatch.setattr(protocol, "log_probabilities", lambda *_: pytest.fail("segmented again"))
    again = networks.confusions(networks.segmenter(ORIGINAL, Run(tiny, kept)), ["D8"])["D8"]
    assert all(np.array_equal(again[name], found[name]) for name in COUNTED)


def test_a_scene_is_asked_for_once_for_all_conditions_and_counted_as_under_each_alone(
    tiny, kept, scenes, tmp_path, monkeypatch
) -> None:
    networks.segmenter(ORIGINAL, Run(tiny, kept)).load()
    asked, plain = [], type(scenes).__getitem__
    monkeypatch.setattr(
        type(scenes),
        "__getitem__",
        lambda self, number: asked.append(number) or plain(self, number),
    )
    conditions, made = ["sharp", "D4", "D8"], ("data", "networks", "segmenters")
    run = Run(tiny, copy_of(kept, tmp_path / "together", *made))
    together = networks.confusions(networks.segmenter(ORIGINAL, run), conditions)
    assert asked == [0, 1, 2, 3, 4]
    assert list(together) == conditions
    alone = networks.segmenter(ORIGINAL, Run(tiny, copy_of(kept, tmp_path / "alone", *made)))
    for condition in conditions:
        found = networks.confusions(alone, [condition])[condition]
        assert all(np.array_equal(found[name], together[condition][name]) for name in COUNTED)
    assert len(asked) == 4 * 5


def test_counts_hold_every_pixel_of_every_setting(tiny, kept, scenes) -> None:
    counts = segmentation.counts(Run(tiny, kept))
    settings = [(spec, condition) for spec in (ORIGINAL, MIX) for condition in ("sharp", "D8")]
    assert set(zip(counts["network"], counts["condition"])) == {
        (spec.mix, condition) for spec, condition in settings
    }
    for spec, condition in settings:
        confusions = networks.confusions(networks.segmenter(spec, Run(tiny, kept)), [condition])[
            condition
        ]
        own = counts[(counts["network"] == spec.mix) & (counts["condition"] == condition)]
        for region in COUNTED:
            back = np.zeros((5, 20, 20), np.int64)
            rows = own[own["region"] == region]
            np.add.at(
                back,
                (
                    [scenes.ids.index(one) for one in rows["image"]],
                    rows["truth"],
                    rows["predicted"],
                ),
                rows["pixels"],
            )
            assert np.array_equal(back, confusions[region])
    assert (counts["pixels"] > 0).all()
    assert not counts.drop(columns="pixels").duplicated().any()


def test_label_maps_are_what_was_scored(tiny, kept, scenes, monkeypatch) -> None:
    few = data.Subset(scenes, [3, 0])
    found = networks.label_maps(networks.segmenter(ORIGINAL, Run(tiny, kept)), few, "D8")
    assert {name: (one.shape, one.dtype) for name, one in found.items()} == {
        "test/000003": ((160, 120), np.uint8),
        "test/000000": ((120, 160), np.uint8),
    }
    confusions = networks.confusions(networks.segmenter(ORIGINAL, Run(tiny, kept)), ["D8"])["D8"][
        "all"
    ]
    for number, name in ((3, "test/000003"), (0, "test/000000")):
        truth = scenes.label_map(number).numpy()
        pairs = truth[truth != VOID].astype(int) * 20 + found[name][truth != VOID]
        assert (
            np.abs(np.bincount(pairs, minlength=400).reshape(20, 20) - confusions[number]).sum()
            <= 2 * TIES
        )
    monkeypatch.setattr(protocol, "log_probabilities", lambda *_: pytest.fail("segmented again"))
    again = networks.label_maps(networks.segmenter(ORIGINAL, Run(tiny, kept)), few, "D8")
    assert all(np.array_equal(again[name], found[name]) for name in found)


# --- What cannot be asked for ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("data", "emoji", "a segmented set is one of emoji-scenes, .*Got 'emoji'"),
        ("networks", ["mix", "blurry"], "a mix is one of .*Got 'blurry'"),
        ("networks", ["mix/agreement"], "a mix is one of .*Got 'mix/agreement'"),
        ("conditions", ["sharp", "Q8"], "Got 'Q8'"),
        ("conditions", ["D8", ""], "Got ''"),
        ("conditions", ["D8"], "needs sharp"),
    ],
)
def test_what_a_profile_cannot_ask_for_is_told_back_in_one_sentence(field, value, said) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        networks.check_segmentation(load("smoke", {f"segmentation.{field}": value}))
    assert "\n" not in str(caught.value)


def test_the_profiles_that_come_along_can_be_segmented() -> None:
    for name in ("smoke", "emoji", "photos", "imagenet"):
        profile = load(name)
        networks.check_segmentation(profile)
        assert [one.spec.mix for one in measurements.on_test_scenes(profile)] == [
            "original",
            *profile.segmentation.networks,
        ]


def test_the_columns_of_a_network_say_where_it_was_trained(tiny) -> None:
    original, mix = (networks.columns(spec, "D8", tiny) for spec in (ORIGINAL, MIX))
    assert (original["network"], original["train_scale"], original["recipe"]) == (
        "original",
        "",
        "",
    )
    assert (mix["network"], mix["train_scale"], mix["recipe"]) == ("mix", "384", "labels")
    for columns in (original, mix):
        assert (columns["data"], columns["classes"]) == ("emoji-scenes", "20")
        assert (columns["scale"], columns["condition"]) == ("384", "D8")
