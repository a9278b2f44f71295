"""VOC's segmentations: VOC's indices to a task's labels, torchvision's own reading, and a sentence
for what is wrong.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from blurpaper import data
from blurpaper.data import folders, voc
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.folders import MissingDataError
from blurpaper.data.images import ImageError, read_image
from blurpaper.data.sets import SegmentedSet
from blurpaper.runs import Run

DEVKIT = "VOCdevkit/VOC2012"
TRAIN = {"2007_000063": (9, 13), "2008_000002": (12, 7), "2009_000010": (5, 60)}
TEST = {"2007_000033": (8, 8), "2010_000001": (11, 6)}
INDICES = [*range(21), 255]
VOC = (  # noqa: SIM905 (a line or two, and not twenty-one)
    "background aeroplane bicycle bird boat bottle bus car cat chair cow dining_table dog horse "
    "motorbike person potted_plant sheep sofa train tv"
).split()
"""From the development kit of VOC 2012, but for the names of the table, the plant and the
television.
"""
ANIMALS = {0: 0, 8: 1, 10: 2, 12: 3, 13: 4, 17: 5, 15: 6}
"""VOC's index -> the label of voc-animals, by hand."""


def indices_of(shape, seed):
    """Each of VOC's indices, and no order in them: uint8 of the shape."""
    return (
        np.random.RandomState(seed)
        .permutation(np.resize(np.array(INDICES, np.uint8), shape[0] * shape[1]))
        .reshape(shape)
    )


def write_mask(path, indices):
    """A palette PNG; the colours are any, and the index 255 has one too."""
    image = Image.fromarray(indices)
    image.putpalette(np.random.RandomState(1).randint(0, 256, 768).astype(np.uint8).tobytes())
    assert image.mode == "P"
    image.save(path)


@pytest.fixture(params=["voc2012", "voc-animals"])
def name(request):
    return request.param


@pytest.fixture
def devkit(tmp_path, monkeypatch, name):
    """A stand-in in VOC's layout; a photograph that no list names lies there too."""
    return fill(tmp_path, monkeypatch, name)


@pytest.fixture
def animals(tmp_path, monkeypatch):
    return fill(tmp_path, monkeypatch, "voc-animals")


def fill(root, monkeypatch, name):
    monkeypatch.setenv("BLURPAPER_DATA", str(root))
    folder = root / name / DEVKIT
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    for seed, (stem, shape) in enumerate((TRAIN | TEST | {"2011_999999": (4, 4)}).items()):
        colours = np.random.RandomState(seed).randint(0, 256, (*shape, 3)).astype(np.uint8)
        Image.fromarray(colours).save(folder / "JPEGImages" / f"{stem}.jpg", quality=90)
        write_mask(folder / "SegmentationClass" / f"{stem}.png", indices_of(shape, seed))
    for split, stems in (("train", TRAIN), ("val", TEST)):
        (folder / f"ImageSets/Segmentation/{split}.txt").write_text(
            "".join(f"{stem}\n" for stem in stems)
        )
    return folder


def mask_of(folder, stem="2007_000063"):
    return folder / "SegmentationClass" / f"{stem}.png"


# --- What is read ---------------------------------------------------------------------------------


def test_the_labels_are_vocs_in_its_order():
    assert [label.replace(" ", "_") for label in voc.LABELS] == VOC
    assert voc.TASKS["voc2012"] == voc.LABELS
    assert voc.TASKS["voc-animals"] == tuple(VOC[index] for index in ANIMALS)


@pytest.mark.parametrize(("split", "stems"), [("train", TRAIN), ("test", TEST)])
def test_a_split_is_the_photographs_of_its_list(devkit, name, split, stems):
    images = voc.load_segmented(name, split)
    assert isinstance(images, SegmentedSet)
    assert (images.name, images.classes, len(images)) == (name, voc.TASKS[name], len(stems))
    assert list(images.ids) == [f"{stem}.jpg" for stem in stems]
    assert images.labels.tolist() == [-1] * len(stems) and images.labels.dtype == np.int64
    for number, (stem, shape) in enumerate(stems.items()):
        assert images[number].shape == (3, *shape)
        assert torch.equal(images[number], read_image(devkit / "JPEGImages" / f"{stem}.jpg"))
    order = [len(stems) - 1, 0, 0]
    for given, number in zip(images.batch(order), order, strict=True):
        assert torch.equal(given, images[number])


