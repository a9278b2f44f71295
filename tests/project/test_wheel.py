"""A wheel, unpacked outside the checkout: what it carries, and that chapters and the tool work from
it.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from blurpaper.book import build
from blurpaper.evaluation import results
from blurpaper.runs import files

ROOT = Path(__file__).parents[2]
PARTS = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "_config.yml",
    "_toc.yml",
    "blurpaper",
    "notebooks",
    "book",
    "results",
)

pytestmark = pytest.mark.slow


def has_builder() -> bool:
    """Whether setuptools is installed, in a version that pyproject.toml asks for: pip need not
    fetch it then.
    """
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy, so that nothing is left in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    alone = ["--no-build-isolation"] if has_builder() else []
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        *alone,
        "-w",
        str(out),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def run(wheel, tmp_path_factory):
    """run(*arguments): what `blurpaper` says in an empty folder, installed from the wheel."""
    site, place = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("elsewhere")
    zipfile.ZipFile(wheel).extractall(site)
    ours = {
        "PYTHONPATH": str(site),
        "BLURPAPER_STORE": str(place / "store"),
        "BLURPAPER_DATA": str(place / "data"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-P", "-m", "blurpaper", *arguments]
        return subprocess.run(
            command,
            cwd=place,
            env=os.environ | ours,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    run.place = place
    return run


def test_a_wheel_carries_what_is_released_and_what_the_book_is_made_of_and_nothing_else(
    wheel,
) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    library = [
        path
        for pattern in ("**/*.py", "**/*.csv", "runs/profiles/*.yaml", "book/templates/*.html")
        for path in (ROOT / "blurpaper").glob(pattern)
    ]
    expected = {path.relative_to(ROOT).as_posix() for path in library}
    expected |= {f"blurpaper/checkout/notebooks/{chapter}.py" for chapter in build.chapters()}
    pages = [
        path
        for path in (ROOT / "book").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    expected |= {f"blurpaper/checkout/{path.relative_to(ROOT).as_posix()}" for path in pages}
    expected |= {
        f"blurpaper/checkout/{path.relative_to(ROOT).as_posix()}"
        for path in files.RESULTS.rglob("*")
        if path.is_file()
    }
    expected |= {"blurpaper/checkout/_config.yml", "blurpaper/checkout/_toc.yml"}
    assert names == expected
    assert wheel.stat().st_size < 25e6


def test_the_tool_works_from_it(run) -> None:
    from PIL import Image
    from skimage import data

    (run.place / "photos").mkdir()
    Image.fromarray(data.chelsea()).save(run.place / "photos" / "cat.png")
    options = (
        "--images",
        "photos",
        "--conditions",
        "sharp,D8",
        "--scales",
        "128",
        "--out",
        "t.csv",
    )
    done = run("evaluate", "--network", "efficientnet_lite0:mix", *options)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = results.read(run.place / "t.csv")
    assert set(rows["condition"]) == {"sharp", "D8"} and set(rows["metric"]) == {
        "agreement",
        "entropy",
    }
    done = run("deblur", "photos/cat.png", "out.png", "--psf", "D2", "--method", "wiener")
    assert done.returncode == 0 and (run.place / "out.png").is_file(), done.stderr[-2000:]


def test_chapters_are_executed_into_the_current_folder(run) -> None:
    import nbformat

    for arguments in (("01", "--profile", "smoke"), ("00", "--profile", "emoji", "--published")):
        done = run("chapter", *arguments)
        assert done.returncode == 0, done.stderr[-2000:]
        path = Path(done.stdout.strip())
        assert path.is_relative_to(run.place / "_build" / arguments[2])
        notebook = nbformat.read(path, as_version=4)
        assert 'figure class="blurpaper"' in str(notebook.cells)
    assert "as committed" in str(notebook.cells)  # from the results that the wheel carries


def test_what_would_change_a_checkout_is_refused_in_a_sentence(run) -> None:
    done = run("publish", "--profile", "smoke")
    assert done.returncode == 2 and "needs a checkout of blurpaper" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
