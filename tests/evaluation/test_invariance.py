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


def test_distances_are_shares_of_channels_that_change_sign_and_grow_with_blur(
    network, random_images, smoke
) -> None:
    canonical = [images.to_canonical(image, 108) for image in random_images]
    ids, conditions = list("vwxyz"), ["D2", "D8", invariance.UNRELATED]
    found = invariance.mean_distances(
        network, canonical, ids, conditions, "256", smoke.protocol, CPU32, 4
    )
    for number, image in enumerate(canonical):
        seen = protocol.blurred(image[None], [ids[number]], "D8", 108)
        inputs = [protocol.network_input(one, 72, 108) for one in (image[None], seen)]
        with torch.inference_mode():
            first, second = (network.stage_maps(network.normalised(each)) for each in inputs)
        expected = []
        for stage in STAGES:
            one, other = (maps[stage].flatten().tolist() for maps in (first, second))
            changed = sum((a > 0) != (b > 0) for a, b in zip(one, other, strict=True))
            expected.append(changed / len(one))
        expected = torch.tensor(expected)
        torch.testing.assert_close(found["D8"][number], expected, atol=2e-3, rtol=0)
    assert (found["D8"].mean(dim=0) > found["D2"].mean(dim=0)).all()
    assert (found[invariance.UNRELATED].mean(dim=0) > found["D8"].mean(dim=0)).all()
