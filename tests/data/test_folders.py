"""Photographs in folders: labels from folder names, fingerprints from contents, and a sentence for
what is missing.
"""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from blurpaper import data
from blurpaper.cli import main
from blurpaper.data import folders
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.data.folders import MissingDataError, load_folder, readable
from blurpaper.data.images import ImageError
from blurpaper.data.sets import imagenet_names, imagenet_wnids
from blurpaper.evaluation import results
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import Run


@pytest.fixture
def folder(tmp_path):
    """A function that fills a folder with images of the given names and gives the folder."""

    def fill(*names):
        for number, name in enumerate(names):
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4 + number, 3), (number, 0, 0)).save(path)
        return tmp_path / "photos"

    return fill


def labels_of(images):
    return dict(zip(images.ids, images.labels.tolist()))


# --- Labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wnid", "index"),
    [("n01440764", 0), ("n02123045", 281), ("n02085620", 151), ("n15075141", 999)],
)
def test_a_wordnet_id_gives_imagenets_index(folder, wnid, index):
    images = load_folder(folder(f"{wnid}/a.png", f"{wnid}/b.png"))
    assert images.labels.tolist() == [index, index] and images.labels.dtype == np.int64
    assert images.classes == imagenet_names()


def test_imagenets_order_is_that_of_its_wordnet_ids():
    assert len(set(imagenet_wnids())) == 1000
    assert list(imagenet_wnids()) == sorted(imagenet_wnids())
    assert len(set(imagenet_names())) == 1000


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("tench", 0),
        ("tabby", 281),
        ("great white shark", 2),
        ("great_white_shark", 2),
        ("Great-White-Shark", 2),
        ("toilet tissue", 999),
    ],
)
def test_a_class_name_gives_its_index_however_it_is_written(folder, name, index):
    assert load_folder(folder(f"{name}/a.png")).labels.tolist() == [index]


@pytest.mark.parametrize("names", [imagenet_names(), imagenet_wnids()], ids=["names", "wnids"])
def test_each_of_the_thousand_names_gives_its_own_index(tmp_path, names):
    # "Cardigan", a dog (264), and "cardigan", a garment (474), are one name once case is dropped.
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"never decoded")
    found = labels_of(load_folder(tmp_path))
    wrong = {
        name: found.get(f"{name}/a.jpg")
        for index, name in enumerate(names)
        if found.get(f"{name}/a.jpg") != index
    }
    assert not wrong


def test_ones_own_classes_give_their_order_and_not_imagenets(folder):
    images = load_folder(folder("tench/a.png", "goldfish/b.png"), classes=["goldfish", "tench"])
    assert labels_of(images) == {"goldfish/b.png": 0, "tench/a.png": 1}
    assert images.classes == ("goldfish", "tench")


def test_wordnet_ids_mean_nothing_among_ones_own_classes(folder):
    assert load_folder(
        folder("n01440764/a.png"), classes=["goldfish", "tench"]
    ).labels.tolist() == [-1]


def test_a_bare_folder_has_no_labels(folder):
    images = load_folder(folder("a.png", "b.png"))
    assert images.labels.tolist() == [-1, -1]


def test_folders_that_name_no_class_give_no_labels(folder):
    assert load_folder(folder("holiday/a.png", "work/b.png")).labels.tolist() == [-1, -1]


def test_folders_below_a_class_belong_to_it(folder):
    assert load_folder(folder("n01440764/x/a.png", "n01440764/goldfish/b.png")).labels.tolist() == [
        0,
        0,
    ]


@pytest.mark.parametrize("stray", ["holiday/b.png", "b.png", "n99999999/b.png"])
def test_folders_some_of_which_name_classes_are_an_error_that_names_the_others(folder, stray):
    path = folder("n01440764/a.png", stray)
    with pytest.raises(ImageError) as caught:
        load_folder(path)
    assert str(path) in str(caught.value)
    assert repr(stray.rpartition("/")[0]) in str(caught.value)


# --- Images ---------------------------------------------------------------------------------------


def test_images_are_read_by_number_in_a_fixed_order(folder):
    images = load_folder(folder("n01440764/b.png", "n01440764/a.png", "n01443537/c.png"))
    assert images.ids == ["n01440764/a.png", "n01440764/b.png", "n01443537/c.png"]
    assert len(images) == 3
    assert [tuple(images[number].shape) for number in range(3)] == [(3, 3, 5), (3, 3, 4), (3, 3, 6)]
    assert [int(images[number][0, 0, 0]) for number in range(3)] == [1, 0, 2]
    batch = images.batch([2, 0])
    assert torch.equal(batch[0], images[2]) and torch.equal(batch[1], images[0])


