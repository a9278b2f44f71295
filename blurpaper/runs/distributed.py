"""Several processes as one, started by torchrun: each computes its share of every batch, and all
end with the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import TypeVar

import torch

from blurpaper.runs.errors import UserError

T = TypeVar("T")

_PATIENCE = timedelta(hours=12)
"""How long processes wait for one another: the first may be reading a large set, or another run may
hold the store's lock.
"""


@lru_cache(maxsize=1)
def count() -> int:
    """How many processes work together; the first call joins them (NCCL for what is on GPUs, else
    Gloo).

    Raises:
        UserError: if some have a GPU of their own and some have none.
    """
    from torch import distributed

    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and not distributed.is_initialized():
        local = int(os.environ.get("LOCAL_RANK", "0"))
        gpu = torch.cuda.device_count() > local
        if gpu:
            torch.cuda.set_device(local)
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if gpu else "cpu:gloo", timeout=_PATIENCE
        )
        gpus = [False] * size
        distributed.all_gather_object(gpus, gpu)
        if any(gpus) and not all(gpus):
            distributed.destroy_process_group()
            raise UserError(
                f"of {size} processes {sum(gpus)} have a GPU of their own: start as many as there "
                "are GPUs (torchrun --nproc-per-node), or hide the GPUs to compute on CPUs "
                "(CUDA_VISIBLE_DEVICES=)."
            )
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
    """The sum of a number, a tensor ``()``, over all processes."""
    from torch import distributed

    value = value.detach().clone()
    if count() > 1:
        distributed.all_reduce(value)
    return value.item()


def mean(value: torch.Tensor, weight: float) -> torch.Tensor:
    """The mean of a number, a tensor ``()``, over all processes, each counting for so much. No
    gradient flows from the others.
    """
    from torch import distributed

    if count() == 1:
        return value
    both = torch.stack([value.detach() * weight, torch.full_like(value, weight)])
    distributed.all_reduce(both)
    return both[0] / both[1]


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
