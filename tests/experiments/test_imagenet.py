"""The paper's own experiment on a stand-in for ImageNet: a few JPEGs in its layout, through the
code that the real one takes.
"""

import numpy as np
import pytest
import torch
from helpers import write_voc
from PIL import Image

from blurpaper import data, experiments, training
from blurpaper.data.sets import imagenet_names, imagenet_wnids
from blurpaper.evaluation import intervals, predictions, results
from blurpaper.experiments import plan, sources
from blurpaper.networks import NetworkSpec, vgg
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store
from blurpaper.segmentation import networks

CLASSES = (0, 207, 999)
FAVOURITE = 207
"""The class that the networks of these tests like best, whatever they are shown."""
SIZES = ((500, 375), (333, 500), (640, 480), (250, 200))
"""Columns and rows of the photographs; the last is smaller than 384, and grey."""
QUICK = {"finetuning.batch": 2, "evaluation.batch": 2}


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Store:
    """Two photographs a class to train on and two to test on, four scenes of VOC 2012 likewise, and
    a store of its own.
    """
    random = np.random.RandomState(0)
    for split in ("train", "val"):
        for place, number in enumerate(CLASSES):
            wnid = imagenet_wnids()[number]
            (tmp_path / "imagenet" / split / wnid).mkdir(parents=True)
            for one in range(2):
                width, height = SIZES[(place + one) % len(SIZES)]
                coarse = Image.fromarray(random.randint(0, 256, (9, 12, 3), np.uint8)).resize(
                    (width, height)
                )
                image = coarse.convert("L") if (width, height) == SIZES[-1] else coarse
                image.save(tmp_path / "imagenet" / split / wnid / f"{wnid}_{split}_{one}.JPEG")
    write_voc(tmp_path / "voc2012", SIZES[:3], (8, 12, 15, 20), 4)
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    return Store()


def original(field: int) -> vgg.VGG:
    """What stands for the published weights: random ones that prefer one class."""
    torch.manual_seed(0)
    network = vgg.vgg16(imagenet_names(), field).eval()
    with torch.no_grad():
        network.classifier[-1].bias[FAVOURITE] += 8
    return network


def tiny(classes, field: int = 224) -> vgg.VGG:
    return vgg.VGG(classes, field, (4, 4, 4, 8, 8), (1, 1, 1, 1, 1), (16, 16), batch_norm=False)


def fine_tune_and_measure(profile: profiles.Profile, store: Store) -> None:
    """Fine-tune on the mix, and check Table 1 at 256, sharp and under D8, before and after."""
    start, spec = original(224), NetworkSpec("vgg16", "mix")
    tuned = training.networks.trained(spec, Run(profile, store)).load()
    moved = [not torch.equal(a, b) for a, b in zip(start.parameters(), tuned.parameters())]
    assert any(moved)
    assert all(parameter.isfinite().all() for parameter in tuned.parameters())
    assert tuned.classes == imagenet_names()
    for one in (NetworkSpec("vgg16"), spec):
        run = Run(profile, store)
        network = training.networks.trained(one, run)
        decided = predictions.decisions(network, "imagenet", ["sharp", "D8"], ["256"], run)
        assert sorted(set(decided["label"])) == list(CLASSES)
        rows = results.table(
            {"experiment": "table1", **row}
            for row in intervals.means(decided, ("top1", "top5"), profile)
        )
        assert len(rows) == 4
        assert set(rows["condition"]) == {"sharp", "D8"}
        assert set(rows["classes"].astype(int)) == {1000}
        assert (rows["n"] == 6).all()
        assert results.select(rows, metric="top1")["value"].to_list() == pytest.approx([1 / 3] * 2)


def test_the_layout_of_imagenet_gives_its_labels_and_images_of_any_size(stand_in) -> None:
    profile = profiles.load("imagenet")
    images = data.load_images("imagenet", "train", Run(profile, stand_in))
    assert len(images) == 6
    assert images.labels.tolist() == [number for number in CLASSES for _ in range(2)]
    shapes = [tuple(images[number].shape) for number in range(6)]
    assert {(3, rows, columns) for columns, rows in SIZES} == set(shapes)
    assert data.missing(profile) == []
    assert "imagenet, train: 6 images" in plan.describe(profile)


