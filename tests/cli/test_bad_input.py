"""What a user can give wrongly, and the sentence that he gets; and what looks wrong, is not, and is
read as it should be.
"""

import hashlib
import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

from blurpaper import kernels
from blurpaper.blur import RandomBlur
from blurpaper.cli import main
from blurpaper.kernels import check_mix
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.base import WeightsError
from blurpaper.networks.vgg import small_vgg

LIGHT = ("-p", "evaluation.bootstrap=5", "-p", "finetuning.batch=2", "-p", "agreement.batch=2")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder to be in, without photographs and with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    return tmp_path


def run(line):
    """The command line, split at spaces."""
    return CliRunner().invoke(
        main, line.split(" ") if isinstance(line, str) else [str(part) for part in line]
    )


def refused(done, sentence, status=2):
    """See that a command ended with one sentence, the last line of what it said."""
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == status, done.output
    said = done.output.strip().splitlines()
    assert re.search(sentence, said[-1]), done.output
    assert sum(line.startswith("Error:") for line in said) == 1
    assert "Traceback" not in done.output


def picture(path, width=90, height=80):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(
        np.random.RandomState(width).randint(0, 256, (height, width, 3), np.uint8)
    ).save(path)
    return path


def album(classes=("cat", "dog"), each=2):
    for kind in classes:
        for number in range(each):
            picture(Path("album", kind, f"{number}.png"), 90 + number)


def network(path="net.safetensors"):
    torch.manual_seed(0)
    files.save(small_vgg(("cat", "dog")), NetworkSpec("small_vgg"), Path(path))


# --- Images that are no images --------------------------------------------------------------------


def _jpeg():
    picture(Path("whole.jpg"), 300, 200)
    return Path("whole.jpg").read_bytes()


def _png():
    return picture(Path("whole.png"), 300, 200).read_bytes()


def _bomb():
    claim = bytearray(picture(Path("one.bmp"), 1, 1).read_bytes())
    claim[18:26] = (60_000).to_bytes(4, "little") * 2
    return claim


NO_IMAGES = {
    "empty.jpg": (
        lambda: b"",
        r"empty\.jpg is not an image that can be read \(its content, not its name, decides\)",
    ),
    "page.jpg": (
        lambda: b"<!DOCTYPE html><html>Not Found</html>",
        r"page\.jpg is not an image that can be read",
    ),
    "notes.png": (lambda: b"milk, bread", r"notes\.png is not an image that can be read"),
    "pointer.jpg": (
        lambda: b"version https://git-lfs.github.com/spec/v1\n",
        r"pointer\.jpg is not an image that can be read",
    ),
    "zeros.bmp": (lambda: bytes(500), r"zeros\.bmp is not an image that can be read"),
    "cut.jpg": (lambda: _jpeg()[:9000], r"cut\.jpg is a damaged image: .*truncated"),
    "header.jpg": (
        lambda: _jpeg()[:30],
        r"header\.jpg is (not an image that can be read|a damaged image)",
    ),
    "cut.png": (lambda: _png()[:9000], r"cut\.png is a damaged image: "),
    "swapped.png": (
        lambda: _png()[:4000] + _png()[4000:][::-1],
        r"swapped\.png is a damaged image: ",
    ),
    "bomb.bmp": (_bomb, r"bomb\.bmp claims to have too many pixels to be a photograph"),
    "odd.jpg": (
        lambda: (
            b"DDS |\x00\x00\x00" + b"\x00\x10\x00\x00\x18\x00\x00\x00 \x00\x00\x00" + bytes(200)
        ),
        r"odd\.jpg is a damaged image: Unknown pixel format",
    ),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_whole_image_is_refused_by_name_and_nothing_is_written(place, name) -> None:
    content, sentence = NO_IMAGES[name]
    Path(name).write_bytes(content())
    refused(run(f"blur {name} out.png --psf D4"), sentence)
    refused(run(f"deblur {name} out.png --psf D4 --method wiener"), sentence)
    assert not Path("out.png").exists()


def test_a_link_to_itself_and_a_link_to_nothing_are_told_apart_from_damage(place) -> None:
    Path("loop.jpg").symlink_to("loop.jpg")
    Path("gone.jpg").symlink_to("nowhere.jpg")
    refused(
        run("blur loop.jpg out.png --psf D4"),
        r"loop\.jpg cannot be opened: Too many levels of symbolic links",
    )
    refused(run("blur gone.jpg out.png --psf D4"), r"no image file at gone\.jpg")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_file_that_may_not_be_read_is_told_apart_from_damage(place) -> None:
    picture(Path("closed.png")).chmod(0)
    refused(
        run("blur closed.png out.png --psf D4"), r"closed\.png cannot be opened: Permission denied"
    )


# --- Images that only look odd --------------------------------------------------------------------

GIVEN = np.random.RandomState(1).randint(0, 256, (5, 7, 3)).astype(np.uint8)
FOUR = np.random.RandomState(2).randint(0, 256, (5, 7, 4)).astype(np.uint8)
DEEP = np.random.RandomState(3).randint(0, 65536, (5, 7)).astype(np.uint16)
GREY = GIVEN[..., 0]
WIDE = np.random.RandomState(4).randint(0, 256, (4, 20_000, 3)).astype(np.uint8)
FLAT = np.full((16, 24, 3), (200, 100, 50), np.uint8)


def _turned(way):
    exif = Image.Exif()
    exif[0x0112] = way
    return exif


def _thrice(grey):
    return np.repeat(grey[..., None], 3, axis=2)


def _on_white(rgba):
    share = rgba[..., 3:] / 255
    return share * rgba[..., :3] + (1 - share) * 255


def _moving(path):
    first, *others = (Image.fromarray(FLAT).rotate(angle) for angle in (0, 90, 180))
    first.save(path, save_all=True, append_images=others)


def _palette(path, **options):
    image = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7) % 4, "P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.save(path, **options)


