"""Blurring files and folders of them."""

import numpy as np
import pytest
import torch

from blurpaper import blur
from blurpaper.cli.files import assumed_noise
from blurpaper.cli.files import blur as blur_files
from blurpaper.cli.files import deblur as deblur_files
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.images import ImageError, read_image, write_image
from blurpaper.deblurring import PSF_ERROR, ROUNDING
from blurpaper.evaluation.metrics import psnr
from blurpaper.kernels import psf, shake_bank


def picture(height=48, width=60, seed=0):
    return torch.from_numpy(
        np.random.RandomState(seed).randint(0, 256, (3, height, width)).astype(np.uint8)
    )


@pytest.fixture
def album(tmp_path):
    """A folder of three images, one in a subfolder, and a file that is none."""
    for seed, name in enumerate(("a.png", "b.png", "deep/c.png")):
        write_image(picture(seed=seed), tmp_path / "album" / name)
    (tmp_path / "album" / "notes.txt").write_text("no image")
    return tmp_path / "album"


def names_in(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("name", ["D8", "H8", "G4", "shake:3"])
def test_a_psfs_size_is_in_pixels_of_an_image_whose_smaller_side_is_384(tmp_path, name):
    write_image(picture(96, 120), tmp_path / "in.png")
    assert blur_files(tmp_path / "in.png", tmp_path / "out.png", name) == (1, [])
    expected = blur.apply(picture(96, 120), np.array(psf(name, 96 / 384)))
    assert torch.equal(read_image(tmp_path / "out.png"), expected)


@pytest.mark.parametrize("name", ["D8", "shake:3"])
def test_a_psfs_size_may_be_in_the_images_own_pixels(tmp_path, name):
    write_image(picture(), tmp_path / "in.png")
    blur_files(tmp_path / "in.png", tmp_path / "out.png", name, pixels=True)
    assert torch.equal(read_image(tmp_path / "out.png"), blur.apply(picture(), name))


def test_sharp_copies(album, tmp_path):
    blur_files(album, tmp_path / "out", "sharp")
    assert torch.equal(read_image(tmp_path / "out" / "b.png"), picture(seed=1))


def test_a_folder_is_blurred_into_a_folder_with_the_same_names(album, tmp_path):
    assert blur_files(album, tmp_path / "out", "D8", pixels=True) == (3, [])
    assert names_in(tmp_path / "out") == ["a.png", "b.png", "deep/c.png"]
    for seed, name in enumerate(names_in(tmp_path / "out")):
        assert torch.equal(
            read_image(tmp_path / "out" / name), blur.apply(picture(seed=seed), "D8")
        )
    assert torch.equal(read_image(album / "a.png"), picture(seed=0))


def test_a_file_may_be_blurred_into_a_folder_that_is_there(album, tmp_path):
    (tmp_path / "out").mkdir()
    blur_files(album / "a.png", tmp_path / "out", "D8")
    assert names_in(tmp_path / "out") == ["a.png"]


def test_camera_shake_gives_each_image_a_test_kernel_by_its_name(album, tmp_path):
    kernels, image = shake_bank("test"), picture()
    names = [f"{number}.png" for number in range(12)]
    for name in names:
        write_image(image, tmp_path / "same" / name)
    blur_files(tmp_path / "same", tmp_path / "out", "shake", pixels=True)
    blurred = [read_image(tmp_path / "out" / name) for name in names]
    bank = [blur.apply(image, np.array(kernel)) for kernel in kernels]
    drawn = [
        next(number for number, one in enumerate(bank) if torch.equal(one, each))
        for each in blurred
    ]
    assert len(set(drawn)) > 6
    (tmp_path / "same" / "0.png").unlink()
    blur_files(tmp_path / "same", tmp_path / "again", "shake", pixels=True)
    for name, each in zip(names[1:], blurred[1:]):
        assert torch.equal(read_image(tmp_path / "again" / name), each)


def test_another_suffix_is_another_format(tmp_path):
    write_image(picture(), tmp_path / "in.png")
    blur_files(tmp_path / "in.png", tmp_path / "new" / "out.bmp", "D4")
    assert (tmp_path / "new" / "out.bmp").read_bytes()[:2] == b"BM"


def test_broken_images_of_a_folder_are_told_of_and_the_others_blurred(album, tmp_path):
    (album / "b.png").write_bytes(b"broken")
    done, broken = blur_files(album, tmp_path / "out", "D4")
    assert done == 2
    assert len(broken) == 1 and str(album / "b.png") in broken[0]
    assert names_in(tmp_path / "out") == ["a.png", "deep/c.png"]


def test_a_single_broken_or_missing_image_is_an_error_that_names_it(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"broken")
    for name in ("broken.png", "nowhere.png"):
        with pytest.raises(ImageError, match=name):
            blur_files(tmp_path / name, tmp_path / "out.png", "D4")
    assert not (tmp_path / "out.png").exists()


def test_a_folder_without_images_is_an_error_that_names_it(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError) as caught:
        blur_files(tmp_path / "empty", tmp_path / "out", "D4")
    assert str(tmp_path / "empty") in str(caught.value)


def test_a_folder_is_not_blurred_into_a_file(album, tmp_path):
    (tmp_path / "out.png").write_bytes(b"precious")
    with pytest.raises(ImageError, match=r"out\.png"):
        blur_files(album, tmp_path / "out.png", "D4")
    assert (tmp_path / "out.png").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["Z4", "D-1", "", "shake:100"])
