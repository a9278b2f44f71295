"""What comes from elsewhere: no pickle is run, and nothing is downloaded without encryption."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torchvision.models import ResNet50_Weights

from blurpaper.book import build
from blurpaper.data import download
from blurpaper.data.catalogue import CATALOGUE
from blurpaper.networks import weights
from blurpaper.networks.base import WeightsError

PACKAGE = Path(download.__file__).parent.parent
TREES = {
    path.relative_to(PACKAGE.parent).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in (*PACKAGE.rglob("*.py"), *build.NOTEBOOKS.glob("*.py"))
}
NODES = [(file, node) for file, tree in TREES.items() for node in ast.walk(tree)]
CALLS = [(file, node) for file, node in NODES if isinstance(node, ast.Call)]


def calls(name: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every call of something of this name: (file, what is called, its keyword arguments, those
    that are no constants None).
    """
    for file, node in CALLS:
        if name in (getattr(node.func, "id", ""), getattr(node.func, "attr", "")):
            given = {
                word.arg: word.value.value if isinstance(word.value, ast.Constant) else None
                for word in node.keywords
            }
            yield file, ast.unparse(node.func), given


def imports() -> Iterator[tuple[str, str]]:
    """(file, module) of every import, wherever in the file; of names from a module too."""
    for file, node in NODES:
        if isinstance(node, ast.Import):
            yield from ((file, one.name) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((file, f"{node.module}.{one.name}") for one in node.names)


# --- Files that could run code --------------------------------------------------------------------


def test_torch_reads_nothing_but_tensors_and_downloads_nothing_unchecked() -> None:
    loads = [(file, given) for file, called, given in calls("load") if called == "torch.load"]
    assert loads and all(given.get("weights_only") is True for _, given in loads), loads
    gets = [*calls("get_state_dict"), *calls("load_state_dict_from_url")]
    assert gets and all(
        given.get("weights_only") is given.get("check_hash") is True for *_, given in gets
    ), gets
    assert not [file for file, module in imports() if module == "torch.load"]


def test_nothing_else_reads_what_can_run_code() -> None:
    assert not [
        (file, called)
        for file, called, _ in calls("load")
        if called in ("yaml.load", "pickle.load", "joblib.load")
    ]
    assert not [(file, called) for file, called, _ in calls("loads") if called.startswith("pickle")]
    assert not [*calls("read_pickle"), *calls("Unpickler")]
    assert not [
        file for name in ("eval", "exec") for file, called, _ in calls(name) if called == name
    ]
    for name in ("load", "run", "Popen", "get", "Session"):
        for file, _, given in calls(name):
            assert given.get("allow_pickle", False) is False, file
            assert given.get("shell", False) is False, file
            assert given.get("verify", True) is True, file


class Malice:
    def __reduce__(self) -> tuple:
        return (print, ("this ran",))


def test_a_file_of_weights_that_would_run_code_is_refused_in_a_sentence(
    tmp_path, monkeypatch, capsys
) -> None:
    """As torch.hub finds it in its cache, where no checksum is looked at again."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    cached = tmp_path / "checkpoints" / ResNet50_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    cached.parent.mkdir()
    cached.write_bytes(pickle.dumps({"weight": Malice()}, protocol=2))
    with pytest.raises(WeightsError, match=r"UnpicklingError: Weights only load failed"):
        weights.ORIGINALS["resnet50"](224)
    assert "this ran" not in capsys.readouterr().out


# --- Downloads ------------------------------------------------------------------------------------


def test_one_module_opens_connections_and_none_knows_an_address_without_encryption() -> None:
    web = (
        "pooch",
        "requests",
        "urllib.request",
        "http.client",
        "urllib3",
        "httpx",
        "aiohttp",
        "ftplib",
        "socket",
    )
    files = {file for file, module in imports() if module.startswith(web)}
    assert files == {"blurpaper/data/download.py"}
    assert not [
        (file, node.value)
        for file, node in NODES
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"(http|ftp)://", node.value)
    ]


def test_every_known_address_is_encrypted_and_every_archive_but_one_has_a_checksum() -> None:
    fetched = [source for source in CATALOGUE.values() if source.url]
    assert all(source.url.startswith("https://") for source in fetched)
    lengths = {"md5": 32, "sha256": 64}
    unchecked = []
    for source in fetched:
        kind, _, digits = source.checksum.partition(":")
        if not digits:
            unchecked.append(source)
        else:
            assert re.fullmatch(rf"[0-9a-f]{{{lengths[kind]}}}", digits)
    assert [source.name for source in unchecked] == ["imagenet-sample"]
    assert re.search(r"/[0-9a-f]{40}\.zip$", unchecked[0].url)  # a commit, at least