COLOURS = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
LOOKED_UP = COLOURS[np.arange(35).reshape(5, 7) % 4]
PALE = LOOKED_UP.copy()
PALE[np.arange(35).reshape(5, 7) % 4 == 1] = 255

READ = {
    "one pixel": (
        "a.png",
        lambda path: Image.fromarray(GIVEN[:1, :1]).save(path),
        GIVEN[:1, :1],
        0,
    ),
    "one row": ("a.png", lambda path: Image.fromarray(GIVEN[:1]).save(path), GIVEN[:1], 0),
    "20,000 pixels wide": ("a.png", lambda path: Image.fromarray(WIDE).save(path), WIDE, 0),
    "grey": ("a.png", lambda path: Image.fromarray(GREY).save(path), _thrice(GREY), 0),
    "black and white": (
        "a.png",
        lambda path: Image.fromarray(GREY > 99).save(path),
        _thrice(np.uint8(255) * (GREY > 99)),
        0,
    ),
    "16 bits": (
        "a.png",
        lambda path: Image.fromarray(DEEP).save(path),
        _thrice(np.rint(DEEP / 257)),
        0,
    ),
    "16 bits, dark": (
        "a.tif",
        lambda path: Image.fromarray(DEEP // 512).save(path),
        _thrice(np.rint(DEEP // 512 / 257)),
        0,
    ),
    "alpha": ("a.png", lambda path: Image.fromarray(FOUR).save(path), _on_white(FOUR), 1),
    "alpha in WebP": (
        "a.webp",
        lambda path: Image.fromarray(FOUR).save(path, lossless=True, exact=True),
        _on_white(FOUR),
        1,
    ),
    "palette": ("a.png", _palette, LOOKED_UP, 0),
    "palette with a transparent colour": (
        "a.png",
        lambda path: _palette(path, transparency=1),
        PALE,
        0,
    ),
    "CMYK": (
        "a.jpg",
        lambda path: Image.fromarray(255 - FLAT).convert("CMYK").save(path, quality=95),
        255 - FLAT,
        6,
    ),
    "progressive JPEG": (
        "a.jpg",
        lambda path: Image.fromarray(FLAT).save(path, progressive=True, quality=95),
        FLAT,
        3,
    ),
    "upside down by EXIF": (
        "a.png",
        lambda path: Image.fromarray(GIVEN).save(path, exif=_turned(3)),
        GIVEN[::-1, ::-1],
        0,
    ),
    "on its side by EXIF": (
        "a.png",
        lambda path: Image.fromarray(GIVEN).save(path, exif=_turned(6)),
        np.rot90(GIVEN, -1),
        0,
    ),
    "an EXIF orientation that is none": (
        "a.png",
        lambda path: Image.fromarray(GIVEN).save(path, exif=_turned(77)),
        GIVEN,
        0,
    ),
    "animated GIF": ("a.gif", _moving, FLAT, 2),
    "PNG named .jpg": ("a.jpg", lambda path: Image.fromarray(GIVEN).save(path, "PNG"), GIVEN, 0),
    "a name with spaces and letters": (
        "a b é 猫.png",
        lambda path: Image.fromarray(GIVEN).save(path),
        GIVEN,
        0,
    ),
}


@pytest.mark.parametrize("what", READ)
def test_an_odd_image_is_read_as_it_is_meant(place, what) -> None:
    # A user sees it blurred, by the smallest disk: the expectation is blurred by scipy.
    name, write, expected, tolerance = READ[what]
    write(place / name)
    done = run(["blur", name, "out.png", "--psf", "D1", "--pixels"])
    assert done.exit_code == 0, done.output
    kernel = kernels.psf("D1").astype(np.float64)
    blurred = np.stack(
        [
            ndimage.convolve(expected[..., one].astype(float), kernel, mode="mirror")
            for one in range(3)
        ],
        -1,
    )
    found = np.asarray(Image.open("out.png"), float)
    assert found.shape == blurred.shape
    assert np.abs(found - blurred).max() <= tolerance + 0.5 + 1e-3


# --- Names of PSFs, conditions, scales ------------------------------------------------------------

NO_PSF = {
    "D-1": "as in 'D8' or 'shake:17'. Got 'D-1'",
    "D": "as in 'D8' or 'shake:17'. Got 'D'",
    "": "Got ''",
    "8": "Got '8'",
    "d8": "Got 'd8'",
    "Q8": r"a PSF is one of D<size>, H<size>, V<size>, G<size> or shake:<number>, .*Got 'Q8'",
    "D8 ": "Got 'D8 '",
    "D1e9": "Got 'D1e9'",
    "D٨": "Got 'D٨'",
    "D99999": "Got 'D99999'",
    "D0": "the radius of a disk is from 1 to 96 pixels. Got 'D0'",
    "D97": "the radius of a disk is from 1 to 96 pixels. Got 'D97'",
    "G0.1": "the standard deviation of a Gaussian is from 0.5 to 96 pixels. Got 'G0.1'",
    "H2.5": "the length of a horizontal box is a whole number of pixels. Got 'H2.5'",
    "shake:100": "camera shake for testing is numbered 0 to 99. Got 'shake:100'",
    "shake:-1": "Got 'shake:-1'",
    "shake:": "Got 'shake:'",
}


@pytest.mark.parametrize("name", NO_PSF)
def test_what_names_no_psf_is_refused_by_every_verb_that_takes_one(place, name) -> None:
    picture(Path("in.png"))
    for verb in ("blur", "deblur"):
        refused(run([verb, "in.png", "out.png", "--psf", name]), NO_PSF[name])
    if name == name.strip():  # names in a list may stand apart
        line = [
            "evaluate",
            "--network",
            "efficientnet_lite0",
            "--images",
            ".",
            "--conditions",
            f"sharp,{name}",
        ]
        refused(run(line), NO_PSF[name])


MIXES = {
    "nomix": r"a mix is one of sharp-only, .*, or conditions with commas: a PSF is .*Got 'nomix'",
    "": r"a mix is one of .* Got ''",
    "sharp,": "Got ''",
    "sharp:0.5,D8:0.5": "Got 'sharp:0.5'",
    "D8,D8": "each of --mix is named once. Got D8, D8",
    "sharp,D-1": "Got 'D-1'",
    "mix,sharp": "Got 'mix'",
}


@pytest.mark.parametrize("mix", MIXES)
def test_what_is_no_mix_is_refused_before_the_images_are_looked_at(place, mix) -> None:
    network()
    line = [
        "finetune",
        "--network",
        "net.safetensors",
        "--images",
        "nowhere",
        "--mix",
        mix,
        "--out",
        "out.safetensors",
    ]
    refused(run(line), MIXES[mix])


@pytest.mark.parametrize(
    ("mix", "sentence"),
    [
        ("nomix", "a mix is one of sharp-only, .* Got 'nomix'"),
        ({}, "a mix names at least one condition. Got none"),
        ({"sharp": 0.5, "D8": 0.4}, "the probabilities of a mix sum to 1. Got 0.9"),
        ({"sharp": 0.5, "D8": 0.6}, "the probabilities of a mix sum to 1. Got 1.1"),
        (
            {"sharp": 1.5, "D8": -0.5},
            r"the probability of sharp must be above 0 and at most 1. Got 1\.5",
        ),
        ({"sharp": 1.0, "D8": 0}, "the probability of D8 must be above 0 and at most 1. Got 0"),
        (
            {"sharp": float("nan")},
            "the probability of sharp must be above 0 and at most 1. Got nan",
        ),
        ({"sharp": "1"}, "the probability of sharp must be above 0 and at most 1. Got '1'"),
        ({"D8": None}, "the probability of D8 must be above 0 and at most 1. Got None"),
        ({"Q8": 1.0}, "Got 'Q8'"),
        ({8: 1.0}, "a PSF is one of D<size>.* as in 'D8' .*Got 8"),
    ],
)
def test_what_is_no_mix_in_python_is_a_value_error(mix, sentence) -> None:
    for take in (check_mix, RandomBlur):
        with pytest.raises(ValueError, match=sentence):
            take(mix)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--conditions D8,D8", "each of --conditions is named once. Got D8, D8"),
        ("--conditions D8,,D4", "Got ''"),
        ("--scales 300", "a scale is one of 128, 256, 512. Got '300'"),
        ("--scales 256+", "a scale is one of 128, 256, 512. Got ''"),
        ("--scales 256,256", "each of --scales is named once. Got 256, 256"),
        ("--scales 256+256", "each of --scales is named once. Got 256, 256"),
        ("--out album", "cannot write album: Is a directory"),
        ("--network lenet", "a model is one of small_vgg, .* Got 'lenet'"),
        ("--network small_vgg:nomix", "a mix is original or one of .* Got 'nomix'"),
        ("--network small_vgg:mix@300", "a train scale is one of 128, .* Got '300'"),
        ("--network small_vgg:mix/magic", "a recipe is one of labels, .* Got 'magic'"),
        ("--network mix", "name the model too, as in efficientnet_lite0:mix"),
        (
            "--network a:b@c@d",
            r"a network is MODEL\[:MIX\]\[@SCALE\]\[/RECIPE\]\[#SEED\], .* Got 'a:b@c@d'",
        ),
        (
            "--profile photos",
            "profile photos has no pretraining, and no weights of small_vgg:original can be had",
        ),
    ],
)
def test_evaluate_refuses_what_it_cannot_measure(place, options, sentence) -> None:
    network()
    album()
    given = "small_vgg" if "--profile" in options else "net.safetensors"
    refused(
        run(
            f"evaluate --network {given} --images album --conditions sharp {' '.join(LIGHT)} "
            f"{options}"
        ),
        sentence,
    )


# --- Profiles and parameters of chapters ----------------------------------------------------------

PROFILES = {
    "unknown key": (
        "extends: smoke\nseeed: 1",
        r"'mine\.yaml', seeed: no such field; did you mean 'seed'\?",
    ),
    "unknown key in a section": (
        "extends: smoke\nemoji: {clases: 9}",
        r"emoji\.clases: no such field; did you mean 'classes'\?",
    ),
    "wrong type": ("extends: smoke\nseed: '3'", r"'mine\.yaml', seed: .*integer\. Got '3'"),
    "out of range": (
        "extends: smoke\nemoji: {classes: 1}",
        r"emoji\.classes: .*greater than or equal to 2\. Got 1",
    ),
    "no such device": (
        "extends: smoke\ncompute: {device: tpu}",
        r"compute\.device: .*'auto'.*Got 'tpu'",
    ),
    "missing field": ("name: mine", r"'mine\.yaml', \w+: Field required"),
    "section that is a number": ("extends: smoke\nevaluation: 3", r"evaluation: .*Got 3"),
    "key that is a number": ("extends: smoke\n3: 4", r"'mine\.yaml', 3: "),
    "cycle": ("extends: other.yaml", r"in a circle: mine\.yaml -> other\.yaml -> mine\.yaml"),
    "extends itself": ("extends: mine.yaml", r"in a circle: mine\.yaml -> mine\.yaml"),
    "extends two": (
        "extends: [smoke, emoji]",
        r"extends: the name of one profile\. Got \['smoke', 'emoji'\]",
    ),
    "extends nothing there is": ("extends: emojy", "no profile 'emojy'; .*did you mean 'emoji'"),
    "no mapping": ("- a\n- b", "must be a mapping of fields. Got list"),
    "empty": ("", "must be a mapping of fields. Got NoneType"),
    "no YAML": ("seed: [1", r"mine\.yaml is not YAML"),
    "an object of Python": ("!!python/object/apply:os.mkdir [made]", r"mine\.yaml is not YAML"),
    "bytes": ("\ud800", r"mine\.yaml is not YAML"),
    "unknown set of images": (
        "extends: smoke\ntrain_set: nope",
        "a data set is one of emoji, .* Got 'nope'",
    ),
    "unknown test set": (
        "extends: smoke\nevaluation: {test_sets: [nope]}",
        "a data set is one of emoji, .* Got 'nope'",
    ),
    "unknown model": (
        "extends: smoke\nmodel: lenet",
        "a model is one of small_vgg, .* Got 'lenet'",
    ),
    "unknown condition": (
        "extends: smoke\nevaluation: {original_conditions: [sharp, D0]}",
        "Got 'D0'",
    ),
}


@pytest.mark.parametrize("what", PROFILES)
def test_a_profile_that_cannot_be_used_is_refused_before_any_work(place, what) -> None:
    text, sentence = PROFILES[what]
    Path("mine.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    Path("other.yaml").write_text("extends: mine.yaml")
    refused(run("run --dry-run --profile mine.yaml"), sentence)
    assert not Path("made").exists() and not Path("store").exists()


PARAMETERS = {
    "seeed=1": "seeed: no such field; did you mean 'seed'",
    "compute.cache_gb=9": "compute.cache_gb: no such field",
    "protocoll.canonical=96": "no section 'protocoll'; did you mean 'protocol'",
    "seed.x=1": "override 'seed.x': no section 'seed'",
    "seed=yes": "seed: .*integer. Got True",
    "seed=1.5": "seed: .*integer. Got 1.5",
    "protocol.jitter=384": "protocol.jitter: .*list. Got 384",
    "evaluation.original_scales=[256]": r"evaluation\.original_scales\.0: .*Got 256",
    "emoji.train=0": "emoji.train: .*greater than 0. Got 0",
    "segmentation={1:2}": "segmentation",
    "seed": "an override is dotted.field=value. Got 'seed'",
    "=3": "an override is dotted.field=value. Got '=3'",
    "seed=[1": r"the value of an override is YAML. Got 'seed=\[1'",
    "evaluation.original_conditions=[D0]": "the radius of a disk is from 1 to 96 pixels. Got 'D0'",
    "train_set=nope": "a data set is one of emoji, .* Got 'nope'",
}


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_a_parameter_that_cannot_be_used_is_refused_before_a_chapter_is_executed(
    place, parameter
) -> None:
    refused(run(["chapter", "02", "--profile", "smoke", "-p", parameter]), PARAMETERS[parameter])
    assert not Path("store").exists()


@pytest.mark.parametrize(
    ("profile", "overrides", "sentence"),
    [
        ("emojy", {}, "no profile 'emojy'; .*did you mean 'emoji'"),
        ("smoke", {"seeed": 1}, "seeed: no such field; did you mean 'seed'"),
        ("smoke", {"seed": "1"}, "seed: .*integer. Got '1'"),
        ("smoke", {"seed": [1]}, r"seed: .*integer. Got \[1\]"),
    ],
)
def test_a_notebook_refuses_parameters_as_the_command_line_does(
    place, profile, overrides, sentence
) -> None:
    from blurpaper.book.chapter import Chapter
    from blurpaper.runs.profile import ProfileError

    with pytest.raises(ProfileError, match=sentence):
        Chapter(profile, overrides)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("chapter 77", "no chapter '77'; there are 00_introduction"),
        ("chapter 02 --profile emojy", "no profile 'emojy'; .*did you mean 'emoji'"),
        ("train lenet --profile smoke", "a model is one of small_vgg, .* Got 'lenet'"),
        (
            "train small_vgg:mix@per-scale --profile smoke",
            "is not one network but one for each scale",
        ),
        ("train small_vgg:mix#x --profile smoke", "Got 'small_vgg:mix#x'"),
        ("train segmentation:mix@512 --profile smoke", "Got 'segmentation:mix@512'"),
        ("run --dry-run --profile smoke --gpu potato", "a GPU is one of .* Got 'potato'"),
        ("data fetch nowhere", "a set of photographs is one of .* Got 'nowhere'"),
        ("data verify nowhere", "a set of photographs is one of .* Got 'nowhere'"),
        ("compare a.csv b.csv", r"no results at a\.csv"),
        ("blur nowhere.png out.png --psf D4", r"no image file at nowhere\.png"),
        ("deblur in.png out.png --psf D4 --method magic", "'magic'"),
        ("deblur in.png out.png --psf D4 --noise -1", "above 0"),
        ("deblur in.png out.png --psf shake", "name the kernel, as in shake:17"),
        ("blur in.png out.xyz --psf D4", r"the suffix of out\.xyz names no image format"),
        ("blur in.png in.png/out.png --psf D4", r"cannot write in\.png/out\.png"),
        ("blur folder in.png --psf D4", r"folder is a folder and in\.png a file"),
        ("blur none out --psf D4", "no image below none"),
        (
            "finetune --network small_vgg --images folder --out t.pt",
            r"written to a \.safetensors file. Got 't\.pt'",
        ),
    ],
)
def test_a_command_that_cannot_be_done_says_why(place, line, sentence) -> None:
    picture(Path("in.png"))
    picture(Path("folder", "in.png"))
    Path("none").mkdir()
    refused(run(line), sentence)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("evaluate --images .", "Missing option '--network'"),
        ("deblur a b --psf D4 --noise loud", "'loud' is not a valid float"),
        ("paint", "No such command 'paint'"),
        ("blur --psf D4", "Missing argument 'IN'"),
    ],
)
def test_a_command_that_cannot_be_understood_exits_with_status_2(place, line, sentence) -> None:
    refused(run(line), sentence, status=2)


