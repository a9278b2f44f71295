"""Where and how precisely to compute: the device, and autocast where the hardware has bfloat16."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from blurpaper.profile import Compute


def device_of(compute: Compute) -> torch.device:
    """The device a profile asks for: ``auto`` takes a GPU where there is one.

    Raises:
        RuntimeError: if it asks for CUDA and there is none.
    """
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("the profile asks for compute.device=cuda and torch sees no CUDA GPU: use auto or cpu.")
    if compute.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(compute.device)


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native there; emulated, it would be slower and no more precise."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def autocast(compute: Compute, device: torch.device) -> AbstractContextManager:
    """bfloat16 autocast, if the profile wants it and the device has it."""
    if compute.precision == "bfloat16" and has_bfloat16(device):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
