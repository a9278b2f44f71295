"""Networks that are not the project's: timm's, torchvision's, one's own function, a module in
memory.
"""

import copy
import os
import re
import socket
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import torchvision
from click.testing import CliRunner
from helpers import album
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy import ndimage
from torch import nn
from torch.nn import functional

from blurpaper import kernels
from blurpaper.cli import finetune, main
from blurpaper.data.sets import imagenet_names
from blurpaper.evaluation import predictions, results
from blurpaper.evaluation.folder import evaluate_module, fitted
from blurpaper.networks import NetworkSpec, external, files
from blurpaper.networks.base import WeightsError
from blurpaper.networks.external import External, ExternalNetwork
from blurpaper.networks.weights import _LITE_SHA256, _packaged, named, read_pickled_weights
from blurpaper.runs import Run
from blurpaper.runs import profile as profiles
from blurpaper.runs.files import UserError
from blurpaper.runs.store import Store
from blurpaper.training.objectives import Agreement

LIGHT = ("-p", "finetuning.batch=4", "-p", "agreement.batch=4", "-p", "evaluation.bootstrap=20")
FACTORY = """
import torch
def tiny():
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 8, 8, 8), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 2))
def nothing():
    return 1
def needy(size):
    return torch.nn.Identity()
def odd():
    return torch.nn.Conv2d(3, 2, 1)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with an album of two classes, a module of functions, and random weights of
    small classifiers.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    album(tmp_path / "album", side=120, grain=10)
    (tmp_path / f"factories_{tmp_path.name}.py").write_text(FACTORY)
    torch.manual_seed(0)
    weights(timm.create_model("test_resnet", num_classes=2), "resnet")
    weights(timm.create_model("test_vit", num_classes=2), "vit")
    return tmp_path


def weights(module: nn.Module, name: str) -> None:
    save_file(module.state_dict(), f"{name}.safetensors")


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def factory(folder: Path, name: str = "tiny") -> str:
    return f"factories_{folder.name}.{name}"


# --- The wrapper ----------------------------------------------------------------------------------

MODULES = {
    "timm/test_resnet": (lambda: timm.create_model("test_resnet", num_classes=5), 160, False),
    "timm/test_efficientnet": (
        lambda: timm.create_model("test_efficientnet", num_classes=5),
        160,
        False,
    ),
    "timm/test_vit": (lambda: timm.create_model("test_vit", num_classes=5), 160, True),
    "torchvision/squeezenet1_1": (
        lambda: torchvision.models.squeezenet1_1(num_classes=5),
        224,
        False,
    ),
    "torchvision/mobilenet_v3_small": (
        lambda: torchvision.models.mobilenet_v3_small(num_classes=5),
        224,
        False,
    ),
}


@pytest.fixture(params=MODULES)
def wrapped(request) -> External:
    torch.manual_seed(0)
    make, field, fixed = MODULES[request.param]
    network = External(make(), request.param, field)
    assert network.fixed == fixed
    return network


def test_a_wrapped_module_gives_what_it_gives_by_itself(wrapped) -> None:
    side = wrapped.field
    images = torch.rand(2, 3, side, side) * 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = wrapped.module((images / 255 - mean[:, None, None]) / std[:, None, None])
        assert torch.allclose(wrapped(images)[:, :, 0, 0], expected, atol=1e-5)
        assert torch.allclose(
            wrapped.log_probabilities(images), expected.log_softmax(dim=1), atol=1e-5
        )


def test_a_larger_image_is_seen_whole_or_its_centre_as_the_module_allows(wrapped) -> None:
    side = wrapped.field
    images = torch.rand(1, 3, side + 20, side + 61) * 255
    seen = images[..., 10 : 10 + side, 30 : 30 + side] if wrapped.fixed else images
    with torch.inference_mode():
        expected = wrapped.module(wrapped.normalised(seen))
        assert torch.allclose(wrapped(images)[:, :, 0, 0], expected, atol=1e-5)


def test_the_last_map_is_the_one_that_timm_calls_features(wrapped) -> None:
    inputs = wrapped.normalised(torch.rand(1, 3, wrapped.field, wrapped.field) * 255)
    with torch.inference_mode():
        last, logits = wrapped.features_and_logits(inputs)
        wrapped.features_and_logits(inputs.flip(-1))  # what it is given later changes nothing
        assert torch.equal(logits[:, :, 0, 0], wrapped.module(inputs))
        if wrapped.name.startswith("timm/"):
            assert torch.allclose(last, wrapped.module.forward_features(inputs), atol=1e-5)
        else:
            assert last.ndim == 4 and last.shape[-1] > 1


def test_the_objective_without_labels_teaches_a_wrapped_module_and_leaves_its_teacher(
    wrapped, smoke
) -> None:

    from blurpaper.training.batches import Batch

    objective = Agreement(wrapped, copy.deepcopy(wrapped), features=2.0)
    sharp = torch.rand(2, 3, wrapped.field, wrapped.field) * 255
    same = objective.eval()(Batch(sharp, torch.zeros(2), sharp))
    assert same.item() == pytest.approx(0, abs=1e-5)
    loss = objective(Batch(functional.avg_pool2d(sharp, 9, 1, 4), torch.zeros(2), sharp))
    loss.backward()
    assert loss.item() > 0
    assert any(
        parameter.grad is not None and parameter.grad.abs().sum() > 0
        for parameter in wrapped.parameters()
    )
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())


def test_a_module_of_any_size_says_which_images_are_too_small_for_it() -> None:
    network = External(torchvision.models.alexnet(num_classes=2), "alexnet")
    with (
        torch.inference_mode(),
        pytest.raises(
            WeightsError,
            match=r"cannot be applied to RGB images of 40 x 50 .*: choose a field and scales",
        ),
    ):
        network(torch.zeros(1, 3, 40, 50))
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 128, 150)).shape == (1, 2, 1, 1)


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (
            nn.Conv2d(3, 2, 1),
            r"cannot be applied .* it must give logits \(B, K\)\. Got \(1, 2, 224, 224\)",
        ),
        (nn.Conv2d(1, 2, 1), "cannot be applied to RGB images of 224 x 224"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(7, 2)),
            "cannot be applied to RGB images of 224 x 224",
        ),
    ],
)
def test_what_is_no_classifier_of_photographs_is_refused(module, sentence) -> None:
    with pytest.raises(WeightsError, match=sentence):
        External(module, "it")


# --- Names and weights ----------------------------------------------------------------------------


def test_a_bare_name_is_ours_then_timms_then_torchvisions_and_a_dotted_one_a_function() -> None:
    assert named("resnet50").model == "resnet50"
    assert external.origin_of("resnet18") == "timm/resnet18"
    assert external.origin_of("resnet18.a1_in1k") == "timm/resnet18.a1_in1k"
    assert external.origin_of("squeezenet1_1") == "torchvision/squeezenet1_1"
    assert external.origin_of("package.module.function") == "package.module.function"
    for text in ("hf-hub:somebody/model", "timm/hf-hub:a/b", "torchvision/os.system"):
        with pytest.raises(UserError, match="Got"):
            external.origin_of(text)


def test_preprocessing_is_that_of_the_library_unless_something_else_is_said(folder) -> None:
    spec = named("timm/test_resnet.r160_in1k", weights="resnet.safetensors")
    about = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    assert spec.network.field == about.input_size[-1]
    assert spec.network.mean.flatten().tolist() == pytest.approx(
        [255 * value for value in about.mean]
    )
    other = named(
        "test_resnet", weights="resnet.safetensors", field=96, mean=(0.1, 0.2, 0.3), std=(1, 1, 1)
    )
    assert other.network.field == 96
    assert other.network.mean.flatten().tolist() == pytest.approx([25.5, 51, 76.5])
    assert other.identity != spec.identity


def test_weights_of_other_classes_make_the_last_layer_theirs_and_a_thousand_are_imagenets(
    folder,
) -> None:
    assert len(named("timm/test_vit", weights="vit.safetensors").network.classes) == 2
    weights(torchvision.models.squeezenet1_1(num_classes=7), "seven")
    assert len(named("torchvision/squeezenet1_1", weights="seven.safetensors").network.classes) == 7
    weights(timm.create_model("test_resnet"), "thousand")
    assert named("test_resnet", weights="thousand.safetensors").network.classes == imagenet_names()


def test_the_key_changes_with_the_weights_and_with_the_code_of_ones_own_function(folder) -> None:
    one = named("test_resnet", weights="resnet.safetensors")
    assert one.identity == named("timm/test_resnet", weights="resnet.safetensors").identity
    tensors = load_file("resnet.safetensors")
    save_file(tensors | {"fc.bias": tensors["fc.bias"] + 1}, "other.safetensors")
    assert one.identity != named("test_resnet", weights="other.safetensors").identity
    sys.path.insert(0, str(folder))
    own = named(factory(folder)).identity
    path = folder / f"factories_{folder.name}.py"
    path.write_text(path.read_text() + "# another line\n")
    assert own != named(factory(folder)).identity


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--network timm/resnet1", r"did you mean timm/resnet\w+\? Got 'timm/resnet1'"),
        (
            "--network torchvision/fasterrcnn_resnet50_fpn",
            "Got 'torchvision/fasterrcnn_resnet50_fpn'",
        ),
        ("--network torchvision/resnet50.V3", "Got 'torchvision/resnet50.V3'"),
        (
            "--network lenet",
            r"timm/NAME, torchvision/NAME or package\.module\.function.* Got 'lenet'",
        ),
        (
            "--network nowhere.at.all",
            r"nowhere\.at\.all\(\) must make a torch\.nn\.Module .* \(ModuleNotFoundError",
        ),
        ("--network FACTORY.missing", "AttributeError: .* 'missing'"),
        ("--network FACTORY.nothing", r"must make a torch\.nn\.Module .* got int"),
        ("--network FACTORY.needy", r"without being given anything \(TypeError: needy\(\)"),
        (
            "--network FACTORY.odd",
            r"it must give logits \(B, K\)\. Got \(1, 2, 224, 224\)",
        ),
        (
            "--network test_resnet --weights net.pth",
            r"net\.pth cannot be read as a safetensors file .* a pickle may run any code",
        ),
        (
            "--network test_resnet --weights missing.safetensors",
            r"missing\.safetensors cannot be read .*No such file",
        ),
        (
            "--network net.pth",
            r"net\.pth cannot be read as a safetensors file .* a pickle may run any code",
        ),
        (
            "--network tuned.safetensors --weights resnet.safetensors",
            "--weights is for a network of timm",
        ),
        (
            "--network test_resnet --weights vit.safetensors",
            r"vit\.safetensors does not fit timm/test_resnet .*Missing key",
        ),
        ("RESNET --classes three.txt", "needs 2 class names, each once. Got 3"),
        ("RESNET --classes twice.txt", "Got 2, 1 of them different"),
        ("RESNET --classes none.txt", "none.txt.*No such file"),
        (
            "RESNET --mean 1,2",
            "a mean and a standard deviation for each of three channels",
        ),
        ("RESNET --mean 1,x,2", "Invalid value for '--mean': .*'x'"),
        ("RESNET --std 0", "a mean and a standard deviation for each of three channels"),
        ("RESNET --mean 127,127,127", "divide those of 0 to 255 by 255"),
        ("--network efficientnet_lite0 --field 100", "--field is for a network of timm"),
        (
            "--network test_vit --weights vit.safetensors --scales 128",
            "made for 160 x 160 pixels, cannot be applied .* choose a field and scales",
        ),
    ],
)
def test_bad_input_gets_one_sentence(folder, line, sentence) -> None:
    (folder / "three.txt").write_text("cat\ndog\ncow\n")
    (folder / "twice.txt").write_text("cat\ncat\n")
    (folder / "net.pth").write_bytes(b"")
    spec = named("test_resnet", weights="resnet.safetensors")
    files.save(spec.network, NetworkSpec(spec.model, "mix"), folder / "tuned.safetensors")
    line = line.replace("FACTORY.", factory(folder, "")).replace(
        "RESNET", "--network test_resnet --weights resnet.safetensors"
    )
    done = run("evaluate", *line.split(), "--images", "album", "--conditions", "sharp", *LIGHT)
    said = [one for one in done.output.splitlines() if one.startswith("Error: ")]
    assert done.exit_code == 2 and len(said) == 1, done.output
    assert re.search(sentence, said[0]) and "Traceback" not in done.output, done.output


@pytest.mark.parametrize(
    ("network", "what"),
    [
        ("test_resnet", "cannot fetch the weights of timm/test_resnet "),
        ("torchvision/alexnet", "the weights of alexnet from https://download.pytorch.org/"),
    ],
)
def test_weights_that_cannot_be_fetched_are_told_with_their_place_and_the_way_out(
    folder, network, what, monkeypatch
) -> None:
    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setenv("HF_HOME", str(folder / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    done = run("evaluate", "--network", network, "--images", "album")
    assert done.exit_code == 2
    assert what in done.output
    (told,) = (one for one in done.output.splitlines() if one.startswith("Error: "))
    assert told.endswith("or give them as a file (--weights FILE.safetensors).")


def test_a_classifier_of_21_thousand_classes_is_told_to_want_their_names(folder) -> None:
    weights(timm.create_model("test_resnet", num_classes=21843), "many")
    line = (
        "finetune",
        "--network",
        "test_resnet",
        "--weights",
        "many.safetensors",
        "--images",
        "album",
        "--out",
        "t.safetensors",
    )
    done = run(*line, *LIGHT)
    assert done.exit_code == 2
    assert "21,843 classes without names (--classes FILE gives them)" in done.output
    assert "its subfolders do not name classes of timm/test_resnet" in done.output
    done = run("evaluate", *line[1:7], "--conditions", "sharp,D8", *LIGHT)
    assert (
        done.exit_code == 0
        and "21,843 classes without names (--classes FILE gives them)" in done.output
        and "consistency" in done.output
    )


# --- Measured and tuned ---------------------------------------------------------------------------


def test_efficientnet_through_timm_gives_the_numbers_of_plain_torch_code(folder) -> None:
    module = timm.create_model("tf_efficientnet_lite0").eval()
    given = read_pickled_weights(_packaged("lite0"), _LITE_SHA256["lite0"])
    pairs = zip(module.state_dict().items(), given.values(), strict=True)
    module.load_state_dict({name: tensor.reshape(own.shape) for (name, own), tensor in pairs})
    weights(module, "lite0")
    from skimage import data

    (folder / "photos").mkdir()
    names = ("astronaut", "chelsea", "coffee")
    for name in names:
        picture = Image.fromarray(getattr(data, name)())
        picture.resize((450, 384)).save(folder / "photos" / f"{name}.png")
    line = (
        "--weights",
        "lite0.safetensors",
        "--images",
        "photos",
        "--conditions",
        "sharp,D8",
        "--out",
        "t.csv",
    )
    done = run(
        "evaluate",
        "--network",
        "timm/tf_efficientnet_lite0",
        *line,
        "-p",
        "compute.precision=float32",
        *LIGHT,
    )
    assert done.exit_code == 0, done.output
    rows = results.read(Path("t.csv")).set_index(["metric", "condition"])["value"]

    about, kernel, entropies, answers = (
        module.pretrained_cfg,
        kernels.psf("D8").astype(float),
        {},
        {},
    )
    for condition in ("sharp", "D8"):
        for name in names:
            image = np.asarray(Image.open(folder / "photos" / f"{name}.png"), float)
            if condition == "D8":
                image = np.stack(
                    [ndimage.convolve(image[..., c], kernel, mode="mirror") for c in range(3)], -1
                )
            seen = torch.tensor(np.rint(image).transpose(2, 0, 1)[None], dtype=torch.float32)
            seen = functional.interpolate(seen, (256, 300), mode="bicubic", antialias=True) / 255
            mean, std = (torch.tensor(about[key])[:, None, None] for key in ("mean", "std"))
            with torch.inference_mode():
                probabilities = module((seen - mean) / std)[0].softmax(dim=0).double()
            entropies.setdefault(condition, []).append(
                -(probabilities * probabilities.log()).sum().item()
            )
            answers.setdefault(condition, []).append(probabilities.argmax().item())
        assert rows["entropy", condition] == pytest.approx(np.mean(entropies[condition]), abs=5e-3)
    same = np.mean(
        [one == other for one, other in zip(answers["sharp"], answers["D8"], strict=True)]
    )
    assert rows["consistency", "D8"] == pytest.approx(same)
    assert rows["consistency", "sharp"] == 1


def test_scales_stand_to_the_field_as_the_papers_to_224(folder) -> None:
    photos = profiles.load("photos")
    spec = named("test_resnet", weights="resnet.safetensors")
    own = fitted(Run(photos, Store(folder / "store")), spec)
    protocol = own.profile.protocol
    assert protocol.field == 160 and protocol.canonical == 384
    assert protocol.scales == {"128": 92, "256": 183, "512": 366}
    assert fitted(own, spec) == own


@pytest.mark.parametrize("how", [(), ("--unlabelled",)])
@pytest.mark.parametrize(
    "network",
    ["test_resnet --weights resnet.safetensors", "test_vit --weights vit.safetensors", "FACTORY"],
)
def test_a_tuned_network_is_a_plain_state_dict_that_is_evaluated_again_by_its_file(
    folder, network, how
) -> None:
    given = network.replace("FACTORY", factory(folder)).split()
    once = (
        "-p",
        "finetuning.phases=[{epochs: 1, rate: 0.01}]",
        "-p",
        "agreement.phases=[{epochs: 1, rate: 0.001}]",
    )
    line = (
        "--network",
        *given,
        "--images",
        "album",
        "--mix",
        "sharp,D8",
        "--out",
        "tuned.safetensors",
    )
    done = run("finetune", *line, *how, *LIGHT, *once)
    assert done.exit_code == 0, done.output
    with safe_open("tuned.safetensors", "pt") as file:
        header = file.metadata()
    module = (
        external._called(given[0])
        if "." in given[0]
        else timm.create_model(header["network"].split(":")[0].removeprefix("timm/"), num_classes=2)
    )
    before = load_file(given[2]) if len(given) > 1 else copy.deepcopy(module.state_dict())
    after = load_file("tuned.safetensors")
    module.load_state_dict(after)
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items())
    again = (
        "evaluate",
        "--images",
        "album",
        "--conditions",
        "sharp,D8",
        "--out",
        "t.csv",
        *LIGHT,
        "--network",
    )
    if network == "FACTORY":
        refused = run(*again, "tuned.safetensors")
        assert refused.exit_code == 2 and "No code is run because a file names it" in refused.output
        assert f"--network {factory(folder)} --weights FILE" in refused.output
        done = run(*again, factory(folder), "--weights", "tuned.safetensors")
    else:
        done = run(*again, "tuned.safetensors")
    assert done.exit_code == 0, done.output
    rows = results.read(Path("t.csv"))
    assert set(rows["network"]) == {"sharp+D8"} and set(rows["recipe"]) == {
        "agreement" if how else "labels"
    }
    assert {"top1", "ece"} <= set(rows["metric"]) and set(rows["n"]) == {8}


def test_a_file_that_says_it_is_another_model_is_refused(folder) -> None:
    spec = named("test_resnet", weights="resnet.safetensors")
    files.save(spec.network, NetworkSpec(spec.model, "mix"), folder / "tuned.safetensors")
    with pytest.raises(
        WeightsError, match="holds weights of timm/test_resnet, not of timm/test_vit"
    ):
        named("test_vit", weights="tuned.safetensors")
    tuned = named("tuned.safetensors")
    assert (tuned.model, tuned.mix, tuned.is_original) == ("timm/test_resnet", "mix", False)
    assert isinstance(finetune.tuned(spec, folder / "tuned.safetensors"), ExternalNetwork)


def test_a_file_never_has_code_imported_that_it_names(folder) -> None:
    sys.path.insert(0, str(folder))
    network, path = named(factory(folder)).network, folder / "bad.safetensors"
    files.save(network, NetworkSpec("dangerous.module.function", "mix"), path)
    (folder / "dangerous").mkdir()
    (folder / "dangerous" / "module.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\n"
    )
    assert (
        "No code is run because a file names it"
        in run("evaluate", "--network", "bad.safetensors", "--images", "album").output
    )
    assert not (folder / "ran").exists()
    for odd in (
        "timm/hf-hub:a/b",
        "timm/local-dir:dangerous",
        "torchvision/os.system",
        "huggingface/a.b",
        "timm/../x",
    ):
        files.save(network, NetworkSpec(odd, "mix"), path)
        done = run("evaluate", "--network", "bad.safetensors", "--images", "album")
        assert done.exit_code == 2 and "Error: bad.safetensors " in done.output, done.output


def test_what_was_predicted_is_loaded_the_second_time(folder, monkeypatch) -> None:
    line = (
        "evaluate",
        "--network",
        "test_resnet",
        "--weights",
        "resnet.safetensors",
        "--images",
        "album",
        "--conditions",
        "sharp,D4",
    )
    assert run(*line, "--out", "a.csv", *LIGHT).exit_code == 0
    monkeypatch.setattr(
        predictions.protocol, "log_probabilities", lambda *_, **__: pytest.fail("computed again")
    )
    assert run(*line, "--out", "b.csv", *LIGHT).exit_code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_a_module_in_memory_is_measured_and_left_as_it_was(folder) -> None:
    spec = named("test_resnet", weights="resnet.safetensors")
    about = timm.get_pretrained_cfg("test_resnet")
    module = timm.create_model("test_resnet", num_classes=2)
    module.load_state_dict(load_file("resnet.safetensors"))
    module.train()
    module.layer1.eval()
    few = {"evaluation.bootstrap": 20}
    found = evaluate_module(
        module, "album", ["sharp", "D4"], field=160, mean=about.mean, std=about.std, overrides=few
    )
    assert module.training and module.layer4.training and not module.layer1.training
    assert all(tensor.is_contiguous() for tensor in module.state_dict().values())
    assert all(
        torch.equal(tensor, load_file("resnet.safetensors")[name])
        for name, tensor in module.state_dict().items()
    )
    given = "--network test_resnet --weights resnet.safetensors --images album"
    asked = "--conditions sharp,D4 --out t.csv"
    done = run("evaluate", *given.split(), *asked.split(), *LIGHT)
    assert done.exit_code == 0
    assert found["value"].tolist() == pytest.approx(
        results.read(Path("t.csv"))["value"].tolist(), abs=1e-6
    )
    assert set(found["metric"]) >= {"top1"} and spec.model == "timm/test_resnet"
    assert not (folder / "store" / "log-probabilities" / "in-memory").exists()


def test_a_condition_or_scale_named_twice_counts_once(folder) -> None:
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    found = evaluate_module(module, "album", ["sharp", "D4", "sharp"], ["256", "256"])
    assert found.loc[found["metric"] == "top1", "condition"].tolist() == ["sharp", "D4"]


# --- What a notebook passes -----------------------------------------------------------------------


@pytest.fixture
def small() -> nn.Module:
    """A classifier of two classes, at the mercy of its normalisation."""
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(8, 2))


def values(module: nn.Module, **options: object) -> list[float]:
    asked = {"folder": "album", "conditions": ["D4"], "overrides": {"evaluation.bootstrap": 20}}
    return evaluate_module(module, **asked | options)["value"].tolist()


def test_arguments_of_numpy_torch_and_pandas_mean_what_those_of_python_do(
    folder, small, monkeypatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    plain = {"classes": ["dog", "cat"], "mean": [0.4] * 3, "std": [0.2, 0.25, 0.3]}
    expected = values(small, scales=["256", "128"], **plain)
    assert expected != values(small, scales=["256", "128"], **plain | {"classes": ["cat", "dog"]})
    others = {
        "classes": pd.Series(["dog", "cat"], index=[8, 3]),
        "mean": 0.4,
        "std": torch.tensor([0.2, 0.25, 0.3], dtype=torch.float64)[:, None, None],
        "scales": np.array([256, 128]),
        "conditions": "D4",
        "folder": Path("~/album"),
        "field": 224.0,
        "overrides": ["evaluation.bootstrap=20"],
        "profile": profiles.load("photos"),
    }
    assert values(small, **others) == expected
    others |= {"classes": np.array(["dog", "cat"]), "mean": np.float64(0.4), "folder": b"album"}
    assert values(small, **others | {"scales": "256, 128"}) == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": {0: "cat", 1: "dog"}}, "classes must be a list of names.* Got {0: 'cat'"),
        ({"classes": {"cat", "dog"}}, "classes must be a list of names"),
        ({"classes": "cat"}, "needs 2 class names"),
        ({"mean": "0.5"}, r"for each of three channels.* Got 0\.5"),
        ({"mean": [0.4, float("nan"), 0.4]}, "for each of three channels"),
        ({"std": None}, "for each of three channels.* Got .* and None"),
        ({"scales": 300}, "a scale is one of 128, 256, 512. Got '300'"),
        ({"scales": 256.0}, "scales must be a list of names. Got 256.0"),
        ({"scales": []}, "a scale is one of"),
        ({"conditions": None}, "conditions must be a list of names. Got None"),
        ({"conditions": "Z4"}, "Got 'Z4'"),
        ({"folder": "~no-such-user/photos"}, "no folder at .*~no-such-user/photos"),
        ({"field": (224, 224)}, "1 to 4096 whole pixels"),
        ({"field": -1}, "1 to 4096 whole pixels"),
        ({"profile": None}, "no profile 'None'"),
        ({"overrides": "evaluation.bootstrap"}, "an override is dotted.field=value"),
        ({"module": lambda images: images.mean(dim=(2, 3))}, "must be a torch.nn.Module .*lambda"),
        (
            {"module": torchvision.models.resnet18},
            "must be a torch.nn.Module .*call what makes one",
        ),
        ({"module": nn.Sequential(nn.LazyConv2d(2, 3))}, "parameters without values"),
        ({"module": nn.Conv2d(3, 2, 3, device="meta")}, "parameters without values"),
    ],
)
def test_what_a_notebook_cannot_mean_gets_one_sentence(folder, small, options, sentence) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        values(**{"module": small} | options)
    assert "\n" not in str(caught.value)


class Versioned(nn.Module):
    """A module with a state that is no tensor."""

    def __init__(self, module: nn.Module, state: object) -> None:
        super().__init__()
        self.module, self.state = module, state

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.module(images)

    def get_extra_state(self) -> object:
        return self.state

    def set_extra_state(self, state: object) -> None:
        self.state = state


QUANTISED = partial(torch.ao.quantization.quantize_dynamic, qconfig_spec={nn.Linear})


@pytest.mark.filterwarnings("ignore")  # of torch, about its own scripts and quantisation
def test_modules_of_every_kind_are_measured(folder, small) -> None:
    exact = {"overrides": {"evaluation.bootstrap": 20, "compute.precision": "float32"}}
    expected = values(small, **exact)
    kinds = {
        "scripted": (torch.jit.script, exact, 1e-6),
        "traced": (
            partial(torch.jit.trace, example_inputs=torch.zeros(1, 3, 224, 224)),
            exact,
            1e-6,
        ),
        "with a state": (partial(Versioned, state={"version": 2}), exact, 0),
        "of half precision": (nn.Module.half, exact, 0.003),
        "of bfloat16": (nn.Module.bfloat16, exact, 0.02),
        "of double precision": (nn.Module.double, exact, 1e-5),
        "quantised": (QUANTISED, {}, 0.02),  # in the precision that this machine prefers
    }
    for kind, (change, options, tolerance) in kinds.items():
        found = values(change(copy.deepcopy(small).eval()), **options)
        assert found == pytest.approx(expected, abs=tolerance), kind


@pytest.mark.filterwarnings("ignore")  # of torch, about its own scripts and quantisation
def test_further_states_and_quantised_weights_are_part_of_the_key() -> None:
    def identity(seed: int, state: object) -> str:
        torch.manual_seed(seed)
        linear = Versioned(QUANTISED(nn.Sequential(nn.Linear(3, 2))), state)
        module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
        return ExternalNetwork("it", network=External(module, "it", 32)).identity

    assert identity(0, {"a": 1}) == identity(0, {"a": 1})
    assert len({identity(0, {"a": 1}), identity(1, {"a": 1}), identity(0, {"a": 2})}) == 3


# --- Names that are no text -----------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
@pytest.mark.parametrize("charset", ["utf-8", "cp932"])
def test_file_names_that_are_no_utf8_are_measured_and_shown_as_codes(folder, charset) -> None:
    odd = os.fsdecode(b"d\xe9part \xe2\x80\x93")  # Latin-1, then a dash in UTF-8
    (folder / "album").rename(folder / odd)
    for number, name in enumerate((odd, "dog")):
        place = folder / odd / ("cat", "dog")[number]
        (place / f"{number}.png").rename(place / f"{name}.png")
    own = ["--classes", "names.txt", "--conditions", "D4", "--out", "t.csv", "--report", "r.html"]
    (folder / "names.txt").write_text("dog\ncat\n")
    line = ["evaluate", "--network", factory(folder), "--images", odd, *own, *LIGHT]
    done = CliRunner(charset=charset).invoke(main, line)
    assert done.exit_code == 0, done.output
    assert set(results.read(Path("t.csv"))["data"]) == {r"d\udce9part –"}
    assert r"d\udce9part –" in Path("r.html").read_text("utf-8")
    (folder / odd / "cat" / "broken.png").write_bytes(b"")
    done = CliRunner(charset=charset).invoke(main, ["blur", odd, "out", "--psf", "shake"])
    assert done.exit_code == 1 and r"d\udce9part" in done.output, done.output
    assert (folder / "out" / "cat" / f"{odd}.png").is_file()
    out = os.fsdecode(b"\xe9.safetensors")
    line = ["finetune", "--network", factory(folder), "--images", odd, "--out", out, *LIGHT]
    done = CliRunner(charset=charset).invoke(main, line)
    assert done.exit_code == 2 and "needs a name in UTF-8" in done.output
