"""What several tests need: a store of their own, small image sets, and photographs where they are
to be had.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from blurpaper.book import build, execution
from blurpaper.runs import profile as profiles
from blurpaper.runs.store import Store, surroundings

if TYPE_CHECKING:
    from nbformat import NotebookNode


def pytest_sessionstart() -> None:
    """What examples leave in temporary folders goes with the session."""
    # Where pytest keeps its own, to be looked at.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    tempfile.tempdir = tempfile.mkdtemp()


def pytest_sessionfinish() -> None:
    shutil.rmtree(tempfile.gettempdir(), ignore_errors=True)
    tempfile.tempdir = None


@pytest.fixture(scope="module", autouse=True)
def a_gpu_is_for_its_own_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the other tests expect was computed on CPUs, and that is what they use, in processes of
    their own too.
    """
    if not torch.cuda.is_available() or request.path.name == "test_gpu.py":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        surroundings.cache_clear()
        yield
    surroundings.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def smoke() -> profiles.Profile:
    return profiles.load("smoke")


@pytest.fixture
def random_images() -> list[torch.Tensor]:
    """Five smooth random images of two shapes: uint8 (3, H, W)."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(130, 150), (150, 130), (130, 150), (150, 130), (130, 150)]
    coarse = [torch.rand(1, 3, 9, 9, generator=generator) * 255 for _ in shapes]
    grown = [
        torch.nn.functional.interpolate(c, s, mode="bicubic").clamp(0, 255)
        for c, s in zip(coarse, shapes)
    ]
    return [image[0].to(torch.uint8) for image in grown]


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of development photographs, or a skip that says so."""
    folder = Path(os.environ.get("BLURPAPER_DATA", "data"))
    if not (folder / "nips2017-dev" / "val").is_dir():
        pytest.skip(f"no photographs at {folder.absolute()}/nips2017-dev (set BLURPAPER_DATA)")
    return folder


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The built smoke book and the store it was made with."""
    store = tmp_path_factory.mktemp("store")
    environment = os.environ | {"BLURPAPER_STORE": str(store), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "blurpaper", "run", "--profile", "smoke"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    return build.build_folder(profiles.load("smoke")) / "html", store


@pytest.fixture(scope="session")
def published_chapter(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, str], tuple[str, NotebookNode]]:
    """Executes a chapter of a profile on the committed results, each once: what it shows as HTML,
    and the notebook.
    """
    import nbformat

    kept, store = {}, Store(tmp_path_factory.mktemp("store"))

    def execute(chapter: str, profile: str) -> tuple[str, NotebookNode]:
        if (chapter, profile) not in kept:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(build, "build_folder", lambda _: tmp_path_factory.mktemp("built"))
                path = execution.execute(
                    chapter,
                    execution.Edition(profiles.load(profile), {}, profile, store, published=True),
                )
            notebook = nbformat.read(path, as_version=4)
            data = [
                output.get("data", {})
                for cell in notebook.cells
                for output in cell.get("outputs", [])
            ]
            kept[chapter, profile] = (
                "\n".join(one.get("text/html", one.get("text/markdown", "")) for one in data),
                notebook,
            )
        return kept[chapter, profile]

    return execute
