"""Deblurring of images: EPLL against its own definition on a small image, every method on
photographs, and bad input.
"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from helpers import blur_matrix, torus_weights

from blurpaper import blur, deblurring
from blurpaper.data import folders
from blurpaper.data.examples import EXAMPLES, photograph
from blurpaper.data.images import to_canonical
from blurpaper.deblurring import Mixture, Observation, prior, splitting
from blurpaper.deblurring.prior import SIDE, basis
from blurpaper.evaluation import metrics
from blurpaper.kernels import psf

MIRROR = {"border": "mirror", "noise": deblurring.ROUNDING}
restore, epll = (partial(one, **MIRROR) for one in (deblurring.restore, deblurring.epll))
Mirrored = partial(Observation, border="mirror")
FAST = [name for name in deblurring.METHODS if name != "epll-exact"]


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    whole = to_canonical(photograph(EXAMPLES[0]), 384)
    return whole[:, 140:236, 200:320].contiguous()


@pytest.fixture(scope="module")
def few() -> Mixture:
    """Five components of the released prior."""
    bundled = prior.bundled_prior()
    chosen = bundled.weights.argsort(descending=True)[:5]
    weights = bundled.weights[chosen]
    return Mixture(weights / weights.sum(), bundled.covariances[chosen])


def naive_epll(
    observed: np.ndarray, kernel: np.ndarray, noise: float, prior: Mixture
) -> np.ndarray:
    """Zoran and Weiss, patch by patch and with a dense matrix, on the torus of an image and its
    mirror images.
    """
    from scipy.stats import multivariate_normal

    height, width = observed.shape
    cosines = basis().double()
    covariances = (cosines.T @ prior.covariances.double() @ cosines).numpy()
    shares = prior.weights.double().numpy()
    matrix, weight = blur_matrix(kernel, observed.shape), torus_weights(observed.shape)
    image = observed.copy()
    for bond in (50 * 2**step for step in range(7)):
        wide = np.pad(image, 7, mode="reflect")
        total = np.zeros_like(wide)
        noisy = [covariance + np.eye(64) / bond for covariance in covariances]
        densities = [multivariate_normal(np.zeros(64), one) for one in noisy]
        for top in range(height + 7):
            for left in range(width + 7):
                patch = wide[top : top + 8, left : left + 8].ravel()
                rest = patch - patch.mean()
                scores = [
                    np.log(s) + d.logpdf(rest) for s, d in zip(shares, densities, strict=True)
                ]
                best = int(np.argmax(scores))
                restored = covariances[best] @ np.linalg.solve(noisy[best], rest) + patch.mean()
                total[top : top + 8, left : left + 8] += restored.reshape(8, 8)
        target = total[7:-7, 7:-7] / 64
        pull = noise**2 * bond
        normal = matrix.T @ (weight[:, None] * matrix) + pull * np.diag(weight)
        right = matrix.T @ (weight * observed.ravel()) + pull * weight * target.ravel()
        image = np.linalg.solve(normal, right).reshape(observed.shape)
    return image


def test_exact_epll_is_its_definition(picture, few) -> None:
    sharp = picture[:, 40:54, 40:57].float().mean(dim=0)[None] / 255
    kernel, noise = psf("D2"), 0.01
    observed = Mirrored(sharp, kernel).blurred(sharp)
    observed = observed + noise * torch.randn(
        observed.shape, generator=torch.Generator().manual_seed(0)
    )
    found = splitting.restore(Mirrored(observed, kernel), noise, few, exact=True)
    expected = naive_epll(observed[0].double().numpy(), kernel, noise, few)
    np.testing.assert_allclose(found[0], expected, atol=2e-3)


def test_exact_epll_does_not_depend_on_how_many_patches_are_held(picture, few, monkeypatch) -> None:
    observation = Mirrored(picture[:2, :40, :50].float() / 255, psf("D2"))
    whole = splitting.restore(observation, 0.01, few, exact=True)
    monkeypatch.setattr(splitting, "_PATCHES", 300)
    torch.testing.assert_close(
        splitting.restore(observation, 0.01, few, exact=True), whole, atol=1e-4, rtol=0
    )
    whole = splitting.restore(observation, 0.01, few)
    monkeypatch.setattr(splitting, "_PATCHES", 30)
    torch.testing.assert_close(splitting.restore(observation, 0.01, few), whole, atol=1e-4, rtol=0)


def test_fast_epll_is_near_the_exact_one_and_ahead_of_the_others(picture) -> None:
    blurred = blur.apply(picture, "D4")
    scores = {
        name: metrics.psnr(restore(blurred, "D4", name), picture) for name in deblurring.METHODS
    }
    before = metrics.psnr(blurred, picture)
    assert scores["epll-exact"] > scores["epll"] > scores["epll-exact"] - 0.4
    assert scores["epll"] > max(
        score for name, score in scores.items() if not name.startswith("epll")
    )
    assert all(score > before + 1 for score in scores.values())


@pytest.mark.parametrize("name", ["H8", "V4", "shake:3", "G4"])
def test_any_psf_is_undone_by_epll(picture, name) -> None:
    blurred = blur.apply(picture, name)
    restored = epll(blurred, name)
    gained = metrics.psnr(restored, picture) - metrics.psnr(blurred, picture)
    assert gained > (1 if name == "G4" else 5)
    edge = metrics.psnr(restored[:, :12], picture[:, :12])
    assert edge > metrics.psnr(restored, picture) - 4  # the border is no worse than the rest


def test_rounding_is_the_noise_to_reckon_with(picture) -> None:
    blurred = blur.apply(picture, "D8")
    scores = [
        metrics.psnr(epll(blurred, "D8", noise=deblurring.ROUNDING * factor), picture)
        for factor in (0.2, 1, 8)
    ]
    assert math.isclose(deblurring.ROUNDING, 12**-0.5)
    assert scores[1] > scores[0] + 0.5 and scores[1] > scores[2] + 0.5


@pytest.mark.parametrize("method", FAST)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 2), (5, 6)], ids=str)
def test_images_smaller_than_the_psf_or_a_patch(method, shape, few) -> None:
    images = torch.randint(
        0, 256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    for name in ("D8", "shake:3"):
        restored = restore(blur.apply(images, name), name, method, prior=few)
        assert restored.shape == images.shape and restored.dtype == torch.uint8
    flat = torch.full((3, *shape), 77, dtype=torch.uint8)
    if method != "richardson-lucy":
        assert (restore(flat, "D8", method, prior=few).int() - 77).abs().max() <= 1


def test_one_channel_is_as_three_equal_ones_and_a_batch_as_one_by_one(picture, few) -> None:
    grey = picture[:1]
    blurred = blur.apply(grey.expand(3, -1, -1).contiguous(), "D4")
    three = epll(blurred, "D4", few)
    assert torch.equal(three, epll(blurred[:1], "D4", few).expand(3, -1, -1))
    mixed = torch.stack([blurred, blur.apply(picture, "D4"), blur.apply(picture.flip(2), "D4")])
    together = epll(mixed, "D4", few)
    alone = torch.stack([epll(one, "D4", few) for one in mixed])
    assert (together.int() - alone.int()).abs().max() <= 1


def test_sharp_stays_as_it_is(picture) -> None:
    assert torch.equal(restore(picture, "sharp", "gradient"), picture)


def test_mean_of_the_channels_is_better_than_each_by_itself(picture) -> None:
    blurred = blur.apply(picture, "D4")
    apart = epll(blurred[:, None], "D4")[:, 0]
    assert metrics.psnr(epll(blurred, "D4"), picture) > metrics.psnr(apart, picture) + 0.3


nan = np.full((3, 3), np.nan)


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (torch.zeros(3, 9, 9), {}, TypeError, "uint8.*float32"),
        ("picture.png", {}, TypeError, "uint8 tensor of torch. Got builtins.str"),
        (torch.zeros(4, 9, 9, dtype=torch.uint8), {}, ValueError, r"alpha channel.*\(4, 9, 9\)"),
        (torch.zeros(9, 9, dtype=torch.uint8), {}, ValueError, r"C = 3, or 1 for grey.*\(9, 9\)"),
        (torch.zeros(3, 0, 9, dtype=torch.uint8), {}, ValueError, r"\(3, 0, 9\)"),
        (None, {"method": "magic"}, ValueError, "one of epll, .*'magic'"),
        (None, {"noise": 0.0}, ValueError, "above 0.*0.0"),
        (None, {"noise": float("nan")}, ValueError, "above 0.*nan"),
        (None, {"psf": "D-1"}, ValueError, "D-1"),
        (None, {"psf": nan}, ValueError, "finite"),
        (None, {"psf": np.ones((3, 3))}, ValueError, "unit sum: divide it by its sum, 9"),
        (None, {"psf": np.ones((2, 2)) / 4}, ValueError, r"odd sides. Got \(2, 2\)"),
    ],
)
def test_bad_input_is_told_in_a_sentence(images, options, error, message) -> None:
    images = torch.zeros(3, 9, 9, dtype=torch.uint8) if images is None else images
    with pytest.raises(error, match=message):
        restore(images, **({"psf": "D2", "method": "gradient"} | options))


def test_a_missing_prior_is_told(monkeypatch, tmp_path) -> None:
    prior.bundled_prior.cache_clear()
    monkeypatch.setattr(prior, "BUNDLED", tmp_path / "bsds500.safetensors")
    with pytest.raises(
        ValueError, match=r"the prior that comes with blurpaper is not at .*bsds500\.safetensors"
    ):
        epll(torch.zeros(3, 9, 9, dtype=torch.uint8), "D2")
    prior.bundled_prior.cache_clear()


@pytest.mark.skipif(not folders.is_there("bsds500", "test"), reason="no bsds500 photographs")
def test_on_photographs_as_far_ahead_as_was_asked_for() -> None:
    images = folders.load_images("bsds500", "test")
    scores = {name: [] for name in ("epll", "gradient", "wiener")}
    for number in range(6):
        grey = images[number].float().mean(dim=0, keepdim=True).round().to(torch.uint8)
        blurred = blur.apply(grey.expand(3, -1, -1).contiguous(), "D8")[:1]
        for name, found in scores.items():
            found.append(metrics.psnr(restore(blurred, "D8", name), grey))
    mean = {name: np.mean(found) for name, found in scores.items()}
    assert mean["epll"] > mean["wiener"] + 2.0
    assert mean["epll"] > mean["gradient"] + 0.8


def test_patches_lie_on_a_grid_that_moves_from_round_to_round(few, monkeypatch) -> None:
    seen = []
    really = splitting.mirrored
    monkeypatch.setattr(splitting, "mirrored", lambda *line: seen.append(line[1]) or really(*line))
    splitting.restore(Mirrored(torch.rand(1, 40, 50), psf("D2")), 0.01, few)
    starts = set(zip(seen[::2], seen[1::2], strict=True))
    assert splitting.BONDS == (50, 100, 200, 400, 800, 1600, 3200)
    assert len(seen) == 2 * len(splitting.BONDS) and len(starts) > 3
    first, last = -(SIDE - 1) - (splitting.FAST_STRIDE - 1), -(SIDE - 1)
    # Every pixel of the border is covered.
    assert all(first <= start <= last for pair in starts for start in pair)
