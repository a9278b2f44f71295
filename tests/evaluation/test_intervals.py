"""Intervals, against normal theory, published values and coverage."""

import numpy as np
import pytest

from blurpaper.evaluation import intervals


def sample(count=2000, seed=0):
    return np.random.RandomState(seed).gamma(2.0, 1.5, count)


def test_a_bootstrap_interval_of_a_mean_is_that_of_normal_theory_on_a_large_sample():
    terms = sample(4000)
    value, low, high = intervals.of_mean(terms, 1000)
    error = terms.std() / np.sqrt(len(terms))
    assert value == pytest.approx(terms.mean())
    # A 95 % percentile of 1,000 resamples is known to about a tenth of a standard error.
    assert low == pytest.approx(value - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(value + 1.96 * error, abs=0.25 * error)


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    truth, hits, trials = 0.7, 0, 300
    draw = np.random.RandomState(0)
    for _ in range(trials):
        _, low, high = intervals.of_mean(draw.random_sample(100) < truth, 400)
        hits += low <= truth <= high
    assert 0.90 < hits / trials < 0.98


def test_the_mean_of_columns_is_that_of_each_column():
    terms = np.stack([sample(300, seed) for seed in range(3)], axis=1)
    together = np.array(intervals.of_mean(terms, 200))
    assert together.shape == (3, 3)
    for column in range(3):
        assert together[:, column] == pytest.approx(
            np.array(intervals.of_mean(terms[:, column], 200))
        )


def test_the_bootstrap_is_a_plain_loop_over_resamples():
    terms = sample(40)
    means = sorted(
        np.repeat(terms, counts.astype(int)).mean() for counts in intervals.resampling(40, 100)
    )
    _, low, high = intervals.of_mean(terms, 100)
    assert [low, high] == pytest.approx(np.percentile(means, [2.5, 97.5]))


def test_every_resample_draws_as_many_images_as_there_are():
    weights = intervals.resampling(50, 200)
    assert weights.shape == (200, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.min() >= 0 and (weights == np.round(weights)).all()
    # How often an image is drawn is nearly Poisson: mean 1, variance 1 - 1 / 50.
    assert weights.var() == pytest.approx(1 - 1 / 50, abs=0.05)
    assert len(np.unique(weights, axis=0)) == 200


def test_the_same_count_is_resampled_alike_whoever_asks():
    first = intervals.resampling(30, 20).copy()
    intervals.resampling.cache_clear()
    np.random.seed(1)
    assert np.array_equal(intervals.resampling(30, 20), first)
    assert np.array_equal(intervals.resampling(30, 50)[:20], first)


def test_a_statistic_of_counts_that_is_the_mean_has_the_interval_of_the_mean():
    terms = sample(200)
    found = intervals.of_statistic(lambda counts: counts @ terms / counts.sum(axis=1), 200, 300)
    assert found == pytest.approx(tuple(map(float, intervals.of_mean(terms, 300))))


def test_a_constant_has_an_interval_of_no_width():
    assert intervals.of_mean(np.full(30, 0.25), 50) == pytest.approx((0.25, 0.25, 0.25))


def test_the_difference_of_a_thing_to_itself_is_exactly_nothing():
    assert intervals.of_mean(sample(300) - sample(300), 200) == (0.0, 0.0, 0.0)


def test_a_difference_changes_its_sign_with_the_order():
    one, other = sample(300, 0), sample(300, 1)
    value, low, high = intervals.of_mean(one - other, 200)
    assert intervals.of_mean(other - one, 200) == pytest.approx((-value, -high, -low))
    assert low < value < high


def test_pairing_makes_the_interval_of_a_difference_narrow():
    base = sample(500)
    better = base + 0.1 + 0.01 * np.random.RandomState(1).normal(size=500)
    value, low, high = intervals.of_mean(better - base, 300)
    assert value == pytest.approx(0.1, abs=0.002)
    assert 0.097 < low < high < 0.103
    _, lone_low, lone_high = intervals.of_mean(base, 300)
    assert high - low < 0.05 * (lone_high - lone_low)


def test_over_seeds_the_mean_is_that_of_all_and_one_seed_is_the_plain_bootstrap():
    terms = np.stack([sample(200, seed) for seed in range(3)])
    assert intervals.of_mean_over_seeds(terms, 500)[0] == pytest.approx(terms.mean())
    alone = intervals.of_mean_over_seeds(terms[:1], 500)
    assert alone == pytest.approx([float(number) for number in intervals.of_mean(terms[0], 500)])


def test_over_seeds_both_images_and_seeds_are_resampled():
    """Seeds that differ widen the interval beyond that over images; the plain loop gives the same
    bounds.
    """
    terms = sample(300)[None] + np.array([[-1.0], [0.0], [1.0]])
    _, low, high = intervals.of_mean_over_seeds(terms, 400)
    means = []
    for seeds, images in zip(intervals.resampling(3, 400), intervals.resampling(300, 400)):
        means.append(
            terms[np.repeat(np.arange(3), seeds.astype(int))][
                :, np.repeat(np.arange(300), images.astype(int))
            ].mean()
        )
    assert [low, high] == pytest.approx(np.percentile(means, [2.5, 97.5]))
    _, narrow_low, narrow_high = intervals.of_mean(terms.mean(axis=0), 400)
    assert high - low > 2 * (narrow_high - narrow_low)


def test_a_ratio_over_seeds_is_resampled_above_and_below_together():
    below = sample(300)[None].repeat(2, axis=0)
    value, low, high = intervals.of_ratio_over_seeds(0.7 * below, below, 200)
    assert [value, low, high] == pytest.approx([0.7] * 3)
    assert np.isnan(intervals.of_ratio_over_seeds(below, below - below.mean(), 200)[1:]).all()
