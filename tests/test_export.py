"""Networks exported for other programs: what onnxruntime makes of an ONNX file is what torch makes
of the network.
"""

import json
import sys

import numpy as np
import pytest
import timm
import torch
import torchvision
from click.testing import CliRunner

from blurpaper import export
from blurpaper.cli import main
from blurpaper.networks import Network, NetworkSpec, build, files
from blurpaper.networks.base import WeightsError
from blurpaper.networks.external import External
from blurpaper.networks.weights import released

CLASSES = ("cat", "dog", "bird", "tree", "car")


def little(model: str) -> Network:
    """A model with random weights and statistics, so that folding them in changes something."""
    torch.manual_seed(0)
    network = build(model, CLASSES, 64).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
    return network


def probabilities(path, images: torch.Tensor) -> torch.Tensor:
    """What onnxruntime says."""
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (log_p,) = session.run(["log_probabilities"], {"images": images.numpy()})
    return torch.from_numpy(log_p).exp()


@pytest.fixture(autouse=True)
def onnx():
    return pytest.importorskip("onnx")


@pytest.mark.parametrize(
    "model", ["small_vgg", "small_resnet", "efficientnet_lite0", "efficientnet_lite0_pooled"]
)
@pytest.mark.parametrize(("half", "tolerance"), [(False, 1e-3), (True, 1e-2)])
def test_another_runtime_says_the_same_at_every_size_and_number(
    model, half, tolerance, tmp_path
) -> None:
    network = little(model)
    export.to_onnx(network, tmp_path / "out.onnx", model, half)
    for shape in ((1, 3, 64, 64), (3, 3, 97, 131), (2, 3, 130, 66), (1, 3, 96, 225)):
        images = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 255
        with torch.inference_mode():
            expected = network.log_probabilities(images).softmax(dim=1)
        assert (probabilities(tmp_path / "out.onnx", images) - expected).abs().max() < tolerance


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_a_network_from_elsewhere_says_the_same_too(name, tmp_path) -> None:
    torch.manual_seed(0)
    module = (
        torchvision.models.resnet18(num_classes=5)
        if name == "resnet18"
        else timm.create_model(name, img_size=64, num_classes=5)
    )
    torch.nn.init.normal_(list(module.parameters())[-2], std=0.5)  # so that it prefers something
    network = External(module.eval(), name, field=64).eval()
    export.to_onnx(network, tmp_path / "out.onnx", name)
    for shape in ((1, 3, 64, 64), (2, 3, 97, 131)):
        images = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 255
        with torch.inference_mode():
            expected = network.log_probabilities(images).softmax(dim=1)
        assert expected.max() > 0.3
        assert (probabilities(tmp_path / "out.onnx", images) - expected).abs().max() < 1e-3


def test_what_onnx_has_no_words_for_is_told_in_a_sentence(tmp_path) -> None:
    class Odd(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(images[..., :5, :5].mean(dim=1)).real

    with pytest.raises(WeightsError, match="odd cannot be written as ONNX"):
        export.to_onnx(External(Odd(), "odd", field=64).eval(), tmp_path / "out.onnx", "odd")
    assert not list(tmp_path.iterdir())


def test_exporting_leaves_the_network_as_it_was(tmp_path) -> None:
    network = little("efficientnet_lite0")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export.to_onnx(network, tmp_path / "out.onnx", half=True)
    assert before.keys() == network.state_dict().keys()
    assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())


def test_the_released_network_is_exported_at_half_the_size_and_says_what_it_is(
    tmp_path, onnx
) -> None:
    path = tmp_path / "mix.onnx"
    said = CliRunner().invoke(main, ["export", "efficientnet_lite0:mix", str(path), "--half"])
    assert said.exit_code == 0, said.output
    assert path.stat().st_size < 9.5e6
    told = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (
        told["network"].startswith("efficientnet_lite0:mix")
        and len(json.loads(told["classes"])) == 1000
    )
    network = released("efficientnet_lite0", "mix").load()
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 9, 9) * 255, (256, 341), mode="bicubic"
    ).clamp(0, 255)
    with torch.inference_mode():
        averaged = network.log_probabilities(smooth)
    assert averaged.exp().sum() < 0.99  # over positions that do not quite agree
    assert (probabilities(path, smooth) - averaged.softmax(dim=1)).abs().max() < 1e-2
    assert probabilities(path, smooth).sum().item() == pytest.approx(1, abs=1e-4)


def test_safetensors_are_a_network_again(tmp_path) -> None:
    files.save(little("small_vgg"), NetworkSpec("small_vgg", "mix"), tmp_path / "in.safetensors")
    said = CliRunner().invoke(
        main,
        ["export", str(tmp_path / "in.safetensors"), str(tmp_path / "out.safetensors"), "--half"],
    )
    assert said.exit_code == 0, said.output
    one, other = (
        files.load(tmp_path / f"{name}.safetensors").state_dict() for name in ("in", "out")
    )
    assert all(
        np.allclose(tensor, other[name], rtol=1e-3, atol=1e-4) for name, tensor in one.items()
    )
    assert files.metadata(tmp_path / "out.safetensors")["network"] == "small_vgg:mix"


def test_another_suffix_is_refused_before_anything_is_loaded(tmp_path) -> None:
    said = CliRunner().invoke(main, ["export", "efficientnet_lite0", str(tmp_path / "out.pt")])
    assert said.exit_code == 2
    assert "ends in .onnx or .safetensors" in said.output
    assert not (tmp_path / "out.pt").exists()


def test_without_the_package_it_is_told_how_to_install_it(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = CliRunner().invoke(main, ["export", "efficientnet_lite0", str(tmp_path / "out.onnx")])
    assert said.exit_code == 2
    assert "pip install 'blurpaper[onnx]'" in said.output
