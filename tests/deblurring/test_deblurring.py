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
from blurpaper.deblurring import Mixture, Observation, baselines, prior, splitting
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
        found = deblurring.restore(flat, "D8", method, prior=few)
        assert (found.int() - 77).abs().max() <= 1


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
        (None, {"border": "torus"}, ValueError, "unknown or mirror. Got 'torus'"),
        (None, {"psf": "D-1"}, ValueError, "D-1"),
        (None, {"psf": nan}, ValueError, "finite"),
        (None, {"psf": np.ones((3, 3))}, ValueError, "unit sum: divide it by its sum, 9"),
        (None, {"psf": np.ones((2, 2)) / 4}, ValueError, r"odd sides. Got \(2, 2\)"),
    ],
)
def test_bad_input_is_told_in_a_sentence(images, options, error, message) -> None:
    images = torch.zeros(3, 9, 9, dtype=torch.uint8) if images is None else images
    with pytest.raises(error, match=message):
        deblurring.restore(images, **({"psf": "D2", "method": "gradient"} | options))


def test_a_missing_prior_is_told(monkeypatch, tmp_path) -> None:
    prior.bundled_prior.cache_clear()
    monkeypatch.setattr(prior, "BUNDLED", tmp_path / "bsds500.safetensors")
    with pytest.raises(
        ValueError, match=r"bsds500\.safetensors cannot be read as a prior: No such file"
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


# --- A camera's frame -----------------------------------------------------------------------------


def camera(picture: torch.Tensor, name: str, noise: float = 0.0) -> tuple[torch.Tensor, ...]:
    """The part of a blurred picture that the mirrored border has no part in, and the same of the
    sharp one.
    """
    down, across = (side // 2 for side in psf(name).shape)
    whole = blur.apply(picture, name)
    if noise:
        drawn = torch.randn(whole.shape, generator=torch.Generator().manual_seed(1))
        whole = (whole + noise * drawn).round().clamp(0, 255).to(torch.uint8)
    inside = (..., slice(down, -down or None), slice(across, -across or None))
    return whole[inside], picture[inside]


@pytest.mark.parametrize("name", ["D4", "shake:3"])
def test_a_cameras_frame_is_restored_almost_as_well_as_a_mirrored_one(picture, name) -> None:
    seen, sharp = camera(picture, name)
    found = metrics.psnr(deblurring.epll(seen, name), sharp)
    best = metrics.psnr(epll(blur.apply(sharp, name), name), sharp)
    mistaken = metrics.psnr(epll(seen, name), sharp)
    # Of so small a picture much is border.
    assert found > best - (1.5 if name == "D4" else 7)
    assert found > mistaken + 3 and found > metrics.psnr(seen, sharp) + 4


@pytest.mark.parametrize("method", FAST)
def test_no_method_makes_a_cameras_frame_worse(picture, method) -> None:
    seen, sharp = camera(picture, "D4")
    restored = deblurring.restore(seen, "D4", method)
    assert metrics.psnr(restored, sharp) > metrics.psnr(seen, sharp) + 1


def test_a_psf_is_convolved_with_and_not_correlated(picture) -> None:
    kernel = psf("shake:3")
    seen, sharp = camera(picture, "shake:3")
    scores = [
        metrics.psnr(deblurring.restore(seen, one.copy(), "gradient"), sharp)
        for one in (kernel, kernel[::-1, ::-1], kernel.T)
    ]
    assert scores[0] > max(scores[1:]) + 5
    point = np.pad(np.round(250 * kernel / kernel.max()), 16).astype(np.uint8)
    found = deblurring.restore(torch.from_numpy(point)[None], kernel, "gradient")[0]
    assert divmod(int(found.argmax()), 63) == (31, 31)  # a point of light looks like its PSF


def test_clipped_lights_are_left_out(picture) -> None:
    night, lights = picture.double() * 0.3, np.random.RandomState(0)
    for _ in range(6):
        row, column = lights.randint(20, 70), lights.randint(20, 95)
        night[:, row : row + 3, column : column + 3] = 2500
    from scipy import ndimage

    kernel = psf("D4").astype(float)
    blurred = np.stack([ndimage.convolve(plane, kernel, mode="mirror") for plane in night.numpy()])
    seen, sharp = (
        torch.as_tensor(one).round().clamp(0, 255).to(torch.uint8)[:, 4:-4, 4:-4]
        for one in (blurred, night)
    )
    assert (seen == 255).any()
    restored = deblurring.epll(seen, "D4")
    # As it would be if clipped pixels were any others.
    taken = torch.where(seen == 255, torch.tensor(254, dtype=torch.uint8), seen)
    assert metrics.psnr(restored, sharp) > metrics.psnr(seen, sharp) + 4
    assert metrics.psnr(restored, sharp) > metrics.psnr(deblurring.epll(taken, "D4"), sharp) + 8


def test_white_that_is_not_clipped_stays_white(picture) -> None:
    bright = torch.where(picture.float().mean(0) > 150, 255, picture)
    seen, sharp = camera(bright, "D4")
    found = deblurring.epll(seen, "D4")
    assert metrics.psnr(found, sharp) > metrics.psnr(seen, sharp) + 3
    assert found[:, (seen == 255).all(0)].float().mean() > 252


@pytest.mark.parametrize("name", ["D4", "D8", "shake:3", "shake:40"])
@pytest.mark.parametrize("noise", [0.5, 2.0, 5.0])
def test_noise_is_estimated_from_a_blurred_photograph(picture, name, noise) -> None:
    seen, _ = camera(picture, name, noise)
    expected = math.hypot(noise, deblurring.ROUNDING)
    assert abs(deblurring.estimated_noise(seen) - expected) < 0.05 + 0.1 * expected


def test_each_image_of_a_batch_has_its_own_noise_estimated(picture) -> None:
    seen = torch.stack([camera(picture, "D4", noise)[0] for noise in (0.0, 4.0)])
    together = deblurring.restore(seen, "D4", "gradient")
    for one, found in zip(seen, together, strict=True):
        own = deblurring.estimated_noise(one)
        assert torch.equal(found, deblurring.restore(one, "D4", "gradient", noise=own))


def test_in_a_mirrored_frame_a_symmetric_psf_is_one_division_of_cosines(picture) -> None:
    from scipy import fft

    seen, noise = blur.apply(picture, "D4"), deblurring.ROUNDING / 255
    plane = seen[:1].double().numpy()[0] / 255
    centred = np.zeros(plane.shape)
    centred[:5, :5] = psf("D4")[4:, 4:]
    transfer = fft.dctn(centred, type=1)
    angles = [np.pi * np.arange(side) / (side - 1) for side in plane.shape]
    rough = sum(np.ix_(*(2 - 2 * np.cos(one) for one in angles)))
    penalty = (noise / baselines.GRADIENT) ** 2 * rough
    found = fft.idctn(transfer * fft.dctn(plane, type=1) / (transfer**2 + penalty), type=1)
    expected = np.clip(np.round(255 * found), 0, 255)
    assert np.abs(restore(seen[:1], "D4", "gradient")[0].numpy() - expected).max() <= 1
