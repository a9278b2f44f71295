"""Zoomout against the literal hypercolumn: every map brought to every pixel, laid upon one another,
and classified there.
"""

import copy
import json
import math

import pytest
import torch
from safetensors import safe_open
from torch.nn import functional

from blurpaper.experiments import plan
from blurpaper.networks import MODELS, STAGES, NetworkSpec, build, files
from blurpaper.networks.base import WeightsError
from blurpaper.segmentation.zoomout import LEVELS, SCENE, ZoomOut, load_segmenter, save

NAMES = ("a", "b", "c", "d")
LABELS = ("background", "cat", "dog")
SMALL = ("small_vgg", "small_resnet", "efficientnet_lite0")


def noise(height: int, width: int, count: int = 1) -> torch.Tensor:
    """Smooth random images."""
    coarse = torch.rand(count, 3, 9, 9, generator=torch.Generator().manual_seed(1)) * 255
    return functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 255)


def backbone_of(model: str) -> torch.nn.Module:
    """A network with random weights, its normalisations random as well, as after training."""
    torch.manual_seed(0)
    network = build(model, NAMES, 64)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def zoomout_of(model: str, stride: int = 2) -> ZoomOut:
    network = ZoomOut(backbone_of(model), LABELS, 8, stride)
    torch.nn.init.normal_(network.bias, std=0.5)
    return network.eval()


@pytest.fixture(scope="module", params=SMALL)
def zoomout(request) -> ZoomOut:
    return zoomout_of(request.param)


@pytest.fixture(scope="module")
def little() -> ZoomOut:
    return zoomout_of("small_vgg")


def hypercolumns(network: ZoomOut, images: torch.Tensor) -> torch.Tensor:
    """The column of every pixel, (B, C, H, W), made as it is told."""
    maps = network.backbone.stage_maps(network.backbone.normalised(images))
    maps[SCENE] = maps["pool5"].mean(dim=(2, 3), keepdim=True)
    laid = []
    for level in LEVELS:
        mean, variance = (
            maps[level].mean(dim=1, keepdim=True),
            maps[level].var(dim=1, keepdim=True, unbiased=False),
        )
        standardised = (maps[level] - mean) / (variance + 1e-5).sqrt()
        laid.append(
            functional.interpolate(
                standardised, images.shape[-2:], mode="bilinear", align_corners=False
            )
        )
    return torch.cat(laid, dim=1)


def literal(network: ZoomOut, images: torch.Tensor) -> torch.Tensor:
    """Logits of every pixel, (B, K, H, W), by one matrix on the whole column."""
    whole = torch.cat([network.columns[level].weight for level in LEVELS], dim=1)
    hidden = (
        torch.einsum("ou,buhw->bohw", whole, hypercolumns(network, images))
        + network.bias[:, None, None]
    )
    logits = torch.einsum("ko,bohw->bkhw", network.classifier.weight, hidden.clamp_min(0))
    return logits + network.classifier.bias[:, None, None]


def with_stride(network: ZoomOut, stride: int) -> ZoomOut:
    other = copy.deepcopy(network)
    other.stride = stride
    return other


def all_points(height: int, width: int) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([columns, rows], dim=-1).view(1, -1, 2)


