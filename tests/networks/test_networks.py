"""Networks: VGG against torchvision's, EfficientNet-Lite against timm's, both fully convolutional;
their names and files.
"""

import hashlib

import pytest
import torch
from torch.nn import functional
from torchvision import models as torchvision_models
from torchvision.models import resnet50 as torchvision_resnet50
from torchvision.models import vgg16 as torchvision_vgg16

from blurpaper.data.sets import imagenet_wnids
from blurpaper.networks import MODELS, STAGES, NetworkSpec, build, files, module_of, weights
from blurpaper.networks.residual import efficientnet_lite0, resnet50, small_resnet
from blurpaper.networks.vgg import CAFFE_MEAN, VGG, small_vgg, vgg16
from blurpaper.networks.weights import WeightsError, read_pickled_weights

NAMES = ("a", "b", "c", "d")


def noise(height: int, width: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255


@pytest.fixture(scope="module")
def little_vgg() -> VGG:
    torch.manual_seed(0)
    return small_vgg(NAMES, field=64).eval()


def test_vgg16_gives_the_logits_of_torchvisions_on_its_field() -> None:
    torch.manual_seed(0)
    theirs = torchvision_vgg16(num_classes=len(NAMES)).eval()
    ours = vgg16(NAMES).eval()
    ours.with_weights(theirs.state_dict())
    image = noise(224, 224)
    with torch.inference_mode():
        expected = theirs(ours.normalised(image))
        torch.testing.assert_close(ours(image)[:, :, 0, 0], expected, rtol=1e-4, atol=1e-4)


def test_vgg_refuses_weights_of_another_shape() -> None:
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        small_vgg(NAMES).with_weights(small_vgg(("x", "y")).state_dict())


def test_vgg_at_a_larger_size_is_its_classifier_at_every_position(little_vgg: VGG) -> None:
    image = noise(144, 176)
    with torch.inference_mode():
        last = little_vgg.stage_maps(little_vgg.normalised(image))["pool5"]
        assert last.shape[-2:] == (4, 5)
        first, second = little_vgg.classifier[0], little_vgg.classifier[-1]
        positions = []
        for top in range(3):
            for left in range(4):
                window = last[0, :, top : top + 2, left : left + 2].flatten()
                hidden = functional.relu(first.weight.flatten(1) @ window + first.bias)
                positions.append(second.weight[:, :, 0, 0] @ hidden + second.bias)
        expected = torch.stack(positions).log_softmax(dim=1).mean(dim=0)
        torch.testing.assert_close(
            little_vgg.log_probabilities(image)[0], expected, rtol=1e-4, atol=1e-5
        )


def test_below_its_field_vgg_pads_the_last_map_with_zeros(little_vgg: VGG) -> None:
    image = noise(36, 36)
    with torch.inference_mode():
        last = little_vgg.stage_maps(little_vgg.normalised(image))["pool5"]
        assert last.shape[-2:] == (1, 1)
        padded = torch.zeros(1, last.shape[1], 2, 2)
        padded[:, :, 0, 0] = last[:, :, 0, 0]
        torch.testing.assert_close(little_vgg(image), little_vgg.classifier(padded))


@pytest.mark.parametrize("model", ["small_vgg", "efficientnet_lite0", "small_resnet", "resnet50"])
def test_the_five_stages_halve_the_resolution(model: str) -> None:
    network = build(model, NAMES, 64).eval()
    with torch.inference_mode():
        maps = network.stage_maps(network.normalised(noise(128, 192)))
    assert tuple(maps) == STAGES
    assert [tuple(stage.shape[-2:]) for stage in maps.values()] == [
        (128 >> n, 192 >> n) for n in range(1, 6)
    ]


def test_small_vgg_has_about_a_million_parameters() -> None:
    count = sum(parameter.numel() for parameter in small_vgg(tuple("abcdefghij")).parameters())
    assert 0.7e6 < count < 1.3e6


def test_efficientnet_on_its_field_is_timms_and_on_more_averages_windows() -> None:
    torch.manual_seed(0)
    network = efficientnet_lite0(NAMES).eval()
    with torch.inference_mode():
        image = network.normalised(noise(224, 224))
        torch.testing.assert_close(
            network.classify(network.stage_maps(image)["pool5"])[:, :, 0, 0], network.body(image)
        )
        larger = network.normalised(noise(256, 288))
        last = network.body.forward_features(larger)
        assert last.shape[-2:] == (8, 9)
        windows = [
            last[:, :, top : top + 7, left : left + 7].mean((2, 3))
            for top in range(2)
            for left in range(3)
        ]
        expected = torch.stack(
            [network.body.classifier(window).log_softmax(1) for window in windows]
        ).mean(0)
        torch.testing.assert_close(
            network.log_probabilities(noise(256, 288)), expected, rtol=1e-4, atol=1e-5
        )


def test_efficientnet_below_its_field_averages_what_is_there() -> None:
    torch.manual_seed(0)
    network = efficientnet_lite0(NAMES).eval()
    with torch.inference_mode():
        small = noise(128, 128)
        torch.testing.assert_close(
            network(small)[:, :, 0, 0], network.body(network.normalised(small))
        )


def test_resnet50_gives_the_logits_of_torchvisions_on_its_field() -> None:
    torch.manual_seed(0)
    theirs = torchvision_resnet50(num_classes=len(NAMES)).eval()
    for module in theirs.modules():  # statistics of their own, as after training
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.1, 0.1)
    ours = resnet50(NAMES).eval()
    ours.with_weights(theirs.state_dict())
    image = noise(224, 224)
    with torch.inference_mode():
        expected = theirs(ours.normalised(image))
        torch.testing.assert_close(ours(image)[:, :, 0, 0], expected, rtol=1e-4, atol=1e-4)
    with pytest.raises((RuntimeError, ValueError)):
        ours.with_weights(small_resnet(NAMES).state_dict())


