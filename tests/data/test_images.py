"""Image files of every sort to 8-bit RGB, and back; damaged ones to an error that names them."""

import gc
import io
import math
import struct
import weakref
import zlib

import cv2
import numpy as np
import pytest
import torch
from helpers import MemorySet
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st
from PIL import Image, ImageCms
from torch.nn import functional

from blurpaper import data
from blurpaper.data import folders, images
from blurpaper.data.images import (
    SUFFIXES,
    ImageError,
    Shard,
    image_files,
    images_of,
    read_image,
    scenes_of,
    to_canonical,
    to_scene,
    write_image,
)
from blurpaper.evaluation import predictions, protocol
from blurpaper.networks import NetworkSpec, files
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import Run
from blurpaper.runs.profile import load


def pixels(height=5, width=7, channels=3, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (height, width, channels)).astype(np.uint8)


def as_array(tensor):
    assert tensor.dtype == torch.uint8 and tensor.ndim == 3 and tensor.shape[0] == 3
    return tensor.numpy().transpose(1, 2, 0)


def bytes_of(image, suffix, **options):
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


# --- Right values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 9), (9, 1)])
def test_colours_come_as_they_are(tmp_path, suffix, shape):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(pixels(*shape)).save(path)
    assert np.array_equal(as_array(read_image(path)), pixels(*shape))
    assert np.array_equal(as_array(read_image(str(path))), pixels(*shape))


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_files_come_nearly_as_they_were(tmp_path, suffix):
    smooth = np.stack(
        [np.add.outer(np.arange(32), np.arange(48)) * k for k in (1, 2, 3)], axis=2
    ).astype(np.uint8)
    Image.fromarray(smooth // 2).save(tmp_path / f"image{suffix}", quality=98)
    read = as_array(read_image(tmp_path / f"image{suffix}"))
    assert read.shape == (32, 48, 3)
    assert np.abs(read.astype(int) - smooth // 2).mean() < 4


def test_grey_is_the_same_in_all_channels(tmp_path):
    grey = pixels()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(
        as_array(read_image(tmp_path / "grey.png")), np.repeat(grey[..., None], 3, axis=2)
    )


def test_black_and_white_is_0_and_255(tmp_path):
    bits = pixels()[..., 0] > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert np.array_equal(as_array(read_image(tmp_path / "bits.png"))[..., 1], 255 * bits)


def test_a_palette_is_looked_up(tmp_path):
    image = Image.fromarray(pixels()).quantize(16)
    image.save(tmp_path / "palette.png")
    palette = np.array(image.getpalette()).reshape(-1, 3)
    assert np.array_equal(as_array(read_image(tmp_path / "palette.png")), palette[np.array(image)])


def test_what_is_transparent_shows_white_behind_it(tmp_path):
    given = pixels(channels=4)
    Image.fromarray(given).save(tmp_path / "alpha.png")
    share = given[..., 3:] / 255
    expected = share * given[..., :3] + (1 - share) * 255
    assert np.abs(as_array(read_image(tmp_path / "alpha.png")) - expected).max() <= 1


def test_grey_with_transparency_shows_white_behind_it(tmp_path):
    image = Image.fromarray(np.array([[[10, 255], [10, 0]]], np.uint8), "LA")
    image.save(tmp_path / "grey.png")
    assert as_array(read_image(tmp_path / "grey.png")).tolist() == [[[10, 10, 10], [255, 255, 255]]]


def test_a_transparent_colour_of_a_palette_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "palette.png", transparency=1)
    assert as_array(read_image(tmp_path / "palette.png")).tolist() == [
        [[10, 20, 30], [255, 255, 255]]
    ]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, suffix):
    levels = np.array([[0, 128, 129, 257, 1000], [30000, 32768, 65000, 65407, 65535]], np.uint16)
    Image.fromarray(levels).save(tmp_path / f"deep{suffix}")
    expected = np.rint(levels / 257).astype(np.uint8)
    assert np.array_equal(
        as_array(read_image(tmp_path / f"deep{suffix}")), np.repeat(expected[..., None], 3, axis=2)
    )


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_dark_image_of_sixteen_bits_stays_dark(tmp_path, suffix):
    # Taken for 8 bits it would come 257 times too bright.
    levels = np.array([[0, 100, 128, 129, 255]], np.uint16)
    Image.fromarray(levels).save(tmp_path / f"dark{suffix}")
    assert as_array(read_image(tmp_path / f"dark{suffix}"))[0, :, 0].tolist() == [0, 0, 0, 1, 1]