def test_training_photographs_have_the_names_that_they_have_as_a_folder(devkit, name):
    assert list(voc.load_segmented(name, "train").ids) == list(
        folders.load_images(name, "train").ids
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_each_pixel_has_the_label_of_vocs_index(devkit, name, split):
    images = voc.load_segmented(name, split)
    label_of = ANIMALS if name == "voc-animals" else dict(zip(range(21), range(21), strict=True))
    seeds = {stem: seed for seed, stem in enumerate(TRAIN | TEST)}
    for number, (stem, shape) in enumerate((TRAIN if split == "train" else TEST).items()):
        given = images.label_map(number)
        assert given.dtype == torch.uint8 and given.shape == shape
        for row, indices in enumerate(indices_of(shape, seeds[stem]).tolist()):
            assert given[row].tolist() == [label_of.get(index, 255) for index in indices]


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_indices_are_those_that_torchvision_reads(devkit, split, name):
    from torchvision.datasets import VOCSegmentation

    theirs = VOCSegmentation(devkit.parents[1], image_set=split)
    own = voc.load_segmented(name, {"train": "train", "val": "test"}[split])
    assert len(theirs) == len(own)
    for number in range(len(own)):
        photograph, mask = theirs[number]
        assert np.array_equal(own[number].permute(1, 2, 0).numpy(), np.asarray(photograph))
        indices, given = np.asarray(mask), own.label_map(number).numpy()
        for index in np.unique(indices):
            label = VOC[index].replace("_", " ") if index != 255 else None
            wanted = own.classes.index(label) if label in own.classes else 255
            assert (given[indices == index] == wanted).all()


def test_a_mask_in_grey_levels_is_read_like_one_with_a_palette(animals):
    images = voc.load_segmented("voc-animals", "train")
    before = images.label_map(0)
    Image.fromarray(indices_of(TRAIN["2007_000063"], 0)).save(mask_of(animals))
    assert torch.equal(images.label_map(0), before)


def test_a_photograph_that_lies_sideways_has_the_size_that_it_has_upright(animals):
    exif = Image.Exif()
    exif[0x0112] = 6
    # Stored 13 rows of 9, upright 9 of 13.
    Image.new("RGB", (9, 13)).save(animals / "JPEGImages/2007_000063.jpg", exif=exif)
    images = voc.load_segmented("voc-animals", "train")
    assert images[0].shape[1:] == images.label_map(0).shape == (9, 13)


def test_empty_lines_of_a_list_name_nothing(animals):
    (animals / "ImageSets/Segmentation/val.txt").write_text("\n2010_000001  \n\n")
    assert list(voc.load_segmented("voc-animals", "test").ids) == ["2010_000001.jpg"]


def test_a_set_is_loaded_by_its_name(devkit, name, smoke, store):
    images = data.load_segmented(name, "test", Run(smoke, store))
    assert images.fingerprint == voc.load_segmented(name, "test").fingerprint
    assert images.name == name


# --- Fingerprints ---------------------------------------------------------------------------------


def test_a_fingerprint_is_of_names_and_contents_and_not_of_the_place(
    animals, tmp_path, monkeypatch
):
    first = voc.load_segmented("voc-animals", "train").fingerprint
    (animals / "SegmentationClass/2011_999999.png").write_bytes(b"of no list")
    assert voc.load_segmented("voc-animals", "train").fingerprint == first
    (tmp_path / "moved").mkdir()
    (tmp_path / "voc-animals").rename(tmp_path / "moved/voc-animals")
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path / "moved"))
    assert voc.load_segmented("voc-animals", "train").fingerprint == first


