"""Files are written whole or not at all, and read again only if their size or time has changed."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from blurpaper.runs import files
from blurpaper.runs.files import StoreError, written

LONG_AGO = 1_600_000_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three files that have not changed for years, and a store of their own."""
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "store"))
    for name in ("a.png", "b/c.png", "b/d.png"):
        write(tmp_path / "set" / name, name.encode())
    return tmp_path / "set"


NAMES = ["a.png", "b/c.png", "b/d.png"]


def write(path: Path, content: bytes, when: float = LONG_AGO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when, when))


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read, in a list that fills up."""
    found, original = [], files._read
    monkeypatch.setattr(files, "_read", lambda path: found.append(path.name) or original(path))
    return found


def expected(folder: Path) -> list[str]:
    return [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES]


def test_files_are_read_once(folder, read) -> None:
    assert list(files.hashes(folder, NAMES)) == expected(folder)
    assert sorted(read) == ["a.png", "c.png", "d.png"]
    read.clear()
    assert list(files.hashes(folder, NAMES)) == expected(folder)
    assert read == []


@pytest.mark.parametrize(
    ("content", "when"), [(b"of another size", LONG_AGO), (b"b/e.png", LONG_AGO + 1)]
)
def test_what_changed_in_size_or_time_is_read_again_and_nothing_else(
    folder, read, content, when
) -> None:
    before = list(files.hashes(folder, NAMES))
    read.clear()
    write(folder / "b" / "c.png", content, when)
    after = list(files.hashes(folder, NAMES))
    assert read == ["c.png"] and after == expected(folder)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_what_changed_just_now_is_not_trusted_yet(folder, read) -> None:
    """It may change again within one tick of the clock of its file system."""
    path = folder / "a.png"
    path.write_bytes(b"first")
    now = path.stat().st_mtime_ns
    list(files.hashes(folder, NAMES))
    path.write_bytes(b"later")
    os.utime(path, ns=(now, now))
    assert list(files.hashes(folder, NAMES)) == expected(folder)


def test_a_file_that_cannot_be_opened_is_an_error_in_its_place(folder) -> None:
    (folder / "b" / "c.png").unlink()
    first, second, third = files.hashes(folder, NAMES)
    assert isinstance(second, FileNotFoundError) and isinstance(first, str) and len(third) == 64


@pytest.mark.parametrize("damage", [b"no database at all" * 100, b""])
def test_a_damaged_memory_is_begun_anew(folder, read, damage, tmp_path) -> None:
    list(files.hashes(folder, NAMES))
    (tmp_path / "store" / "files.sqlite").write_bytes(damage)
    for _ in range(2):
        assert list(files.hashes(folder, NAMES)) == expected(folder)
    read.clear()
    assert list(files.hashes(folder, NAMES)) == expected(folder) and read == []


def test_a_truncated_memory_costs_reading_only(folder, tmp_path) -> None:
    list(files.hashes(folder, NAMES))
    path = tmp_path / "store" / "files.sqlite"
    path.write_bytes(path.read_bytes()[:5000])
    for _ in range(3):
        assert list(files.hashes(folder, NAMES)) == expected(folder)


def test_without_a_store_everything_is_read(folder, read, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "file" / "store"))
    for _ in range(2):
        assert list(files.hashes(folder, NAMES)) == expected(folder)
    assert len(read) == 6


def test_another_folder_of_the_same_names_is_another(folder, tmp_path) -> None:
    for name in NAMES:
        write(tmp_path / "other" / name, b"something else".ljust(len(name))[: len(name)])
    one, other = (list(files.hashes(tmp_path / name, NAMES)) for name in ("set", "other"))
    assert not set(one) & set(other)


def test_a_thousand_files_take_one_look_at_the_memory(folder, read, monkeypatch) -> None:
    names = [f"many/{number}.png" for number in range(1000)]
    for name in names:
        write(folder / name, name.encode())
    list(files.hashes(folder, names))
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **more: opened.append(args) or connect(*args, **more)
    )
    read.clear()
    assert len(set(files.hashes(folder, names))) == 1000
    assert len(opened) == 1 and read == []


# --- Writing --------------------------------------------------------------------------------------


class KilledError(Exception):
    """What stops a writer half-way."""


def test_written_makes_folders_and_leaves_the_file_alone_there(tmp_path):
    path = tmp_path / "a" / "b" / "table.csv"
    with written(path) as temporary:
        assert temporary.suffix == ".csv" and temporary.parent == path.parent
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_written_replaces_a_file_only_when_the_new_one_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with written(path) as temporary:
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("old", [None, "old"])
def test_written_leaves_nothing_behind_after_an_exception(tmp_path, old):
    path = tmp_path / "table.csv"
    if old:
        path.write_text(old)
    with pytest.raises(KilledError), written(path) as temporary:
        temporary.write_text("half")
        raise KilledError
    assert [file.name for file in tmp_path.iterdir()] == (["table.csv"] if old else [])
    assert not old or path.read_text() == old


def test_written_below_a_file_is_an_error_that_names_the_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "table.csv"
    with pytest.raises(StoreError) as caught, written(path) as temporary:
        temporary.write_text("new")
    assert str(path) in str(caught.value)
    assert (tmp_path / "file").read_text() == "in the way"