def deep_png(levels, chunks=()):
    """A PNG of 16 bits: uint16 ``(H, W, C)``; Pillow writes none in colour."""

    def chunk(name, content):
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    height, width, channels = levels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
    more = b"".join(chunk(name, content) for name, content in chunks)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + more + body


DEEP = np.random.RandomState(7).randint(0, 65536, (9, 11, 4)).astype(np.uint16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bits_are_rounded_alike_in_grey_and_in_colour(tmp_path, channels):
    levels = DEEP[..., [0, 3]] if channels == 2 else DEEP[..., :channels]
    exact = levels / 257
    if channels in (2, 4):
        share = levels[..., -1:] / 65535
        exact = share * exact[..., :-1] + (1 - share) * 255
    (tmp_path / "deep.png").write_bytes(deep_png(levels))
    assert np.abs(as_array(read_image(tmp_path / "deep.png")) - exact).max() <= 0.5 + 1e-9
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = deep_png(levels, [(b"eXIf", exif.tobytes()[6:])])
    (tmp_path / "deep.png").write_bytes(turned)
    found = as_array(read_image(tmp_path / "deep.png"))
    assert np.abs(found - np.rot90(exact, -1)).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("compression", [1, 5])  # none, LZW
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_of_tiff_are_rounded_alike(tmp_path, channels, compression):
    levels, path = DEEP[..., :channels], tmp_path / "deep.tif"
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    cv2.imwrite(str(path), levels[..., order], [cv2.IMWRITE_TIFF_COMPRESSION, compression])
    share = levels[..., 3:] / 65535 if channels == 4 else 1
    exact = share * levels[..., :3] / 257 + (1 - share) * 255
    assert np.abs(as_array(read_image(path)) - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_of_sixteen_bits_is_white(tmp_path, channels):
    levels = DEEP[..., :channels]
    hidden = levels[2, 3].astype(">u2").tobytes()
    (tmp_path / "deep.png").write_bytes(deep_png(levels, [(b"tRNS", hidden)]))
    exact = levels / 257
    exact[2, 3] = 255
    assert np.abs(as_array(read_image(tmp_path / "deep.png")) - exact).max() <= 0.5


@pytest.mark.parametrize("kind", [np.float32, np.int32])
@pytest.mark.parametrize("high", [1, 255, 4095, 65535])
def test_levels_of_32_bits_are_refused_and_not_black_or_white(tmp_path, kind, high):
    levels = np.array([[0, high, 0]], kind)
    Image.fromarray(levels).save(tmp_path / "levels.tif")
    with pytest.raises(
        ImageError, match=r"levels\.tif has grey levels of 32 bits or with a sign.*8 or 16 bits"
    ):
        read_image(tmp_path / "levels.tif")


def test_a_dark_pgm_of_sixteen_bits_stays_dark(tmp_path):
    levels = np.array([[0, 100, 129, 255]])
    head = b"P5\n4 1\n65535\n"
    (tmp_path / "dark.ppm").write_bytes(head + levels.astype(">u2").tobytes())
    assert as_array(read_image(tmp_path / "dark.ppm"))[0, :, 0].tolist() == [0, 0, 1, 1]


# An sRGB profile with the names of two of its colours exchanged: who applies it sees red for green.
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SWAPPED = (
    SRGB.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".png", "RGB"), (".png", "RGBA"), (".png", "P"), (".tif", "RGB"), (".webp", "RGBA")],
)
def test_a_colour_profile_is_applied(tmp_path, suffix, mode):
    image, path = Image.fromarray(pixels(8, 8)).convert("RGB"), tmp_path / f"image{suffix}"
    image = image.quantize(8) if mode == "P" else image.convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(pixels(8, 8)[..., 0] // 128 * np.uint8(255)))
    image.save(path, icc_profile=SWAPPED, **({"lossless": True} if suffix == ".webp" else {}))
    expected = np.asarray(image.convert("RGB"))[..., [1, 0, 2]].astype(int)
    if mode == "RGBA":
        expected = np.where(np.asarray(image)[..., 3:] == 255, expected, 255)
    assert np.abs(as_array(read_image(path)) - expected).max() <= 1


def test_a_colour_profile_is_applied_to_jpegs_and_to_sixteen_bits(tmp_path):
    flat = Image.new("RGB", (16, 16), (200, 60, 90))
    flat.save(tmp_path / "image.jpg", icc_profile=SWAPPED, quality=95)
    found = as_array(read_image(tmp_path / "image.jpg")).reshape(-1, 3).mean(axis=0)
    assert np.abs(found - [60, 200, 90]).max() < 4
    profile = (b"iCCP", b"swapped\0\0" + zlib.compress(SWAPPED))
    (tmp_path / "deep.png").write_bytes(deep_png(DEEP[..., :3], [profile]))
    found = as_array(read_image(tmp_path / "deep.png"))
    assert np.abs(found - DEEP[..., [1, 0, 2]] / 257).max() <= 1.5


@pytest.mark.parametrize("profile", [SRGB, b"nonsense" * 20, SWAPPED[:200]])
def test_srgbs_own_profile_and_a_damaged_one_change_nothing(tmp_path, profile):
    Image.fromarray(pixels()).save(tmp_path / "image.png", icc_profile=profile)
    assert np.array_equal(as_array(read_image(tmp_path / "image.png")), pixels())


def test_printers_colours_become_those_of_a_screen(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    image.save(tmp_path / "print.jpg", quality=95)
    red = as_array(read_image(tmp_path / "print.jpg")).reshape(-1, 3).mean(axis=0)
    assert red[0] > 200 and red[1] < 60 and red[2] < 60


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}
"""EXIF orientation -> what to do with the stored rows (Exif 2.3, tag 0x0112): 6 says that row 0 is
the right-hand side.
"""


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_camera_held_sideways_gives_an_upright_image(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels()).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(
        as_array(read_image(tmp_path / "turned.png")), UPRIGHT[orientation](pixels())
    )


def test_a_photograph_with_orientation_6_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:, :16] = 255  # bright on the left as stored is bright on top when upright
    Image.fromarray(stored).save(tmp_path / "turned.jpg", exif=exif)
    upright = as_array(read_image(tmp_path / "turned.jpg"))
    assert upright.shape == (32, 16, 3)
    assert upright[:14].min() > 200 and upright[18:].max() < 55


