"""Random streams that depend on their purpose alone, never on the order of draws.

Every draw in the project comes from a stream that is named by its purpose (a seed, a word, a split,
an item's path, an epoch). The same image therefore gets the same kernel with one worker or eight,
resumed or not.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np


def seed_of(*parts: object) -> int:
    """A 64-bit seed from a hash of the parts, the same on every machine."""
    return int.from_bytes(_digest(parts, 8), "little")


def stream(*parts: object) -> np.random.RandomState:
    """A generator named by its parts. RandomState, because NumPy promises never to change its
    streams (NEP 19).
    """
    return np.random.RandomState(np.frombuffer(_digest(parts, 32), "<u4"))


def uniforms(*parts: object) -> tuple[float, ...]:
    """Eight independent uniform numbers in [0, 1), the cheap way: one hash and no generator."""
    return tuple((word >> 11) * 2.0**-53 for word in struct.unpack("<8Q", _digest(parts, 64)))


def _digest(parts: tuple[object, ...], size: int) -> bytes:
    text = "\x1f".join(map(str, parts)).encode(errors="surrogateescape")  # names that are no UTF-8
    return hashlib.blake2b(text, digest_size=size).digest()
