"""Devices, their precision, and several processes that train as one."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from blurpaper.runs.files import UserError
from blurpaper.runs.profile import Compute


def device_of(compute: Compute) -> torch.device:
    """The device a profile asks for: ``auto`` takes a GPU where there is one.

    Raises:
        UserError: if it asks for CUDA and there is none.
    """
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "the profile asks for compute.device=cuda and torch sees no CUDA GPU: use auto or cpu."
        )
    gpu = compute.device == "cuda" or (compute.device == "auto" and torch.cuda.is_available())
    return torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")


def keep_freed_memory() -> None:
    """Let the C library keep large blocks that are freed, for the next step to reuse. Called once
    where a run begins.

    By default it returns them to the system, which clears each page anew when it is asked for
    again: on a CPU that can take longer than the convolutions. Where the C library has no such
    setting, nothing happens.
    """
    trim_threshold, mmap_threshold = -1, -3  # of glibc's malloc.h
    try:
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 1 << 30)
        library.mallopt(trim_threshold, (1 << 31) - 1)
    except (OSError, AttributeError, TypeError):
        pass


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native on a device; emulated, it would be slower and no more precise."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def autocast(compute: Compute, device: torch.device) -> AbstractContextManager:
    """bfloat16 autocast, if the profile wants it and the device has it."""
    if compute.precision == "bfloat16" and has_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


# --- Several processes as one ---------------------------------------------------------------------
# torchrun starts them; each computes its share of every batch, and all end with the same weights.

T = TypeVar("T")

_PATIENCE = timedelta(hours=12)
"""How long processes wait for one another: the first may be reading a large set, or another run may
hold the store's lock.
"""


def join() -> None:
    """Join the processes that torchrun started (NCCL for tensors on GPUs, else Gloo), if there are
    several and they are not joined yet.

    Raises:
        UserError: if some have a GPU of their own and some have none.
    """
    size = count()
    if size == 1 or distributed.is_initialized():
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpu = torch.cuda.device_count() > local
    if gpu:
        torch.cuda.set_device(local)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "cpu:gloo", timeout=_PATIENCE)
    gpus = [False] * size
    distributed.all_gather_object(gpus, gpu)
    if any(gpus) and not all(gpus):
        distributed.destroy_process_group()
        raise UserError(
            f"of {size} processes {sum(gpus)} have a GPU of their own: start as many as there are "
            "GPUs (torchrun --nproc-per-node), or hide the GPUs to compute on CPUs "
            "(CUDA_VISIBLE_DEVICES=)."
        )


def count() -> int:
    """Number of processes that work together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def number() -> int:
    """Number of this process. Number 0 leads: it alone writes checkpoints and the store."""
    return int(os.environ.get("RANK", "0"))


def share(members: Sequence[T]) -> tuple[slice, Sequence[T]]:
    """This process's part of a batch: places and members. Parts differ by one at most."""
    size, own = count(), number()
    places = slice(own * len(members) // size, (own + 1) * len(members) // size)
    return places, members[places]


def total(value: torch.Tensor) -> float:
    """The sum of a number, a tensor ``()``, over all processes."""
    value = value.detach().clone()
    if count() > 1:
        distributed.all_reduce(value)
    return value.item()


def mean(value: torch.Tensor, weight: float) -> torch.Tensor:
    """The mean of a number, a tensor ``()``, over all processes, weighted. No gradient flows from
    the other processes.
    """
    if count() == 1:
        return value
    both = torch.stack([value.detach() * weight, torch.full_like(value, weight)])
    distributed.all_reduce(both)
    return both[0] / both[1]


def led(decision: bool) -> bool:
    """The decision of the leading process, in all processes."""
    decisions = [decision]
    if count() > 1:
        distributed.broadcast_object_list(decisions)  # from number 0
    return decisions[0]


def wait() -> None:
    """Wait until all processes have come here."""
    if count() > 1:
        distributed.barrier()
