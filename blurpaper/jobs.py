"""Pieces of the plan of a run, and how their sizes are said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Something to compute: what, how much arithmetic, the bytes it leaves in the store, and what
    share is there already.
    """

    what: str
    flops: int
    disk: int
    done: float = 0.0

    def __str__(self) -> str:
        if not self.flops:
            return f"{self.what}: counted above"
        done = (
            ""
            if not self.done
            else "; in the store"
            if self.done == 1
            else f"; {self.done:.0%} in the store"
        )
        return f"{self.what}: {counted(self.flops)}FLOP, {counted(self.disk)}B{done}"


def in_hours(hours: float) -> str:
    """Hours, or minutes if they are few: ``1.5 h``."""
    return f"{hours:,.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


def counted(number: float) -> str:
    """A number with a decimal prefix: 1,234,000,000 is ``1.23 G``."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if number < 999.5:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} E"