def test_a_name_of_no_psf_is_an_error_before_anything_is_done(album, tmp_path, name):
    with pytest.raises(ValueError) as caught:
        blur_files(album, tmp_path / "out", name)
    assert repr(name) in str(caught.value)
    assert not (tmp_path / "out").exists()


# --- A PSF of one's own ---------------------------------------------------------------------------


def hook():
    """A PSF without any symmetry, of weights that eight bits can hold."""
    return np.array([[0, 40, 0, 0, 0], [0, 90, 0, 0, 0], [0, 200, 255, 120, 0]], np.float64)


def save_psf(path, weights):
    from PIL import Image

    if path.suffix == ".npy":
        np.save(path, weights)
    elif path.stem == "deep":
        Image.fromarray((weights * 257).astype(np.uint16)).save(path)
    elif path.stem == "colour":
        Image.fromarray(weights.astype(np.uint8)).convert("RGB").save(path)
    else:
        Image.fromarray(weights.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "name", ["own.npy", "own.png", "deep.png", "deep.tif", "colour.png", "OWN.BMP"]
)
def test_a_psf_may_come_from_a_file_and_is_in_pixels_of_the_image(tmp_path, name):
    path = save_psf(tmp_path / name, hook())
    assert np.allclose(blur.read_psf(path), hook() / hook().sum(), atol=1e-7)
    write_image(picture(96, 120), tmp_path / "in.png")
    for pixels in (False, True):
        assert blur_files(tmp_path / "in.png", tmp_path / "out.png", str(path), pixels) == (1, [])
        padded = np.pad(
            picture(96, 120).numpy().astype(np.float64), ((0, 0), (1, 1), (2, 2)), mode="reflect"
        )
        flipped = (hook() / hook().sum())[::-1, ::-1]
        expected = sum(
            flipped[row, column] * padded[:, row : row + 96, column : column + 120]
            for row in range(3)
            for column in range(5)
        )
        assert np.abs(read_image(tmp_path / "out.png").numpy() - expected).max() < 0.51


def test_deblurring_with_a_psf_from_a_file_undoes_it(tmp_path):
    path = save_psf(tmp_path / "own.npy", np.kron(hook(), np.ones((3, 3))))
    write_image(photo(), tmp_path / "in.png")
    blur_files(tmp_path / "in.png", tmp_path / "blurred.png", str(path))
    deblur_files(tmp_path / "blurred.png", tmp_path / "out.png", str(path))
    before, after = (
        psnr(read_image(tmp_path / f"{one}.png"), photo()) for one in ("blurred", "out")
    )
    assert after > before + 5


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones((4, 5)), "odd sides"),
        (np.ones((3, 3, 3)), r"\(height, width\)"),
        (np.ones(5), r"\(height, width\)"),
        (np.zeros((3, 3)), "its sum, 0"),
        (np.array([[1.0, -0.1, 1.0]]), "nowhere negative"),
        (np.array([[1.0, np.nan, 1.0]]), "is finite"),
        (np.array([["a", "b", "c"]]), "no array of numbers"),
        (np.ones((3, 3), complex), "no array of numbers"),
        (np.array([[{}]], object), "no array of numbers"),
    ],
)
def test_an_array_that_is_no_psf_is_told_of_by_its_file(tmp_path, weights, sentence):
    np.save(tmp_path / "own.npy", weights)
    write_image(picture(), tmp_path / "in.png")
    with pytest.raises(ImageError, match=f"{sentence}.*own.npy|own.npy.*{sentence}"):
        blur_files(tmp_path / "in.png", tmp_path / "out.png", str(tmp_path / "own.npy"))
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("name", ["own.npy", "own.png"])
def test_a_psfs_file_that_is_missing_or_damaged_is_told_of(tmp_path, name):
    with pytest.raises(ImageError, match=f"no (image )?file at .*{name}"):
        blur.read_psf(tmp_path / name)
    (tmp_path / name).write_bytes(b"nonsense")
    with pytest.raises(ImageError, match=name):
        blur.read_psf(tmp_path / name)


