"""The store: compute once, load afterwards, and survive damage, failure, rivals and a place that
cannot be written to.
"""

import json
import os
import threading
import warnings

import numpy as np
import pytest
import torch

from blurpaper.runs import fingerprint
from blurpaper.runs.files import store_folder, written
from blurpaper.runs.store import TENSORS, Codec, Recipe, Store, StoreError, _key

JSON = Codec(
    ".json",
    lambda value, path: path.write_text(json.dumps(value)),
    lambda path: json.loads(path.read_text()),
)


def recipe(inputs=None, modules=("blurpaper.runs.randomness",), codec=JSON, name="a thing", **more):
    return Recipe("things", name, {"seed": 0} if inputs is None else inputs, modules, codec, **more)


class Maker:
    """Makes a value, counts how often, and remembers the scratch folder."""

    def __init__(self, value="made"):
        self.value, self.times, self.scratch = value, 0, None

    def __call__(self, scratch):
        self.times += 1
        self.scratch = scratch
        assert scratch.is_dir()
        return self.value


def data_of(store, one):
    (path,) = (path for path in store.path(one).iterdir() if path.name != "stamp.json")
    return path


# --- Compute or load ------------------------------------------------------------------------------


def test_a_value_is_made_once_and_loaded_afterwards_by_anyone(store):
    make = Maker({"x": [1, 2]})
    assert not store.has(recipe())
    assert store.get(recipe(), make) == {"x": [1, 2]}
    assert store.has(recipe())
    assert store.get(recipe(), make) == {"x": [1, 2]}
    assert Store(store.root).get(recipe(), make) == {"x": [1, 2]}
    assert make.times == 1


OTHER_INPUTS = [
    {"seed": 1},
    {"seed": 0, "more": None},
    {},
    {"seed": "0"},
    {"seed": [0]},
    {"sead": 0},
]


@pytest.mark.parametrize("inputs", OTHER_INPUTS, ids=str)
def test_other_inputs_are_another_artifact(store, inputs):
    store.get(recipe(), Maker("first"))
    assert store.get(recipe(inputs), Maker("second")) == "second"
    assert store.get(recipe(), Maker("third")) == "first"


def test_other_code_is_another_artifact_and_facts_for_the_stamp_are_not():
    assert recipe().key != recipe(modules=("blurpaper.kernels",)).key
    assert recipe().key == recipe(about={"profile": "smoke"}).key
    assert recipe({"a": 1, "b": 2}).key == recipe({"b": 2, "a": 1}).key


def test_names_that_no_file_could_have_are_kept_all_the_same(store):
    name = "vgg16:mix@512/labels#1 ü\0*?"
    assert store.get(recipe(name=name), Maker(1)) == 1
    assert store.path(recipe(name=name)).parent == store.root / "things"
    assert store.stamp(recipe(name=name))["name"] == name


def test_tensors_come_back_as_they_were(store):
    tensors = {
        "a": torch.arange(6).reshape(2, 3).t(),
        "b": torch.tensor([1.5, float("nan")]),
        "c": torch.zeros(0, 3, dtype=torch.uint8),
    }
    one = recipe(codec=TENSORS)
    store.get(one, Maker(tensors))
    back = Store(store.root).get(one, Maker())
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_a_stamp_says_what_an_artifact_is_and_where_it_was_made(store):
    one = recipe({"seed": 3}, about={"profile": "smoke"})
    store.get(one, Maker())
    stamp = store.stamp(one)
    assert (stamp["kind"], stamp["name"], stamp["key"], stamp["inputs"]) == (
        "things",
        "a thing",
        one.key,
        {"seed": 3},
    )
    assert stamp["profile"] == "smoke"
    assert stamp["seconds"] >= 0
    assert {"commit", "dirty", "python", "versions", "device", "made"} <= stamp.keys()
    assert stamp["versions"]["numpy"] == np.__version__


def test_the_store_remembers_the_stamps_of_what_it_was_asked_for(store):
    for seed in (0, 1, 0):
        store.get(recipe({"seed": seed}), Maker())
    assert [one.inputs["seed"] for one in store.used()] == [0, 1]
    assert Store(store.root).used() == []