def test_other_files_are_no_images(folder):
    path = folder("n01440764/a.png")
    (path / "attribution.csv").write_text("who,what")
    (path / "n01440764" / ".a.png").write_bytes(b"")
    assert load_folder(path).ids == ["n01440764/a.png"]


def test_a_broken_image_is_an_error_when_it_is_asked_for_and_disturbs_no_other(folder):
    path = folder("a.png", "b.png")
    (path / "a.png").write_bytes(b"broken")
    images = load_folder(path)
    assert images[1].shape == (3, 3, 5)
    with pytest.raises(ImageError, match=r"a\.png"):
        images[0]
    with pytest.raises(ImageError, match=r"a\.png"):
        images.batch([1, 0])


def test_an_empty_folder_is_an_error_that_names_it(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImageError) as caught:
        load_folder(tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere", "a-file"])
def test_what_is_no_folder_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / "a-file").write_text("in the way")
    with pytest.raises(ImageError) as caught:
        load_folder(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


# --- Fingerprints ---------------------------------------------------------------------------------


def test_a_fingerprint_is_of_names_and_contents_and_not_of_the_place(folder, tmp_path):
    path = folder("n01440764/a.png", "n01440764/b.png")
    first = load_folder(path).fingerprint
    assert load_folder(path).fingerprint == first
    moved = path.rename(tmp_path / "elsewhere")
    (moved / "notes.txt").write_text("not an image")
    assert load_folder(moved).fingerprint == first


@pytest.mark.parametrize("change", ["content", "name", "label", "added", "removed", "swapped"])
def test_a_fingerprint_changes_with(folder, change):
    path = folder("n01440764/a.png", "n01440764/b.png")
    first = load_folder(path).fingerprint
    a, b = path / "n01440764" / "a.png", path / "n01440764" / "b.png"
    if change == "content":
        a.write_bytes(a.read_bytes() + b"\0")
    elif change == "name":
        a.rename(a.with_name("c.png"))
    elif change == "label":
        (path / "n01440764").rename(path / "n01443537")
    elif change == "added":
        (path / "n01440764" / "c.png").write_bytes(a.read_bytes())
    elif change == "removed":
        b.unlink()
    else:
        one, other = a.read_bytes(), b.read_bytes()
        a.write_bytes(other)
        b.write_bytes(one)
    assert load_folder(path).fingerprint != first


# --- Known sets -----------------------------------------------------------------------------------

KNOWN = [(name, split) for name, splits in folders.SETS.items() for split in splits]


@pytest.mark.parametrize(("name", "split"), KNOWN)
def test_a_missing_set_is_an_error_that_names_its_folder_and_how_to_get_it(
    tmp_path, monkeypatch, name, split
):
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    with pytest.raises(MissingDataError) as caught:
        folders.load_images(name, split)
    message = str(caught.value)
    assert str(tmp_path / folders.SETS[name][split]) in message
    assert name in message and "BLURPAPER_DATA" in message and CATALOGUE[name].how_to_get in message
    assert not folders.is_there(name, split)


@pytest.mark.parametrize(
    ("name", "count", "classes", "begins"),
    [("ilsvrc-val-sample", 946, 503, "ILSVRC2012_val_"), ("amd-tiny", 256, 236, "AMD-")],
)
def test_the_small_test_sets_have_the_images_that_are_told(name, count, classes, begins) -> None:
    """And none that is in Imagewoof's test part as well."""
    if not folders.is_there(name, "test"):
        pytest.skip(f"{name} is not in the data folder")
    found = folders.load_images(name, "test")
    assert CATALOGUE[name].counts == {"test": len(found)} == {"test": count}
    assert len(set(found.labels)) == classes and found.labels.min() >= 0
    assert all(one.rpartition("/")[2].startswith(begins) for one in found.ids)
    if folders.is_there("imagewoof", "test"):
        files = {one.rpartition("/")[2] for one in folders.load_images("imagewoof", "test").ids}
        assert files.isdisjoint(one.rpartition("/")[2] for one in found.ids)


@pytest.mark.parametrize(("name", "split"), KNOWN)
def test_a_set_that_is_there_is_loaded_under_its_name(tmp_path, monkeypatch, name, split):
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    if (name, split) in folders.LISTS:
        listed = tmp_path / folders.LISTS[name, split]
        listed.parent.mkdir(parents=True)
        listed.write_text("a\n")
    file = f"{folders.BEGINNINGS.get((name, split), '')}a.png"
    path = tmp_path / folders.SETS[name][split] / "n01440764" / file
    path.parent.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(path)
    images = folders.load_images(name, split)
    assert (images.name, images.labels.tolist(), images.ids) == (name, [0], [f"n01440764/{file}"])


@pytest.mark.parametrize("unset", [True, False])
def test_data_is_looked_for_in_the_current_folder_otherwise(tmp_path, monkeypatch, unset):
    if unset:
        monkeypatch.delenv("BLURPAPER_DATA", raising=False)
    else:
        monkeypatch.setenv("BLURPAPER_DATA", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDataError, match=str(tmp_path / "data" / "imagewoof" / "val")):
        folders.load_images("imagewoof", "test")


def test_an_unknown_split_is_an_error_that_says_what_there_is():
    with pytest.raises(ImageError, match=r"imagewoof has train and test images\. Got 'val'"):
        folders.load_images("imagewoof", "val")


def test_an_unknown_set_is_an_error_that_lists_those_there_are(smoke, store):
    with pytest.raises(ValueError) as caught:
        data.load_images("imagenot", "test", Run(smoke, store))
    assert "'imagenot'" in str(caught.value)
    assert all(name in str(caught.value) for name in ("emoji", *folders.SETS))


def test_what_a_profile_lacks_is_listed_and_a_profile_of_embedded_data_lacks_nothing(
    tmp_path, monkeypatch, smoke
):
    from blurpaper.runs.profile import load

    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    assert data.missing(smoke) == []
    sentences = data.missing(load("imagenet"))
    assert len(sentences) == 3
    assert str(tmp_path / "voc2012" / "VOCdevkit") in sentences[2]
    assert str(tmp_path / "imagenet" / "train") in sentences[0]
    assert str(tmp_path / "imagenet" / "val") in sentences[1]


def test_joined_sets_keep_every_image_and_its_name(random_images) -> None:
    from helpers import MemorySet

    from blurpaper.data.sets import JoinedSet

    first = MemorySet(random_images[:2], [0, 1], ("a", "b"))
    second = MemorySet(random_images[2:], [-1] * 3, ("a", "b"))
    second.name = "more"
    joined = JoinedSet([first, second])
    assert joined.labels.tolist() == [0, 1, -1, -1, -1]
    assert joined.ids[2] == f"more/{second.ids[0]}"
    numbers = [4, 0, 2, 1, 2]
    assert all(
        torch.equal(one, random_images[number])
        for one, number in zip(joined.batch(numbers), numbers, strict=True)
    )
    assert torch.equal(joined[3], random_images[3])
    with pytest.raises(IndexError):
        joined[5]
    with pytest.raises(ValueError, match="same classes"):
        JoinedSet([first, MemorySet(random_images, [0] * 5, ("c",))])


def test_where_a_folder_holds_several_splits_a_list_says_which_images_are_meant(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    folder = tmp_path / folders.SETS["voc2012"]["train"]
    folder.mkdir(parents=True)
    for name in ("2007_1", "2007_2", "2008_1"):
        Image.new("RGB", (4, 3)).save(folder / f"{name}.jpg")
    with pytest.raises(MissingDataError, match=r"train\.txt, which says which images"):
        folders.load_images("voc2012", "train")
    listed = tmp_path / folders.LISTS["voc2012", "train"]
    listed.parent.mkdir(parents=True)
    listed.write_text("2008_1\n2007_1\n")
    found = folders.load_images("voc2012", "train")
    assert list(found.ids) == ["2007_1.jpg", "2008_1.jpg"]
    assert found.labels.tolist() == [-1, -1]


def test_what_fast_ai_moved_from_the_training_set_to_validation_is_no_test_image(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    folder = tmp_path / folders.SETS["imagewoof"]["test"] / "n02086240"
    folder.mkdir(parents=True)
    for name in ("ILSVRC2012_val_00000907", "n02086240_1"):
        Image.new("RGB", (4, 3)).save(folder / f"{name}.JPEG")
    assert list(folders.load_images("imagewoof", "test").ids) == [
        "n02086240/ILSVRC2012_val_00000907.JPEG"
    ]


# --- Broken images --------------------------------------------------------------------------------


BROKEN = b"<html>"


def fill(folder, count, broken=(), side=3):
    """So many images below a folder, in two classes; those of the numbers ``broken`` cannot be
    read.
    """
    random = np.random.RandomState(0)
    for number in range(count):
        path = folder / ("cat", "dog")[number % 2] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (side, side + 1, 3), np.uint8)).save(path)
        if number in broken:
            path.write_bytes(BROKEN)
    return folder


@pytest.fixture
def reads(monkeypatch):
    """The files that are read, in a list."""
    seen = []

    def read(path):
        seen.append(path.name)
        return original(path)

    original = folders.read_image
    monkeypatch.setattr(folders, "read_image", read)
    return seen


# --- What is left out -----------------------------------------------------------------------------


def test_a_whole_folder_is_given_back_as_it_is(tmp_path, store) -> None:
    images = load_folder(fill(tmp_path / "album", 5), ("cat", "dog"))
    assert readable(images, store) == (images, [])


@pytest.mark.parametrize(("count", "broken"), [(100, [7]), (250, [0, 249]), (299, [1, 2])])
def test_up_to_one_in_a_hundred_is_left_out_and_named(tmp_path, store, count, broken) -> None:
    folder = fill(tmp_path / "album", count, broken)
    images = load_folder(folder, ("cat", "dog"))
    left, sentences = readable(images, store)
    assert len(sentences) == len(broken)
    assert all(
        any(f"{number:04}.png is not an image" in sentence for sentence in sentences)
        for number in broken
    )
    kept = [number for number in range(count) if number not in broken]
    names = {f"{('cat', 'dog')[number % 2]}/{number:04}.png" for number in kept}
    assert set(left.ids) == names and len(left) == len(names)
    assert all(
        left.classes[label] == one.partition("/")[0]
        for one, label in zip(left.ids, left.labels, strict=True)
    )
    assert left.fingerprint != images.fingerprint
    assert len(left.batch(range(len(left)))) == len(left)


@pytest.mark.parametrize(
    ("count", "broken"), [(1, [0]), (99, [50]), (100, [3, 4]), (250, [5, 6, 7])]
)
def test_more_are_an_error_with_their_number_the_first_names_and_what_the_first_has(
    tmp_path, store, count, broken
) -> None:
    folder = fill(tmp_path / "album", count, broken)
    with pytest.raises(ImageError) as caught:
        readable(load_folder(folder, ("cat", "dog")), store)
    said = str(caught.value)
    assert said.startswith(
        f"{len(broken)} of the {count} images below {folder} cannot be read, more than the 1 %"
    )
    assert all(f"{number:04}.png" in said for number in broken)
    assert "is not an image that can be read" in said and "\n" not in said


def test_of_many_the_first_ten_are_named(tmp_path, store) -> None:
    folder = fill(tmp_path / "album", 40, range(0, 40, 2))
    with pytest.raises(
        ImageError,
        match=r"20 of the 40 .* such as cat/0000\.png, cat/0002\.png, .* cat/0018\.png \(",
    ):
        readable(load_folder(folder, ("cat", "dog")), store)


def test_a_file_that_cannot_be_opened_is_a_broken_image_here_and_an_error_elsewhere(
    tmp_path, store
) -> None:
    folder = fill(tmp_path / "album", 120)
    (folder / "cat" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(ImageError, match=r"cannot read .*gone\.png"):
        load_folder(folder, ("cat", "dog"))
    left, sentences = readable(load_folder(folder, ("cat", "dog"), tolerant=True), store)
    assert len(left) == 120 and len(sentences) == 1
    assert "gone.png" in sentences[0]


# --- What is remembered ---------------------------------------------------------------------------


def test_images_are_looked_at_once_and_again_when_a_file_changed(tmp_path, store, reads) -> None:
    folder = fill(tmp_path / "album", 120, [8])
    first = readable(load_folder(folder, ("cat", "dog")), store)
    assert sorted(set(reads)) == [f"{number:04}.png" for number in range(120)] and len(reads) == 121
    reads.clear()
    again = readable(load_folder(folder, ("cat", "dog")), store)
    assert reads == ["0008.png"]
    assert again[0].fingerprint == first[0].fingerprint and again[1] == first[1]
    (folder / "cat" / "0008.png").write_bytes((folder / "cat" / "0010.png").read_bytes())
    assert readable(load_folder(folder, ("cat", "dog")), store)[1] == []
    assert len(reads) == 121


def test_what_is_remembered_is_told_of_the_place_where_the_folder_is_now(tmp_path, store) -> None:
    readable(load_folder(fill(tmp_path / "album", 100, [8]), ("cat", "dog")), store)
    moved = (tmp_path / "album").rename(tmp_path / "moved")
    assert (
        str(moved / "cat" / "0008.png") in readable(load_folder(moved, ("cat", "dog")), store)[1][0]
    )


def test_an_image_that_could_not_be_read_once_and_now_can_is_kept(
    tmp_path, store, monkeypatch
) -> None:
    folder, original = fill(tmp_path / "album", 100), folders.read_image

    def read(path):
        if path.name == "0008.png":
            raise ImageError("the disk was away.")
        return original(path)

    images = load_folder(folder, ("cat", "dog"))
    with monkeypatch.context() as patched:
        patched.setattr(folders, "read_image", read)
        assert len(readable(images, store)[0]) == 99
    assert readable(images, store) == (images, [])


# --- As a user sees it ----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command line in a folder with a network ``net.safetensors`` and a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    torch.manual_seed(0)
    files.save(small_vgg(("cat", "dog")), NetworkSpec("small_vgg"), tmp_path / "net.safetensors")

    def run(line):
        return CliRunner().invoke(main, f"{line} --network net.safetensors --profile smoke".split())

    return run


def test_evaluate_gives_the_numbers_of_the_images_that_are_whole_and_says_so_at_its_end(
    tmp_path, run
) -> None:
    fill(tmp_path / "album", 100, [7], side=40)
    line = (
        "evaluate --images album --conditions sharp,shake --scales 128 -p evaluation.bootstrap=20"
    )
    done = run(f"{line} --out with.csv")
    assert done.exit_code == 0, done.output
    said = done.output.strip().splitlines()
    assert said[-2].startswith("left out: album/dog/0007.png is not an image")
    assert said[-1] == "1 of 100 images cannot be read and were left out"
    (tmp_path / "album" / "dog" / "0007.png").unlink()
    clean = run(f"{line} --out without.csv")
    assert clean.exit_code == 0 and "left out" not in clean.output
    rows = results.read(tmp_path / "with.csv")
    assert (rows["n"] == 99).all()
    assert rows.equals(results.read(tmp_path / "without.csv"))


def test_finetune_learns_from_the_images_that_are_whole_and_says_so_at_its_end(
    tmp_path, run
) -> None:
    fill(tmp_path / "album", 100, [7], side=40)
    line = "finetune --images album --mix sharp,shake -p finetuning.batch=99"
    done = run(f"{line} --out with.safetensors")
    assert done.exit_code == 0, done.output
    assert "fine-tuned on 99 images" in done.output
    assert (
        done.output.strip().splitlines()[-1] == "1 of 100 images cannot be read and were left out"
    )
    (tmp_path / "album" / "dog" / "0007.png").unlink()
    assert run(f"{line} --out without.safetensors").exit_code == 0
    one, other = (
        files.load(tmp_path / f"{name}.safetensors").state_dict() for name in ("with", "without")
    )
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize(
    "line",
    ["evaluate --images album --conditions sharp", "finetune --images album --out t.safetensors"],
)
def test_two_broken_images_of_a_hundred_stop_the_run_before_any_work(tmp_path, run, line) -> None:
    fill(tmp_path / "album", 100, [7, 8])
    done = run(line)
    assert done.exit_code == 2
    assert "2 of the 100 images below album cannot be read" in done.output.splitlines()[-1]
    assert (
        "mend or remove them, such as cat/0008.png, dog/0007.png (album/cat/0008.png is not an"
        in done.output
    )
    kept = {path.name for path in (tmp_path / "store").iterdir()}
    assert kept == {"broken-images", "files.sqlite"}  # what the files hold, and which are broken


def test_of_many_that_were_left_out_ten_are_named_and_all_are_counted(capsys, tmp_path) -> None:
    from blurpaper.cli.base import say_left_out

    say_left_out(tmp_path, [f"{number}.png is broken." for number in range(12)], 4988)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "left out: 0.png is broken." and len(said) == 11
    assert (
        said[-1] == "12 of 5,000 images cannot be read and were left out (the first 10 are named)"
    )
    say_left_out(tmp_path, [], 5000)
    assert capsys.readouterr().err == ""
