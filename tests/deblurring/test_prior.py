"""The prior on patches: its density against scipy, its file, how it is learnt, and the tree that
chooses its components.
"""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from blurpaper.data import Subset
from blurpaper.data.examples import CarriedSet
from blurpaper.deblurring import Mixture, em
from blurpaper.deblurring.prior import (
    Scores,
    basis,
    bundled_prior,
    diagonals,
    load_prior,
    matrices,
    products,
    sample,
)
from blurpaper.deblurring.splitting import Tree, divergence


@pytest.fixture(scope="module")
def carried() -> torch.Tensor:
    return sample(CarriedSet("train"), 24_000, seed=0)


@pytest.fixture(scope="module")
def small(carried) -> Mixture:
    return em.learn(carried, components=12, passes=2, batch=1500, seed=0)


def test_sampled_patches_have_no_mean_and_are_the_same_for_the_same_seed(carried) -> None:
    again = sample(CarriedSet("train"), 24_000, seed=0)
    assert carried.shape == (24_000, 63) and torch.equal(again, carried)
    assert not torch.equal(sample(CarriedSet("train"), 24_000, seed=1), carried)
    pixels = carried @ basis()
    assert pixels.mean(dim=1).abs().max() < 1e-6
    assert 0.02 < pixels.std() < 0.3


def test_an_image_smaller_than_a_patch_is_left_out_and_none_that_fits_is_an_error() -> None:
    images = CarriedSet("test")
    tiny = Subset(images, [0, 1])
    shapes = {0: images[0][:, :7, :20], 1: images[1]}
    tiny.__class__ = type("Cut", (Subset,), {"__getitem__": lambda self, number: shapes[number]})
    assert len(sample(tiny, 1000, seed=0)) == 500
    shapes[1] = images[1][:, :20, :7]
    with pytest.raises(
        ValueError, match="no image of scikit-image is as large as a patch of 8 x 8"
    ):
        sample(tiny, 1000, seed=0)


def test_density_is_scipys(small, carried) -> None:
    some = carried[:40]
    parts = [
        np.log(weight) + multivariate_normal(np.zeros(63), covariance).logpdf(some.double().numpy())
        for weight, covariance in zip(
            small.weights.double().numpy(), small.covariances.double().numpy(), strict=True
        )
    ]
    np.testing.assert_allclose(
        small.log_likelihood(some), np.logaddexp.reduce(parts, axis=0), rtol=1e-3, atol=0.05
    )
    noisy = Scores(small, noise=1e-3)(some.T)
    first = multivariate_normal(
        np.zeros(63), small.covariances[0].double().numpy() + 1e-3 * np.eye(63)
    )
    np.testing.assert_allclose(
        noisy[0].numpy(),
        np.log(small.weights[0].item()) + first.logpdf(some.double().numpy()),
        atol=0.02,
    )
    assert torch.equal(Scores(small, 1e-3).choose(some.T), noisy.argmax(dim=0))


def test_symmetric_matrices_by_diagonals() -> None:
    draw = torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(0))
    symmetric = draw + draw.mT
    assert torch.equal(matrices(diagonals(symmetric)), symmetric)
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    outer = torch.einsum("in,jn->nij", vectors, vectors)
    torch.testing.assert_close(products(vectors).T, diagonals(outer))


def test_learning_nears_the_mixture_that_the_patches_were_drawn_from() -> None:
    draw = np.random.RandomState(0)
    scales = np.array([0.02, 0.1, 0.3])
    directions = [np.linalg.qr(draw.standard_normal((63, 63)))[0] for _ in scales]
    spread = np.exp(-np.arange(63) / 8)
    truth = Mixture(
        torch.tensor([0.5, 0.3, 0.2]),
        torch.stack(
            [
                torch.from_numpy(s**2 * (d * spread) @ d.T).float()
                for s, d in zip(scales, directions, strict=True)
            ]
        ),
    )

    def drawn(count: int) -> torch.Tensor:
        which = draw.choice(3, count, p=[0.5, 0.3, 0.2])
        roots = torch.linalg.cholesky(truth.covariances.double())
        white = torch.from_numpy(draw.standard_normal((count, 63)))
        return torch.einsum("nij,nj->ni", roots[torch.from_numpy(which)], white).float()

    train, held_out = drawn(30_000), drawn(4000)
    learnt = em.learn(train, components=3, passes=3, batch=1500, seed=0)
    best = truth.log_likelihood(held_out).mean()
    single = em.gaussian(train).log_likelihood(held_out).mean()
    reached = learnt.log_likelihood(held_out).mean()
    assert best - single > 10
    assert (best - reached) < 0.05 * (best - single)


