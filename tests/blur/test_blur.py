"""Blur, against scipy and a plain loop; mixes and the transform that draws from them."""

import itertools
import multiprocessing
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torchvision import tv_tensors
from torchvision.transforms import v2

from blurpaper import blur, kernels
from blurpaper.blur import convolution, scanlines
from blurpaper.data.images import read_image
from blurpaper.kernels import KINDS, psf, shake_bank

NAMES = [f"{letter}{size}" for letter in KINDS for size in (2, 4, 8)] + ["shake:0", "shake:17"]
HOSTILE = [(1, 1), (1, 5), (5, 1), (2, 2), (3, 3), (7, 90), (33, 20)]


def picture(height, width, seed=0, count=None):
    shape = (3, height, width) if count is None else (count, 3, height, width)
    return torch.from_numpy(np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8))


def lopsided(height, width, seed=0):
    """A random PSF that is not its own mirror image."""
    weights = np.random.RandomState(seed).random_sample((height, width)) ** 3
    return (weights / weights.sum()).astype(np.float32)


def by_scipy(image, kernel):
    planes = image.numpy().astype(np.float64)
    return np.stack(
        [ndimage.convolve(plane, kernel.astype(np.float64), mode="mirror") for plane in planes]
    )


def by_loop(image, kernel):
    """Convolution as it is defined, one pixel at a time."""

    def mirrored(place, size):
        while not 0 <= place < size:
            place = 0 if size == 1 else (-place if place < 0 else 2 * (size - 1) - place)
        return place

    channels, height, width = image.shape
    image, out = image.numpy().astype(np.float64), np.zeros((channels, height, width))
    for y, x in np.ndindex(height, width):
        for (i, j), weight in np.ndenumerate(kernel.astype(np.float64)):
            row = mirrored(y - (i - kernel.shape[0] // 2), height)
            column = mirrored(x - (j - kernel.shape[1] // 2), width)
            out[:, y, x] += weight * image[:, row, column]
    return out


def on_device(images, kernels):
    """The accelerator's path, here on a CPU."""
    return convolution._fourier_batch(images, kernels)


def assert_rounded(blurred, exact):
    """Rounded to 8 bits: half a grey level, and what floating point leaves."""
    assert blurred.dtype == torch.uint8
    assert blurred.shape == exact.shape
    assert np.abs(blurred.numpy() - exact).max() <= 0.51


def assert_one_level(one, other):
    assert one.shape == other.shape
    assert int((one.int() - other.int()).abs().max()) <= 1


# --- Convolution ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_blur_is_a_convolution_with_a_mirrored_border_rounded_once(name):
    image = picture(40, 50)
    assert_rounded(blur.apply(image, name), by_scipy(image, psf(name)))


@pytest.mark.parametrize(
    "sides", [(1, 3), (3, 3), (5, 11), (11, 11), (1, 31), (13, 9), (31, 31), (41, 1)]
)
def test_a_psf_is_flipped_as_in_true_convolution(sides):
    image, kernel = picture(34, 45), lopsided(*sides)
    assert np.abs(by_scipy(image, kernel) - by_scipy(image, kernel[::-1, ::-1])).max() > 5
    assert_rounded(blur.apply(image, kernel), by_scipy(image, kernel))


@pytest.mark.parametrize("sides", [(3, 3), (5, 7), (1, 9)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 3), (4, 6)])
def test_blur_is_the_definition_of_convolution(shape, sides):
    image, kernel = picture(*shape), lopsided(*sides)
    assert_rounded(blur.apply(image, kernel), by_loop(image, kernel))


@pytest.mark.parametrize("sides", [(5, 3), (11, 11), (31, 31), (1, 41)])
@pytest.mark.parametrize("shape", HOSTILE)
def test_images_smaller_than_the_psf_are_mirrored_again_and_again(shape, sides):
    image, kernel = picture(*shape), lopsided(*sides)
    exact = by_scipy(image, kernel)
    assert_rounded(blur.apply(image, kernel), exact)
    assert_rounded(on_device(image[None], [kernel])[0], exact[:])


@pytest.mark.parametrize("place", [(0, 0), (0, 4), (2, 1), (4, 2)])
def test_a_psf_of_one_tap_moves_the_image_by_its_place(place):
    kernel = np.zeros((5, 5), np.float32)
    kernel[place] = 1
    image = picture(12, 13)
    moved = blur.apply(image, kernel)
    down, right = place[0] - 2, place[1] - 2
    inside = (slice(None), slice(2 + down, 10 + down), slice(2 + right, 11 + right))
    assert torch.equal(moved[inside], image[:, 2:10, 2:11])


@pytest.mark.parametrize("level", [0, 1, 127, 255])
@pytest.mark.parametrize("name", NAMES)
def test_a_flat_image_stays_as_it_is(name, level):
    image = torch.full((3, 20, 24), level, dtype=torch.uint8)
    assert torch.equal(blur.apply(image, name), image)


def test_a_black_and_white_edge_neither_wraps_around_nor_overshoots():
    image = torch.zeros(3, 40, 40, dtype=torch.uint8)
    image[:, :, 20:] = 255
    blurred = blur.apply(image, "D8")[0, 20].int()
    assert (blurred.diff() >= 0).all()
    assert blurred[0] == 0 and blurred[-1] == 255


# --- One PSF, one per image, none -----------------------------------------------------------------


def test_the_devices_path_agrees_with_the_cpus_within_one_grey_level():
    kernels = [psf("D8"), None, psf("H8"), lopsided(3, 21), psf("shake:4"), psf("D2")]
    images = picture(48, 37, count=len(kernels))
    assert_one_level(on_device(images, kernels), blur.apply(images, kernels))


def test_the_devices_path_leaves_its_input_and_sharp_images_alone():
    images = picture(9, 9, count=3)
    before = images.clone()
    blurred = on_device(images, [None, psf("D2"), None])
    assert torch.equal(images, before)
    assert torch.equal(blurred[[0, 2]], images[[0, 2]]) and not torch.equal(blurred[1], images[1])
    assert torch.equal(on_device(images, [None] * 3), images)


@pytest.mark.parametrize("path", [blur.apply, on_device])
def test_a_batch_is_the_same_as_image_by_image(path):
    kernels = [psf("D8"), None, psf("G4"), psf("shake:4"), lopsided(3, 5)]
    images = picture(30, 31, count=5)
    one_by_one = torch.cat([path(image[None], [kernel]) for image, kernel in zip(images, kernels)])
    assert_one_level(path(images, kernels), one_by_one)


@pytest.mark.parametrize(
    "one",
    [
        "D4",
        np.array(psf("D4")),
        torch.from_numpy(np.array(psf("D4"))),
        psf("D4").tolist(),
    ],
)
def test_a_psf_may_be_a_name_or_an_array(one):
    image = picture(20, 21)
    one = np.array(one) if isinstance(one, list) else one
    assert torch.equal(blur.apply(image, one), blur.apply(image, "D4"))


def test_one_psf_serves_all_images():
    images = picture(20, 21, count=3)
    assert torch.equal(blur.apply(images, "D4"), blur.apply(images, ["D4"] * 3))


@pytest.mark.parametrize("as_type", [np.array, torch.tensor, list])
def test_psfs_may_be_an_array_with_one_per_image(as_type):
    images, bank = picture(36, 35, count=3), np.array(shake_bank("test")[:3])
    assert torch.equal(
        blur.apply(images, as_type(bank)), blur.apply(images, ["shake:0", "shake:1", "shake:2"])
    )


@pytest.mark.parametrize("sharp", [None, "sharp"])
def test_sharp_leaves_an_image_as_it_is(sharp):
    images = picture(15, 16, count=2)
    assert torch.equal(blur.apply(images, sharp), images)
    mixed = blur.apply(images, [sharp, "D2"])
    assert torch.equal(mixed[0], images[0]) and not torch.equal(mixed[1], images[1])


def test_what_comes_back_is_no_view_of_what_was_given():
    images = picture(8, 8, count=1)
    before = images.clone()
    blur.apply(images, None).zero_()
    blur.apply(images, "D2").zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize("kernel", ["D2", "D8"])
def test_the_layout_in_memory_does_not_matter(kernel):
    images = picture(24, 26, count=2)
    expected = blur.apply(images, kernel)
    assert torch.equal(
        blur.apply(images.contiguous(memory_format=torch.channels_last), kernel), expected
    )
    assert torch.equal(
        blur.apply(images.flip(-1), kernel), blur.apply(images.flip(-1).contiguous(), kernel)
    )
    wide = torch.zeros(2, 3, 24, 60, dtype=torch.uint8)
    wide[..., 5:31] = images
    assert torch.equal(blur.apply(wide[..., 5:31], kernel), expected)


def test_a_grey_image_is_blurred_as_its_copies_in_three_channels_are():
    images, kernels = picture(20, 33, count=4), ["D4", None, "H4", "shake:1"]
    grey = images[:, :1]
    blurred = blur.apply(grey, kernels)
    assert torch.equal(blurred, blur.apply(grey.expand(-1, 3, -1, -1), kernels)[:, :1])
    assert torch.equal(blur.apply(grey[0], "D4"), blurred[0])
    assert_one_level(on_device(grey, [psf("D4")] * 4), blur.apply(grey, "D4"))
    out = blur.RandomBlur({"D4": 1.0})(tv_tensors.Image(grey[0]))
    assert isinstance(out, tv_tensors.Image) and torch.equal(out, blurred[0])


@pytest.mark.parametrize("as_type", [np.array, pd.Index, lambda names: pd.Series(names, [7, 3])])
def test_names_may_come_in_an_array(as_type):
    images = picture(20, 21, count=2)
    assert torch.equal(blur.apply(images, as_type(["D4", "H4"])), blur.apply(images, ["D4", "H4"]))


def test_a_psf_in_a_precision_that_numpy_lacks_is_itself():
    kernel = torch.tensor([[0.25, 0.5, 0.25]])
    image = picture(9, 9)
    assert torch.equal(blur.apply(image, kernel.bfloat16()), blur.apply(image, kernel))


def test_an_empty_batch_is_blurred_at_once():
    assert blur.apply(torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "D2").shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(3, 8, 8),
        torch.zeros(3, 8, 8, dtype=torch.int32),
        np.zeros((3, 8, 8), np.uint8),
        None,
    ],
)
def test_images_that_are_not_8_bit_tensors_are_an_error(images):
    with pytest.raises(TypeError, match="uint8"):
        blur.apply(images, "D2")


@pytest.mark.parametrize(
    "shape", [(8, 8), (4, 8, 8), (8, 8, 3), (2, 4, 8, 8), (1, 2, 3, 8, 8), (3, 0, 8)]
)
def test_images_of_another_shape_are_an_error_that_says_which(shape):
    with pytest.raises(ValueError) as caught:
        blur.apply(torch.zeros(shape, dtype=torch.uint8), "D2")
    assert str(shape) in str(caught.value)


NOT_A_PSF = {
    "even sides": np.full((2, 2), 0.25),
    "one even side": np.full((1, 4), 0.25),
    "no side": np.zeros((0, 3)),
    "one axis": np.array([0.25, 0.5, 0.25]),
    "sum 2": np.full((1, 3), 2 / 3),
    "sum 0": np.zeros((3, 3)),
    "not a number": np.array([[0.5, np.nan, 0.5]]),
    "infinite": np.array([[0.5, np.inf, 0.5]]),
    "negative": np.array([[0.6, -0.2, 0.6]]),
}


@pytest.mark.parametrize("kernel", NOT_A_PSF.values(), ids=NOT_A_PSF)
def test_an_array_that_is_no_psf_is_an_error(kernel):
    with pytest.raises(ValueError, match="a PSF is"):
        blur.apply(picture(8, 8), kernel)
    with pytest.raises(ValueError, match="a PSF is"):
        blur.apply(picture(8, 8, count=2), [None, kernel])


@pytest.mark.parametrize(
    "psfs",
    [["D2"], ["D2"] * 3, [], np.array(shake_bank("test")[:4])],
    ids=["one", "three", "none", "four"],
)
def test_a_wrong_number_of_psfs_is_an_error_that_says_both(psfs):
    with pytest.raises(ValueError, match=f"Got {len(psfs)} PSFs for 2 images"):
        blur.apply(picture(8, 8, count=2), psfs)


@pytest.mark.parametrize("name", ["Z4", "shake", "D-1"])
def test_a_name_of_no_psf_is_an_error(name):
    with pytest.raises(ValueError) as caught:
        blur.apply(picture(8, 8), name)
    assert repr(name) in str(caught.value)


# --- Mixes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", kernels.MIXES)
def test_the_papers_mixes_are_distributions_over_conditions(name):
    assert kernels.check_mix(dict(kernels.MIXES[name])) == kernels.MIXES[name]
    assert kernels.check_mix(name) == kernels.MIXES[name]


def test_the_mix_of_table_3_is_sharp_and_four_disks_alike():
    assert kernels.check_mix("mix") == {"sharp": 0.2, "D2": 0.2, "D4": 0.2, "D6": 0.2, "D8": 0.2}
    assert kernels.check_mix("sharp+shake") == {"sharp": 0.2, "shake": 0.8}


@pytest.mark.parametrize(
    "half", [np.float32(0.5), torch.tensor(0.5), np.array(0.5), np.float64(0.5), Fraction(1, 2)]
)
def test_probabilities_may_be_numbers_of_any_library(half):
    for mix in ({"sharp": half, "D4": half}, pd.Series({"sharp": float(half), "D4": float(half)})):
        found = kernels.check_mix(mix)
        assert found == {"sharp": 0.5, "D4": 0.5}
        assert all(type(share) is float for share in found.values())


def test_a_mix_by_name_is_ones_own_to_change():
    # Else changing RandomBlur().mix would change MIXES.
    assert kernels.check_mix("mix") is not kernels.MIXES["mix"]


@pytest.mark.parametrize(
    "mix",
    [
        "nope", {}, {"D8": 0.5}, {"D8": 0.5, "D4": 0.6}, {"D8": 1.5, "D4": -0.5},
        {"D8": 1.0, "D4": 0}, {"D8": float("nan")}, {"D8": "1"}, {"Z9": 1.0}, {"shake:100": 1.0},
        {"D8": None},
    ],
)  # fmt: skip
def test_what_is_no_distribution_over_conditions_is_an_error(mix):
    with pytest.raises(ValueError):
        kernels.check_mix(mix)


@pytest.mark.parametrize(
    "mix", [*kernels.MIXES, {"D2": 0.125, "sharp": 0.5, "shake": 0.25, "H4": 0.125}]
)
def test_drawing_follows_the_probabilities(mix):
    mix, steps = kernels.check_mix(mix), 400
    bank = {kernel.tobytes() for kernel in shake_bank("train")}
    counts = dict.fromkeys(mix, 0)
    for step in range(steps):
        kernel = kernels.draw(mix, (step + 0.5) / steps, (step + 0.5) / steps)
        if kernel is None:
            counts["sharp"] += 1
        elif "shake" in mix and kernel.tobytes() in bank:
            counts["shake"] += 1
        else:
            (name,) = (
                name for name in mix if name[0] in KINDS and np.array_equal(psf(name), kernel)
            )
            counts[name] += 1
    assert counts == {name: pytest.approx(steps * share, abs=1) for name, share in mix.items()}


def test_rounding_at_the_end_of_the_unit_interval_still_draws():
    last = 1 - 2**-53
    assert np.array_equal(
        kernels.draw({"D2": 0.1, "D4": 0.2, "D6": 0.7 - 1e-9}, last, 0.0), psf("D6")
    )
    assert np.array_equal(kernels.draw({"shake": 1.0}, last, last), shake_bank("train")[-1])


def test_camera_shake_is_drawn_from_the_whole_training_bank_alike():
    drawn = [kernels.draw({"shake": 1.0}, 0.3, (number + 0.5) / 10_000) for number in range(10_000)]
    assert np.array_equal(np.stack(drawn), shake_bank("train"))


def test_drawing_at_another_scale_gives_psfs_of_that_scale():
    assert np.array_equal(kernels.draw({"D8": 1.0}, 0.5, 0.5, scale=0.25), psf("D8", 0.25))


# --- RandomBlur -----------------------------------------------------------------------------------


def which(image, blurred, mix):
    (condition,) = (
        condition for condition in mix if torch.equal(blur.apply(image, condition), blurred)
    )
    return condition


def test_random_blur_gives_each_image_of_a_batch_its_own_psf():
    torch.manual_seed(0)
    images = picture(24, 24, count=60)
    blurred = blur.RandomBlur("mix")(images)
    drawn = [which(image, out, kernels.MIXES["mix"]) for image, out in zip(images, blurred)]
    assert set(drawn) == set(kernels.MIXES["mix"])


def test_random_blur_follows_torchs_seed():
    transform, images = blur.RandomBlur("sharp+shake"), picture(24, 24, count=6)
    torch.manual_seed(3)
    first, second = transform(images), transform(images)
    torch.manual_seed(3)
    assert torch.equal(transform(images), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("shape", [(3, 12, 14), (2, 3, 12, 14), (2, 2, 3, 12, 14), (0, 3, 12, 14)])
def test_random_blur_keeps_the_shape_and_blurs_all(shape):
    images = torch.from_numpy(np.random.RandomState(1).randint(0, 256, shape).astype(np.uint8))
    blurred = blur.RandomBlur({"D4": 1.0})(images)
    expected = blur.apply(images.reshape(-1, 3, 12, 14) if len(images) else images, "D4")
    assert blurred.shape == shape and torch.equal(blurred.reshape(expected.shape), expected)


def test_random_blur_leaves_masks_boxes_and_labels_alone():
    image = tv_tensors.Image(picture(20, 22))
    mask = tv_tensors.Mask(picture(20, 22, seed=1))
    boxes = tv_tensors.BoundingBoxes(
        torch.tensor([[1, 2, 9, 8]]), format="XYXY", canvas_size=(20, 22)
    )
    sample = {"image": image, "mask": mask, "boxes": boxes, "label": 7, "name": "a"}
    out = blur.RandomBlur({"D4": 1.0})(sample)
    assert isinstance(out["image"], tv_tensors.Image) and isinstance(out["mask"], tv_tensors.Mask)
    assert torch.equal(out["image"].as_subclass(torch.Tensor), blur.apply(picture(20, 22), "D4"))
    assert torch.equal(out["mask"], mask) and torch.equal(out["boxes"], boxes)
    assert (out["label"], out["name"]) == (7, "a")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_random_blur_takes_and_gives_pil_images(mode):
    image = Image.fromarray(picture(18, 25).permute(1, 2, 0).numpy()).convert(mode)
    out = blur.RandomBlur({"H8": 1.0})(image)
    assert isinstance(out, Image.Image) and (out.size, out.mode) == (image.size, mode)
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    assert np.array_equal(
        np.array(out.convert("RGB")).transpose(2, 0, 1), blur.apply(pixels, "H8").numpy()
    )


def test_random_blur_shows_white_behind_what_is_transparent_as_reading_does(tmp_path):
    given = np.random.RandomState(0).randint(0, 256, (9, 8, 4)).astype(np.uint8)
    palette = Image.fromarray(given[..., 0] % 4, "P")
    palette.putpalette([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.info["transparency"] = 2
    colours = Image.fromarray(given, "RGBA")
    transform = blur.RandomBlur({"sharp": 1.0})
    for image in (colours, colours.convert("LA"), palette):
        image.save(tmp_path / "image.png")
        out = np.asarray(transform(image)).transpose(2, 0, 1)
        assert np.array_equal(out, read_image(tmp_path / "image.png").numpy())
    assert (out[:, given[..., 0] % 4 == 2] == 255).all()


def test_random_blur_is_left_as_it_is_by_torch_compile():
    transform, images = blur.RandomBlur("mix"), picture(20, 22, count=3)
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    def step(images):
        return transform(images.flip(-1)).float() / 255

    for function in (step, transform, lambda images: blur.apply(images.flip(-1), "D4") + 1):
        torch.manual_seed(0)
        expected = function(images)
        torch.manual_seed(0)
        assert torch.equal(torch.compile(function, backend=backend)(images), expected)
    assert len(graphs) == 4  # before and after the blur of the first and the last
    with pytest.raises(RuntimeError, match=r"torch\.compiler\.disable"):
        torch.compile(step, backend="eager", fullgraph=True)(images)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_random_blur_refuses_pil_images_of_more_than_eight_bits(kind):
    with pytest.raises(TypeError, match="eight bits; scale this one first"):
        blur.RandomBlur({"H8": 1.0})(Image.fromarray(np.full((9, 9), 300, kind)))


def test_random_blur_blurs_every_frame_of_a_video():
    frames = torch.stack([picture(20, 22)] * 3)
    out = blur.RandomBlur({"D4": 1.0})(tv_tensors.Video(frames))
    assert isinstance(out, tv_tensors.Video)
    assert torch.equal(out.as_subclass(torch.Tensor), blur.apply(frames, "D4"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ((["D4"],), "a mix is a name, or a mapping"),
        (({"D4": 1.0}, 0.0), "scale must be a positive number"),
    ],
)
def test_random_blur_refuses_nonsense_when_it_is_made(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        blur.RandomBlur(*given)


def test_random_blur_works_inside_a_pipeline():
    pipeline = v2.Compose(
        [v2.CenterCrop(16), blur.RandomBlur({"D2": 1.0}), v2.ToDtype(torch.float32, scale=True)]
    )
    image = picture(20, 24)
    torch.testing.assert_close(
        pipeline(image), blur.apply(v2.functional.center_crop(image, [16, 16]), "D2").float() / 255
    )


def test_random_blur_at_a_scale_means_psfs_of_that_scale():
    image = picture(30, 30)
    assert torch.equal(
        blur.RandomBlur({"D8": 1.0}, scale=0.5)(image), blur.apply(image, np.array(psf("D8", 0.5)))
    )


def test_random_blur_refuses_a_bad_mix_at_once_and_floats_when_it_sees_them():
    with pytest.raises(ValueError, match="Z4"):
        blur.RandomBlur({"Z4": 1.0})
    with pytest.raises(TypeError, match="uint8"):
        blur.RandomBlur({"D2": 1.0})(torch.zeros(3, 8, 8))


class Pictures(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, number):
        return blur.RandomBlur({"D2": 1.0})(picture(8, 8, seed=number))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_blur_works_in_the_workers_of_a_data_loader_after_it_was_used_here():
    # The pool of threads must not be kept across fork, where its threads are not: a worker would
    # wait for ever. The time limit only turns that into a failure.
    expected = torch.stack([Pictures()[0], Pictures()[1]])
    loader = torch.utils.data.DataLoader(
        Pictures(), batch_size=2, num_workers=1, multiprocessing_context="fork", timeout=5
    )
    assert torch.equal(next(iter(loader)), expected)


# --- The ways of blurring on the CPU --------------------------------------------------------------


def blurred_by(method, image, pixel=1, bands=1):
    """An image blurred by one way, by hand: plane by plane in bands of rows, or with its channels
    side by side.
    """
    planes = (
        image.numpy()
        if pixel == 1
        else image.permute(1, 2, 0).reshape(1, image.shape[1], -1).numpy()
    )
    out = np.zeros_like(planes)
    edges = np.linspace(0, image.shape[1], bands + 1).astype(int).tolist()
    for plane, target in zip(planes, out, strict=True):
        for top, bottom in itertools.pairwise(edges):
            method(plane, target, pixel, top, bottom)
    whole = out if pixel == 1 else out.reshape(*image.shape[1:], 3).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(whole))


WAYS = {
    "taps": scanlines.Taps.of,
    "runs": scanlines.Taps.of_runs,
    "separable": scanlines.Separable.of,
}


@pytest.mark.parametrize("shape", [*HOSTILE, (40, 50)])
@pytest.mark.parametrize(
    "name", ["D2", "D8", "D9", "D10", "D24", "H6", "V7", "G0.5", "G4", "shake:5", "lopsided"]
)
def test_every_way_of_blurring_that_fits_a_psf_is_its_convolution(name, shape):
    image, kernel = picture(*shape), lopsided(7, 9) if name == "lopsided" else psf(name)
    exact = by_scipy(image, kernel)
    ways = [way(kernel[::-1, ::-1]) for way in WAYS.values()]
    assert (
        sum(way is not None for way in ways)
        == {"D": 2, "H": 3, "V": 3, "G": 2, "s": 1, "l": 1}[name[0]]
    )
    for way in filter(None, ways):
        for pixel in (1, 3):
            assert_rounded(blurred_by(way, image, pixel), exact)


@pytest.mark.parametrize("name", ["D2", "D8", "H8", "G4", "shake:5"])
def test_a_band_of_rows_is_that_of_the_whole_and_layouts_agree(name):
    image, method = picture(41, 38), scanlines.method_of(psf(name))
    whole = blurred_by(method, image)
    assert torch.equal(blurred_by(method, image, bands=5), whole)
    assert torch.equal(blurred_by(method, image, pixel=3), whole)
    side_by_side = image[None].contiguous(memory_format=torch.channels_last)
    assert torch.equal(blur.apply(side_by_side, name)[0], whole)
    assert torch.equal(blur.apply(image, name), whole)


@pytest.mark.parametrize("radius", [2, 4, 6, 8, 9, 16])
def test_a_disk_is_blurred_exactly(radius):
    """The mean of whole numbers over a disk: no rounding but the last, which no disk of an odd
    number of taps leaves open.
    """
    image, kernel = picture(50, 60), psf(f"D{radius}")
    taps = np.count_nonzero(kernel)
    sums = np.stack(
        [
            ndimage.convolve(plane.astype(np.int64), (kernel > 0).astype(np.int64), mode="mirror")
            for plane in image.numpy()
        ]
    )
    assert taps % 2 == 1
    assert np.array_equal(blur.apply(image, kernel).numpy(), (2 * sums + taps) // (2 * taps))


def test_the_way_of_a_psf_is_the_one_of_fewest_operations():
    ways = {name: scanlines.method_of(psf(name)) for name in ("D2", "D8", "H8", "G4", "shake:5")}
    assert [way.of_running_sums for way in ways.values() if isinstance(way, scanlines.Taps)] == [
        False,
        True,
        False,
        False,
    ]
    assert isinstance(ways["G4"], scanlines.Separable)
    assert scanlines.method_of(lopsided(41, 41)) is None
