"""The protocol, against a plain loop over images, conditions and scales."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional

from blurpaper import blur, kernels
from blurpaper.data import folders
from blurpaper.data.images import images_of, same_shape, to_canonical
from blurpaper.evaluation import metrics, protocol
from blurpaper.networks.vgg import small_vgg
from blurpaper.networks.weights import ORIGINALS
from blurpaper.runs.devices import autocast
from blurpaper.runs.profile import Compute, load

CPU32 = Compute(device="cpu", precision="float32", checkpoint_seconds=60)


def test_it_is_the_plain_loop_of_the_paper(random_images, smoke) -> None:
    torch.manual_seed(0)
    network = small_vgg(tuple("abcde")).eval()
    settings, ids = smoke.protocol, [f"n/{number}" for number in range(len(random_images))]
    canonical = [to_canonical(image, settings.canonical) for image in random_images]
    for condition in ("sharp", "D8", "shake"):
        found = protocol.log_probabilities(
            dict.fromkeys(["128", "256", "512"], network),
            canonical,
            ids,
            condition,
            settings,
            CPU32,
            2,
        )
        for number, image in enumerate(canonical):
            kernel = kernels.psf_of(condition, ids[number], settings.canonical / 384)
            seen = image.numpy().astype(np.float64)
            if kernel is not None:
                seen = np.stack(
                    [
                        ndimage.convolve(plane, kernel.astype(np.float64), mode="mirror")
                        for plane in seen
                    ]
                )
            eight_bits = torch.from_numpy(np.clip(np.rint(seen), 0, 255))
            for scale, pixels in settings.scales.items():
                factor = pixels / settings.canonical
                shape = [round(side * factor) for side in eight_bits.shape[-2:]]
                inputs = functional.interpolate(
                    eight_bits[None].float(), shape, mode="bicubic", antialias=True
                )
                with torch.inference_mode():
                    expected = network(inputs)[0].log_softmax(dim=0).mean(dim=(1, 2))
                torch.testing.assert_close(found[scale][number], expected, rtol=1e-3, atol=2e-3)


def test_an_image_is_blurred_once_for_all_scales(random_images, smoke, monkeypatch) -> None:
    seen = []
    plain = blur.apply
    monkeypatch.setattr(
        protocol.blur,
        "apply",
        lambda images, psfs: (seen.append(len(images)), plain(images, psfs))[1],
    )
    canonical = [to_canonical(image, 108) for image in random_images]
    networks = dict.fromkeys(["128", "256", "512"], small_vgg(("a", "b")).eval())
    protocol.log_probabilities(networks, canonical, list("vwxyz"), "D4", smoke.protocol, CPU32, 64)
    assert sum(seen) == len(random_images)


def test_a_test_image_always_gets_the_same_shake() -> None:
    first = kernels.psf_of("shake", "n/7.png", 1.0)
    assert np.array_equal(first, kernels.psf_of("shake", "n/7.png", 1.0))
    bank = kernels.shake_bank("test")
    used = {
        next(
            i for i in range(100) if np.array_equal(bank[i], kernels.psf_of("shake", f"n/{n}", 1.0))
        )
        for n in range(300)
    }
    assert len(used) > 80


def test_two_scales_are_averaged_with_equal_weight() -> None:
    by_scale = {"256": torch.tensor([[-1.0, -3.0]]), "512": torch.tensor([[-2.0, -1.0]])}
    assert torch.equal(protocol.combined(by_scale, "256+512"), torch.tensor([[-1.5, -2.0]]))
    assert torch.equal(protocol.combined(by_scale, "512"), by_scale["512"])


@pytest.mark.slow
def test_efficientnet_on_photographs_has_the_accuracy_measured_elsewhere(
    photographs, monkeypatch
) -> None:
    """Top-5 of the centre crop of 224, as computed independently of this library; all positions do
    a little better.
    """
    monkeypatch.setenv("BLURPAPER_DATA", str(photographs))
    independent = {"sharp": 0.978, "D4": 0.872, "D8": 0.678, "H8": 0.938, "shake": 0.788}
    margin = {"D8": 0.04, "shake": 0.04}
    profile, images = load("photos"), folders.load_images("nips2017-dev", "test")
    network = ORIGINALS["efficientnet_lite0"](224)
    whole = images_of(images, range(len(images)), profile.protocol)
    for condition, expected in independent.items():
        crop, everywhere = [], []
        with torch.inference_mode(), autocast(profile.compute, torch.device("cpu")):
            for members in same_shape(whole, 50):
                ids = [images.ids[member] for member in members]
                seen = protocol.blurred(
                    torch.stack([whole[member] for member in members]),
                    ids,
                    condition,
                    384,
                )
                inputs = protocol.network_input(seen, 256, 384)
                top, left = ((side - 224) // 2 for side in inputs.shape[-2:])
                labels = images.labels[members]
                for found, shown in (
                    (crop, inputs[..., top : top + 224, left : left + 224]),
                    (everywhere, inputs),
                ):
                    found.append(
                        metrics.decide(network.log_probabilities(shown), labels)["rank"] < 5
                    )
        assert np.concatenate(crop).mean() == pytest.approx(
            expected, abs=margin.get(condition, 0.03)
        ), condition
        assert np.concatenate(everywhere).mean() >= np.concatenate(crop).mean() - 0.01, condition


def test_batches_are_of_one_shape_and_bounded_and_have_each_image_once() -> None:
    shapes = [(4, 6), (6, 4), (4, 6), (4, 6), (6, 4), (5, 5)]
    images = [torch.zeros(3, *shape) for shape in shapes]
    batches = list(same_shape(images, 2))
    assert sorted(number for batch in batches for number in batch) == list(range(len(shapes)))
    assert all(len({shapes[number] for number in batch}) == 1 for batch in batches)
    assert max(map(len, batches)) == 2
