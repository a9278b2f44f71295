"""What comes from elsewhere: no pickle is run, nothing is downloaded without encryption, pages run
no script but their own.
"""

import ast
import hashlib
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import torch
from policies import allowed, check_page, digest
from torchvision.models import ResNet50_Weights

from blurpaper import book, csp
from blurpaper.data import fetching
from blurpaper.data.sources import SOURCES
from blurpaper.networks import weights
from blurpaper.networks.base import WeightsError

PACKAGE = Path(fetching.__file__).parent.parent
TREES = {
    path.relative_to(PACKAGE.parent).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in (*PACKAGE.rglob("*.py"), *book.NOTEBOOKS.glob("*.py"))
}


def calls(name: str) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every call of something of this name: (file, what is called, its keyword arguments, those
    that are no constants None).
    """
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name in (
                getattr(node.func, "id", ""),
                getattr(node.func, "attr", ""),
            ):
                given = {
                    word.arg: word.value.value if isinstance(word.value, ast.Constant) else None
                    for word in node.keywords
                }
                yield file, ast.unparse(node.func), given


def imports() -> Iterator[tuple[str, str]]:
    """(file, module) of every import, wherever in the file; of names from a module too."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
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


def test_one_module_opens_connections_and_only_it_knows_an_address_without_encryption() -> None:
    web = (
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
    assert files == {"blurpaper/data/fetching.py", "blurpaper/data/listing.py"}
    assert [(file, called) for file, called, _ in calls("Session")] == [
        ("blurpaper/data/fetching.py", "requests.Session")
    ]
    plain = {
        (file, node.value)
        for file, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"(http|ftp)://", node.value)
    }
    assert plain == {
        ("blurpaper/data/fetching.py", word) for word in ("http://", "http://127.0.0.1:")
    }


def test_every_known_address_is_encrypted_and_every_archive_but_one_has_a_checksum() -> None:
    archives = [source.archive for source in SOURCES.values() if source.archive]
    assert all(archive.url.startswith("https://") for archive in archives)
    lengths = {"md5": 32, "sha256": 64}
    unchecked = []
    for archive in archives:
        kind, _, digits = archive.checksum.partition(":")
        if not digits:
            unchecked.append(archive)
        else:
            assert re.fullmatch(rf"[0-9a-f]{{{lengths[kind]}}}", digits)
    assert [archive.file for archive in unchecked] == ["imagenet-sample-images.zip"]
    assert re.search(r"/[0-9a-f]{40}\.zip$", unchecked[0].url)  # a commit, at least


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a",
        "http://127.0.0.1:80@example.org/a",
        "http://127.0.0.1:1@127.0.0.2/a",
        "ftp://127.0.0.1/a",
        "file:///a",
    ],
)
def test_no_address_leads_elsewhere_without_encryption(url) -> None:
    with fetching.session() as web, pytest.raises(requests.exceptions.InvalidSchema):
        web.get(url, timeout=1)


@pytest.mark.parametrize(
    ("name", "said"),
    [("imagenet-sample", "its sha256 is"), ("nips2017-dev", "one by one"), ("voc2012", "")],
)
def test_what_nobody_vouches_for_is_told(tmp_path, name, said) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(b"what came")
    sentence = fetching.unverified(SOURCES[name], archive)
    assert bool(sentence) == bool(said) and said in sentence
    if name == "imagenet-sample":
        assert hashlib.sha256(b"what came").hexdigest() in sentence


# --- Pages ----------------------------------------------------------------------------------------


PAGE = """
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <script>let a = "ä" && 1 < 2;
      go(a)</script>
    <script src="../_static/ledger.js?v=1"></script>
    <script type="text/x-config">{"not": "run"}</script>
  </head>
  <body><header></header><button onclick="say(&quot;hello&quot;)">!</button></body>
</html>
"""


@pytest.fixture
def html(tmp_path) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "one.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "search.html").write_text(PAGE.replace("say", "sing"), encoding="utf-8")
    (tmp_path / "index.html").write_text(
        '<meta http-equiv="Refresh" content="0; url=notebooks/one.html" />\n', encoding="utf-8"
    )
    return tmp_path


def test_every_page_of_a_book_gets_a_strict_policy_that_lets_its_own_scripts_run(html) -> None:
    csp.secure(html)
    for path in html.rglob("*.html"):
        check_page(path.read_text(encoding="utf-8"))
    policy = allowed((html / "notebooks" / "one.html").read_text(encoding="utf-8"))
    assert digest('let a = "ä" && 1 < 2;\n      go(a)') in policy["script-src"]
    assert digest('{"not": "run"}') not in policy["script-src"]
    # Each page allows the handlers of all: the search reads other pages.
    assert policy["script-src-attr"] == [
        "'unsafe-hashes'",
        digest('say("hello")'),
        digest('sing("hello")'),
    ]


def test_a_page_is_otherwise_as_it_was_and_a_second_time_changes_nothing(html) -> None:
    before = {path: path.read_text(encoding="utf-8") for path in html.rglob("*.html")}
    csp.secure(html)
    once = {path: path.read_text(encoding="utf-8") for path in before}
    csp.secure(html)
    for path, page in before.items():
        assert path.read_text(encoding="utf-8") == once[path]
        assert (
            re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>\n", "", once[path]) == page
        )


@pytest.mark.parametrize(
    "script",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<script src="//cdn.example.org/x.js"></script>',
        '<SCRIPT async SRC=" HTTP://cdn.example.org/x.js"></SCRIPT>',
        '<script src="data:text/javascript,go()"></script>',
        '<a href="javascript:go()">go</a>',
    ],
)
def test_a_page_that_would_run_a_script_from_elsewhere_is_refused_by_its_name(html, script) -> None:
    page = html / "search.html"
    page.write_text(PAGE.replace("<header>", f"{script}<header>"), encoding="utf-8")
    with pytest.raises(
        RuntimeError, match=r"search\.html would run a script that is no file of the book"
    ):
        csp.secure(html)
