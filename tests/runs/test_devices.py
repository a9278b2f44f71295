"""Devices and precision of a CPU; test_gpu.py tests the same of a GPU."""

import pytest
import torch

from blurpaper.runs import devices
from blurpaper.runs.profile import Compute


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_autocast_is_on_where_it_is_asked_for_and_native(monkeypatch, precision, native) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda _: native)
    compute = Compute(device="cpu", precision=precision, checkpoint_seconds=1)
    assert devices.device_of(compute) == torch.device("cpu")
    with devices.autocast(compute, torch.device("cpu")):
        assert torch.is_autocast_enabled("cpu") == (precision == "bfloat16" and native)
    assert not torch.is_autocast_enabled("cpu")
