"""The cache: what is made is found again while there is room, what was used last stays, and rivals
do not harm one another.
"""

import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from blurpaper.cache import _STAMP, Cache
from blurpaper.store import TENSORS, Codec, Recipe, Store

BYTES = 100_000


def recipe(number: int, kind: str = "pictures", codec: Codec = TENSORS) -> Recipe:
    return Recipe(kind, "a part", {"number": number}, ["blurpaper.randomness"], codec)


def picture(number: int, size: int = BYTES) -> dict[str, torch.Tensor]:
    return {"pixels": torch.full((size,), number, dtype=torch.uint8)}


def size_of(value: dict[str, torch.Tensor]) -> int:
    return sum(256 + one.numel() for one in value.values())


def ask(cache: Cache, number: int, size: int = BYTES, **more) -> bool:
    """Whether a picture had to be made; it is the right one in any case."""
    made = []
    found = cache.found(
        recipe(number, **more), lambda: made.append(number) or picture(number, size), size_of
    )
    assert torch.equal(found["pixels"], picture(number, size)["pixels"])
    return bool(made)


def cache_for(store: Store, count: int) -> Cache:
    return Cache(store, count * (BYTES + 256 + _STAMP))


def taken(cache: Cache) -> int:
    total = 0
    for folder, _, names in os.walk(
        cache.root
    ):  # which goes on where another process takes a folder away meanwhile
        for name in names:
            with suppress(FileNotFoundError):
                total += (Path(folder) / name).stat().st_size
    return total


def test_what_was_made_is_found_again_by_anyone(store) -> None:
    assert ask(cache_for(store, 3), 1)
    assert not ask(cache_for(store, 3), 1)
    assert not ask(cache_for(Store(store.root), 3), 1)


