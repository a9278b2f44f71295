"""Networks in files: one's own, and those that come with blurpaper."""

import pytest
import torch
from safetensors.torch import save_file

from blurpaper.book import publication
from blurpaper.evaluation import predictions
from blurpaper.networks import NetworkSpec, files, weights
from blurpaper.networks.base import WeightsError
from blurpaper.networks.files import NetworkFile
from blurpaper.networks.vgg import small_vgg
from blurpaper.runs import Run
from blurpaper.runs.profile import load
from blurpaper.training import networks


@pytest.fixture
def kept(tmp_path):
    torch.manual_seed(0)
    network = small_vgg(("cat", "dog", "bird")).eval()
    path = tmp_path / "weights" / "small_vgg.mix.agreement#2.safetensors"
    spec = NetworkSpec("small_vgg", "mix", recipe="agreement", seed=2)
    files.save(network, spec, path, half=True)
    return network, path


def test_half_precision_is_half_as_large_and_close(kept, tmp_path) -> None:
    network, path = kept
    files.save(network, NetworkSpec("small_vgg", "mix"), tmp_path / "whole.safetensors")
    assert path.stat().st_size < 0.52 * (tmp_path / "whole.safetensors").stat().st_size
    images = torch.rand(2, 3, 64, 64) * 255
    with torch.inference_mode():
        assert torch.allclose(files.load(path)(images), network(images), atol=0.02, rtol=0.02)


def test_a_file_says_what_it_is(kept) -> None:
    file = NetworkFile.at(kept[1])
    assert file.name == "small_vgg:mix/agreement#2"
    assert not file.is_original
    assert predictions.columns_of(file, "nips2017-dev", 3, "256", "D8")["recipe"] == "agreement"


def test_a_mix_of_ones_own_is_named_by_its_conditions(tmp_path) -> None:
    own = NetworkSpec("small_vgg", "sharp,G4,shake:17", recipe="agreement")
    files.save(small_vgg(("a", "b")), own, tmp_path / "own.safetensors")
    file = NetworkFile.at(tmp_path / "own.safetensors")
    assert (file.model, file.mix, file.recipe) == ("small_vgg", "sharp,G4,shake:17", "agreement")
    assert str(file) == "own.safetensors (small_vgg:sharp,G4,shake:17/agreement)"


def test_the_bundled_network_is_named_with_its_recipe_and_seed(kept, monkeypatch) -> None:
    monkeypatch.setattr(weights, "FOLDER", kept[1].parent)
    assert weights.named("small_vgg:mix/agreement#2") == NetworkFile.at(kept[1])
    assert weights.named(str(kept[1])) == NetworkFile.at(kept[1])
    unlabelled = NetworkSpec("small_vgg", "mix", recipe="agreement")
    assert weights.named("small_vgg:mix/agreement") == unlabelled  # of another seed
    assert weights.named("small_vgg:mix") == NetworkSpec("small_vgg", "mix")
    assert weights.named("small_vgg:mix/labels") == NetworkSpec("small_vgg", "mix")
    assert weights.named("small_vgg:mix#1") == NetworkSpec("small_vgg", "mix", seed=1)
    assert weights.named("small_vgg") == NetworkSpec("small_vgg")


@pytest.mark.parametrize("content", [b"", b"no network", None])
def test_what_is_no_network_is_refused(tmp_path, content) -> None:
    path = tmp_path / "bad.safetensors"
    if content is None:
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"bad\.safetensors"):
        str(NetworkFile.at(path))
    with pytest.raises(WeightsError, match=r"missing\.safetensors cannot be read"):
        weights.named(str(tmp_path / "missing.safetensors"))


def test_publishing_releases_the_network_of_the_store_and_leaves_one_that_is_the_same(
    kept, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "out"
    monkeypatch.setattr(weights, "FOLDER", folder)
    monkeypatch.setattr(networks.Trained, "load", lambda _: kept[0])
    spec, run = NetworkSpec("small_vgg", "mix", recipe="agreement"), Run(load("smoke"), store=None)
    path = publication._release(spec, run)
    assert path == folder / "small_vgg.mix.agreement.safetensors"
    before = path.stat().st_mtime_ns
    publication._release(spec, run)
    assert path.stat().st_mtime_ns == before
    with torch.no_grad():
        kept[0].classifier[-1].weight.add_(1)
    publication._release(spec, run)
    assert path.stat().st_mtime_ns > before


def test_the_bundled_networks_are_small_and_whole() -> None:
    found = sorted(weights.FOLDER.glob("*.safetensors"))
    assert [path.name for path in found] == ["efficientnet_lite0.mix.agreement.safetensors"]
    assert weights.named("efficientnet_lite0:mix/agreement") == NetworkFile.at(found[0])
    assert sum(path.stat().st_size for path in found) <= 10e6
    network = files.load(found[0])
    assert len(network.classes) == 1000
    with torch.inference_mode():
        assert torch.isfinite(network(torch.rand(1, 3, 224, 224) * 255)).all()
