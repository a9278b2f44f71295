"""Metrics, against plain loops."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from blurpaper.evaluation import metrics


def log_probabilities(count=60, classes=12, seed=0, sharpness=3.0):
    drawn = np.random.RandomState(seed).normal(size=(count, classes)) * sharpness
    return torch.from_numpy(drawn.astype(np.float32))


def labels_for(count=60, classes=12, seed=1):
    return np.random.RandomState(seed).randint(0, classes, count)


def naive_decisions(rows, labels):
    """One image at a time, one class at a time."""
    found = {"rank": [], "entropy": [], "cross_entropy": [], "confidence": []}
    for row, label in zip(rows, labels):
        weights = [math.exp(float(value) - max(map(float, row))) for value in row]
        shares = [weight / sum(weights) for weight in weights]
        order = sorted(range(len(shares)), key=lambda number: (-float(row[number]), number))
        found["rank"].append(order.index(label))
        found["entropy"].append(-sum(share * math.log(share) for share in shares if share > 0))
        found["cross_entropy"].append(-math.log(shares[label]))
        found["confidence"].append(max(shares))
    return found


def naive_calibration_error(confidence, correct, bins=15):
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [
            i
            for i, c in enumerate(confidence)
            if low <= c < high or (number == bins - 1 and c == 1)
        ]
        if inside:
            accuracy = sum(bool(correct[i]) for i in inside) / len(inside)
            total += (
                len(inside)
                / len(confidence)
                * abs(accuracy - sum(confidence[i] for i in inside) / len(inside))
            )
    return total


# --- Decisions ------------------------------------------------------------------------------------


def test_decisions_are_those_of_a_plain_loop():
    rows, labels = log_probabilities(), labels_for()
    found = metrics.decide(rows, labels)
    expected = naive_decisions(rows, labels)
    assert found["rank"].tolist() == expected["rank"]
    for name in ("entropy", "cross_entropy", "confidence"):
        assert found[name] == pytest.approx(np.array(expected[name]), abs=1e-5)


def test_decisions_are_of_the_renormalised_distribution():
    rows, labels = log_probabilities(), labels_for()
    shift = torch.from_numpy(np.random.RandomState(2).normal(size=(60, 1)).astype(np.float32))
    one, other = metrics.decide(rows, labels), metrics.decide(rows - 5 + shift, labels)
    assert one["rank"].tolist() == other["rank"].tolist()
    for name in ("entropy", "cross_entropy", "confidence"):
        assert one[name] == pytest.approx(other[name], abs=1e-4)


@pytest.mark.parametrize(
    ("row", "ranks"),
    [
        ([0, 0, 0, 0], [0, 1, 2, 3]),
        ([1, 0, 1, 0], [0, 2, 1, 3]),
        ([0, 5, 5, 5], [3, 0, 1, 2]),
        ([-1, 2, -1, 2], [2, 0, 3, 1]),
    ],
)
def test_of_equals_the_lower_class_number_goes_first(row, ranks):
    rows = torch.tensor([row] * 4, dtype=torch.float32)
    assert metrics.decide(rows, np.arange(4))["rank"].tolist() == ranks


def test_entropy_of_the_uniform_distribution_is_the_logarithm_of_the_classes():
    found = metrics.decide(torch.zeros(1, 1000), np.array([7]))
    assert found["entropy"] == pytest.approx([math.log(1000)], abs=1e-4)
    assert found["cross_entropy"] == pytest.approx([math.log(1000)], abs=1e-4)
    assert found["confidence"] == pytest.approx([0.001], abs=1e-6)


def test_a_sure_network_has_no_entropy():
    rows = torch.full((2, 5), -1000.0)
    rows[:, 3] = 0
    found = metrics.decide(rows, np.array([3, 0]))
    assert found["entropy"].tolist() == [0, 0]
    assert found["cross_entropy"] == pytest.approx([0, 1000])
    assert found["rank"].tolist() == [0, 1]


def test_a_network_that_gives_no_numbers_is_never_right():
    # Comparisons with nan are all false, so the truth would rank first: a diverged network would
    # score 100 %.
    rows = torch.full((3, 10), float("nan"))
    try:
        found = metrics.decide(rows, np.array([0, 4, 9]))
    except ValueError:
        return
    assert (metrics.per_image(found)["top1"] != 1).all()


@pytest.mark.parametrize(
    ("labels", "got"),
    [([0, 3], "0 to 3"), ([-1, 0], "-1 to 0"), ([0], "1 labels for 2 rows"), ([], "0 labels")],
)
def test_labels_that_do_not_fit_are_an_error_that_says_what_it_got(labels, got):
    with pytest.raises(ValueError, match=got):
        metrics.decide(torch.zeros(2, 3), np.array(labels, np.int64))


def test_no_images_have_no_decisions():
    found = metrics.decide(torch.zeros(0, 3), np.zeros(0, np.int64))
    assert all(len(values) == 0 for values in found.values())


def test_top_1_and_top_5_count_ranks():
    decided = {
        "rank": np.array([0, 1, 4, 5, 99]),
        "entropy": np.arange(5.0),
        "cross_entropy": np.arange(5.0) + 1,
    }
    terms = metrics.per_image(decided)
    assert terms["top1"].tolist() == [1, 0, 0, 0, 0]
    assert terms["top5"].tolist() == [1, 1, 1, 0, 0]
    assert terms["entropy"].tolist() == [0, 1, 2, 3, 4]
    assert terms["cross_entropy"].tolist() == [1, 2, 3, 4, 5]
    assert all(values.dtype == np.float64 for values in terms.values())


# --- Divergence between two predictions -----------------------------------------------------------


def test_js_divergence_is_that_of_a_plain_loop():
    from scipy.spatial.distance import jensenshannon

    one, other = log_probabilities(seed=0), log_probabilities(seed=1)
    expected = [
        jensenshannon(p, q) ** 2
        for p, q in zip(one.double().softmax(dim=1).numpy(), other.double().softmax(dim=1).numpy())
    ]
    assert metrics.js_divergence(one, other) == pytest.approx(np.array(expected), abs=1e-9)
    assert metrics.js_divergence(one, other) == pytest.approx(
        metrics.js_divergence(other, one), abs=1e-12
    )


def test_js_divergence_is_from_0_to_the_logarithm_of_2():
    one = log_probabilities()
    assert metrics.js_divergence(one, one - 3) == pytest.approx(np.zeros(60), abs=1e-6)
    apart = torch.tensor([[0.0, -1000.0]]), torch.tensor([[-1000.0, 0.0]])
    assert metrics.js_divergence(*apart) == pytest.approx([math.log(2)])


# --- Calibration ----------------------------------------------------------------------------------


def confident(count=300, seed=0):
    draw = np.random.RandomState(seed)
    confidence = draw.random_sample(count)
    return confidence, draw.random_sample(count) < confidence**2


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_is_that_of_a_plain_loop_over_bins(seed):
    confidence, correct = confident(seed=seed)
    assert metrics.calibration_error(confidence, correct) == pytest.approx(
        naive_calibration_error(confidence, correct)
    )


@pytest.mark.parametrize(
    ("confidence", "correct", "error"),
    [
        ([1.0, 1.0], [True, True], 0.0),
        ([1.0, 1.0], [False, False], 1.0),
        ([1.0, 1.0], [True, False], 0.5),
        ([0.0, 0.01], [False, False], 0.005),
        ([0.7, 0.7, 0.7, 0.7], [True, True, True, False], 0.05),
        ([0.9, 0.1], [False, True], 0.9),  # errors of different bins do not cancel
    ],
)
def test_calibration_error_of_small_examples(confidence, correct, error):
    assert metrics.calibration_error(np.array(confidence), np.array(correct)) == pytest.approx(
        error
    )


def test_weights_of_one_are_no_weights():
    confidence, correct = confident()
    weighted = metrics.calibration_error(confidence, correct, np.ones((2, 300)))
    assert weighted == pytest.approx([metrics.calibration_error(confidence, correct)] * 2)


def test_a_weight_is_how_often_an_image_counts():
    confidence, correct = confident(50)
    counts = np.random.RandomState(3).randint(0, 4, (5, 50))
    repeated = [
        naive_calibration_error(np.repeat(confidence, row), np.repeat(correct, row))
        for row in counts
    ]
    assert metrics.calibration_error(confidence, correct, counts.astype(float)) == pytest.approx(
        repeated
    )


# --- Risk and coverage ----------------------------------------------------------------------------


def test_risk_is_the_share_of_wrong_ones_among_the_most_confident():
    kept, risk = metrics.risk_coverage(
        np.array([0.2, 0.9, 0.5, 0.7]), np.array([False, True, True, False])
    )
    assert kept.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    area = metrics.area_under_risk_coverage(
        np.array([0.2, 0.9, 0.5, 0.7]), np.array([False, True, True, False])
    )
    assert area == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)


def test_equals_are_kept_or_dropped_together():
    confidence, correct = np.array([0.5, 0.9, 0.5, 0.5]), np.array([True, True, False, False])
    kept, risk = metrics.risk_coverage(confidence, correct)
    assert kept.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == [0, 0.5, 0.5, 0.5]


def test_the_order_of_the_images_does_not_matter_even_with_ties():
    draw = np.random.RandomState(0)
    confidence, correct = draw.randint(0, 6, 40) / 6, draw.randint(0, 2, 40).astype(bool)
    shuffled = draw.permutation(40)
    assert metrics.risk_coverage(confidence[shuffled], correct[shuffled])[1] == pytest.approx(
        metrics.risk_coverage(confidence, correct)[1]
    )


def test_at_full_coverage_the_risk_is_the_error():
    confidence, correct = confident()
    kept, risk = metrics.risk_coverage(confidence, correct)
    assert kept[-1] == 1
    assert risk[-1] == pytest.approx(1 - correct.mean())


def test_confidence_that_tells_right_from_wrong_has_the_smaller_area():
    correct = np.arange(100) < 70
    knowing = metrics.area_under_risk_coverage(1.0 - np.arange(100) / 100, correct)
    misled = metrics.area_under_risk_coverage(np.arange(100) / 100, correct)
    unsure = metrics.area_under_risk_coverage(np.full(100, 0.5), correct)
    assert knowing < unsure < misled
    assert unsure == pytest.approx(0.3)


# --- Quality of a restored image ------------------------------------------------------------------


def test_psnr_of_a_known_error() -> None:
    image = torch.full((3, 5, 5), 100, dtype=torch.uint8)
    assert metrics.psnr(image + 5, image) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr(image, image) == metrics.NO_DIFFERENCE
    nearest = torch.zeros(3, 384, 512, dtype=torch.uint8)
    nearest[0, 0, 0] = 1
    assert metrics.psnr(nearest, nearest * 0) == pytest.approx(metrics.NO_DIFFERENCE)  # 105.9 dB


def test_ssim_is_wangs_formula() -> None:
    draw = np.random.RandomState(0)
    one = np.clip(gaussian_filter(draw.uniform(0, 255, (40, 48)), 2) * 3 - 250, 0, 255).round()
    other = np.clip(one + 12 * draw.standard_normal(one.shape), 0, 255).round()
    images = [
        torch.from_numpy(np.repeat(image[None], 3, axis=0).astype(np.uint8))
        for image in (one, other)
    ]

    def local(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=3.5)

    means = [local(image) for image in (one, other)]
    variances = [local(image**2) - mean**2 for image, mean in zip((one, other), means, strict=True)]
    shared = local(one * other) - means[0] * means[1]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similar = (2 * means[0] * means[1] + c1) * (2 * shared + c2)
    similar /= (means[0] ** 2 + means[1] ** 2 + c1) * (sum(variances) + c2)
    assert metrics.ssim(*images) == pytest.approx(similar[5:-5, 5:-5].mean(), abs=1e-4)
    assert metrics.ssim(images[0], images[0]) == pytest.approx(1)


def test_psnr_after_alignment_takes_back_a_shift_to_a_quarter_of_a_pixel() -> None:
    from scipy import ndimage

    draw = np.random.RandomState(0)
    fine = ndimage.gaussian_filter(draw.standard_normal((560, 600)), 8)
    fine = 128 + 40 * fine / fine.std()

    def sampled(down: int, across: int) -> torch.Tensor:  # in quarters of a pixel
        part = fine[60 + down : 500 + down : 4, 60 + across : 540 + across : 4]
        return torch.from_numpy(part).round().clamp(0, 255).to(torch.uint8)[None]

    whole = sampled(0, 0)
    assert metrics.aligned_psnr(whole, whole) == metrics.NO_DIFFERENCE
    for shift in ((0, 5), (-9, 30), (36, -38)):
        assert metrics.psnr(sampled(*shift), whole) < 30
        assert metrics.aligned_psnr(sampled(*shift), whole) > 45
    noisy = (whole + torch.from_numpy(5 * draw.standard_normal(whole.shape))).round()
    found = metrics.aligned_psnr(noisy.clamp(0, 255).to(torch.uint8).roll((3, -2), (1, 2)), whole)
    assert found == pytest.approx(20 * np.log10(255 / 5), abs=0.4)