def test_profile_imagenet_goes_all_the_way_with_a_tiny_network(stand_in, monkeypatch) -> None:
    monkeypatch.setattr(vgg, "vgg16", tiny)
    monkeypatch.setitem(ORIGINALS, "vgg16", original)
    profile = profiles.load("imagenet", QUICK)
    fine_tune_and_measure(profile, stand_in)
    rows = experiments.EXPERIMENTS["table1"](Run(profile, stand_in))
    assert set(rows["condition"]) == set(profile.evaluation.original_conditions)
    assert set(rows["scale"]) == set(profile.evaluation.original_scales)

    def trained_again(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(training.loop, "train", trained_again)
    training.networks.trained(NetworkSpec("vgg16", "mix"), Run(profile, Store())).load()


def test_table_5_of_imagenet_takes_as_many_images_of_each_class(stand_in, monkeypatch) -> None:
    monkeypatch.setattr(vgg, "vgg16", tiny)
    monkeypatch.setitem(ORIGINALS, "vgg16", original)
    assert profiles.load("imagenet").deblurring.n_images == 10 * 1000
    prior = {
        "images": "imagenet",
        "components": 4,
        "patches": 3000,
        "passes": 1,
        "batch": 500,
        "held_out_patches": 500,
    }
    few = {
        "deblurring.prior": prior,
        "deblurring.methods": ["epll"],
        "deblurring.networks": ["mix"],
        "deblurring.n_images": 3,
    }
    profile = profiles.load("imagenet", QUICK | few)
    rows = experiments.EXPERIMENTS["table5"](Run(profile, stand_in))
    top5 = rows[rows["metric"] == "top5"]
    assert set(zip(top5["network"], top5["input"], top5["condition"], strict=True)) == {
        ("original", "as is", "sharp"),
        ("original", "as is", "D8"),
        ("original", "epll", "D8"),
        ("mix", "as is", "D8"),
    }
    assert (rows["n"] == 3).all()  # one of each class


def test_table_6_of_imagenet_has_the_papers_rows_on_a_stand_in_for_voc(
    stand_in, monkeypatch
) -> None:
    monkeypatch.setattr(vgg, "vgg16", tiny)
    monkeypatch.setitem(ORIGINALS, "vgg16", lambda field: tiny(imagenet_names(), field).eval())
    profile = profiles.load(
        "imagenet",
        QUICK | {"segmentation.pretraining.batch": 2, "segmentation.finetuning.batch": 2},
    )
    rows = experiments.EXPERIMENTS["table6"](Run(profile, stand_in))
    own = results.select(rows, metric="miou", network=["original", "mix"])
    paper = results.select(sources.paper(), experiment="table6")
    of = [
        "model",
        "network",
        "train_scale",
        "recipe",
        "data",
        "classes",
        "input",
        "scale",
        "condition",
        "region",
        "metric",
    ]
    assert set(map(tuple, own[of].to_numpy())) == set(map(tuple, paper[of].to_numpy()))
    assert own["value"].between(0, 1).all()
    assert (own["n"] == 4).all()
    assert set(results.select(rows, metric="iou")["region"]) <= set(networks.labels(profile))


def test_zoomout_on_vgg16_has_its_fifteen_million_parameters_and_none_of_its_classifier() -> None:
    """Thirteen convolutions, 14,714,688 numbers (Simonyan and Zisserman), and a perceptron over
    five stages and the scene.
    """
    network = plan.segmenter("vgg16", 1000, 224, 21, profiles.load("imagenet").segmentation)
    column = 64 + 128 + 256 + 512 + 512 + 512
    assert plan.weights(network) == 14_714_688 + 256 * column + 256 + 256 * 21 + 21


@pytest.mark.slow
def test_profile_imagenet_fine_tunes_and_measures_vgg16_at_full_resolution(
    stand_in, monkeypatch
) -> None:
    monkeypatch.setitem(ORIGINALS, "vgg16", original)
    profile = profiles.load(
        "imagenet", QUICK | {"finetuning.phases": [{"epochs": 1, "rate": 1e-3}]}
    )
    fine_tune_and_measure(profile, stand_in)
    tuned = training.networks.trained(NetworkSpec("vgg16", "mix"), Run(profile, stand_in)).load()
    # As torchvision gives for its VGG-16.
    assert sum(parameter.numel() for parameter in tuned.parameters()) == 138_357_544
    assert (profile.protocol.field, profile.protocol.canonical) == (224, 384)