def test_the_bound_holds_whatever_is_asked_for(store) -> None:
    cache, draw, most = cache_for(store, 3), torch.Generator().manual_seed(0), 0
    for _ in range(30):
        number = int(torch.randint(9, (), generator=draw))
        ask(cache, number, size=(number + 1) * BYTES // 2)  # the largest do not fit at all
        assert taken(cache) <= cache.limit
        most = max(most, taken(cache))
    assert most > cache.limit / 2


def test_what_was_not_used_for_longest_goes_first(store) -> None:
    cache = cache_for(store, 3)
    assert [ask(cache, number) for number in (1, 2, 3)] == [True] * 3
    assert not ask(cache, 1)  # so that 2 is now the oldest
    assert ask(cache, 4)
    assert [cache.has(recipe(number)) for number in (1, 2, 3, 4)] == [True, False, True, True]
    assert ask(cache, 5)
    assert [cache.has(recipe(number)) for number in (1, 3, 4, 5)] == [True, False, True, True]


def test_what_is_larger_than_the_bound_is_not_kept_and_drives_nothing_out(store) -> None:
    cache = cache_for(store, 2)
    ask(cache, 1)
    assert ask(cache, 2, size=3 * BYTES)
    assert ask(cache, 2, size=3 * BYTES)
    assert cache.has(recipe(1)) and not cache.has(recipe(2))


def test_a_smaller_bound_is_held_from_the_next_writing_on(store) -> None:
    for number in range(5):
        ask(cache_for(store, 5), number)
    smaller = cache_for(store, 2)
    ask(smaller, 9)
    assert taken(smaller) <= smaller.limit
    assert smaller.has(recipe(9)) and smaller.has(recipe(4))


def test_each_kind_has_the_bound_for_itself(store) -> None:
    cache = cache_for(store, 1)
    ask(cache, 1)
    ask(cache, 1, kind="others")
    assert cache.has(recipe(1)) and cache.has(recipe(1, "others"))


def test_the_store_around_it_does_not_count_what_is_found_there(store) -> None:
    ask(cache_for(store, 1), 1)
    assert store.used() == []
    assert not list(store.root.glob("*/*/stamp.json"))


def test_a_file_that_is_in_use_can_be_dropped_and_stays_readable(store) -> None:
    cache = cache_for(store, 1)
    ask(cache, 1)
    mapped = cache.found(recipe(1), lambda: pytest.fail("made again"), size_of)
    ask(cache, 2)
    assert not cache.has(recipe(1))
    assert torch.equal(mapped["pixels"], picture(1)["pixels"])


def test_what_another_run_is_about_to_open_is_not_dropped(store) -> None:
    cache = cache_for(store, 2)
    ask(cache, 1)
    ask(cache, 2)
    folder = cache.path(recipe(1))
    with FileLock(folder.with_name(folder.name + ".lock")):
        ask(cache, 3)
        assert cache.has(recipe(1)) and not cache.has(recipe(2))
        assert taken(cache) <= cache.limit


def test_many_at_once_make_once_and_hold_the_bound(tmp_path) -> None:
    together, made, wrong = threading.Barrier(6), [], []

    def work(first: int) -> None:
        cache = cache_for(Store(tmp_path), 2)
        together.wait(20)
        for number in [7, *(first * 10 + step for step in range(4))]:
            found = cache.found(
                recipe(number), lambda n=number: made.append(n) or picture(n), size_of
            )
            if (
                not torch.equal(found["pixels"], picture(number)["pixels"])
                or taken(cache) > cache.limit
            ):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(first,), daemon=True) for first in (1, 2)]
    threads += [
        threading.Thread(target=lambda: (together.wait(20), ask(cache_for(Store(tmp_path), 2), 7)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert {number for number in made if number != 7} == {
        first * 10 + step for first in (1, 2) for step in range(4)
    }


WORK = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from test_cache import ask, cache_for, taken
from blurpaper.store import Store
cache = cache_for(Store(sys.argv[2]), 2)
for turn in range(12):
    ask(cache, turn % 5)
    assert taken(cache) <= cache.limit
"""


def test_two_processes_that_drive_each_others_files_out_both_get_what_they_ask_for(
    tmp_path,
) -> None:
    command = [sys.executable, "-c", WORK, str(Path(__file__).parent), str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [one.communicate(timeout=120)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said


def test_what_a_killed_run_left_half_written_is_cleared_away(store) -> None:
    cache = cache_for(store, 2)
    ask(cache, 1)
    rest = cache.root / "pictures" / "a_part-0123456789abcdef.1.tmp"
    rest.mkdir()
    (rest / "data.safetensors").write_bytes(bytes(BYTES))
    ask(cache, 2)
    assert not rest.exists()
    assert cache.has(recipe(1)) and cache.has(recipe(2))


def test_damaged_data_is_made_again(store) -> None:
    cache = cache_for(store, 2)
    ask(cache, 1)
    data = cache.path(recipe(1)) / "data.safetensors"
    data.write_bytes(data.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="damaged"):
        assert ask(cache, 1)
    assert not ask(cache, 1)


def test_half_of_the_space_that_is_left_on_the_disk_is_not_touched(store, monkeypatch) -> None:
    cache, free = cache_for(store, 10), [10 * BYTES]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    ask(cache, 1)
    free[0] = BYTES
    ask(cache, 2)
    assert not cache.has(recipe(1)) and cache.has(recipe(2))
    free[0] = 0
    shutil.rmtree(cache.root / "pictures")
    assert ask(cache, 3) and ask(cache, 3)


def test_a_disk_that_is_full_all_the_same_costs_the_cache_and_not_the_run(store) -> None:
    def full(value: object, path: object) -> None:
        raise OSError(28, "No space left on device")

    one = recipe(1, codec=Codec(".safetensors", full, TENSORS.load))
    cache = cache_for(store, 2)
    with pytest.warns(UserWarning, match="not kept for the next time: .*No space left"):
        found = cache.found(one, lambda: picture(1), size_of)
    assert torch.equal(found["pixels"], picture(1)["pixels"])
    assert not cache.has(one)
    assert ask(cache, 1)