# --- Folders --------------------------------------------------------------------------------------


def _broken_among(count, kind="cat"):
    album(each=count)
    Path("album", kind, "0.png").write_bytes(b"<html>")


def _stray():
    album()
    picture(Path("album", "holiday", "0.png"))


def _dangling():
    album()
    Path("album", "cat", "gone.png").symlink_to("nowhere.png")


def _looping():
    album()
    Path("album", "cat", "loop.png").symlink_to("loop.png")


FOLDERS = {
    "missing": (lambda: None, "no folder at .*album"),
    "a file": (lambda: Path("album").write_text("in the way"), "no folder at .*album"),
    "empty": (lambda: Path("album").mkdir(), r"no image below .*album \(looked for \.jpg, "),
    "no image": (
        lambda: picture(Path("album", "a.png")).rename("album/a.xyz"),
        "no image below .*album",
    ),
    "hidden images": (lambda: picture(Path("album", ".a.png")), "no image below .*album"),
    "some classes": (
        _stray,
        "album: some folders are named by classes, but not 'holiday': name them so",
    ),
    "a broken image": (
        lambda: _broken_among(2),
        r"1 of the 4 images below album cannot be read, more than the 1 % that may be left out; "
        r"mend or remove them, such as cat/0\.png \(album/cat/0\.png is not an image",
    ),
    "a link to nothing": (
        _dangling,
        r"1 of the 5 images below album cannot be read, .*mend or remove .*cat/gone\.png",
    ),
    "a link to itself": (
        _looping,
        r"1 of the 5 images .*cat/loop\.png \(album/cat/loop\.png cannot be opened: Too many "
        "levels",
    ),
}


