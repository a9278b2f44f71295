"""Test images that are deblurred before a network sees them: what is kept, on what it depends, and
how it is counted.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, MemorySet

from blurpaper import blur, data, deblurring, experiments, kernels
from blurpaper.data.examples import CarriedSet
from blurpaper.data.images import to_canonical, write_image
from blurpaper.evaluation import metrics, predictions
from blurpaper.evaluation.results import AS_IS
from blurpaper.experiments import restoration, treatment
from blurpaper.experiments.treatment import CAMERA, NOISY, Treatment, treated
from blurpaper.kernels import psf
from blurpaper.networks import NetworkSpec
from blurpaper.runs import Run, fingerprint
from blurpaper.runs.profile import Profile, load
from blurpaper.runs.store import Store
from blurpaper.training.networks import trained

restore = partial(deblurring.restore, border="mirror", noise=deblurring.ROUNDING)
GRADIENT = Treatment("gradient")


@pytest.fixture(scope="module")
def tiny():
    return load(
        "smoke",
        TINY
        | {"deblurring.prior.patches": 4000, "deblurring.n_exact": 2, "deblurring.n_ablation": 3},
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def in_memory(images: list[torch.Tensor]) -> MemorySet:
    return MemorySet(images, [0] * len(images), ("a",))


def treat(treatment: Treatment, images: MemorySet, profile: Profile):
    return treated(treatment, images, lambda: None, profile, range(len(images)))


def test_treated_images_are_blurred_restored_and_compared_with_the_sharp_ones(smoke) -> None:
    photographs = CarriedSet("test")
    canonical = [to_canonical(image, 108) for image in (*photographs, photographs[0].mT)]
    images = in_memory(canonical)
    restored, numbers = treat(GRADIENT, images, smoke)
    kernel = psf("D8", 108 / 384)
    for place, (image, found) in enumerate(zip(canonical, restored, strict=True)):
        expected = restore(blur.apply(image, kernel), kernel, "gradient")
        assert (found.int() - expected.int()).abs().max() <= 1
        assert numbers["psnr"][place] == pytest.approx(metrics.psnr(found, image), abs=1e-4)
        assert numbers["ssim"][place] == pytest.approx(metrics.ssim(found, image), abs=1e-5)
    left, before = treat(Treatment(AS_IS), images, smoke)
    assert all(torch.equal(a, blur.apply(b, kernel)) for a, b in zip(left, canonical, strict=True))
    assert (numbers["psnr"] > before["psnr"]).all()


def test_a_mistaken_psf_undoes_another_blur_than_there_is(random_images, smoke) -> None:
    images = in_memory([to_canonical(random_images[0], 108)])
    mistaken, _ = treat(Treatment("gradient", "D6", 2.0), images, smoke)
    seen = blur.apply(images[0], psf("D8", 108 / 384))
    assert torch.equal(mistaken[0], restore(seen, psf("D6", 108 / 384), "gradient", noise=2.0))


def test_each_channel_by_itself_is_restored_as_a_grey_image(random_images, smoke) -> None:
    images = in_memory([to_canonical(image, 108) for image in random_images[:2]])
    restored, _ = treat(Treatment("gradient", by_channel=True), images, smoke)
    kernel = psf("D8", 108 / 384)
    for image, found in zip(images, restored, strict=True):
        seen = blur.apply(image, kernel)
        grey = restore(seen[:, None], kernel, "gradient")
        assert torch.equal(found, grey[:, 0])


def test_under_shake_each_image_is_restored_with_its_own_kernel(random_images, monkeypatch) -> None:
    images = in_memory([to_canonical(image, 108) for image in random_images[:3]])
    used = []
    monkeypatch.setattr(
        treatment.deblurring,
        "restore",
        lambda seen, kernel, *_: used.append((len(seen), kernel)) or seen,
    )
    treat(GRADIENT, images, load("smoke", {"deblurring.psf": "shake"}))
    expected = [kernels.psf_of("shake", name, 108 / 384) for name in images.ids]
    assert [count for count, _ in used] == [1, 1, 1]
    # Alike in shape go together.
    order = sorted(range(3), key=lambda number: images[number].shape != images[0].shape)
    assert all(
        np.array_equal(kernel, expected[number])
        for (_, kernel), number in zip(used, order, strict=True)
    )
    assert len({kernel.tobytes() for kernel in expected}) == 3


def test_a_cameras_frame_is_cut_from_what_was_blurred_and_has_noise_of_its_own(smoke) -> None:
    images = in_memory([to_canonical(photographs, 108) for photographs in CarriedSet("test")][:2])
    kernel, down = psf("D8", 108 / 384), psf("D8", 108 / 384).shape[0] // 2
    inside = (..., slice(down, -down), slice(down, -down))
    seen, numbers = treat(Treatment(AS_IS, frame=CAMERA), images, smoke)
    for place, (image, found) in enumerate(zip(images, seen, strict=True)):
        assert torch.equal(found, blur.apply(image, kernel)[inside])
        assert numbers["psnr"][place] == pytest.approx(metrics.psnr(found, image[inside]), abs=1e-4)
    restored, better = treat(Treatment("gradient", frame=CAMERA), images, smoke)
    assert torch.equal(restored[0], deblurring.restore(seen[0], kernel, "gradient"))
    assert (better["psnr"] > numbers["psnr"]).all()
    noisy, _ = treat(Treatment(AS_IS, frame=NOISY), images, smoke)
    added = [(one.float() - other.float()) for one, other in zip(noisy, seen, strict=True)]
    assert all(one.std() == pytest.approx(2.0, abs=0.1) for one in added)
    assert not torch.equal(*(one[:, :90, :90] for one in added))
    sharp, _ = treated(
        Treatment(AS_IS, frame=CAMERA), images, lambda: None, smoke, range(2), condition="sharp"
    )
    assert all(torch.equal(a, b[inside]) for a, b in zip(sharp, images, strict=True))


@pytest.mark.parametrize(
    ("treatment", "word"),
    [
        (Treatment(AS_IS), "as is"),
        (Treatment("epll"), "epll"),
        (Treatment("epll", "D6"), "epll as D6"),
        (Treatment("epll", "D6", 2.0), "epll as D6, noise 2"),
        (Treatment("wiener", noise=0.4), "wiener, noise 0.4"),
        (Treatment("epll", by_channel=True), "epll, each channel by itself"),
        (Treatment("epll", frame=CAMERA), "camera: epll"),
        (Treatment(AS_IS, frame=NOISY), "camera, noise 2: as is"),
    ],
)
def test_treatments_have_words(treatment, word) -> None:
    assert str(treatment) == word
    if treatment == Treatment(treatment.method, frame=treatment.frame):
        assert Treatment.parse(word) == treatment


def test_what_is_kept_is_made_once_and_follows_what_it_depends_on(tiny, kept, monkeypatch) -> None:
    images = restoration.images_of("emoji", Run(tiny, kept))
    first = restoration.results_of(GRADIENT, images, Run(tiny, kept))
    assert first["log_probabilities"].shape == (12, 4) and first["psnr"].shape == (12,)
    calls = []
    really = treatment.treated
    monkeypatch.setattr(
        treatment, "treated", lambda *args, **of: calls.append(args[0]) or really(*args, **of)
    )
    again = restoration.results_of(GRADIENT, images, Run(tiny, kept))
    assert not calls and all(torch.equal(first[name], again[name]) for name in first)
    restoration.results_of(Treatment("gradient", noise=1.0), images, Run(tiny, kept))
    other = load("smoke", TINY | {"deblurring.psf": "D4"})
    restoration.results_of(GRADIENT, images, Run(other, kept))
    assert len(calls) == 2
    bootstrap = load("smoke", TINY | {"evaluation.bootstrap": 7, "deblurring.prior.components": 3})
    restoration.results_of(
        GRADIENT, images, Run(bootstrap, kept)
    )  # a gradient penalty takes no prior
    assert len(calls) == 2


def test_left_as_they_are_images_get_the_log_probabilities_of_table_1(tiny, kept) -> None:
    images = restoration.images_of("emoji", Run(tiny, kept))
    found = restoration.results_of(Treatment(AS_IS), images, Run(tiny, kept))["log_probabilities"]
    usual = predictions.log_probabilities(
        trained(NetworkSpec("small_vgg"), Run(tiny, kept)),
        images,
        ["D8"],
        ["256"],
        Run(tiny, kept),
    )["D8"]["256"]
    torch.testing.assert_close(found, usual, atol=1e-4, rtol=0)


def test_the_prior_is_learnt_as_the_profile_says_and_kept(tiny, kept, monkeypatch) -> None:
    prior = restoration.prior(Run(tiny, kept))
    assert len(prior) == 16
    monkeypatch.setattr(restoration.em, "learn", lambda *_: pytest.fail("learnt again"))
    assert torch.equal(restoration.prior(Run(tiny, kept)).covariances, prior.covariances)
    likely = restoration.likelihoods(Run(tiny, kept))
    assert set(likely) == {"mixture of 16", "single Gaussian"}
    assert likely["mixture of 16"].mean() > likely["single Gaussian"].mean()


def test_the_prior_may_come_from_a_folder_of_ones_own(tiny, tmp_path) -> None:
    draw = np.random.RandomState(0)
    for number in range(12):
        pixels = torch.from_numpy(draw.randint(0, 256, (3, 20, 24)).astype(np.uint8))
        write_image(pixels, tmp_path / "mine" / f"{number:02}.png")
    own = load("smoke", {"deblurring.prior.images": str(tmp_path / "mine")})
    images, held_out = data.prior_sets(Run(own, Store(tmp_path / "store")))
    assert (len(images), len(held_out)) == (10, 2)
    assert not set(images.ids) & set(held_out.ids)
    assert data.missing(own) == []
    (sentence,) = data.missing(load("smoke", {"deblurring.prior.images": "bsd"}))
    assert (
        "deblurring.prior.images is the name of a set, or the path of a folder. Got 'bsd'"
        in sentence
    )


def test_so_many_images_spread_over_the_set_are_deblurred(tiny, kept, monkeypatch) -> None:
    labels = [0, 0, 0, 1, 2, 2, 1, 0]
    images = MemorySet(
        [torch.full((3, 9, 9), number, dtype=torch.uint8) for number in range(8)],
        labels,
        ("a", "b", "c"),
    )
    monkeypatch.setattr(restoration.data, "load_images", lambda *_: images)
    some = restoration.images_of("memory", Run(load("smoke", {"deblurring.n_images": 4}), kept))
    assert list(some.ids) == [f"test/{number}" for number in (0, 2, 4, 6)]
    assert some.labels.tolist() == [0, 0, 2, 1]
    assert some[2][0, 0, 0] == 4 and [int(image[0, 0, 0]) for image in some.batch([3, 0])] == [6, 0]
    assert some.fingerprint != images.fingerprint
    assert restoration.images_of("memory", Run(tiny, kept)) is images
    assert list(restoration.images_of("memory", Run(tiny, kept), 3).ids) == [
        "test/0",
        "test/2",
        "test/5",
    ]


def test_recognition_does_not_hang_on_deblurring_nor_the_prior_on_the_solver() -> None:
    recognition = fingerprint.closure(
        ["blurpaper.training.loop", "blurpaper.evaluation.protocol", "blurpaper.networks.vgg"]
    )
    assert not any("deblur" in module or "restoration" in module for module in recognition)
    assert "blurpaper.deblurring.splitting" in fingerprint.closure(
        ["blurpaper.experiments.restoration"]
    )


# --- How it is counted ----------------------------------------------------------------------------

RIGHT = {"sharp": 10, "D8": 4, "epll": 8, "gradient": 6, "mix": 9}
"""Of ten images, on how many the truth is first."""


def made_up(count: int, **columns) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"rank": np.where(np.arange(10) < count, 0, 7), "image": [f"{n}" for n in range(10)]}
    )
    for column in ("entropy", "cross_entropy", "js_divergence", "confidence"):
        frame[column] = 0.5
    return frame.assign(label=0, classes="100", **columns)


@pytest.fixture
def counted(monkeypatch):
    images = MemorySet([torch.zeros(3, 9, 9, dtype=torch.uint8)] * 10, [0] * 10, ("a",))
    images.ids = [f"{number}" for number in range(10)]

    def columns(spec, condition):
        return {
            key: v
            for key, v in predictions.columns_of(spec, "memory", 0, "256", condition).items()
            if key != "classes"
        }

    def decisions(spec, *_):
        conditions = ("sharp", "D8") if spec.is_original else ("D8",)
        return pd.concat(
            [
                made_up(RIGHT[c if spec.is_original else spec.mix], **columns(spec, c))
                for c in conditions
            ]
        )

    def treated_as(treatment, *_):
        right = RIGHT["D8" if treatment.method == AS_IS else treatment.method]
        of = columns(NetworkSpec("small_vgg"), "D8") | {"input": str(treatment)}
        return made_up(right, **of).assign(psnr=20.0 + right, ssim=right / 10)

    monkeypatch.setattr(predictions, "decisions", decisions)
    monkeypatch.setattr(restoration, "treated_decisions", treated_as)
    monkeypatch.setattr(restoration, "images_of", lambda *_: images)
    overrides = {
        "deblurring.methods": ["epll", "gradient"],
        "deblurring.networks": ["mix"],
        "evaluation.test_sets": ["memory"],
    }
    rows = experiments.EXPERIMENTS["table5"](Run(load("smoke", overrides), None))
    return rows.set_index(["network", "input", "condition", "metric"])


def test_table_5_has_the_paper_s_five_numbers_and_what_belongs_to_them(counted) -> None:
    top1 = counted.xs("top1", level="metric")["value"]
    assert dict(top1) == {
        ("original", "as is", "sharp"): 1.0,
        ("original", "as is", "D8"): 0.4,
        ("original", "epll", "D8"): 0.8,
        ("original", "gradient", "D8"): 0.6,
        ("mix", "as is", "D8"): 0.9,
    }
    assert counted.loc[("original", "epll", "D8", "psnr"), "value"] == 28
    assert counted.loc[("original", "as is", "D8", "ssim"), "value"] == 0.4


def test_table_5_says_what_comes_back_and_how_far_it_is_from_epll(counted) -> None:
    assert counted.loc[("original", "epll", "D8", "top1_recovered"), "value"] == pytest.approx(
        0.4 / 0.6
    )
    assert counted.loc[("mix", "as is", "D8", "top1_recovered"), "value"] == pytest.approx(
        0.5 / 0.6
    )
    gap = counted.loc[("mix", "as is", "D8", "top1_vs_epll")]
    assert gap["value"] == pytest.approx(0.1) and gap["low"] >= 0
    assert counted.loc[("original", "as is", "D8", "top1_vs_epll"), "value"] == pytest.approx(-0.4)
    assert ("original", "epll", "D8", "top1_vs_epll") not in counted.index


def test_table_5_in_a_cameras_frame_has_both_noises_and_the_networks_beside_them(
    monkeypatch,
) -> None:
    def treated_as(treatment, images, run, spec, condition):
        right = RIGHT[spec.mix if not spec.is_original else condition]
        right = RIGHT[treatment.method] if treatment.method != AS_IS else right
        right -= treatment.frame == NOISY
        of = predictions.columns_of(spec, "memory", 0, "256", condition)
        of = {key: value for key, value in of.items() if key != "classes"}
        return made_up(right, **of | {"input": str(treatment)}).assign(psnr=20.0 + right, ssim=0.5)

    images = MemorySet([torch.zeros(3, 9, 9, dtype=torch.uint8)] * 10, [0] * 10, ("a",))
    monkeypatch.setattr(restoration, "treated_decisions", treated_as)
    monkeypatch.setattr(restoration, "images_of", lambda *_: images)
    overrides = {
        "deblurring.methods": ["epll", "gradient"],
        "deblurring.networks": ["mix"],
        "evaluation.test_sets": ["memory"],
    }
    rows = experiments.EXPERIMENTS["table5_camera"](Run(load("smoke", overrides), None))
    counted = rows.set_index(["network", "input", "condition", "metric"])["value"]
    assert dict(counted.xs("top1", level="metric")) == {
        ("original", "camera: as is", "sharp"): 1.0,
        ("original", "camera: as is", "D8"): 0.4,
        ("original", "camera: epll", "D8"): 0.8,
        ("original", "camera: gradient", "D8"): 0.6,
        ("mix", "camera: as is", "D8"): 0.9,
        ("original", "camera, noise 2: as is", "D8"): 0.3,
        ("original", "camera, noise 2: epll", "D8"): 0.7,
        ("mix", "camera, noise 2: as is", "D8"): 0.8,
    }
    noisy = "camera, noise 2: epll"
    assert counted["original", noisy, "D8", "top1_recovered"] == pytest.approx(0.4 / 0.7)
    assert counted["mix", "camera: as is", "D8", "top1_vs_epll"] == pytest.approx(0.1)


def test_shaken_photographs_are_restored_with_their_kernels_where_they_are(
    kept, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    overrides = TINY | {"deblurring.shaken": "own", "deblurring.methods": ["gradient"]}
    run = Run(load("smoke", overrides), kept)
    assert len(experiments.EXPERIMENTS["deblurring_shaken"](run)) == 0
    grey = CarriedSet("test")[0].float().mean(dim=0)[:131, :141].round().to(torch.uint8)
    grey, kernel = grey.expand(3, -1, -1).contiguous(), psf("shake:3")
    down, across = (side // 2 for side in kernel.shape)
    inside = (..., slice(down, -down), slice(across, -across))
    for name, image in (
        ("blurred/a_kernel1_img", blur.apply(grey, kernel)[inside].roll((2, 3), (1, 2))),
        ("sharp/a", grey[inside]),
        ("kernels/kernel1", torch.from_numpy(kernel / kernel.max() * 255).expand(3, -1, -1)),
    ):
        write_image(image.to(torch.uint8), tmp_path / "own" / f"{name}.png")
    rows = experiments.EXPERIMENTS["deblurring_shaken"](run)
    psnr = rows.set_index(["input", "item"])["value"]
    assert psnr["gradient", ""] == psnr["gradient", "blurred/a_kernel1_img.png"]
    assert psnr["gradient", ""] > psnr["as is", ""] + 2


def test_the_smaller_experiments_run_on_the_embedded_data(tiny, kept) -> None:
    exact = experiments.EXPERIMENTS["deblurring_exact"](Run(tiny, kept)).set_index(
        ["input", "metric"]
    )
    assert exact.loc[("epll-exact", "psnr"), "value"] + 0.2 > exact.loc[("epll", "psnr"), "value"]
    assert exact.loc[("epll", "psnr_vs_epll-exact"), "n"] == 2
    wrong = experiments.EXPERIMENTS["deblurring_psf"](Run(tiny, kept))
    psnr = wrong[wrong["metric"] == "psnr"].set_index("input")["value"]
    assert (
        psnr["epll"] > psnr["epll as D6"] + 3 and psnr["epll as D10, noise 2"] > psnr["epll as D10"]
    )
    assert set(wrong[wrong["parameter"] == ""]["network"]) == {"original", "mix", "onlyD8"}
    noise = experiments.EXPERIMENTS["deblurring_noise"](Run(tiny, kept))
    assert list(noise[noise["metric"] == "psnr"]["parameter"]) == ["0.29", "1"]
    colour = experiments.EXPERIMENTS["deblurring_colour"](Run(tiny, kept))
    assert list(colour["input"]) == ["epll", "epll, each channel by itself"]
