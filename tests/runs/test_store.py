"""The store: compute once, load afterwards, and survive damage, failure, rivals and a place that
cannot be written to.
"""

import gc
import json
import os
import threading
import warnings
import weakref
from functools import partial

import numpy as np
import pytest
import torch

from blurpaper.runs import fingerprint
from blurpaper.runs.files import store_folder
from blurpaper.runs.store import TENSORS, Artifact, Codec, Store, StoreError, _key

JSON = Codec(
    ".json",
    lambda value, path: path.write_text(json.dumps(value)),
    lambda path: json.loads(path.read_text()),
)


def of_library(function, module="blurpaper.runs.randomness"):
    """The function as one of a module of the library, whose code is then in its keys."""
    function.__module__ = module
    return function


class Maker:
    """Computes a value, counts how often, and remembers the scratch folder if it is given one."""

    def __init__(self, value="made", module="blurpaper.runs.randomness"):
        self.value, self.times, self.scratch = value, 0, None
        of_library(self, module)

    def __call__(self, scratch=None):
        self.times += 1
        self.scratch = scratch
        assert scratch is None or scratch.is_dir()
        return self.value


def thing(compute=None, inputs=None, codec=JSON, name="a thing", **more):
    inputs = {"seed": 0} if inputs is None else inputs
    return Artifact("things", name, inputs, compute or Maker(), codec, **more)


def data_of(store, one):
    (path,) = (path for path in store.path(one).iterdir() if path.name != "stamp.json")
    return path


# --- Compute or load ------------------------------------------------------------------------------


def test_a_value_is_made_once_and_loaded_afterwards_by_anyone(store):
    make = Maker({"x": [1, 2]})
    assert not store.has(thing(make))
    assert store.get(thing(make)) == {"x": [1, 2]}
    assert store.has(thing(make))
    assert store.get(thing(make)) == {"x": [1, 2]}
    assert Store(store.root).get(thing(make)) == {"x": [1, 2]}
    assert store.artifact("things", "a thing", {"seed": 0}, make, JSON, profile="smoke") == {
        "x": [1, 2]
    }
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
    store.get(thing(Maker("first")))
    assert store.get(thing(Maker("second"), inputs)) == "second"
    assert store.get(thing(Maker("third"))) == "first"


def test_the_module_of_the_function_is_in_the_key_and_what_is_bound_to_it_is_not(store):
    from blurpaper.data import images
    from blurpaper.runs import randomness

    def key(compute):
        return thing(compute).key

    assert key(randomness.stream) != key(images.resized)
    assert key(randomness.stream) == key(randomness.seed_of)
    assert key(partial(partial(randomness.stream, 1), 2)) == key(randomness.stream)
    store.get(thing(Maker("one")))
    assert store.get(thing(Maker("other", "blurpaper.kernels"))) == "other"
    assert len(store.names()) == 2