def test_an_animation_is_its_first_picture(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert (as_array(read_image(tmp_path / "moving.gif")) == [255, 0, 0]).all()


def test_the_content_of_a_file_decides_and_not_its_name(tmp_path):
    (tmp_path / "image.jpg").write_bytes(bytes_of(Image.fromarray(pixels()), ".png"))
    assert np.array_equal(as_array(read_image(tmp_path / "image.jpg")), pixels())


# --- What cannot be read --------------------------------------------------------------------------

PHOTO = Image.fromarray(np.repeat(np.repeat(pixels(12, 16), 4, axis=0), 4, axis=1))
UNREADABLE = {
    "empty.jpg": b"",
    "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "text.png": b"no image at all",
    "truncated.jpg": bytes_of(PHOTO, ".jpg")[:1000],
    "truncated.png": bytes_of(PHOTO, ".png")[:200],
    "header.jpg": bytes_of(PHOTO, ".jpg")[:20],
    "zeros.bmp": bytes(500),
    "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_is_no_whole_image_is_an_error_that_names_it(tmp_path, name):
    (tmp_path / name).write_bytes(UNREADABLE[name])
    with pytest.raises(ImageError) as caught:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_a_folder_is_an_error_that_names_it(tmp_path):
    for path in (tmp_path / "nowhere.jpg", tmp_path):
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".gif"])
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_or_changed_anywhere_is_an_image_or_an_image_error(tmp_path, suffix):
    whole, path, draw = (
        bytes_of(PHOTO, suffix),
        tmp_path / f"image{suffix}",
        np.random.RandomState(0),
    )
    variants = [whole[:length] for length in np.linspace(0, len(whole) - 1, 25).astype(int)]
    for _ in range(40):
        changed = bytearray(whole)
        for place in draw.randint(0, min(len(whole), 200), 3):
            changed[place] = draw.randint(256)
        variants.append(bytes(changed))
    for variant in variants:
        path.write_bytes(variant)
        try:
            assert read_image(path).shape[0] == 3
        except ImageError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage!", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12", b"Exif\0\0"]
)
@pytest.mark.filterwarnings("ignore")
def test_nonsense_about_the_camera_is_passed_over_or_an_image_error(tmp_path, suffix, exif):
    path = tmp_path / f"image{suffix}"
    PHOTO.save(path, exif=exif)
    try:
        assert read_image(path).shape == (3, 48, 64)
    except ImageError as error:
        assert str(path) in str(error)


