"""The guides: what they print for a checkout passes the tests that they name, in a copy of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from blurpaper.book import build

ROOT = build.ROOT


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


def cells(chapter: str, *words: str) -> str:
    """The code of the first cell of a guide that has all these words."""
    notebook = jupytext.read(build.NOTEBOOKS / f"{chapter}.py")
    return next(
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and all(word in cell.source for word in words)
    )


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, (path, before)
    path.write_text(text.replace(before, after), encoding="utf-8")


def passes(checkout: Path, *arguments: str) -> str:
    """What pytest says, of a copy in which it finds nothing wrong."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


def test_a_command_that_fails_fails_its_chapter() -> None:
    """As the last of a cell it does by itself; among several, bash has to be told to stop there."""
    found = 0
    for chapter in build.chapters():
        for cell in jupytext.read(build.NOTEBOOKS / f"{chapter}.py").cells:
            first, *commands = cell.source.replace("\\\n", " ").split("\n")
            if first.startswith("%%bash"):
                found += 1
                assert first == "%%bash -e" or len(commands) == 1, (chapter, commands)
            assert not cell.source.startswith("!"), chapter
    assert found > 5


# --- What the guides say to write -----------------------------------------------------------------


def test_the_kernel_of_the_guide_passes_the_tests_of_the_registry(checkout) -> None:
    path = checkout / "blurpaper" / "kernels.py"
    code = cells("23_add_a_kernel", "def _ring(radius)", "KINDS[")
    functions = code[code.index("def _less") : code.index("KINDS[")]
    line = code[code.index("Kind(") :].splitlines()[0]
    edit(
        path,
        "KINDS: dict[str, Kind] = {\n",
        f'{functions}\n\nKINDS: dict[str, Kind] = {{\n    "R": {line},\n',
    )
    said = passes(checkout, "tests/test_kernels.py", "-k", "R2 or R8 or larger_size or R]")
    assert (
        "test_a_psf_is_centred[R8] PASSED" in said
        and "test_a_larger_size_is_more_blur[R] PASSED" in said
    )


@pytest.mark.slow
def test_the_network_of_the_guide_passes_the_tests_of_the_models(checkout) -> None:
    networks = checkout / "blurpaper" / "networks"
    code = cells("24_add_a_network", "class GreyEfficientNetLite")
    with (networks / "residual.py").open("a", encoding="utf-8") as file:
        file.write("\n\n" + code[code.index("LUMA") :])
    edit(
        networks / "__init__.py",
        "MODELS: dict[str, str] = {\n",
        "MODELS: dict[str, str] = {\n"
        '    "efficientnet_lite0_grey": "blurpaper.networks.residual",\n',
    )
    edit(
        networks / "weights.py",
        "ORIGINALS: dict[str, Callable[[int], Network]] = {\n",
        "ORIGINALS: dict[str, Callable[[int], Network]] = {\n"
        '    "efficientnet_lite0_grey": '
        'partial(original_efficientnet, residual.efficientnet_lite0_grey, "lite0"),\n',
    )
    said = passes(
        checkout, "tests/networks", "tests/segmentation/test_zoomout.py", "-k", "every_model"
    )
    assert (
        "test_every_model_can_be_built_upon_without_numbers[efficientnet_lite0_grey] PASSED" in said
    )
    command = [
        sys.executable,
        "-m",
        "blurpaper",
        "evaluate",
        "--network",
        "efficientnet_lite0_grey",
        "--images",
        "none",
    ]
    done = subprocess.run(
        command,
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no folder at" in done.stderr  # the network is known, the folder is not there


@pytest.mark.slow
def test_the_data_set_of_the_guide_passes_the_tests_of_the_sets(checkout) -> None:
    data = checkout / "blurpaper" / "data"
    text = (build.NOTEBOOKS / "25_add_a_data_set.py").read_text(encoding="utf-8")
    shown = [
        line.removeprefix("#").removeprefix(" ")
        for line in text.splitlines()
        if line.startswith("#")
    ]
    start = next(number for number, line in enumerate(shown) if line.startswith("PhotographSet("))
    entry = "\n".join(shown[start : shown.index("),", start) + 1])
    edit(data / "catalogue.py", "    for source in (\n", f"    for source in (\n{entry}\n")
    said = passes(checkout, "tests/data", "-k", "mine")
    assert said.count("PASSED") >= 3