def test_other_code_in_the_module_of_the_function_or_below_it_is_another_key(tmp_path, monkeypatch):
    def key(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        for name in ("tree", "form", "own", "whole", "passed_on"):
            getattr(fingerprint, f"_{name}").cache_clear()
        _key.cache_clear()
        return thing(Maker(module="blurpaper.top")).key

    monkeypatch.setattr(fingerprint, "PACKAGE", tmp_path)
    uses = "from blurpaper.base import SIZE\n\nAREA = SIZE**2\n"
    first = key(top=uses, base="SIZE = 3\n", other="SIZE = 5\n")
    assert key(other="SIZE = 6\n") == first
    assert len({first, key(base="SIZE = 4\n"), key(top=uses.replace("2", "3"))}) == 3
    assert key(top=uses, base="SIZE = 3\n") == first


def test_a_function_outside_the_library_whose_code_no_key_would_see_is_an_error(store):
    for module in ("__main__", "tests.runs.test_store", "blurpaper_of_mine"):
        with pytest.raises(ValueError, match=f"is one of blurpaper. Got {module}'s"):
            store.get(thing(Maker(module=module)))
    assert store.names() == []


def test_facts_for_the_stamp_and_the_order_of_inputs_are_not_in_the_key():
    assert thing().key == thing(about={"profile": "smoke"}).key
    assert thing(inputs={"a": 1, "b": 2}).key == thing(inputs={"b": 2, "a": 1}).key


def test_names_that_no_file_could_have_are_kept_all_the_same(store):
    name = "vgg16:mix@512/labels#1 ü\0*?"
    assert store.get(thing(Maker(1), name=name)) == 1
    assert store.path(thing(name=name)).parent == store.root / "things"
    assert store.stamp(thing(name=name))["name"] == name


def test_tensors_come_back_as_they_were(store):
    tensors = {
        "a": torch.arange(6).reshape(2, 3).t(),
        "b": torch.tensor([1.5, float("nan")]),
        "c": torch.zeros(0, 3, dtype=torch.uint8),
    }
    store.get(thing(Maker(tensors), codec=TENSORS))
    back = Store(store.root).get(thing(codec=TENSORS))
    assert back.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(back[name], tensor, rtol=0, atol=0, equal_nan=True)


def test_a_stamp_says_what_an_artifact_is_and_where_it_was_made(store):
    one = thing(inputs={"seed": 3}, about={"profile": "smoke"})
    store.get(one)
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
    assert all(stamp["versions"].values())


def test_the_store_remembers_which_artifacts_it_was_asked_for(store):
    for seed in (0, 1, 0):
        store.get(thing(inputs={"seed": seed}))
    assert [one.inputs["seed"] for one in store.used()] == [0, 1]
    assert Store(store.root).used() == []


class Large:
    """Stands for a network or images, which a test can see go."""


def with_large(large, *scratch):
    return "made"


@pytest.mark.parametrize("resumable", [False, True])
def test_what_is_bound_to_a_function_is_let_go_by_the_store(store, resumable):
    """Made, loaded, noted or failed, networks and images must not pile up over a run."""
    function, seen = of_library(with_large), []
    for seed in range(3):
        large = Large()
        seen.append(weakref.ref(large))
        bound = partial(partial(function, large))
        one = thing(bound, {"seed": seed}, resumable=resumable)
        store.get(one)
        store.get(one)
        store.note(thing(bound, {"seed": seed, "noted": True}))
        del large, bound, one
    gc.collect()
    assert [reference() for reference in seen] == [None] * 3
    assert [one.compute for one in store.used()] == [function] * 3


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
    value = {"x": torch.arange(100)} if codec is TENSORS else list(range(100))
    make = Maker(value)
    one = thing(make, codec=codec)
    store.get(one)
    damage(data_of(store, one))
    with pytest.warns(UserWarning, match="damaged") as told:
        store.get(one)
    assert str(store.path(one)) in str(told[0].message)
    assert make.times == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert str(store.get(one)) == str(value)
    assert make.times == 2


@pytest.mark.parametrize("stamp", ["", "{", "{}", '{"sha256": "0"}', "\0\0\0"])
def test_a_damaged_stamp_is_told_of_and_the_artifact_made_again(store, stamp):
    store.get(thing(Maker("first")))
    (store.path(thing()) / "stamp.json").write_text(stamp)
    with pytest.warns(UserWarning, match="damaged"):
        assert store.get(thing(Maker("second"))) == "second"
    assert store.stamp(thing())["name"] == "a thing"


def test_a_folder_without_a_stamp_is_no_artifact(store):
    store.get(thing(Maker("first")))
    (store.path(thing()) / "stamp.json").unlink()
    assert not store.has(thing())
    assert store.get(thing(Maker("second"))) == "second"


# --- Failure --------------------------------------------------------------------------------------


class KilledError(Exception):
    """What stops a computation half-way."""


@of_library
def interrupted(scratch):
    (scratch / "checkpoint").write_text("half")
    raise KilledError


def test_what_fails_leaves_no_artifact_but_its_scratch_folder(store):
    with pytest.raises(KilledError):
        store.get(thing(interrupted, resumable=True))
    assert not store.has(thing())
    assert not store.path(thing()).exists()

    @of_library
    def resumed(scratch):
        assert (scratch / "checkpoint").read_text() == "half"
        return "whole"

    assert store.get(thing(resumed, resumable=True)) == "whole"


def test_the_scratch_folder_is_gone_after_success(store):
    make = Maker()
    store.get(thing(make, resumable=True))
    assert make.scratch == store.scratch(thing()) and not make.scratch.exists()
    assert {path.suffix for path in (store.root / "things").iterdir()} <= {"", ".lock"}


def test_scratch_folders_of_different_artifacts_are_different(store):
    one, other = Maker(), Maker()
    store.get(thing(one, {"seed": 0}, resumable=True))
    store.get(thing(other, {"seed": 1}, resumable=True))
    assert one.scratch != other.scratch


def test_what_cannot_be_resumed_is_given_no_folder(store):
    make = Maker()
    store.get(thing(make))
    assert make.times == 1 and make.scratch is None


def test_another_try_after_a_failure_is_not_locked_out(store):
    for _ in range(2):
        with pytest.raises(KilledError):
            store.get(thing(interrupted, resumable=True))
    assert Store(store.root).get(thing(Maker("made"))) == "made"


def test_stamps_are_told_of_what_was_made_even_if_something_else_failed(store):
    # What failed has no stamp.
    store.get(thing(inputs={"seed": 0}))
    with pytest.raises(KilledError):
        store.get(thing(interrupted, {"seed": 1}, resumable=True))
    assert [one.inputs["seed"] for one in store.used()] == [0]


def half_saved(value, path):
    path.write_text("half")
    raise OSError(28, "No space left on device")


def test_a_value_that_cannot_be_written_is_an_error_and_no_artifact(store):
    one = thing(codec=Codec(".json", half_saved, JSON.load))
    with pytest.raises(StoreError, match="No space left") as caught:
        store.get(one)
    assert str(store.path(one)) in str(caught.value)
    assert not store.has(one)


def test_a_value_that_cannot_be_written_leaves_no_half_of_it_behind(store):
    # Named by the process id, nothing else would remove it: a full disk would stay full.
    with pytest.raises(StoreError):
        store.get(thing(codec=Codec(".json", half_saved, JSON.load)))
    assert not list(store.root.rglob("*.tmp"))


# --- Rivals ---------------------------------------------------------------------------------------


def test_a_second_writer_says_that_it_waits_and_then_loads(tmp_path, capsys):
    inside, release, values, second = threading.Event(), threading.Event(), [], Maker("second")
    folder = Store(tmp_path).path(thing()).name

    @of_library
    def first():
        inside.set()
        assert release.wait(20)
        return "first"

    def ask(make):
        values.append(Store(tmp_path).get(thing(make)))

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
        values.append(Store(tmp_path).get(thing(make)))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert values == ["made"] * 6
    assert make.times == 1


def test_the_making_of_one_artifact_may_ask_for_another(store):
    inner = thing(Maker(3), {"seed": 1})
    outer = thing(of_library(lambda: store.get(inner) + 1), {"seed": 2})
    assert store.get(outer) == 4
    assert store.has(inner) and store.has(outer)


# --- A place that cannot be written to ------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_where_the_store_should_be_is_an_error_that_says_where(tmp_path, below):
    (tmp_path / "file").write_text("in the way")
    store = Store(tmp_path / "file" / below)
    with pytest.raises(StoreError) as caught:
        store.get(thing())
    assert str(store.root) in str(caught.value)


def test_a_folder_that_may_not_be_written_to_is_an_error_that_says_where(tmp_path):
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("permission bits do not bind this user")
        with pytest.raises(StoreError) as caught:
            Store(tmp_path).get(thing())
        assert str(tmp_path) in str(caught.value)
    finally:
        tmp_path.chmod(0o700)


# --- What it was made from ------------------------------------------------------------------------


def test_a_stamp_names_the_artifacts_that_it_was_made_from(store) -> None:
    """Those used before whose keys are among its inputs, at any depth."""
    first, second, third = (thing(inputs={"name": name}) for name in ("first", "second", "third"))
    store.get(first)
    store.note(second)
    store.note(third)
    made = thing(inputs={"start": first.key, "others": [{"prior": second.key}], "seed": 0})
    store.get(made)
    assert store.stamp(made)["parents"] == sorted([first.key, second.key])
    assert store.stamp(first)["parents"] == []


def test_another_version_of_a_library_that_computes_is_another_key(monkeypatch) -> None:
    def key(inputs: str) -> str:
        monkeypatch.setattr(fingerprint, "version", lambda name: inputs if name == "numpy" else "1")
        _key.cache_clear()
        return thing(Maker(module="blurpaper.kernels")).key

    assert key("2.4.6") == key("2.4.6+cpu") != key("2.5.0")
    _key.cache_clear()


# --- In parts -------------------------------------------------------------------------------------


class Parts:
    """Tensors that tell image and condition apart, and the parts that were asked for, in order."""

    def __init__(self):
        self.asked = []
        of_library(self)

    def __call__(self, numbers, condition):
        self.asked.append((numbers.start, condition))
        own = torch.tensor(list(numbers))
        return {"number": own, "twice": torch.stack([2 * own, own + len(condition)], dim=1)}


PARTS = [range(6, 9), range(3), range(3, 6), range(9, 10)]
"""Not in their order, the last one shorter."""


def sharded(store, parts, over=PARTS, conditions=("sharp", "D8"), **more):
    return store.sharded("shards", "a set", {"seed": 0}, parts, over, conditions, **more)


def test_parts_are_computed_once_each_all_conditions_of_one_before_the_next(store):
    parts, ticks = Parts(), []
    sharded(store, parts, tick=ticks.append)
    starts = [numbers.start for numbers in PARTS]
    assert parts.asked == [(start, name) for start in starts for name in ("sharp", "D8")]
    assert ticks == [3, 3, 3, 3, 3, 3, 1, 1]
    again = Parts()
    sharded(Store(store.root), again, tick=ticks.append)
    assert again.asked == [] and len(ticks) == 16
    assert len(store.names()) == len(store.used()) == 8


def test_parts_are_joined_in_the_order_in_which_they_are_given(store):
    numbers = torch.tensor([6, 7, 8, 0, 1, 2, 3, 4, 5, 9])
    for parts in (Parts(), Parts()):  # computed, then loaded
        found = sharded(store, parts)
        assert list(found) == ["sharp", "D8"]
        for condition, tensors in found.items():
            assert set(tensors) == {"number", "twice"}
            assert torch.equal(tensors["number"], numbers)
            assert torch.equal(tensors["twice"][:, 0], 2 * numbers)
            assert torch.equal(tensors["twice"][:, 1], numbers + len(condition))


def test_a_part_is_found_again_among_other_parts_and_conditions(store):
    sharded(store, Parts())
    parts = Parts()
    found = sharded(store, parts, [range(3), range(3, 5)], ("D8", "G4"))
    assert parts.asked == [(0, "G4"), (3, "D8"), (3, "G4")]
    assert found["D8"]["number"].tolist() == [0, 1, 2, 3, 4]


def test_of_parts_that_fail_those_before_are_kept(store):
    class Failing(Parts):
        def __call__(self, numbers, condition):
            if (numbers.start, condition) == (0, "D8"):
                raise KilledError
            return super().__call__(numbers, condition)

    with pytest.raises(KilledError):
        sharded(store, Failing())
    parts = Parts()
    sharded(store, parts)
    assert parts.asked[0] == (0, "D8") and len(parts.asked) == 5


def test_parts_without_conditions_are_one_set_of_tensors(store):
    (found,) = store.sharded("shards", "a set", {}, Parts(), [range(2)], data="x").values()
    assert found["number"].tolist() == [0, 1]
    assert store.stamp(store.used()[0])["data"] == "x"