@pytest.mark.parametrize("what", FOLDERS)
@pytest.mark.parametrize("verb", ["evaluate", "finetune"])
def test_a_folder_that_cannot_be_used_is_refused(place, what, verb) -> None:
    network()
    make, sentence = FOLDERS[what]
    make()
    line = ["--network", "net.safetensors", "--images", "album", *LIGHT]
    line += ["--conditions", "sharp"] if verb == "evaluate" else ["--out", "tuned.safetensors"]
    refused(run([verb, *line]), sentence)
    assert not Path("tuned.safetensors").exists()


def test_folders_that_are_no_classes_are_refused_only_where_labels_are_needed(place) -> None:
    network()
    album(("holiday", "work"))
    line = f"--network net.safetensors --images album {' '.join(LIGHT)}"
    refused(
        run(f"finetune {line} --out t.safetensors"),
        "its subfolders do not name classes of net.safetensors .*--unlabelled",
    )
    done = run(f"evaluate {line} --conditions sharp")
    assert done.exit_code == 0 and "consistency" in done.output and "top1" not in done.output


@pytest.mark.parametrize("what", ["one class", "loop", "odd files"])
def test_a_folder_that_only_looks_odd_is_measured(place, what) -> None:
    network()
    album(("cat",) if what == "one class" else ("cat", "dog"))
    if what == "loop":
        Path("album", "cat", "again").symlink_to(Path("album").absolute(), target_is_directory=True)
    if what == "odd files":
        Path("album", "notes.txt").write_text("nothing")
        Path("album", "cat", ".0.png").write_bytes(b"")
        Path("album", "folder.png").mkdir()
    done = run(
        "evaluate --network net.safetensors --images album --conditions sharp --out t.csv "
        f"{' '.join(LIGHT)}"
    )
    assert done.exit_code == 0, done.output
    counts = {line.rpartition(",")[2] for line in Path("t.csv").read_text().splitlines()[1:]}
    assert counts == {"2" if what == "one class" else "4"}