def test_resnet_at_a_larger_size_is_its_classifier_on_the_average_of_every_window() -> None:
    torch.manual_seed(0)
    network = small_resnet(NAMES).eval()
    with torch.inference_mode():
        image = network.normalised(noise(128, 160))
        last = network.stage_maps(image)["pool5"]
        windows = [
            last[:, :, top : top + 2, left : left + 2].mean((2, 3))
            for top in range(3)
            for left in range(4)
        ]
        expected = torch.stack([network.classifier(window) for window in windows], dim=-1)
        torch.testing.assert_close(network.classify(last).flatten(2), expected)


@pytest.mark.parametrize(("height", "width"), [(72, 97), (64, 80), (36, 48)])
def test_resnets_log_probabilities_are_the_mean_over_five_crops(height: int, width: int) -> None:
    torch.manual_seed(0)
    network = small_resnet(NAMES).eval()
    torch.nn.init.normal_(network.classifier.weight)  # so that crops differ
    image = noise(height, width, count=2)
    across = width - min(width, 64)
    crops = {
        (72, 97): [(0, 0), (0, 33), (8, 0), (8, 33), (4, 16)],
        (64, 80): [(0, 0), (0, 16), (0, 0), (0, 16), (0, 8)],
        (36, 48): [(0, 0)],
    }[height, width]
    assert across in {left for _, left in crops}
    with torch.inference_mode():
        views = [
            image[:, :, top : top + min(height, 64), left : left + min(width, 64)]
            for top, left in crops
        ]
        maps = [network.stage_maps(network.normalised(view))["pool5"] for view in views]
        expected = torch.stack(
            [network.classifier(last.mean((2, 3))).log_softmax(1) for last in maps]
        ).mean(0)
        torch.testing.assert_close(network.log_probabilities(image), expected, rtol=1e-4, atol=1e-5)


def test_small_resnet_has_at_most_a_million_parameters_and_its_gradients_flow() -> None:
    torch.manual_seed(0)
    network = small_resnet(tuple("abcdefghij")).train()
    assert 0.7e6 < sum(parameter.numel() for parameter in network.parameters()) <= 1e6
    assert network(noise(64, 64, count=2)).shape == (2, 10, 1, 1)
    # Each block begins as the identity, which hides it for one step.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    functional.cross_entropy(
        network(noise(64, 64, count=8))[:, :, 0, 0], torch.arange(8)
    ).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_imagenets_thousand_classes_are_in_alphabetical_order_of_wnid() -> None:
    wnids = imagenet_wnids()
    assert len(set(wnids)) == 1000
    assert list(wnids) == sorted(wnids)
    assert wnids[0] == "n01440764"


# --- Names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "small_vgg:original",
        "efficientnet_lite0:mix@512",
        "vgg16:sharp+D4",
        "small_vgg:mix@256+512#3",
        "vgg16:mix@per-scale",
    ],
)
def test_a_network_has_one_canonical_name(text: str) -> None:
    assert str(NetworkSpec.parse(text)) == text


def test_what_is_usual_may_be_left_out_of_a_name() -> None:
    assert (
        NetworkSpec.parse("vgg16:mix@256#0")
        == NetworkSpec.parse("vgg16:mix")
        == NetworkSpec.parse("mix", model="vgg16")
    )
    assert NetworkSpec.parse("vgg16") == NetworkSpec("vgg16", "original")


@pytest.mark.parametrize(
    "text", ["", "vgg16:nomix", "vgg16:mix@300", "vgg16:mix/other", "mix", "vgg16:mix#-1", "a:b:c"]
)
def test_a_string_that_names_no_network_is_told_back(text: str) -> None:
    with pytest.raises(ValueError, match="Got"):
        NetworkSpec.parse(text)


def test_every_model_is_built_by_a_function_of_its_name() -> None:
    for model in MODELS:
        assert callable(getattr(__import__(module_of(model), fromlist=[model]), model))
    with pytest.raises(ValueError, match="'lenet'"):
        module_of("lenet")


# --- Files ----------------------------------------------------------------------------------------