# --- Values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 96), (65, 83), (97, 33)])
def test_a_point_is_classified_by_its_hypercolumn(zoomout, shape) -> None:
    images = noise(*shape, count=2)
    corners = [[0, 0], [shape[1] - 1, 0], [0, shape[0] - 1], [shape[1] - 1, shape[0] - 1]]
    drawn = (
        torch.rand(30, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor(shape[::-1])
    ).long()
    points = torch.stack(
        [torch.cat([torch.tensor(corners), drawn]), torch.cat([drawn, torch.tensor(corners)])]
    )
    with torch.inference_mode():
        expected, found = literal(zoomout, images), zoomout(images, points)
    assert found.shape == (2, 34, 3)
    for image in range(2):
        columns, rows = points[image].T
        torch.testing.assert_close(
            found[image], expected[image][:, rows, columns].T, rtol=1e-3, atol=1e-4
        )
    assert found.std(dim=1).min() > 1e-3  # there is something to be told apart


@pytest.mark.parametrize("shape", [(64, 96), (65, 83)])
def test_at_stride_one_every_pixel_is_classified(zoomout, shape) -> None:
    images, every = noise(*shape, count=2), with_stride(zoomout, 1)
    with torch.inference_mode():
        found = every.logits(images)
        points = (
            zoomout(images, all_points(*shape).expand(2, -1, -1)).transpose(1, 2).view(2, 3, *shape)
        )
        assert found.shape == (2, 3, *shape)
        torch.testing.assert_close(found, points, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found, literal(zoomout, images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("shape", [(64, 96), (65, 83), (64, 33)])
def test_at_stride_two_the_centres_of_cells_are_classified(zoomout, shape) -> None:
    """As many cells as it takes to cover the image, all of one size: 2 x 2 pixels where the sides
    are even.
    """
    images = noise(*shape)
    cells = [math.ceil(side / 2) for side in shape]
    sizes = torch.tensor([shape[1] / cells[1], shape[0] / cells[0]])
    centres = (all_points(*cells) + 0.5) * sizes - 0.5
    if not any(side % 2 for side in shape):
        assert torch.equal(centres, 2.0 * all_points(*cells) + 0.5)
    with torch.inference_mode():
        found = with_stride(zoomout, 2).logits(images)
        assert found.shape == (1, 3, *cells)
        torch.testing.assert_close(
            found[0].flatten(1).T, zoomout(images, centres)[0], rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize(
    ("shape", "wanted"), [((64, 96), (64, 96)), ((65, 83), (120, 151)), ((64, 64), (31, 17))]
)
def test_log_probabilities_are_those_of_the_logits_and_sum_to_one(little, shape, wanted) -> None:
    images = noise(*shape, count=2)
    with torch.inference_mode():
        found = little.log_probabilities(images, wanted)
        grown = functional.interpolate(
            little.logits(images), wanted, mode="bilinear", align_corners=False
        )
    assert found.shape == (2, 3, *wanted)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(2, *wanted))
    torch.testing.assert_close(found, grown - grown.logsumexp(dim=1, keepdim=True))


def test_an_image_is_segmented_as_it_would_be_alone(zoomout) -> None:
    images = noise(64, 80, count=3)
    with torch.inference_mode():
        together, alone = (
            zoomout.logits(images),
            torch.cat([zoomout.logits(image[None]) for image in images]),
        )
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def test_the_scene_is_the_same_at_all_pixels_and_not_in_all_images() -> None:
    network = zoomout_of("small_vgg", stride=1)
    for stage in STAGES:
        torch.nn.init.zeros_(network.columns[stage].weight)
    with torch.inference_mode():
        found = network.logits(noise(96, 64, count=2))
        last = network.backbone.stage_maps(network.backbone.normalised(noise(96, 64, count=2)))[
            "pool5"
        ].mean(dim=(2, 3))
        column = functional.layer_norm(last, last.shape[1:])
        expected = network.classifier((network.columns[SCENE](column) + network.bias).relu())
    torch.testing.assert_close(
        found, expected[:, :, None, None].expand_as(found), rtol=1e-4, atol=1e-5
    )
    assert (found[0, :, 0, 0] - found[1, :, 0, 0]).abs().max() > 1e-3


def test_the_column_has_the_channels_of_every_level() -> None:
    widths = dict(zip(LEVELS, (16, 32, 64, 128, 192, 192), strict=True))
    columns = zoomout_of("small_vgg").columns
    assert {level: column.in_features for level, column in columns.items()} == widths


def test_hidden_units_begin_as_he_has_it() -> None:
    """He's initialisation over the whole column: of inputs of mean square 1, sums of variance 2."""
    torch.manual_seed(0)
    network = ZoomOut(backbone_of("small_vgg"), LABELS, 2000)
    with torch.inference_mode():
        column = hypercolumns(network, noise(64, 64))[0, :, 32, 32]
        whole = torch.cat([network.columns[level].weight for level in LEVELS], dim=1)
        assert float((whole @ column).var() / column.square().mean()) == pytest.approx(2, rel=0.15)


# --- What is left of the backbone -----------------------------------------------------------------


@pytest.mark.parametrize("model", SMALL)
def test_every_parameter_that_is_left_is_trained(model) -> None:
    """The classification head is gone: several processes that train together wait for every
    gradient.
    """
    network = zoomout_of(model).train()
    images = noise(64, 96, count=2)
    network(images, all_points(64, 96)[:, ::7].expand(2, -1, -1)).log_softmax(dim=2)[
        ..., 1
    ].mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    first = next(name for name, _ in network.named_parameters() if name.startswith("backbone"))
    assert dict(network.named_parameters())[first].shape[1] == 3  # the layer that sees the pixels


@pytest.mark.parametrize("model", SMALL)
def test_without_its_head_a_backbone_sees_what_it_saw(model) -> None:
    whole, images = backbone_of(model), noise(64, 96)
    network = ZoomOut(copy.deepcopy(whole), LABELS, 8)
    assert not network.backbone.training
    kept = network.backbone.state_dict()
    assert 0 < len(kept) < len(whole.state_dict())
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in kept.items())
    with torch.inference_mode():
        expected, found = (
            one.stage_maps(one.normalised(images)) for one in (whole, network.backbone)
        )
    assert all(torch.equal(found[stage], expected[stage]) for stage in STAGES)


@pytest.mark.parametrize("model", SMALL)
def test_taking_the_head_off_leaves_the_statistics_of_a_backbone_in_training_alone(model) -> None:
    whole = backbone_of(model).train()
    network = ZoomOut(copy.deepcopy(whole), LABELS, 8)
    assert network.backbone.training
    for name, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name]), name


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_network_can_be_loaded_where_no_gradients_are_computed(little, tmp_path, context) -> None:
    save(little, NetworkSpec("small_vgg"), tmp_path / "n.safetensors")
    images = noise(64, 64)
    with context():
        assert torch.equal(
            load_segmenter(tmp_path / "n.safetensors").logits(images), little.logits(images)
        )


