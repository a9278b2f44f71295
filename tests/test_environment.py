"""pyproject.toml and environment.yml ask for the same."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent


def test_conda_users_get_what_pip_users_get() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"] | {
        "bench": [],
        "workflow": [],
    }  # peers, and clusters, are nobody's by default
    wanted = set(project["dependencies"]).union(*extras.values())
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    assert f"python{project['requires-python']}" in conda
    assert set(conda[-1]["pip"]) == wanted | {"-e ."}


def test_the_book_tool_is_the_last_that_has_a_config_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "jupyter-book==1.0.4.post1" in project["dependencies"]


def test_every_package_of_the_library_goes_into_the_wheel() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
            "packages"
        ]
    )
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "blurpaper").rglob("__init__.py")
    }
    assert there <= listed
