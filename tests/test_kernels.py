"""Point-spread functions: invariants over the registry, formulas, pinned camera shake, names."""

import math

import numpy as np
import pytest
from scipy import ndimage

from blurpaper import kernels
from blurpaper.kernels import KINDS, axis_variance, psf, shake_bank

SCALES = (1.0, 108 / 384, 0.25, 1.5, 2.0)
SIZES = (1, 2, 3, 4, 7, 8, 12)
TABLE_1 = ("D2", "D4", "D6", "D8", "H4", "H8", "V4", "V8", "G4", "G8")
NAMES = [f"{letter}{size}" for letter in KINDS for size in SIZES] + [
    "D2.5",
    "G0.5",
    "shake:0",
    "shake:17",
    "shake:99",
]


def centroid(kernel):
    y, x = (np.arange(side) - side // 2 for side in kernel.shape)
    kernel = kernel.astype(np.float64)
    return np.array([kernel.sum(axis=1) @ y, kernel.sum(axis=0) @ x])


def naive_variance(kernel):
    """Along y and x, as statistics of the elements' places."""
    places = np.indices(kernel.shape).reshape(2, -1)
    return np.diag(np.cov(places, aweights=kernel.ravel().astype(np.float64), ddof=0))


# --- Every kernel of the registry -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_psf_is_finite_non_negative_of_unit_sum_and_of_odd_sides(name):
    for scale in SCALES:
        kernel = psf(name, scale)
        assert kernel.dtype == np.float32 and kernel.ndim == 2, scale
        assert all(side % 2 == 1 for side in kernel.shape), scale
        assert np.isfinite(kernel).all() and kernel.min() >= 0, scale
        assert abs(kernel.sum(dtype=np.float64) - 1) < 1e-6, scale


@pytest.mark.parametrize("name", NAMES)
def test_a_psf_is_centred(name):
    for scale in SCALES:
        offset = np.abs(centroid(psf(name, scale)))
        if name.startswith("shake"):  # to the nearest pixel of the canonical scale
            assert offset.max() <= 0.5 * max(1, scale) + 1e-5, scale
        elif (
            name[0] in "HV" and int(name[1:]) % 2 == 0 and scale == 1
        ):  # an even number of equal taps has no middle
            assert sorted(offset) == pytest.approx([0, 0.5], abs=1e-6)
        else:
            assert offset.max() < 1e-6, scale


@pytest.mark.parametrize("name", NAMES)
def test_variance_grows_with_the_square_of_the_scale(name):
    canonical = naive_variance(psf(name))
    for scale in SCALES[1:]:
        assert naive_variance(psf(name, scale)) == pytest.approx(
            scale**2 * canonical, rel=0.01, abs=1e-6
        ), scale


@pytest.mark.parametrize("name", NAMES)
def test_axis_variance_is_the_variance(name):
    assert axis_variance(psf(name)) == pytest.approx(naive_variance(psf(name)), abs=1e-9)


@pytest.mark.parametrize("letter", KINDS)
def test_a_larger_size_is_more_blur(letter):
    spread = [axis_variance(psf(f"{letter}{size}")).sum() for size in SIZES]
    assert (np.diff(spread) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_nobody_can_write_to_a_psf_that_others_share(name):
    for scale in SCALES:
        with pytest.raises(ValueError, match="read-only"):
            psf(name, scale)[0, 0] = 1


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_its_kind_and_its_size(name):
    kind, size = kernels.check_psf(name)
    assert f"{kind}{':' * (kind == 'shake')}{size:g}" == name


@pytest.mark.parametrize("scale", [1.0, 108 / 384])
def test_no_condition_of_table_1_is_sharp(scale):
    largest = [psf(name, scale).max() for name in TABLE_1] + list(
        shake_bank("test", scale).max(axis=(1, 2))
    )
    assert len(largest) == 110 and max(largest) < 0.97


# --- Shapes with a formula ------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1, 2, 2.5, 4, 6, 8, 11])
def test_a_disk_is_one_where_x2_plus_y2_is_at_most_r2(radius):
    reach = int(radius)
    disk = np.array(
        [
            [x * x + y * y <= radius**2 for x in range(-reach, reach + 1)]
            for y in range(-reach, reach + 1)
        ]
    )
    kernel = psf(f"D{radius}")
    assert kernel.shape == disk.shape
    assert np.array_equal(kernel > 0, disk)
    assert kernel[disk] == pytest.approx(1 / disk.sum())


def test_d8_is_17_by_17_with_197_equal_taps():
    assert psf("D8").shape == (17, 17)
    assert np.count_nonzero(psf("D8")) == 197  # Gauss's circle problem: N(8) = 197


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 8])
def test_a_box_is_that_many_equal_taps_in_a_row(length):
    row = psf(f"H{length}")
    assert row.shape == (1, 2 * (length // 2) + 1)
    assert np.count_nonzero(row) == length
    assert row[row > 0] == pytest.approx(1 / length)
    assert np.array_equal(psf(f"V{length}"), row.T)


def test_h8_has_its_centroid_half_a_pixel_off():
    assert psf("H8").tolist() == [[0.125] * 8 + [0.0]]
    assert centroid(psf("H8")).tolist() == [0, -0.5]


@pytest.mark.parametrize("scale", SCALES)
def test_a_vertical_box_is_a_horizontal_one_on_end(scale):
    assert np.array_equal(psf("V8", scale), psf("H8", scale).T)


@pytest.mark.parametrize("sigma", [1, 2, 4, 8])
def test_a_gaussian_is_scipys_cut_at_four_sigma(sigma):
    delta = np.zeros((8 * sigma + 1,) * 2)
    delta[4 * sigma, 4 * sigma] = 1
    expected = ndimage.gaussian_filter(delta, sigma, truncate=4.0, mode="constant")
    assert psf(f"G{sigma}").shape == expected.shape
    assert np.abs(psf(f"G{sigma}") - expected).max() < 1e-7


@pytest.mark.parametrize(("name", "scale"), [("D8", 0.5), ("D8", 108 / 384), ("D12", 1.5)])
def test_a_disk_at_another_scale_is_a_disk_averaged_over_each_pixel(name, scale):
    kernel = psf(name, scale)
    fine, half = 32, kernel.shape[0] // 2
    place = (np.arange(kernel.shape[0] * fine) + 0.5) / fine - half - 0.5
    squared = place[:, None] ** 2 + place[None] ** 2

    def disk(radius):
        share = (squared <= radius**2).reshape(kernel.shape[0], fine, -1, fine).mean(axis=(1, 3))
        return share / share.sum()

    # A disk has variance r² / 4 along an axis, and being averaged over a pixel adds about 1 / 12.
    target = scale**2 * naive_variance(psf(name))[0]
    radii = 2 * math.sqrt(target - 1 / 12) * np.linspace(0.98, 1.02, 41)
    expected = min(map(disk, radii), key=lambda sampled: abs(naive_variance(sampled)[0] - target))
    assert np.abs(kernel - expected).max() < 0.03 * expected.max()


@pytest.mark.parametrize("radius", [0.3, 0.5, 0.7, 1.0, 2.6, 17.0, 40.2])
def test_the_area_of_a_disk_in_a_pixel_is_that_of_256_lines(radius):
    reach = math.ceil(radius + 0.5)
    y, x = np.arange(-reach, reach + 1), (np.arange((2 * reach + 1) * 256) + 0.5) / 256
    chord = np.sqrt(np.maximum(radius**2 - (x - reach - 0.5) ** 2, 0))[:, None]
    covered = np.minimum(chord, y + 0.5) - np.maximum(-chord, y - 0.5)
    share = np.maximum(covered, 0).reshape(len(y), 256, -1).mean(axis=1)
    area = kernels._disk_area(radius)
    assert np.abs(area - (share + share.T) / 2).max() < 1e-14


@pytest.mark.parametrize("name", [name for name in NAMES if name[0] in "DG"])
def test_disks_and_gaussians_are_the_same_from_all_four_sides(name):
    for scale in SCALES:
        kernel = psf(name, scale)
        for turned in (kernel[::-1], kernel[:, ::-1], kernel.T):
            assert np.abs(kernel - turned).max() < 1e-7, scale


def test_the_search_for_an_extent_asks_for_none_far_larger_than_the_answer():
    # An area-sampled disk of 1,205 px takes gigabytes and a quarter of a minute; the answer may be
    # 75 px (a large photograph).
    asked = []

    def segment(length):
        asked.append(length)
        return kernels._segment_area(length)

    found = kernels._of_variance(segment, target=80**2 / 12)
    assert max(asked) < 4 * 80 and len(asked) < 20
    assert naive_variance(found[None])[1] == pytest.approx(80**2 / 12, rel=1e-13)


def test_a_disk_of_a_thousand_pixels_is_made_from_its_edge_alone():
    # Its lines in every pixel would take 7 GB.
    kernel = psf("D96", 10)
    assert kernel.shape == (1919, 1919)
    assert axis_variance(kernel)[0] == pytest.approx(100 * axis_variance(psf("D96"))[0], rel=1e-6)


# --- Names ----------------------------------------------------------------------------------------

BAD_NAMES = (
    "D-1", "D", "H0", "D0", "shake:100", "D1e9", "", "d8", "shake", "shake:-1", "shake:", "H4.5",
    "D8\n", " D8", "D8.", "D٨", "Z4", "D97", "G0.1", "8", "sharp", "disk", "D8,D4", "Dnan",
    "D08000", "shake:1234567",
)  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_an_error_that_says_what_it_got(name):
    with pytest.raises(ValueError) as caught:
        psf(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", [None, 8, 8.0, ("D", 8), b"D8"])
def test_what_is_no_string_is_no_name(name):
    with pytest.raises(ValueError) as caught:
        psf(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "scale", [0, -1, math.nan, math.inf, "2", None, [2], 2j, np.array([1.0, 2.0])]
)
@pytest.mark.parametrize("name", ["D8", "H8", "shake:3"])
def test_a_bad_scale_is_an_error_that_says_what_it_got(name, scale):
    with pytest.raises(ValueError) as caught:
        psf(name, scale=scale)
    assert repr(scale) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["sharp", "shake", "shake:3", "D8", "G0.5", *(f"{letter}4" for letter in KINDS)]
)
def test_a_condition_is_sharp_or_shake_or_a_psf(name):
    assert kernels.check_condition(name) == name


@pytest.mark.parametrize(
    "name", [*(name for name in BAD_NAMES if name not in ("sharp", "shake")), None]
)
def test_other_names_are_no_conditions(name):
    with pytest.raises(ValueError):
        kernels.check_condition(name)


# --- Camera shake ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "count"), [("test", 100), ("train", 10_000)])
def test_a_bank_of_camera_shake_has_its_size_and_every_kernel_its_invariants(split, count):
    bank = shake_bank(split)
    assert bank.shape == (count, 31, 31) and bank.dtype == np.float32
    assert np.isfinite(bank).all() and bank.min() >= 0
    assert np.abs(bank.sum(axis=(1, 2), dtype=np.float64) - 1).max() < 1e-6
    assert not bank.flags.writeable


@pytest.mark.parametrize("split", ["test", "train"])
def test_the_rounded_centre_of_mass_of_camera_shake_is_the_middle(split):
    bank, place = shake_bank(split).astype(np.float64), np.arange(31) - 15
    for axis in (1, 2):
        assert np.abs(bank.sum(axis=axis) @ place).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("split", ["test", "train"])
def test_camera_shake_moves_within_16_pixels(split):
    visited = shake_bank(split) > 0
    for axis in (1, 2):
        along = visited.any(axis=axis)
        assert (31 - along.argmax(axis=1) - along[:, ::-1].argmax(axis=1)).max() <= 16


@pytest.mark.parametrize("split", ["test", "train"])
def test_mean_rms_radius_of_camera_shake_lies_between_d6_and_d8(split):
    variance = np.array([axis_variance(kernel) for kernel in shake_bank(split)[:1000]])
    assert 4.5 < np.sqrt(variance.sum(axis=1)).mean() < 5.6
    low, high = (math.sqrt(axis_variance(psf(name)).sum()) for name in ("D6", "D8"))
    assert low < np.sqrt(variance.sum(axis=1)).mean() < high


@pytest.mark.parametrize("scale", SCALES[1:])
def test_every_camera_shake_has_the_variance_of_its_scale(scale):
    canonical, scaled = (
        np.array([axis_variance(kernel) for kernel in shake_bank("test", each)])
        for each in (1.0, scale)
    )
    assert scaled == pytest.approx(scale**2 * canonical, rel=0.01)


def test_training_and_testing_share_no_camera_shake():
    test, train = (
        {kernel.tobytes() for kernel in shake_bank(split)} for split in ("test", "train")
    )
    assert len(test) == 100 and len(train) == 10_000
    assert not test & train


def test_a_camera_shake_by_name_is_that_of_the_test_bank():
    assert np.array_equal(psf("shake:17"), shake_bank("test")[17])
    assert np.array_equal(psf("shake:17", 0.25), shake_bank("test", 0.25)[17])


@pytest.mark.parametrize(
    ("split", "number", "place", "largest", "taps"),
    [
        ("test", 0, (16, 17), 0.06591479, 30),
        ("test", 17, (12, 17), 0.03629318, 53),
        ("train", 0, (17, 18), 0.04651761, 43),
        ("train", 9999, (19, 18), 0.03981111, 55),
    ],
)
def test_camera_shake_is_the_same_everywhere_and_for_ever(split, number, place, largest, taps):
    kernel = shake_bank(split)[number]
    assert np.unravel_index(kernel.argmax(), kernel.shape) == place
    assert kernel.max() == pytest.approx(largest, abs=1e-7)
    assert np.count_nonzero(kernel) == taps


def test_an_unknown_bank_is_an_error():
    with pytest.raises(ValueError, match="'val'"):
        shake_bank("val")


@pytest.mark.parametrize("scale", [0, -1, math.nan])
def test_a_bank_at_a_bad_scale_is_an_error_that_says_what_it_got(scale):
    # 0 and -1 would give arrays of nonsense.
    with pytest.raises(ValueError) as caught, np.errstate(all="ignore"):
        shake_bank("test", scale)
    assert repr(scale) in str(caught.value)