def test_a_frozen_backbone_can_be_built_upon_and_stays_frozen() -> None:
    network = ZoomOut(backbone_of("small_vgg").requires_grad_(False), LABELS, 8)
    assert not any(parameter.requires_grad for parameter in network.backbone.parameters())
    assert not any(name.startswith("classifier") for name in network.backbone.state_dict())


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_built_upon_without_numbers(model) -> None:
    """On the meta device: no head, a gradient for all that is left, and a label for every point and
    pixel.
    """
    with torch.device("meta"):
        network = ZoomOut(build(model, NAMES, 64), LABELS, 8).train()
        images, points = torch.empty(2, 3, 64, 96), torch.empty(2, 5, 2)
        assert network.logits(images).shape == (2, 3, 32, 48)
        assert network.log_probabilities(images, (65, 97)).shape == (2, 3, 65, 97)
        logits = network(images, points)
        assert logits.shape == (2, 5, 3)
        logits.sum().backward()
    assert all(
        parameter.is_meta and parameter.grad is not None for parameter in network.parameters()
    )


# --- Costs ----------------------------------------------------------------------------------------


def test_the_cost_of_segmenting_is_that_of_the_convolutions_and_of_the_perceptron(smoke) -> None:
    """VGG-16 on 224 x 224, by hand: 3 x 3 convolutions, each map through its part of the first
    layer, then the classifier.
    """
    labels, hidden, stride = 20, smoke.segmentation.hidden_units, smoke.segmentation.stride
    network = plan.segmenter("vgg16", 1000, 224, labels, smoke.segmentation)
    convolutions, learnt, channels = 0, 0, 3
    for side, width, depth in zip(
        (224, 112, 56, 28, 14), (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    ):
        for _ in range(depth):
            convolutions += 9 * channels * width * side**2
            learnt, channels = learnt + 9 * channels * width + width, width
    maps = ((112, 64), (56, 128), (28, 256), (14, 512), (7, 512), (1, 512))
    columns = sum(side**2 * width * hidden for side, width in maps)
    classified = hidden * labels * (224 // stride) ** 2
    assert plan.forward(network, (224, 224)).flops == pytest.approx(
        2 * (convolutions + columns + classified), rel=1e-3
    )
    at_points = 10 * hidden * (sum(width for _, width in maps) + labels)
    assert plan.forward(network, (224, 224), 3, training=True, points=10).flops == pytest.approx(
        2 * (convolutions + at_points), rel=1e-3
    )
    learnt += hidden * sum(width for _, width in maps) + hidden + hidden * labels + labels
    assert plan.weights(network) == learnt


# --- Files ----------------------------------------------------------------------------------------


def refused(path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_segmenter(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("model", SMALL)
def test_a_zoomout_network_comes_back_from_its_file_the_same(model, tmp_path) -> None:
    network = zoomout_of(model, stride=3)
    path, images = tmp_path / "n.safetensors", noise(64, 96)
    network.backbone.mean.add_(1.5)  # as if it had been trained on other grey levels
    save(network, NetworkSpec(model, "mix"), path)
    again = load_segmenter(path)
    assert not any(module.training for module in again.modules())
    assert (again.labels, again.stride) == (LABELS, 3)
    assert (again.backbone.classes, again.backbone.field) == (NAMES, 64)
    with torch.inference_mode():
        assert torch.equal(again.logits(images), network.logits(images))
        assert torch.equal(again(images, all_points(8, 9)), network(images, all_points(8, 9)))


def test_a_file_says_what_it_is(little, tmp_path) -> None:
    save(little, NetworkSpec("small_vgg", "mix"), tmp_path / "n.safetensors")
    with safe_open(tmp_path / "n.safetensors", "pt") as file:
        header = file.metadata()
    assert header["network"] == "small_vgg:mix"
    assert (header["hidden"], header["stride"], header["field"]) == ("8", "2", "64")
    assert [json.loads(header[name]) for name in ("labels", "levels", "classes")] == [
        list(LABELS),
        list(LEVELS),
        list(NAMES),
    ]


def test_networks_of_another_kind_are_refused_both_ways(little, tmp_path) -> None:
    files.save(backbone_of("small_vgg"), NetworkSpec("small_vgg"), tmp_path / "plain.safetensors")
    assert "(labels: Field required)" in refused(tmp_path / "plain.safetensors")
    save(little, NetworkSpec("small_vgg"), tmp_path / "zoomout.safetensors")
    with pytest.raises(
        WeightsError, match="does not hold small_vgg:original, which its header names"
    ):
        files.load(tmp_path / "zoomout.safetensors")


def test_weights_of_another_model_are_refused(little, tmp_path) -> None:
    save(little, NetworkSpec("small_resnet"), tmp_path / "n.safetensors")
    assert "does not hold small_resnet:original, which its header names" in refused(
        tmp_path / "n.safetensors"
    )


def test_a_file_that_is_cut_off_or_away_is_refused(little, tmp_path) -> None:
    path = tmp_path / "n.safetensors"
    assert "cannot be read" in refused(path)
    save(little, NetworkSpec("small_vgg"), path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "cannot be read" in refused(path)
    path.write_bytes(b"")
    assert "cannot be read" in refused(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", "lenet:original"),
        ("hidden", "many"),
        ("labels", "cat, dog"),
    ],
)
def test_a_header_that_names_nothing_we_know_is_refused(little, name, value, tmp_path) -> None:
    path = tmp_path / "n.safetensors"
    save(little, NetworkSpec("small_vgg"), path)
    files.write(little.state_dict(), files.metadata(path) | {name: value}, path)
    told = refused(path)
    assert "its header" in told
    assert str(path) in told