# --- Files of weights -----------------------------------------------------------------------------


class Payload:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_the_payload_of_these_tests_does_run_if_it_is_unpickled(place) -> None:
    pickle.loads(pickle.dumps(Payload()))
    assert Path("executed").is_dir()


def _pickled(name):
    Path(name).write_bytes(pickle.dumps(Payload()))


def _zipped(name):
    torch.save({"weight": Payload()}, name)


@pytest.mark.parametrize("write", [_pickled, _zipped])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("evil.safetensors", r"evil\.safetensors cannot be read as a safetensors file"),
        (
            "evil.pt",
            r"evil\.pt cannot be read as a safetensors file .*no other is read, for a pickle may "
            "run any",
        ),
        ("evil.pth", r"evil\.pth cannot be read as a safetensors file"),
        ("evil", r"evil cannot be read as a safetensors file"),
    ],
)
def test_a_pickle_is_refused_and_never_executed(place, write, name, sentence) -> None:
    write(name)
    album()
    refused(run(f"evaluate --network {name} --images album"), sentence)
    refused(run(f"finetune --network {name} --images album --out t.safetensors"), sentence)
    assert not Path("executed").exists()


@pytest.mark.parametrize("write", [_pickled, _zipped])
def test_a_pickle_in_the_place_of_weights_of_ones_own_or_of_a_prior_is_refused_and_never_executed(
    place, write
) -> None:
    from blurpaper.networks.weights import CAFFE_VGG16, read_pickled_weights

    album()
    weights = place / "data" / "weights" / CAFFE_VGG16
    weights.parent.mkdir(parents=True)
    write(weights)
    refused(
        run("evaluate --network vgg16_caffe --images album --conditions sharp"),
        "is not the known file of weights",
    )
    with pytest.raises(WeightsError, match="holds something else than tensors"):
        read_pickled_weights(weights, hashlib.sha256(weights.read_bytes()).hexdigest())
    write("prior.safetensors")
    line = "deblur album/cat/0.png out.png --psf D4 --prior prior.safetensors"
    refused(run(line), r"prior\.safetensors cannot be read as a prior")
    assert not Path("executed").exists()