def test_a_picture_of_a_psf_is_grey_and_opaque(tmp_path):
    from PIL import Image

    levels = hook().astype(np.uint8)
    for name, channels, sentence in (
        (
            "alpha.png",
            [np.full_like(levels, 255)] * 3 + [levels],
            "is transparent: save it on a black ground",
        ),
        (
            "colours.png",
            [levels, levels[::-1], levels],
            "is coloured: save the channel that is meant",
        ),
    ):
        Image.fromarray(np.stack(channels, axis=-1)).save(tmp_path / name)
        with pytest.raises(ImageError, match=f"{name} {sentence}"):
            blur.read_psf(tmp_path / name)
    (tmp_path / "trail.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(ImageError, match=r"numpy's \.npy or a picture .*trail\.mat"):
        blur_files(tmp_path / "alpha.png", tmp_path / "out.png", str(tmp_path / "trail.mat"))


def test_nothing_is_written_over_what_it_is_made_from(album, tmp_path):
    before = {name: (album / name).read_bytes() for name in names_in(album)}
    for source, target in (
        (album, album),
        (album / "a.png", album),
        (album / "a.png", album / "deep" / ".." / "a.png"),
    ):
        with pytest.raises(ImageError, match=r"would be written over.*name another place"):
            blur_files(source, target, "D4")
        with pytest.raises(ImageError, match="would be written over"):
            deblur_files(source, target, "D4", "gradient")
    assert {name: (album / name).read_bytes() for name in names_in(album)} == before


def test_a_name_of_a_psf_is_no_file_even_if_there_is_one_of_that_name(album, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "D4").write_text("notes")
    assert blur_files(album, tmp_path / "out", "D4")[0] == 3


def test_a_target_without_a_format_is_an_error_and_nothing_is_written(album, tmp_path):
    with pytest.raises(ImageError, match="out"):
        blur_files(album / "a.png", tmp_path / "out", "D4")
    assert not (tmp_path / "out").exists()


# --- Deblurring files -----------------------------------------------------------------------------


def photo():
    return photograph(EXAMPLES[0])[:, 60:200, 130:300].contiguous()


@pytest.mark.parametrize("name", ["D8", "V8", "shake:3"])
@pytest.mark.parametrize("pixels", [False, True])
def test_deblurring_a_file_undoes_blurring_it(tmp_path, name, pixels):
    write_image(photo(), tmp_path / "in.png")
    blur_files(tmp_path / "in.png", tmp_path / "blurred.png", name, pixels)
    assert deblur_files(tmp_path / "blurred.png", tmp_path / "out.png", name, pixels=pixels) == (
        1,
        [],
    )
    before, after = (
        psnr(read_image(tmp_path / f"{one}.png"), photo()) for one in ("blurred", "out")
    )
    assert after > before + 3


def test_deblurring_a_folder_keeps_names_and_each_files_own_shake(tmp_path):
    for name in ("a.png", "deep/b.png"):
        write_image(photo(), tmp_path / "album" / name)
    (tmp_path / "album" / "c.png").write_text("no image")
    blur_files(tmp_path / "album", tmp_path / "blurred", "shake")
    done, broken = deblur_files(tmp_path / "album", tmp_path / "wrong", "D2", "gradient")
    assert done == 2 and "c.png" in broken[0]
    assert deblur_files(tmp_path / "blurred", tmp_path / "out", "shake", "gradient") == (2, [])
    assert names_in(tmp_path / "out") == ["a.png", "deep/b.png"]
    for name in names_in(tmp_path / "out"):
        gained = psnr(read_image(tmp_path / "out" / name), photo()) - psnr(
            read_image(tmp_path / "blurred" / name), photo()
        )
        assert gained > 3
    with pytest.raises(ValueError, match=r"name the kernel, as in shake:17"):
        deblur_files(tmp_path / "blurred" / "a.png", tmp_path / "x.png", "shake")


def test_a_jpeg_is_taken_to_have_more_noise_the_coarser_it_is(tmp_path):
    from PIL import Image

    assumed, seen = {}, blur.apply(photo(), "D8")
    for quality in (95, 85, 70):
        Image.fromarray(photo().permute(1, 2, 0).numpy()).save(
            tmp_path / f"{quality}.jpg", quality=quality
        )
        assumed[quality] = assumed_noise(seen, tmp_path / f"{quality}.jpg")
    assert ROUNDING < assumed[95] < assumed[85] < assumed[70] < 4
    write_image(photo(), tmp_path / "lossless.png")
    assert assumed_noise(seen, tmp_path / "lossless.png") < 1.2 * ROUNDING
    measured = assumed_noise(seen, tmp_path / "lossless.png", measured=True)
    assert measured > PSF_ERROR > assumed_noise(seen, tmp_path / "lossless.png")
    write_image(blur.apply(photo(), "D8"), tmp_path / "blurred.jpg")
    deblur_files(tmp_path / "blurred.jpg", tmp_path / "told.png", "D8", noise=ROUNDING, pixels=True)
    deblur_files(tmp_path / "blurred.jpg", tmp_path / "out.png", "D8", pixels=True)
    told, out = (psnr(read_image(tmp_path / f"{name}.png"), photo()) for name in ("told", "out"))
    assert out > told + 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "sharpen"}, "a method of deblurring is one of epll, .*'sharpen'"),
        ({"border": "torus"}, "a border is unknown or mirror. Got 'torus'"),
        ({"noise": -1.0}, "noise is a standard deviation above 0"),
        ({"condition": "D"}, "a PSF is one of"),
    ],
)
def test_deblurring_says_what_is_wrong_before_it_writes(tmp_path, options, sentence):
    write_image(photo(), tmp_path / "in.png")
    with pytest.raises(ValueError, match=sentence):
        deblur_files(tmp_path / "in.png", tmp_path / "out.png", **({"condition": "D8"} | options))
    assert names_in(tmp_path) == ["in.png"]
