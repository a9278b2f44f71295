"""Scores of label maps, against plain loops over pixels."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blurpaper.data.sets import VOID
from blurpaper.evaluation import intervals
from blurpaper.segmentation import metrics

LABELS = 4


def of_set(confusions: np.ndarray, resamples: int) -> tuple[float, float, float]:
    return intervals.of_draws(metrics.draws(confusions, resamples))


def difference_of_sets(one: np.ndarray, other: np.ndarray, resamples: int):
    return intervals.of_draws(metrics.draws(one, resamples) - metrics.draws(other, resamples))


def map_of_labels(shape=(13, 17), labels=LABELS, seed=0, void=0.1, block=3):
    """Blocks of random labels with single pixels of void."""
    draw = np.random.RandomState(seed)
    coarse = draw.randint(0, labels, (-(-shape[0] // block), -(-shape[1] // block)))
    grown = (
        coarse.repeat(block, axis=0).repeat(block, axis=1)[: shape[0], : shape[1]].astype(np.uint8)
    )
    grown[draw.random_sample(shape) < void] = VOID
    return grown


def prediction_for(shape=(13, 17), labels=LABELS, seed=1):
    return np.random.RandomState(seed).randint(0, labels, shape).astype(np.uint8)


def scores_for(shape=(13, 17), labels=LABELS, seed=2):
    return np.random.RandomState(seed).normal(size=(labels, *shape)).astype(np.float32)


def set_of_confusions(count=12, labels=LABELS, seed=3):
    return np.random.RandomState(seed).randint(0, 50, (count, labels, labels))


HOSTILE = {
    "one pixel": np.zeros((1, 1), np.uint8),
    "one pixel of void": np.full((1, 1), VOID, np.uint8),
    "one row": map_of_labels((1, 20)),
    "one column": map_of_labels((20, 1)),
    "one label": np.full((6, 7), 2, np.uint8),
    "all void": np.full((6, 7), VOID, np.uint8),
    "one label and a pixel of void": np.where(np.arange(42).reshape(6, 7) == 17, VOID, 2).astype(
        np.uint8
    ),
    "checkerboard": (np.indices((6, 7)).sum(axis=0) % 2).astype(np.uint8),
    "not contiguous": map_of_labels((14, 20))[::2, ::-2],
}
hostile = pytest.mark.parametrize("truth", HOSTILE.values(), ids=HOSTILE.keys())


@st.composite
def maps(draw, labels=LABELS, void=True):
    """Label maps of up to 6 x 7 pixels."""
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 7))
    values = st.sampled_from([*range(labels), *([VOID] if void else [])])
    drawn = draw(st.lists(values, min_size=height * width, max_size=height * width))
    return np.array(drawn, np.uint8).reshape(height, width)


def few(test):
    return settings(max_examples=60, deadline=None, derandomize=True, database=None)(test)


def naive_confusion(truth, predicted, labels, where=None):
    found = [[0] * labels for _ in range(labels)]
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            if truth[y, x] != VOID and (where is None or where[y, x]):
                found[truth[y, x]][predicted[y, x]] += 1
    return found


def naive_near_boundary(truth, distance):
    height, width = truth.shape
    found = np.zeros(truth.shape, bool)
    for y in range(height):
        for x in range(width):
            for other_y in range(height):
                for other_x in range(width):
                    near = (other_y - y) ** 2 + (other_x - x) ** 2 <= distance**2
                    found[y, x] |= near and truth[other_y, other_x] != truth[y, x]
    return found


def naive_ious(truth, predicted, labels):
    """From the sets of coordinates of each label."""
    counted = [
        (y, x) for y in range(truth.shape[0]) for x in range(truth.shape[1]) if truth[y, x] != VOID
    ]
    found = []
    for label in range(labels):
        true = {at for at in counted if truth[at] == label}
        own = {at for at in counted if predicted[at] == label}
        found.append(len(true & own) / len(true | own) if true | own else math.nan)
    return found


def mean_of_known(values):
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def flooded(truth):
    """The regions, each a list of coordinates, found by flooding from pixel to pixel."""
    height, width = truth.shape
    regions, seen = [], set()
    for start in [(y, x) for y in range(height) for x in range(width) if truth[y, x] != VOID]:
        if start in seen:
            continue
        region, waiting = [], [start]
        seen.add(start)
        while waiting:
            y, x = waiting.pop()
            region.append((y, x))
            for at in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                inside = 0 <= at[0] < height and 0 <= at[1] < width
                if inside and at not in seen and truth[at] == truth[start]:
                    seen.add(at)
                    waiting.append(at)
        regions.append(region)
    return regions


def naive_given_labels(scores, truth):
    found = np.zeros(truth.shape, np.uint8)
    present = sorted({int(label) for label in truth.ravel() if label != VOID}) or range(len(scores))
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            found[y, x] = max(present, key=lambda label: (scores[label, y, x], -label))
    return found


def naive_given_regions(scores, truth):
    found = np.zeros(truth.shape, np.uint8)
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            found[y, x] = max(range(len(scores)), key=lambda label: (scores[label, y, x], -label))
    for region in flooded(truth):
        means = [sum(float(plane[at]) for at in region) / len(region) for plane in scores]
        for at in region:
            found[at] = means.index(max(means))
    return found


def naive_bootstrap(statistic, *sets, resamples):
    """Value and bounds from sets of images written out, image after image."""
    resampled = []
    for counts in intervals.resampling(len(sets[0]), resamples):
        drawn = [number for number, count in enumerate(counts) for _ in range(int(count))]
        resampled.append(statistic(*(sum(one[number] for number in drawn) for one in sets)))
    return statistic(*(sum(one) for one in sets)), *np.percentile(resampled, [2.5, 97.5])


def naive_ious_of(matrix):
    found = []
    for label in range(len(matrix)):
        either = sum(matrix[label]) + sum(row[label] for row in matrix) - matrix[label][label]
        found.append(matrix[label][label] / either if either else math.nan)
    return found


def naive_mean_iou(matrix):
    return mean_of_known(naive_ious_of(matrix))


# --- Confusion ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_confusion_is_that_of_a_double_loop(seed):
    truth, predicted = map_of_labels(seed=seed), prediction_for(seed=seed + 10)
    where = np.random.RandomState(seed).random_sample(truth.shape) < 0.5
    found = metrics.confusion(truth, predicted, LABELS)
    assert found.dtype == np.int64
    assert found.tolist() == naive_confusion(truth, predicted, LABELS)
    assert metrics.confusion(truth, predicted, LABELS, where).tolist() == naive_confusion(
        truth, predicted, LABELS, where
    )


@hostile
def test_confusion_of_hostile_maps_is_that_of_a_double_loop(truth):
    predicted = prediction_for(truth.shape)
    assert metrics.confusion(truth, predicted, LABELS).tolist() == naive_confusion(
        truth, predicted, LABELS
    )


def test_rows_are_the_truth_and_columns_the_prediction():
    found = metrics.confusion(np.array([[0, 0, 1]], np.uint8), np.array([[1, 1, 1]], np.uint8), 2)
    assert found.tolist() == [[0, 2], [0, 1]]


def test_the_most_labels_there_can_be_are_told_apart():
    truth = np.arange(VOID, dtype=np.uint8).reshape(15, 17)
    assert np.array_equal(metrics.confusion(truth, truth, VOID), np.eye(VOID))


@few
@given(maps(), st.randoms(use_true_random=False))
def test_what_is_predicted_in_void_never_counts(truth, draw):
    predicted = np.array([[draw.randrange(LABELS) for _ in row] for row in truth], np.uint8)
    other = np.where(truth == VOID, (predicted + 1) % LABELS, predicted)
    assert np.array_equal(
        metrics.confusion(truth, predicted, LABELS), metrics.confusion(truth, other, LABELS)
    )


@few
@given(maps())
def test_where_and_elsewhere_add_up_to_everywhere(truth):
    predicted, where = prediction_for(truth.shape), metrics.near_boundary(truth, 1)
    parts = metrics.confusion(truth, predicted, LABELS, where) + metrics.confusion(
        truth, predicted, LABELS, ~where
    )
    assert np.array_equal(parts, metrics.confusion(truth, predicted, LABELS))
    assert parts.sum() == (truth != VOID).sum()


def test_confusion_changes_nothing_that_it_is_given():
    truth, predicted = map_of_labels(), prediction_for()
    where = np.ones(truth.shape, bool)
    before = truth.copy(), predicted.copy(), where.copy()
    metrics.confusion(truth, predicted, LABELS, where)
    assert all(np.array_equal(one, other) for one, other in zip(before, (truth, predicted, where)))


@pytest.mark.parametrize(
    ("truth", "predicted", "got"),
    [
        ([[0, 2]], [[0, 1]], "truth's labels are 0 to 1. Got 0 to 2"),
        ([[0, 254]], [[0, 1]], "truth's labels are 0 to 1. Got 0 to 254"),
        ([[0, 1]], [[1, 3]], "predicted labels are 0 to 1. Got 1 to 3"),
        ([[0, 1]], [[-1, 1]], "predicted labels are 0 to 1. Got -1 to 1"),
        ([[0, VOID]], [[0, VOID]], "predicted labels are 0 to 1. Got 0 to 255"),
    ],
)
def test_labels_that_there_are_not_are_an_error_that_says_what_it_got(truth, predicted, got):
    with pytest.raises(ValueError, match=got):
        metrics.confusion(np.array(truth, np.uint8), np.array(predicted), labels=2)


# --- Near boundaries ------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [0, 1, 1.5, 2, math.sqrt(13), 4, 7.3])
@pytest.mark.parametrize("seed", range(2))
def test_near_a_boundary_is_within_the_distance_of_another_label(seed, distance):
    truth = map_of_labels((19, 23), seed=seed, void=0.01, block=9)
    # The square of the root is a little less than 13.
    squared = 13 if distance == math.sqrt(13) else distance**2
    found = metrics.near_boundary(truth, distance)
    assert found.dtype == bool
    assert np.array_equal(found, naive_near_boundary(truth, math.sqrt(squared + 1e-9)))


@hostile
@pytest.mark.parametrize("distance", [1, 4])
def test_near_a_boundary_of_hostile_maps_is_that_of_a_loop(truth, distance):
    assert np.array_equal(
        metrics.near_boundary(truth, distance), naive_near_boundary(truth, distance)
    )


@few
@given(maps(), st.sampled_from([1, 2.5, 4]))
def test_near_a_boundary_of_any_map_is_that_of_a_loop(truth, distance):
    assert np.array_equal(
        metrics.near_boundary(truth, distance), naive_near_boundary(truth, distance)
    )


def test_the_distance_is_from_centre_to_centre():
    truth = np.zeros((9, 9), np.uint8)
    truth[4, 4] = 1
    assert metrics.near_boundary(truth, 1).sum() == 5
    assert metrics.near_boundary(truth, 1.5).sum() == 9
    assert metrics.near_boundary(truth, 4).sum() == 49
    assert metrics.near_boundary(truth, math.inf).all()


@pytest.mark.parametrize("label", [0, 20, VOID])
def test_the_border_of_the_image_is_no_boundary(label):
    assert not metrics.near_boundary(np.full((5, 8), label, np.uint8), 4).any()
    assert not metrics.near_boundary(np.full((5, 8), label, np.uint8), math.inf).any()


@pytest.mark.parametrize("label", range(LABELS))
def test_void_is_another_label(label):
    truth = np.full((5, 20), label, np.uint8)
    truth[:, 10:] = VOID
    assert metrics.near_boundary(truth, 4)[0].tolist() == [False] * 6 + [True] * 8 + [False] * 6


def test_the_greater_the_distance_the_more_pixels_are_near():
    truth = map_of_labels((40, 50), void=0, block=20)
    near = [metrics.near_boundary(truth, distance) for distance in range(12)]
    assert not near[0].any()
    assert all(
        (wide | narrow == wide).all() and wide.sum() > narrow.sum()
        for narrow, wide in pairwise(near)
    )


# --- Intersection over union ----------------------------------------------------------------------


@few
@given(maps(), st.integers(0, 1000))
def test_intersection_over_union_is_that_of_sets_of_pixels(truth, seed):
    predicted = prediction_for(truth.shape, seed=seed)
    matrix = metrics.confusion(truth, predicted, LABELS)
    expected = naive_ious(truth, predicted, LABELS)
    assert metrics.ious(matrix) == pytest.approx(expected, nan_ok=True)
    assert metrics.mean_iou(matrix) == pytest.approx(mean_of_known(expected), nan_ok=True)


def test_an_example_computed_by_hand():
    # Truth: 4 of 0, 3 of 1, 1 of 2, 1 void. Prediction of what counts: 0 right 3 times, 1 twice; 2
    # never, 3 is in neither.
    truth = np.array([[0, 0, 1], [0, 0, 1], [2, VOID, 1]], np.uint8)
    predicted = np.array([[0, 0, 1], [0, 1, 1], [0, 2, 0]], np.uint8)
    matrix = metrics.confusion(truth, predicted, 4)
    assert matrix.tolist() == [[3, 1, 0, 0], [1, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert metrics.ious(matrix) == pytest.approx([3 / 6, 2 / 4, 0 / 1, math.nan], nan_ok=True)
    assert metrics.mean_iou(matrix) == pytest.approx(1 / 3)


@few
@given(maps())
def test_a_perfect_prediction_has_intersection_over_union_of_one(truth):
    matrix = metrics.confusion(truth, np.where(truth == VOID, 0, truth), LABELS)
    found = metrics.ious(matrix)
    occurs = np.isin(np.arange(LABELS), truth)
    assert (found[occurs] == 1).all()
    assert np.isnan(found[~occurs]).all()
    if occurs.any():
        assert metrics.mean_iou(matrix) == 1


@few
@given(maps(), st.permutations(range(LABELS)), st.integers(0, 1000))
def test_other_numbers_for_the_labels_leave_the_mean(truth, order, seed):
    predicted, order = prediction_for(truth.shape, seed=seed), np.array(order, np.uint8)
    one = metrics.confusion(truth, predicted, LABELS)
    renamed = np.where(truth == VOID, VOID, order[np.minimum(truth, LABELS - 1)]).astype(np.uint8)
    other = metrics.confusion(renamed, order[predicted], LABELS)
    assert metrics.mean_iou(other) == pytest.approx(metrics.mean_iou(one), nan_ok=True)
    assert metrics.ious(other)[order] == pytest.approx(metrics.ious(one), nan_ok=True)


def test_a_label_that_is_only_predicted_has_0_and_one_in_neither_is_not_a_number():
    found = metrics.ious(np.array([[5, 2, 0], [0, 0, 0], [0, 0, 0]]))
    assert found == pytest.approx([5 / 7, 0, math.nan], nan_ok=True)
    assert metrics.mean_iou(np.array([[5, 2, 0], [0, 0, 0], [0, 0, 0]])) == pytest.approx(5 / 14)


def test_many_matrices_are_scored_as_each_alone():
    many = np.random.RandomState(0).randint(0, 3, (2, 5, 3, 3)) * 0.5
    many[1, 2] = 0
    each, mean = metrics.ious(many), metrics.mean_iou(many)
    assert each.shape == (2, 5, 3) and mean.shape == (2, 5)
    for at in np.ndindex(2, 5):
        assert each[at] == pytest.approx(naive_ious_of(many[at]), nan_ok=True)
        assert mean[at] == pytest.approx(naive_mean_iou(many[at]), nan_ok=True)


@pytest.mark.filterwarnings("error")
def test_no_pixels_have_no_score_and_give_no_warning():
    assert np.isnan(metrics.mean_iou(np.zeros((3, 3), int)))
    assert np.isnan(metrics.ious(np.zeros((3, 3), int))).all()
    assert np.isnan(metrics.of_labels(np.zeros((2, 3, 3)), 20)).all()
    assert np.isnan(of_set(np.zeros((2, 3, 3)), 20)).all()


# --- Bootstrap ------------------------------------------------------------------------------------


def test_the_score_of_a_set_is_that_of_a_plain_loop_over_resamples():
    confusions = set_of_confusions()
    found = of_set(confusions, 80)
    assert found == pytest.approx(naive_bootstrap(naive_mean_iou, confusions, resamples=80))
    assert found[1] < found[0] < found[2]


def test_the_score_of_a_set_is_of_one_matrix_not_a_mean_of_scores():
    confusions = np.array([[[90, 10], [0, 0]], [[0, 0], [1, 0]]])
    assert of_set(confusions, 10)[0] == pytest.approx((90 / 101 + 0 / 11) / 2)


def test_each_label_of_a_set_is_that_of_a_plain_loop_over_resamples():
    confusions = set_of_confusions()
    value, low, high = metrics.of_labels(confusions, 80)
    for label in range(LABELS):
        expected = naive_bootstrap(
            lambda matrix, label=label: naive_ious_of(matrix)[label], confusions, resamples=80
        )
        assert (value[label], low[label], high[label]) == pytest.approx(expected)
    assert (low < value).all() and (value < high).all()


def test_a_label_that_some_resamples_lack_is_known_from_the_others():
    confusions = set_of_confusions(count=6)
    confusions[:, 3, :] = confusions[:, :, 3] = 0  # in no image
    confusions[1:, 2, :] = confusions[1:, :, 2] = 0  # in the first only
    value, low, high = metrics.of_labels(confusions, 50)
    assert np.isnan([value[3], low[3], high[3]]).all()
    assert np.isfinite([value[:3], low[:3], high[:3]]).all()
    drawn = [
        naive_ious_of(sum(count * one for count, one in zip(counts, confusions)))[2]
        for counts in intervals.resampling(6, 50)
    ]
    known = [one for one in drawn if not math.isnan(one)]
    assert 0 < len(known) < 50
    assert [low[2], high[2]] == pytest.approx(np.percentile(known, [2.5, 97.5]))
    assert np.isfinite(of_set(confusions, 50)).all()


def test_the_difference_of_two_networks_is_that_of_a_plain_loop_over_resamples():
    one, other = set_of_confusions(), set_of_confusions(seed=4)
    expected = naive_bootstrap(
        lambda a, b: naive_mean_iou(a) - naive_mean_iou(b), one, other, resamples=80
    )
    assert difference_of_sets(one, other, 80) == pytest.approx(expected)


def test_the_difference_of_a_network_to_itself_is_exactly_nothing():
    confusions = set_of_confusions(labels=21)
    assert difference_of_sets(confusions, confusions.copy(), 100) == (0.0, 0.0, 0.0)
    assert difference_of_sets(confusions, 1.0 * confusions, 100) == (0.0, 0.0, 0.0)


def test_a_difference_changes_its_sign_with_the_order():
    one, other = set_of_confusions(), set_of_confusions(seed=4)
    value, low, high = difference_of_sets(one, other, 100)
    assert difference_of_sets(other, one, 100) == pytest.approx((-value, -high, -low))


def test_pairing_makes_the_interval_of_a_difference_narrow():
    one = set_of_confusions(40)
    other = one + np.random.RandomState(5).randint(0, 2, one.shape)
    _, low, high = difference_of_sets(one, other, 200)
    _, lone_low, lone_high = of_set(one, 200)
    assert high - low < 0.2 * (lone_high - lone_low)


def test_the_bootstrap_is_the_same_every_time():
    confusions = set_of_confusions()
    first = of_set(confusions, 60), np.array(metrics.of_labels(confusions, 60))
    intervals.resampling.cache_clear()
    np.random.seed(1)
    assert of_set(confusions, 60) == first[0]
    assert np.array_equal(metrics.of_labels(confusions, 60), first[1])


@few
@given(st.integers(30, 60), st.integers(2, 5), st.integers(0, 1000))
def test_an_interval_contains_its_value(count, labels, seed):
    confusions = set_of_confusions(count, labels, seed)
    for value, low, high in (of_set(confusions, 200), metrics.of_labels(confusions, 200)):
        assert np.all(low <= value) and np.all(value <= high)


def test_one_image_has_an_interval_of_no_width():
    value, low, high = of_set(set_of_confusions(1), 30)
    assert low == value == high


# --- Part of the truth given ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_given_labels_is_the_best_of_those_in_a_plain_loop(seed):
    truth, scores = map_of_labels(labels=3, seed=seed), scores_for(labels=7, seed=seed)
    # 1, 3 and 5: a label is not its place among those.
    truth[truth != VOID] = 2 * truth[truth != VOID] + 1
    found = metrics.given_labels(scores, truth)
    assert found.dtype == np.uint8
    assert np.array_equal(found, naive_given_labels(scores, truth))


@pytest.mark.parametrize("seed", range(3))
def test_given_regions_is_the_best_mean_of_a_flooded_region(seed):
    truth, scores = map_of_labels(seed=seed, void=0.3), scores_for(labels=7, seed=seed)
    found = metrics.given_regions(scores, truth)
    assert found.dtype == np.uint8
    assert np.array_equal(found, naive_given_regions(scores, truth))


@hostile
def test_hostile_maps_are_given_as_in_plain_loops(truth):
    scores = scores_for(truth.shape, 6)
    assert np.array_equal(metrics.given_labels(scores, truth), naive_given_labels(scores, truth))
    assert np.array_equal(metrics.given_regions(scores, truth), naive_given_regions(scores, truth))


@few
@given(maps(), st.integers(0, 1000))
def test_given_labels_never_predicts_an_absent_label(truth, seed):
    found = metrics.given_labels(scores_for(truth.shape, 9, seed), truth)
    if (truth != VOID).any():
        assert set(np.unique(found)) <= set(np.unique(truth)) - {VOID}


@few
@given(maps(), st.integers(0, 1000))
def test_given_regions_is_constant_on_regions_and_the_plain_prediction_in_void(truth, seed):
    scores = scores_for(truth.shape, 9, seed)
    found = metrics.given_regions(scores, truth)
    for region in flooded(truth):
        assert len({found[at] for at in region}) == 1
    assert np.array_equal(found[truth == VOID], scores.argmax(axis=0)[truth == VOID])


@few
@given(maps(), st.integers(0, 1000))
def test_given_labels_is_never_wrong_where_the_plain_prediction_is_right(truth, seed):
    scores = scores_for(truth.shape, LABELS, seed)
    plain, found = scores.argmax(axis=0), metrics.given_labels(scores, truth)
    right = plain == truth
    assert np.array_equal(found[right], truth[right])


def test_pixels_that_touch_at_a_corner_are_one_region_and_those_apart_are_two():
    touching = np.array([[1, 0], [0, 1]], np.uint8)
    apart = np.array([[1, VOID, 1]], np.uint8)
    scores = np.zeros((2, 2, 2))
    scores[1] = [[3, 0], [0, -1]]
    assert metrics.given_regions(scores, touching).tolist() == [[1, 0], [0, 1]]
    assert metrics.given_regions(np.array([[[0, 0, 0]], [[3, 0, -1]]]), apart).tolist() == [
        [1, 0, 0]
    ]


def test_a_region_takes_the_best_mean_not_the_most_votes():
    scores = np.array([[[-1.0, -1.0, -9.0]], [[-2.0, -2.0, -0.1]]])
    assert metrics.given_regions(scores, np.zeros((1, 3), np.uint8)).tolist() == [[1, 1, 1]]


def test_of_equals_the_lower_label_goes_first():
    truth = np.array([[1, 2, VOID]], np.uint8)
    assert metrics.given_labels(np.zeros((4, 1, 3)), truth).tolist() == [[1, 1, 1]]
    assert metrics.given_regions(np.zeros((4, 1, 3)), truth).tolist() == [[0, 0, 0]]


def test_a_label_that_cannot_be_is_never_predicted():
    scores = np.zeros((2, 1, 3))
    scores[0, 0, 1] = -np.inf
    assert metrics.given_regions(scores, np.zeros((1, 3), np.uint8)).tolist() == [[1, 1, 1]]


# --- Shares of the error --------------------------------------------------------------------------


def naive_shares(plain, labels_given, regions_given):
    """Shapley values: what each piece adds, over both orders of telling."""
    known = {"": plain, "A": labels_given, "B": regions_given, "AB": 1.0}
    added = {"A": [], "B": []}
    for order in ("AB", "BA"):
        told = ""
        for piece in order:
            now = "".join(sorted(told + piece))
            added[piece].append(known[now] - known[told])
            told = now
    return sum(added["A"]) / 2, sum(added["B"]) / 2


fractions = st.floats(0, 1)


@few
@given(fractions, fractions, fractions)
def test_shares_are_shapley_values_and_add_up_to_the_error(plain, labels_given, regions_given):
    found = metrics.shares(plain, labels_given, regions_given)
    assert found == pytest.approx(naive_shares(plain, labels_given, regions_given), abs=1e-12)
    assert sum(found) == pytest.approx(1 - plain, abs=1e-12)


def test_knowledge_that_helps_alone_is_due_alone():
    assert metrics.shares(0.4, 1.0, 0.4) == pytest.approx((0.6, 0.0))
    assert metrics.shares(0.4, 0.4, 1.0) == pytest.approx((0.0, 0.6))
    assert metrics.shares(0.4, 0.4, 0.4) == pytest.approx((0.3, 0.3))


def test_shares_of_arrays_are_those_of_each():
    plain, labels_given, regions_given = np.random.RandomState(0).random_sample((3, 2, 5))
    recognition, localisation = metrics.shares(plain, labels_given, regions_given)
    assert recognition.shape == localisation.shape == (2, 5)
    for at in np.ndindex(2, 5):
        one = recognition[at], localisation[at]
        assert one == pytest.approx(naive_shares(plain[at], labels_given[at], regions_given[at]))
