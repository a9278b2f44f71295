"""Where and how precisely to compute: the device, and autocast where the hardware has bfloat16."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import torch

from blurpaper.runs.errors import UserError
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
    if not gpu:
        _keep_freed_memory()
    return torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")


@lru_cache(maxsize=1)
def _keep_freed_memory() -> None:
    """Let the C library keep large blocks that are freed, for the next step to use again.

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
    """Whether bfloat16 is native there; emulated, it would be slower and no more precise."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def autocast(compute: Compute, device: torch.device) -> AbstractContextManager:
    """bfloat16 autocast, if the profile wants it and the device has it."""
    if compute.precision == "bfloat16" and has_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