def test_the_store_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("BLURPAPER_STORE", str(tmp_path / "mine"))
    assert store_folder() == tmp_path / "mine"
    assert Store().root == tmp_path / "mine"
    monkeypatch.delenv("BLURPAPER_STORE")
    assert store_folder().name == "blurpaper"


# --- Damage ---------------------------------------------------------------------------------------


def truncated(path):
    path.write_bytes(path.read_bytes()[:-3])


def one_bit_flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


def appended(path):
    path.write_bytes(path.read_bytes() + b" ")


def removed(path):
    path.unlink()


@pytest.mark.parametrize("codec", [JSON, TENSORS], ids=["json", "tensors"])
@pytest.mark.parametrize("damage", [truncated, one_bit_flipped, emptied, appended, removed])
def test_damaged_data_is_told_of_and_made_again(store, damage, codec):
    one, value = (
        recipe(codec=codec),
        {"x": torch.arange(100)} if codec is TENSORS else list(range(100)),
    )
    store.get(one, Maker(value))
    damage(data_of(store, one))
    again = Maker(value)
    with pytest.warns(UserWarning, match="damaged") as told:
        store.get(one, again)
    assert str(store.path(one)) in str(told[0].message)
    assert again.times == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(store.get(one, Maker())) == str(value)


@pytest.mark.parametrize("stamp", ["", "{", "{}", '{"sha256": "0"}', "\0\0\0"])
def test_a_damaged_stamp_is_told_of_and_the_artifact_made_again(store, stamp):
    store.get(recipe(), Maker("first"))
    (store.path(recipe()) / "stamp.json").write_text(stamp)
    with pytest.warns(UserWarning, match="damaged"):
        assert store.get(recipe(), Maker("second")) == "second"
    assert store.stamp(recipe())["name"] == "a thing"


def test_a_folder_without_a_stamp_is_no_artifact(store):
    store.get(recipe(), Maker("first"))
    (store.path(recipe()) / "stamp.json").unlink()
    assert not store.has(recipe())
    assert store.get(recipe(), Maker("second")) == "second"


# --- Failure --------------------------------------------------------------------------------------


class KilledError(Exception):
    """What stops a computation half-way."""


def interrupted(scratch):
    (scratch / "checkpoint").write_text("half")
    raise KilledError


def test_what_fails_leaves_no_artifact_but_its_scratch_folder(store):
    with pytest.raises(KilledError):
        store.get(recipe(), interrupted)
    assert not store.has(recipe())
    assert not store.path(recipe()).exists()

    def resumed(scratch):
        assert (scratch / "checkpoint").read_text() == "half"
        return "whole"

    assert store.get(recipe(), resumed) == "whole"


def test_the_scratch_folder_is_gone_after_success(store):
    make = Maker()
    store.get(recipe(), make)
    assert not make.scratch.exists()
    assert {path.suffix for path in (store.root / "things").iterdir()} <= {"", ".lock"}


def test_scratch_folders_of_different_artifacts_are_different(store):
    one, other = Maker(), Maker()
    store.get(recipe({"seed": 0}), one)
    store.get(recipe({"seed": 1}), other)
    assert one.scratch != other.scratch


def test_another_try_after_a_failure_is_not_locked_out(store):
    for _ in range(2):
        with pytest.raises(KilledError):
            store.get(recipe(), interrupted)
    assert Store(store.root).get(recipe(), Maker("made")) == "made"


def test_stamps_are_told_of_what_was_made_even_if_something_else_failed(store):
    # What failed has no stamp.
    store.get(recipe({"seed": 0}), Maker())
    with pytest.raises(KilledError):
        store.get(recipe({"seed": 1}), interrupted)
    assert [one.inputs["seed"] for one in store.used()] == [0]


def half_saved(value, path):
    path.write_text("half")
    raise OSError(28, "No space left on device")