def test_learning_is_better_than_one_gaussian_and_repeats_itself(small, carried) -> None:
    held_out = sample(CarriedSet("test"), 4000, seed=0)
    single = em.gaussian(carried).log_likelihood(held_out).mean()
    assert small.log_likelihood(held_out).mean() > single + 10
    again = em.learn(carried, components=12, passes=2, batch=1500, seed=0)
    assert torch.equal(again.covariances, small.covariances) and torch.equal(
        again.weights, small.weights
    )
    assert small.weights.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("components", "batch", "count"), [(20, 10, 100), (5, 200, 100)])
def test_too_few_patches_are_an_error(components, batch, count) -> None:
    with pytest.raises(ValueError, match="learnt in batches of at least as many patches"):
        em.learn(torch.zeros(count, 63), components, passes=1, batch=batch, seed=0)


def test_a_tree_chooses_nearly_as_well_as_looking_at_all(small, carried) -> None:
    for noise in (1 / 50, 1 / 3200):
        scores, some = Scores(small, noise), carried[:3000].T
        chosen, best = Tree(small, noise).choose(some), scores.choose(some)
        found = scores(some)
        lost = found.gather(0, best[None]) - found.gather(0, chosen[None])
        # Of some 60 nats that a patch differs by from one to the next.
        assert (lost >= 0).all() and lost.mean() < 1.0
        assert (chosen == best).float().mean() > 0.6


def test_a_tree_of_gaussians_without_a_direction_chooses_by_their_scale() -> None:
    """All their variances are equal, but for rounding."""
    scales = torch.tensor([1e-3, 7e-3, 0.02, 0.11])
    mixture = Mixture(torch.full((4,), 0.25), scales[:, None, None] * torch.eye(63))
    some = scales.sqrt().expand(63, 4).contiguous()
    assert (
        Tree(mixture, 1e-5).choose(some).tolist()
        == Scores(mixture, 1e-5).choose(some).tolist()
        == [0, 1, 2, 3]
    )


def test_divergence_of_gaussians() -> None:
    wide, narrow = torch.eye(4).double()[None] * 4, torch.eye(4).double()[None]
    expected = 0.5 * (4 * 4 - 4 - 4 * np.log(4))
    assert divergence(wide, narrow).item() == pytest.approx(expected)
    assert divergence(narrow, narrow).item() == pytest.approx(0)


def test_a_prior_in_a_file(tmp_path, small) -> None:
    from safetensors.torch import save_file

    save_file(small.state(), tmp_path / "prior.safetensors")
    again = load_prior(tmp_path / "prior.safetensors")
    assert torch.equal(again.covariances, small.covariances)
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "prior.safetensors").read_bytes()[:500])
    save_file({"something": torch.zeros(3)}, tmp_path / "other.safetensors")
    save_file(
        {"weights": torch.ones(2), "covariances": torch.zeros(2, 10)},
        tmp_path / "small.safetensors",
    )
    for name in ("cut", "other", "small", "none"):
        with pytest.raises(ValueError, match=rf"{name}\.safetensors"):
            load_prior(tmp_path / f"{name}.safetensors")


def test_the_released_prior_knows_photographs_it_has_not_seen(small) -> None:
    prior = bundled_prior()
    assert len(prior) == 200 and prior.weights.sum() == pytest.approx(1, abs=1e-4)
    held_out = sample(CarriedSet("test"), 4000, seed=0)
    assert prior.log_likelihood(held_out).mean() > small.log_likelihood(held_out).mean() + 2
