"""Broken images in a folder of many: a few are left out of every number and told, many stop the run
before it starts.
"""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from blurpaper.cli import main
from blurpaper.data import folders
from blurpaper.data.folders import load_folder, readable
from blurpaper.data.images import ImageError
from blurpaper.experiments import results
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.vgg import small_vgg

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


def test_of_many_the_first_three_are_named(tmp_path, store) -> None:
    folder = fill(tmp_path / "album", 40, range(0, 40, 2))
    with pytest.raises(
        ImageError,
        match=r"20 of the 40 .* remove cat/0000\.png, cat/0002\.png, cat/0004\.png and 17 more \(",
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
        "mend or remove cat/0008.png, dog/0007.png (album/cat/0008.png is not an image"
        in done.output
    )
    kept = {path.name for path in (tmp_path / "store").iterdir()}
    assert kept == {"broken-images", "files.sqlite"}  # what the files hold, and which are broken


def test_of_many_that_were_left_out_ten_are_named_and_all_are_counted(capsys) -> None:
    from blurpaper.cli.base import say_left_out

    say_left_out([f"{number}.png is broken." for number in range(12)], 5000)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "left out: 0.png is broken." and len(said) == 11
    assert (
        said[-1] == "12 of 5,000 images cannot be read and were left out (the first 10 are named)"
    )
    say_left_out([], 5000)
    assert capsys.readouterr().err == ""
