"""Independent pieces of work in threads. Results are the same whatever their number."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")


def count() -> int:
    """Threads to work in: torch's, but of several processes (whose torch has one) each its share of
    the processors.
    """
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return torch.get_num_threads() if together == 1 else max(1, (os.cpu_count() or 1) // together)


def in_threads(work: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Apply ``work`` to each of the items; the results are in their order.

    This thread and those of a pool take the next item each. Where items are many, what torch does
    for one of them starts no further threads.
    """
    items, own = list(items), torch.get_num_threads()
    each = 1 if len(items) >= 4 * count() else own
    results: list[T | None] = [None] * len(items)
    waiting = iter(range(len(items)))

    def take() -> None:
        torch.set_num_threads(each)
        try:
            for place in waiting:
                results[place] = work(items[place])
        finally:
            deque(waiting, maxlen=0)  # after an error nobody begins another one

    helpers = [_pool().submit(take) for _ in range(min(count(), len(items)) - 1)]
    try:
        take()
    finally:
        # One that has not begun may stand behind a thread that waits for it, and has nothing to do.
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
        torch.set_num_threads(own)  # which is also what threads to come begin with
    for helper in begun:
        helper.result()
    return results


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count())


# A forked worker of a data loader inherits the pool, but none of its threads.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