def test_a_value_that_cannot_be_written_is_an_error_and_no_artifact(store):
    one = recipe(codec=Codec(".json", half_saved, JSON.load))
    with pytest.raises(StoreError, match="No space left") as caught:
        store.get(one, Maker())
    assert str(store.path(one)) in str(caught.value)
    assert not store.has(one)


def test_a_value_that_cannot_be_written_leaves_no_half_of_it_behind(store):
    # Named by the process id, nothing else would remove it: a full disk would stay full.
    with pytest.raises(StoreError):
        store.get(recipe(codec=Codec(".json", half_saved, JSON.load)), Maker())
    assert not list(store.root.rglob("*.tmp"))


# --- Rivals ---------------------------------------------------------------------------------------


def test_a_second_writer_says_that_it_waits_and_then_loads(tmp_path, capsys):
    inside, release, values, second = threading.Event(), threading.Event(), [], Maker("second")
    folder = Store(tmp_path).path(recipe()).name

    def first(scratch):
        inside.set()
        assert release.wait(20)
        return "first"

    def ask(make):
        values.append(Store(tmp_path).get(recipe(), make))

    threads = [threading.Thread(target=ask, args=(make,), daemon=True) for make in (first, second)]
    threads[0].start()
    assert inside.wait(20)
    threads[1].start()
    said = ""
    for _ in range(200):  # ends after a second or so, when the second writer tells
        threads[1].join(0.05)
        said += capsys.readouterr().err
        if said or not threads[1].is_alive():
            break
    waited = threads[1].is_alive()
    release.set()
    for thread in threads:
        thread.join(20)
    assert waited
    assert folder in said and "waiting" in said
    assert values == ["first", "first"]
    assert second.times == 0


def test_many_at_once_make_once(tmp_path):
    make, values, together = Maker("made"), [], threading.Barrier(6)

    def ask():
        together.wait(20)
        values.append(Store(tmp_path).get(recipe(), make))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert values == ["made"] * 6
    assert make.times == 1


def test_the_making_of_one_artifact_may_ask_for_another(store):
    inner, outer = recipe({"seed": 1}), recipe({"seed": 2})
    assert store.get(outer, lambda _: store.get(inner, Maker(3)) + 1) == 4
    assert store.has(inner) and store.has(outer)


# --- A place that cannot be written to ------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_where_the_store_should_be_is_an_error_that_says_where(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / below)
    with pytest.raises(StoreError) as caught:
        store.get(recipe(), Maker())
    assert str(store.root) in str(caught.value)


def test_a_folder_that_may_not_be_written_to_is_an_error_that_says_where(tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("permission bits do not bind this user")
        with pytest.raises(StoreError) as caught:
            Store(tmp_path).get(recipe(), Maker())
        assert str(tmp_path) in str(caught.value)
    finally:
        tmp_path.chmod(0o700)


# --- written --------------------------------------------------------------------------------------


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


def test_a_stamp_names_the_artifacts_that_it_was_made_from(tmp_path) -> None:
    """Those used before whose keys are among its inputs, at any depth."""
    store = Store(tmp_path)
    first, second, third = (
        Recipe("numbers", name, {"name": name}, ["blurpaper.kernels"], TENSORS)
        for name in ("first", "second", "third")
    )
    store.get(first, lambda _: {"x": torch.zeros(1)})
    store.note(second)
    store.note(third)
    inputs = {"start": first.key, "others": [{"prior": second.key}], "seed": 0}
    made = Recipe("numbers", "made", inputs, ["blurpaper.kernels"], TENSORS)
    store.get(made, lambda _: {"x": torch.ones(1)})
    assert store.stamp(made)["parents"] == sorted([first.key, second.key])
    assert store.stamp(first)["parents"] == []


def test_another_version_of_a_library_that_computes_is_another_key(monkeypatch) -> None:
    def key(inputs: str) -> str:
        monkeypatch.setattr(fingerprint, "version", lambda name: inputs if name == "numpy" else "1")
        _key.cache_clear()
        return Recipe("numbers", "one", {}, ["blurpaper.kernels"], TENSORS).key

    assert key("2.4.6") == key("2.4.6+cpu") != key("2.5.0")
    _key.cache_clear()
