"""Profiles, seeds, devices, files and the store of a run; imports no other room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blurpaper.runs.profile import Profile
    from blurpaper.runs.store import Store


CANONICAL = 384
"""The paper's canonical scale: pixels of an image's smaller side, to which sizes of blurs refer."""


@dataclass(frozen=True)
class Run:
    """Every setting of a run, and the store of its artifacts."""

    profile: Profile
    store: Store

    def seed(self, *purpose: object) -> int:
        """A 64-bit seed of this run for a purpose, the same on every machine."""
        from blurpaper.runs.randomness import seed_of

        return seed_of(self.profile.seed, *purpose)
