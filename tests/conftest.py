"""What several tests need: a store of their own, small image sets, and photographs where they are to be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from blurpaper import profile as profiles
from blurpaper.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def smoke() -> profiles.Profile:
    return profiles.load("smoke")


@pytest.fixture
def random_images() -> list[torch.Tensor]:
    """Five smooth random images of two shapes: uint8 (3, H, W)."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(130, 150), (150, 130), (130, 150), (150, 130), (130, 150)]
    coarse = [torch.rand(1, 3, 9, 9, generator=generator) * 255 for _ in shapes]
    grown = [torch.nn.functional.interpolate(c, s, mode="bicubic").clamp(0, 255) for c, s in zip(coarse, shapes)]
    return [image[0].to(torch.uint8) for image in grown]


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of development photographs, or a skip that says so."""
    folder = Path(os.environ.get("BLURPAPER_DATA", "data"))
    if not (folder / "nips2017-dev" / "val").is_dir():
        pytest.skip(f"no photographs at {folder.absolute()}/nips2017-dev (set BLURPAPER_DATA)")
    return folder