WEIGHTS = {
    "missing": (None, {}, r"net\.safetensors cannot be read .*No such file"),
    "empty": (b"", {}, r"net\.safetensors cannot be read as a safetensors file"),
    "cut": (5000, {}, r"net\.safetensors cannot be read as a safetensors file"),
    "a page": (
        b"<!DOCTYPE html>" * 99,
        {},
        r"net\.safetensors cannot be read as a safetensors file",
    ),
    "no header": (None, None, r"net\.safetensors does not say in its header what network it is"),
    "another architecture": (
        None,
        {"network": "efficientnet_lite0:original"},
        r"net\.safetensors does not hold efficientnet_lite0:original, "
        r".*Missing key.{,300} \.\.\.\)\.$",
    ),
    "unknown architecture": (
        None,
        {"network": "lenet:original"},
        r"net\.safetensors names lenet, none of small_vgg, ",
    ),
    "other classes": (
        None,
        {"classes": '["a", "b", "c"]'},
        "does not hold small_vgg:original, which its header names .*size mismatch",
    ),
    "classes that are numbers": (
        None,
        {"classes": "[1, 2]"},
        r"net\.safetensors does not say in its header what network it is \(classes: .*string",
    ),
    "no class": (None, {"classes": "[]"}, r"in its header .*\(classes: .* at least 1 item"),
    "a field of words": (
        None,
        {"field": "wide"},
        r"in its header .*\(field: Invalid JSON",
    ),
    "a field below 0": (
        None,
        {"field": "-5"},
        r"in its header .*\(field: .*greater than 0",
    ),
    "two channels": (
        None,
        {"mean": "[1, 2]"},
        r"in its header .*\(mean: ",
    ),
    "no JSON": (None, {"std": "x"}, r"in its header .*\(std: Invalid JSON"),
    "no name": (None, {"network": "x"}, r"in its header .*\(network: .* Got 'x'"),
    "no numbers": (float("nan"), {}, "log-probabilities are numbers. Got nan"),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_a_file_of_another_network_is_refused(place, what) -> None:
    content, said, sentence = WEIGHTS[what]
    album()
    torch.manual_seed(0)
    made, path = small_vgg(("cat", "dog")), Path("net.safetensors")
    header = None if said is None else files.header_of(made, NetworkSpec("small_vgg")) | said
    state = {name: tensor.contiguous() for name, tensor in made.state_dict().items()}
    if isinstance(content, float):
        state = {
            name: tensor * content if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
        }
    save_file(state, path, metadata=header)
    if what == "missing":
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, int):
        path.write_bytes(path.read_bytes()[:content])
    refused(
        run(
            "evaluate --network net.safetensors --images album --conditions sharp "
            f"{' '.join(LIGHT)}"
        ),
        sentence,
    )