def test_an_image_of_absurd_size_is_an_error_and_not_all_memory(tmp_path):
    claim = bytearray(bytes_of(Image.new("L", (1, 1)), ".bmp"))
    claim[18:26] = (60_000).to_bytes(4, "little") * 2
    (tmp_path / "bomb.bmp").write_bytes(claim)
    with pytest.raises(ImageError, match=r"bomb\.bmp"):
        read_image(tmp_path / "bomb.bmp")


# --- Writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".PNG"])
def test_what_is_written_is_read_back(tmp_path, suffix):
    image = torch.from_numpy(pixels().transpose(2, 0, 1).copy())
    path = tmp_path / "new" / f"image{suffix}"
    write_image(image, path)
    assert torch.equal(read_image(path), image)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_that_is_looked_for_can_be_written(tmp_path, suffix):
    write_image(torch.full((3, 8, 9), 77, dtype=torch.uint8), tmp_path / f"image{suffix}")
    assert (read_image(tmp_path / f"image{suffix}").int() - 77).abs().max() <= 2


@pytest.mark.parametrize("name", ["image", "image.txt", "image.svg"])
def test_a_suffix_of_no_format_is_an_error_that_lists_some(tmp_path, name):
    with pytest.raises(ImageError, match=r"\.png") as caught:
        write_image(torch.zeros(3, 4, 4, dtype=torch.uint8), tmp_path / name)
    assert name in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".psd", ".fits", ".h5"])
def test_a_format_that_can_only_be_read_is_an_error_that_names_the_file(tmp_path, suffix):
    # Pillow registers formats that it cannot write.
    with pytest.raises(ImageError, match=f"image{suffix}"):
        write_image(torch.zeros(3, 4, 4, dtype=torch.uint8), tmp_path / f"image{suffix}")
    assert not list(tmp_path.iterdir())


# --- Looking for files ----------------------------------------------------------------------------


def test_image_files_are_found_below_a_folder_in_a_fixed_order(tmp_path):
    names = ["b.jpg", "a.PNG", "z/1.jpeg", "c/d/e.webp", "c/2.tiff", "c/10.tif", "B.bmp", "c/ü.ppm"]
    others = [
        "notes.txt",
        ".hidden.jpg",
        ".git/x.jpg",
        "c/.cache/y.png",
        "jpg",
        "movie.gif",
        "attribution.csv",
    ]
    for name in names + others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in image_files(tmp_path)]
    assert found == [
        "B.bmp",
        "a.PNG",
        "b.jpg",
        "c/10.tif",
        "c/2.tiff",
        "c/ü.ppm",
        "c/d/e.webp",
        "z/1.jpeg",
    ]
    assert [path.relative_to(tmp_path).as_posix() for path in image_files(str(tmp_path))] == found


def test_a_folder_that_is_not_there_holds_no_image(tmp_path):
    assert list(image_files(tmp_path / "nowhere")) == []


# --- Resizing -------------------------------------------------------------------------------------


def plain_resize(image: torch.Tensor, smaller_side: int) -> torch.Tensor:
    factor = smaller_side / min(image.shape[-2:])
    shape = [round(side * factor) for side in image.shape[-2:]]
    return functional.interpolate(image[None].float(), shape, mode="bicubic", antialias=True)[0]


def test_the_canonical_image_has_the_canonical_smaller_side_and_eight_bits(random_images) -> None:
    for image in random_images:
        canonical = images.to_canonical(image, 108)
        assert canonical.dtype == torch.uint8
        assert min(canonical.shape[-2:]) == 108
        assert canonical.shape[-1] / canonical.shape[-2] == pytest.approx(
            image.shape[-1] / image.shape[-2], abs=0.01
        )
        plain = plain_resize(image, 108).round().clamp(0, 255)
        assert (canonical.float() - plain).abs().max() <= 1


@tried(deadline=None, max_examples=300)
@given(st.integers(20, 3000), st.integers(20, 3000), st.floats(30, 700))
def test_a_scene_keeps_its_aspect_and_gets_the_mean_side_asked_for(
    height, width, mean_side
) -> None:
    found = images.scene_shape((3, height, width), mean_side)
    exact = [mean_side * math.sqrt(height / width), mean_side * math.sqrt(width / height)]
    for side, wanted in zip(found, exact, strict=True):
        assert abs(side - wanted) <= 0.5 + 1e-6 or (side == 1 and wanted < 0.5)
    assert math.prod(exact) == pytest.approx(mean_side**2)  # the exact sides are what was asked for
    assert images.scene_shape((width, height), mean_side) == found[::-1]


