"""Hamming distances of binarised features, against a plain loop."""

import pytest
import torch

from blurpaper.data import images
from blurpaper.evaluation import invariance, protocol
from blurpaper.networks import STAGES
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs.profile import Compute

CPU32 = Compute(device="cpu", precision="float32", checkpoint_seconds=60)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return small_vgg(("a", "b")).eval()


def test_the_distance_is_the_share_of_channels_that_change_sign(network) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(2, 3, 64, 96, generator=generator) * 255 for _ in range(2))
    with torch.inference_mode():
        found = invariance.hamming_maps(network, one, other)
        first, second = (network.stage_maps(network.normalised(inputs)) for inputs in (one, other))
    for stage in STAGES:
        channels, height, width = first[stage].shape[1:]
        for image, row, column in (
            (0, 0, 0),
            (1, height - 1, width - 1),
            (0, height // 2, width // 2),
        ):
            pairs = zip(
                first[stage][image, :, row, column],
                second[stage][image, :, row, column],
                strict=True,
            )
            differing = sum(bool(a > 0) != bool(b > 0) for a, b in pairs)
            assert found[stage][image, row, column] == pytest.approx(differing / channels)


def test_an_image_is_at_no_distance_from_itself(network) -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    with torch.inference_mode():
        found = invariance.hamming_maps(network, image, image)
    assert all(bool((distances == 0).all()) for distances in found.values())


def test_means_are_those_of_the_maps_and_grow_with_blur(network, random_images, smoke) -> None:
    canonical = [images.to_canonical(image, 108) for image in random_images]
    ids, conditions = list("vwxyz"), ["D2", "D8", invariance.UNRELATED]
    found = invariance.mean_distances(
        network, canonical, ids, conditions, "256", smoke.protocol, CPU32, 4
    )
    for number, image in enumerate(canonical):
        seen = protocol.blurred(image[None], [ids[number]], "D8", 108)
        inputs = [protocol.network_input(one, 72, 108) for one in (image[None], seen)]
        with torch.inference_mode():
            maps = invariance.hamming_maps(network, *inputs)
        expected = torch.stack([maps[stage].mean() for stage in STAGES])
        torch.testing.assert_close(found["D8"][number], expected, atol=2e-3, rtol=0)
    assert (found["D8"].mean(dim=0) > found["D2"].mean(dim=0)).all()
    assert (found[invariance.UNRELATED].mean(dim=0) > found["D8"].mean(dim=0)).all()


def test_inputs_of_two_shapes_are_refused(network) -> None:
    with pytest.raises(ValueError, match="one shape"):
        invariance.hamming_maps(network, torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 96))
