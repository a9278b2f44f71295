"""Several processes as one, started by torchrun: each computes its share of every batch, and all end with the same weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import torch

T = TypeVar("T")


@lru_cache(maxsize=1)
def count() -> int:
    """How many processes work together; the first call joins them (NCCL where each has a GPU, else Gloo)."""
    from torch import distributed

    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not distributed.is_initialized():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        gpus = torch.cuda.device_count() > local
        if gpus:
            torch.cuda.set_device(local)
        distributed.init_process_group("nccl" if gpus else "gloo")
    return size


def number() -> int:
    """Which of them this is; number 0 leads: it alone writes checkpoints and the store."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def share(members: Sequence[T]) -> tuple[slice, Sequence[T]]:
    """This process's part of a batch: places and members. Parts differ by one at most."""
    size, own = count(), number()
    places = slice(own * len(members) // size, (own + 1) * len(members) // size)
    return places, members[places]


def total(value: torch.Tensor) -> float:
    """The sum of a number over all processes."""
    from torch import distributed

    value = value.detach().clone()
    if count() > 1:
        distributed.all_reduce(value)
    return value.item()


def led(decide: Callable[[], bool]) -> bool:
    """What the leading process decides, in all of them."""
    from torch import distributed

    decision = [decide() if number() == 0 else False]
    if count() > 1:
        distributed.broadcast_object_list(decision)
    return decision[0]


def wait() -> None:
    """Until all processes are here."""
    from torch import distributed

    if count() > 1:
        distributed.barrier()