@pytest.mark.parametrize(
    "change", ["mask", "image", "name", "order", "shorter", "swapped", "task", "split"]
)
def test_a_fingerprint_changes_with(animals, change):
    first = voc.load_segmented("voc-animals", "train").fingerprint
    listed = animals / "ImageSets/Segmentation/train.txt"
    name, split = "voc-animals", "train"
    if change == "mask":
        indices = indices_of(TRAIN["2007_000063"], 0)
        indices[3, 4] = 0 if indices[3, 4] else 8
        write_mask(mask_of(animals), indices)
    elif change == "image":
        path = animals / "JPEGImages/2008_000002.jpg"
        path.write_bytes(path.read_bytes() + b"\0")
    elif change == "name":
        for path in (animals / "JPEGImages/2007_000063.jpg", mask_of(animals)):
            path.rename(path.with_stem("2007_000064"))
        listed.write_text(listed.read_text().replace("2007_000063", "2007_000064"))
    elif change == "order":
        listed.write_text("\n".join(reversed(TRAIN)))
    elif change == "shorter":
        listed.write_text("2007_000063\n2008_000002\n")
    elif change == "swapped":
        one, other = mask_of(animals), mask_of(animals, "2008_000002")
        contents = one.read_bytes(), other.read_bytes()
        other.write_bytes(contents[0])
        one.write_bytes(contents[1])
    elif change == "task":
        name = "voc2012"
        (animals.parents[2] / "voc-animals").rename(animals.parents[2] / name)
    else:
        split = "test"
    assert voc.load_segmented(name, split).fingerprint != first


# --- What is missing ------------------------------------------------------------------------------


def sentence(caught):
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


@pytest.mark.parametrize(
    "part", ["", "JPEGImages", "SegmentationClass", "ImageSets/Segmentation/train.txt"]
)
def test_a_missing_folder_or_list_is_an_error_that_says_where_it_was_looked_for_and_how_to_get_it(
    devkit, name, part, tmp_path
):
    assert not voc.absent(name, "train")
    (devkit / part).rename(tmp_path / "away")
    missing = devkit / (part or "JPEGImages")
    assert voc.absent(name, "train") == missing
    with pytest.raises(MissingDataError) as caught:
        voc.load_segmented(name, "train")
    text = sentence(caught)
    assert str(missing) in text
    assert "BLURPAPER_DATA" in text and CATALOGUE[name].how_to_get in text


def test_one_split_may_be_there_without_the_other(animals):
    (animals / "ImageSets/Segmentation/val.txt").unlink()
    assert not voc.absent("voc-animals", "train")
    assert voc.absent("voc-animals", "test").name == "val.txt"
    assert len(voc.load_segmented("voc-animals", "train")) == len(TRAIN)


@pytest.mark.parametrize(
    "path", ["JPEGImages/2009_000010.jpg", "SegmentationClass/2009_000010.png"]
)
def test_a_file_that_is_listed_and_not_there_is_an_error_that_names_it(animals, path):
    (animals / path).unlink()
    with pytest.raises(ImageError) as caught:
        voc.load_segmented("voc-animals", "train")
    text = sentence(caught)
    assert f"cannot read {animals / path}: No such file" in text


@pytest.mark.parametrize("content", ["", "\n", " \n\n"])
def test_a_list_that_names_nothing_is_an_error(animals, content):
    listed = animals / "ImageSets/Segmentation/train.txt"
    listed.write_text(content)
    with pytest.raises(ImageError) as caught:
        voc.load_segmented("voc-animals", "train")
    assert sentence(caught) == f"{listed} names no image."


def test_a_list_that_names_an_image_twice_is_an_error_that_names_it(animals):
    listed = animals / "ImageSets/Segmentation/train.txt"
    listed.write_text("2007_000063\n2008_000002\n2007_000063\n")
    with pytest.raises(ImageError) as caught:
        voc.load_segmented("voc-animals", "train")
    assert sentence(caught) == f"{listed} names 2007_000063 more than once."


def test_a_list_that_is_no_text_is_an_error_that_names_it(animals):
    listed = animals / "ImageSets/Segmentation/train.txt"
    listed.write_bytes(b"\xff\xfe2007")
    with pytest.raises(ImageError) as caught:
        voc.load_segmented("voc-animals", "train")
    assert str(listed) in sentence(caught)