# --- Canonical images, one part of a set in memory at a time --------------------------------------


COUNT = 7
SHAPES = [(130, 150), (150, 130), (108, 108), (60, 200), (131, 131), (150, 130), (220, 210)]


@pytest.fixture
def tiny():
    return load("smoke", {"evaluation.images_per_shard": 3, "evaluation.batch": 2})


@pytest.fixture
def folder(tmp_path) -> folders.FolderSet:
    """Photographs of noise, one of which has the canonical size already."""
    draw = np.random.RandomState(0)
    (tmp_path / "noise").mkdir()
    for number, shape in enumerate(SHAPES):
        Image.fromarray(draw.randint(0, 256, (*shape, 3)).astype(np.uint8)).save(
            tmp_path / "noise" / f"{number}.png"
        )
    return folders.load_folder(tmp_path / "noise", name="noise")


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Names of the files that are decoded from now on, in their order."""
    names, plain = [], folders.read_image
    monkeypatch.setattr(
        folders, "read_image", lambda path: (names.append(path.stem), plain(path))[1]
    )
    return names


def test_images_are_those_asked_for_the_smaller_side_canonical(folder, decoded, tiny) -> None:
    found = images_of(folder, range(2, 6), tiny.protocol)
    assert sorted(decoded) == ["2", "3", "4", "5"]
    for number, image in zip(range(2, 6), found, strict=True):
        assert torch.equal(image, to_canonical(folder[number], 108))


def test_scenes_keep_their_own_shapes(folder, tiny) -> None:
    found = scenes_of(folder, range(COUNT), tiny.protocol)
    assert [one.shape for one in found] == SHAPES
    for number, (one, (height, width)) in enumerate(zip(found, SHAPES, strict=True)):
        assert torch.equal(one.image, to_scene(folder[number], 108).image)
        assert one.image.shape[1] * one.image.shape[2] == pytest.approx(108**2, rel=0.02)
        assert one.image.shape[1] / one.image.shape[2] == pytest.approx(height / width, rel=0.03)


def test_a_subset_gives_its_own_images_whether_from_files_or_not(
    folder, tiny, random_images
) -> None:
    for whole in (folder, MemorySet(random_images, [0] * 5, ("a",))):
        found = images_of(data.Subset(whole, [3, 1]), range(2), tiny.protocol)
        for number, image in zip((3, 1), found, strict=True):
            assert torch.equal(image, to_canonical(whole[number], 108))


def test_a_shard_makes_a_part_once_until_another_is_asked_for() -> None:
    made = []
    shard = Shard(lambda numbers: made.append(numbers) or list(numbers))
    asked = [range(2), range(2), range(2, 4), range(2)]
    assert [shard(numbers) for numbers in asked] == [list(numbers) for numbers in asked]
    assert made == [range(2), range(2, 4), range(2)]


# --- In predictions -------------------------------------------------------------------------------


@pytest.fixture
def stand_in(folder, tmp_path) -> NetworkFile:
    """A network with random weights."""
    torch.manual_seed(0)
    path = tmp_path / "network.safetensors"
    files.save(small_vgg(folder.classes[:5]), NetworkSpec("small_vgg"), path)
    return NetworkFile.at(path)


def test_predictions_decode_each_image_once_for_all_conditions_and_scales(
    stand_in, folder, decoded, tiny, store
) -> None:
    predictions.log_probabilities(
        stand_in, folder, ["sharp", "D4", "D8"], ["128", "256+512"], Run(tiny, store)
    )
    assert sorted(decoded) == [str(number) for number in range(COUNT)]


def test_one_part_of_a_set_is_in_memory_at_a_time(
    stand_in, folder, tiny, store, monkeypatch
) -> None:
    alive: list[weakref.ref] = []
    plain_read, plain_look = folders.read_image, protocol.log_probabilities

    def read(path):
        gc.collect()
        assert not any(one() is not None for one in alive)
        return plain_read(path)

    def look(networks, images, *more):
        alive.extend(map(weakref.ref, images))
        return plain_look(networks, images, *more)

    monkeypatch.setattr(folders, "read_image", read)
    monkeypatch.setattr(protocol, "log_probabilities", look)
    predictions.log_probabilities(stand_in, folder, ["sharp", "D4"], ["256"], Run(tiny, store))
    assert len(alive) == 2 * COUNT
