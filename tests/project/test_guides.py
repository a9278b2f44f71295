"""What the guides say to write into a checkout works as it stands, and passes the tests that they
name in a copy of the checkout.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch

from blurpaper import kernels
from blurpaper.book import build
from blurpaper.data import catalogue, sets
from blurpaper.networks import residual, weights
from blurpaper.runs.store import sha256_of

ROOT = build.ROOT
BLOCKS = [
    block
    for cell in jupytext.read(build.NOTEBOOKS / "21_extend_it.py").cells
    if cell.cell_type == "markdown"
    for block in re.findall(r"^```python\n(.*?)^```$", cell.source, re.MULTILINE | re.DOTALL)
]


def block(words: str) -> str:
    """The one block of Python in the prose of the guide that has these words."""
    (found,) = (one for one in BLOCKS if words in one)
    return found


# --- As it stands ---------------------------------------------------------------------------------


def test_the_kernel_of_the_guide_is_the_ring_that_it_shows(monkeypatch) -> None:
    monkeypatch.setattr(kernels, "KINDS", dict(kernels.KINDS))
    exec(block('KINDS["R"]'), vars(kernels) | {"KINDS": kernels.KINDS})
    y, x = np.mgrid[-6:7, -6:7]
    ring = (np.hypot(x, y) <= 6) & (np.hypot(x, y) > 3)
    assert kernels.psf("R6") == pytest.approx(ring / ring.sum())
    half = kernels.axis_variance(kernels.psf("R6", 0.5))
    assert half == pytest.approx(0.25 * kernels.axis_variance(kernels.psf("R6")), rel=0.05)


def test_the_network_of_the_guide_sees_no_colour() -> None:
    own = dict(vars(residual))
    exec(block("class GreyEfficientNetLite"), own)
    network = weights.original_efficientnet(own["efficientnet_lite0_grey"], "lite0")
    image = torch.randint(0, 256, (1, 3, 64, 64))
    shares = torch.tensor(own["LUMA"]).view(1, 3, 1, 1)
    grey = (image * shares).sum(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.inference_mode():
        assert torch.allclose(network(image), network(grey), atol=1e-4)
        assert not torch.allclose(network(image), network(image.flip(1)), atol=1e-2)


def test_the_data_set_of_the_guide_has_a_fingerprint_of_its_content(tmp_path) -> None:
    own = {"ImageSet": sets.ImageSet, "sha256_of": sha256_of, "np": np, "torch": torch}
    exec(block("class ArraySet"), own)
    pixels, prints = np.zeros((2, 3, 8, 9), np.uint8), []
    for level in (0, 1):
        pixels[1] = level
        np.savez(tmp_path / "mine.npz", images=pixels, labels=[1, 0])
        images = own["ArraySet"](tmp_path / "mine.npz", ("cat", "dog"))
        prints.append(images.fingerprint)
    assert len(images) == 2 and images[1].shape == (3, 8, 9) and bool((images[1] == 1).all())
    assert images.labels.tolist() == [1, 0] and prints[0] != prints[1]
    mine = eval(block("PhotographSet(").strip().rstrip(","), vars(catalogue))
    assert mine.name == "mine" and mine.counts == {"test": 250}


# --- In a copy of the checkout --------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of what the tests of the library run on."""
    for name in ("blurpaper", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("results", "notebooks", "book", "benchmarks"):
        if (ROOT / name).is_dir():
            (tmp_path / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def insert(path: Path, after: str, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    assert before.count(after) == 1, (path, after)
    path.write_text(before.replace(after, after + text), encoding="utf-8")


def ran(checkout: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python's -m of a copy."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=checkout, check=False, text=True,
        env=os.environ | {"PYTHONPATH": str(checkout)}, capture_output=True,
    )  # fmt: skip


def passes(checkout: Path, *arguments: str) -> str:
    """What pytest says, of a copy in which it finds nothing wrong."""
    done = ran(checkout, "pytest", "-v", "-p", "no:cacheprovider", *arguments)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


def test_the_kernel_of_the_guide_passes_the_tests_of_the_registry(checkout) -> None:
    path = checkout / "blurpaper" / "kernels.py"
    text = path.read_text(encoding="utf-8")
    end = text.index("\n}\n", text.index("KINDS: dict[str, Kind] = {")) + len("\n}\n")
    path.write_text(f"{text[:end]}\n\n{block('KINDS[')}{text[end:]}", encoding="utf-8")
    said = passes(checkout, "tests/test_kernels.py", "-k", "R2 or R8 or larger_size or R]")
    assert "test_a_psf_is_centred[R8] PASSED" in said
    assert "test_a_larger_size_is_more_blur[R] PASSED" in said


@pytest.mark.slow
def test_the_network_of_the_guide_passes_the_tests_of_the_models(checkout) -> None:
    networks = checkout / "blurpaper" / "networks"
    with (networks / "residual.py").open("a", encoding="utf-8") as file:
        file.write("\n\n" + block("class GreyEfficientNetLite"))
    model, source = '"blurpaper.networks.residual"', "partial("
    insert(networks / "__init__.py", "MODELS: dict[str, str] = {\n", block(model))
    originals = "ORIGINALS: dict[str, Callable[[int], Network]] = {\n"
    insert(networks / "weights.py", originals, block(source))
    tests = "tests/networks", "tests/segmentation/test_zoomout.py", "-k", "every_model"
    test = "test_every_model_can_be_built_upon_without_numbers[efficientnet_lite0_grey]"
    assert f"{test} PASSED" in passes(checkout, *tests)
    line = "evaluate", "--network", "efficientnet_lite0_grey", "--images", "none"
    done = ran(checkout, "blurpaper", *line)
    assert "no folder at" in done.stderr  # the network is known, the folder is not there


@pytest.mark.slow
def test_the_data_set_of_the_guide_passes_the_tests_of_the_sets(checkout) -> None:
    entry = block("PhotographSet(")
    insert(checkout / "blurpaper" / "data" / "catalogue.py", "    for source in (\n", entry)
    assert passes(checkout, "tests/data", "-k", "mine").count("PASSED") >= 3