@pytest.mark.parametrize("ask", [voc.load_segmented, voc.absent])
def test_an_unknown_split_is_an_error_that_lists_those_there_are(ask):
    with pytest.raises(ValueError, match=r"^voc2012 has train and test images\. Got 'val'\.$"):
        ask("voc2012", "val")


def test_an_unknown_segmented_set_is_an_error_that_lists_those_there_are(smoke, store):
    with pytest.raises(
        ValueError, match=r"one of emoji-scenes, voc2012, voc-animals\. Got 'emoji'\.$"
    ):
        data.load_segmented("emoji", "test", Run(smoke, store))


# --- What cannot be read --------------------------------------------------------------------------

SHAPE = TRAIN["2007_000063"]


def missing(path):
    path.unlink()


def broken(path):
    path.write_bytes(b"no image at all")


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def coloured(path):
    Image.open(path).convert("RGB").save(path)


def bits(path):
    Image.new("1", SHAPE[::-1]).save(path)


def transposed(path):
    write_mask(path, indices_of(SHAPE[::-1], 0))


def smaller(path):
    write_mask(path, indices_of((8, 13), 0))


def strange(path):
    indices = indices_of(SHAPE, 0)
    indices[8, 12] = 21
    write_mask(path, indices)


def nearly_void(path):
    write_mask(path, np.full(SHAPE, 254, np.uint8))


WRONG = {
    missing: "no image file at {}.",
    broken: "{} is not an image that can be read",
    truncated: "{} is a damaged image: ",
    coloured: "{} is no mask: it has neither a palette nor 8-bit grey levels.",
    bits: "{} is no mask: it has neither a palette nor 8-bit grey levels.",
    transposed: "{} has 9 x 13 pixels and its photograph 13 x 9.",
    smaller: "{} has 13 x 8 pixels and its photograph 13 x 9.",
    strange: "{} holds the index 21, and VOC's are 0 to 20 and 255.",
    nearly_void: "{} holds the index 254, and VOC's are 0 to 20 and 255.",
}


@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
def test_a_mask_that_is_none_is_an_error_that_names_it_and_disturbs_no_other(devkit, name, spoil):
    images, path = voc.load_segmented(name, "train"), mask_of(devkit)
    spoil(path)
    with pytest.raises(ImageError) as caught:
        images.label_map(0)
    assert sentence(caught).startswith(WRONG[spoil].format(path))
    assert images.label_map(1).shape == TRAIN["2008_000002"]


@pytest.mark.parametrize("spoil", [missing, broken])
def test_a_photograph_that_is_none_is_an_error_that_names_it(animals, spoil):
    images, path = (
        voc.load_segmented("voc-animals", "train"),
        animals / "JPEGImages/2007_000063.jpg",
    )
    spoil(path)
    for ask in (lambda: images[0], lambda: images.batch([1, 0]), lambda: images.label_map(0)):
        with pytest.raises(ImageError) as caught:
            ask()
        assert str(path) in sentence(caught)


# --- The real one ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "count"), [("train", 437), ("test", 223)])
def test_of_the_photographs_with_an_animal_every_pixel_has_a_label_or_is_void(split, count):
    if voc.absent("voc-animals", split):
        pytest.skip(
            f"no segmentations at {Path(os.environ.get('BLURPAPER_DATA') or 'data').absolute()} "
            "(set BLURPAPER_DATA)"
        )
    images = voc.load_segmented("voc-animals", split)
    assert len(images) == count and len(set(images.ids)) == count
    if split == "train":
        assert list(images.ids) == list(folders.load_images("voc-animals", "train").ids)
    pixels = np.zeros(256, np.int64)
    for number in range(count):
        given = images.label_map(number)
        with Image.open(images.root / images.ids[number]) as photograph:
            assert given.shape == photograph.size[::-1]
        pixels += np.bincount(given.flatten().numpy(), minlength=256)
    assert (pixels[:7] > 0).all() and pixels[255] > 0
    assert pixels[7:255].sum() == 0
    for number in range(0, count, 50):
        assert images[number].shape[1:] == images.label_map(number).shape