def test_a_network_comes_back_from_its_file_the_same(little_vgg: VGG, tmp_path) -> None:
    files.save(little_vgg, NetworkSpec("small_vgg"), tmp_path / "n.safetensors")
    again = files.load(tmp_path / "n.safetensors")
    image = noise(72, 72)
    with torch.inference_mode():
        assert torch.equal(again(image), little_vgg(image))
    assert again.classes == NAMES
    assert not again.training


def test_a_file_that_is_no_network_is_refused(tmp_path) -> None:
    pickled = tmp_path / "evil.safetensors"
    torch.save({"weight": torch.zeros(3)}, pickled)
    with pytest.raises(WeightsError, match="cannot be read"):
        files.load(pickled)
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "plain.safetensors")
    with pytest.raises(WeightsError, match="does not say"):
        files.load(tmp_path / "plain.safetensors")


def test_pickled_weights_are_read_only_with_the_known_checksum(tmp_path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="not the known file"):
        read_pickled_weights(path, "0" * 64)


def test_the_original_resnet50_has_torchvisions_weights_or_says_how_to_get_them(
    monkeypatch,
) -> None:
    torch.manual_seed(0)
    theirs = torchvision_resnet50().eval()

    def away(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(
        torchvision_models.WeightsEnum, "get_state_dict", lambda *_, **__: theirs.state_dict()
    )
    ours = weights.ORIGINALS["resnet50"](224)
    image = noise(224, 224)
    with torch.inference_mode():
        expected = theirs(ours.normalised(image))
        torch.testing.assert_close(ours(image)[:, :, 0, 0], expected, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(torchvision_models.WeightsEnum, "get_state_dict", away)
    for model in ("resnet50", "vgg16"):
        with pytest.raises(
            WeightsError, match=f"weights of {model} from https.*checkpoints.*no route to host"
        ):
            weights.ORIGINALS[model](224)


def tiny_vgg(classes=NAMES, field: int = 64, mean=CAFFE_MEAN) -> VGG:
    return VGG(
        classes,
        field,
        (4, 4, 6, 6, 8),
        (1, 1, 2, 1, 1),
        (16, 16),
        batch_norm=False,
        mean=mean,
        std=(1.0,) * 3,
    )


@pytest.fixture
def caffe_file(tmp_path, monkeypatch):
    """A file as the conversion of the Caffe VGG-16 is, but tiny, and the network of torchvision's
    that it is the weights of.
    """
    torch.manual_seed(0)
    layers, channels = [], 3
    for width, depth in zip((4, 4, 6, 6, 8), (1, 1, 2, 1, 1)):
        for _ in range(depth):
            layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
            channels = width
        layers.append(torch.nn.MaxPool2d(2))
    theirs = torchvision_models.VGG(torch.nn.Sequential(*layers), num_classes=len(NAMES)).eval()
    theirs.avgpool = torch.nn.Identity()
    linear = torch.nn.Linear
    theirs.classifier = torch.nn.Sequential(
        linear(8 * 2 * 2, 16),
        torch.nn.ReLU(),
        torch.nn.Identity(),
        linear(16, 16),
        torch.nn.ReLU(),
        torch.nn.Identity(),
        linear(16, 4),
    )
    renumbered = {
        "classifier.0": "classifier.1",
        "classifier.3": "classifier.4",
        "classifier.6": "classifier.6",
    }
    given = {}
    for name, tensor in sorted(theirs.state_dict().items()):  # in the order of no network
        layer, _, kind = name.rpartition(".")
        given[f"{renumbered.get(layer, layer)}.{kind}"] = tensor
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save(given, folder / "made.pth")
    digest = hashlib.sha256((folder / "made.pth").read_bytes()).hexdigest()
    path = (folder / "made.pth").rename(folder / f"vgg16-{digest[:8]}.pth")
    monkeypatch.setenv("BLURPAPER_DATA", str(tmp_path))
    monkeypatch.setattr(weights, "CAFFE_VGG16", path.name)
    monkeypatch.setattr(weights, "build", lambda _, classes, field: tiny_vgg(field=field))
    return path, theirs


def test_the_caffe_weights_are_those_of_a_network_that_is_fed_bgr_less_its_mean(caffe_file) -> None:
    _, theirs = caffe_file
    image = noise(64, 64)
    bgr = image.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    with torch.inference_mode():
        ours = weights.ORIGINALS["vgg16_caffe"](64)
        torch.testing.assert_close(ours(image)[:, :, 0, 0], theirs(bgr), rtol=1e-4, atol=1e-4)


def test_caffe_weights_that_are_missing_or_others_are_refused(caffe_file) -> None:
    path, _ = caffe_file
    with path.open("ab") as file:
        file.write(b"x")
    with pytest.raises(WeightsError, match="not the known file"):
        weights.original_vgg16_caffe(64)
    path.unlink()
    with pytest.raises(WeightsError, match=r"weights/vgg16-\w+\.pth: .*jcjohnson/pytorch-vgg"):
        weights.original_vgg16_caffe(64)
