"""What a few well-known GPUs can do at best, from their makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: in full.
        half: peak of dense 16-bit matrix arithmetic, TFLOPS.
        single: peak of float32 convolutions, TFLOPS; on tensor cores (TF32) where it has such.
        bfloat16: whether it has that type; without, the library computes in float32.
        memory: GB.
        source: of these numbers.
    """

    name: str
    half: float
    single: float
    bfloat16: bool
    memory: int
    source: str


GPUS: dict[str, Gpu] = {
    "H100": Gpu("H100 SXM", 989, 495, True, 80, "NVIDIA H100 data sheet, without sparsity"),
    "A100": Gpu("A100 80GB", 312, 156, True, 80, "NVIDIA A100 data sheet, without sparsity"),
    "RTX4090": Gpu(
        "RTX 4090", 165, 82.6, True, 24, "NVIDIA Ada architecture white paper, without sparsity"
    ),
    "V100": Gpu("V100 SXM2", 125, 15.7, False, 32, "NVIDIA V100 data sheet"),
    "T4": Gpu("T4", 65, 8.1, False, 16, "NVIDIA T4 data sheet"),
}
"""GPUs by the name that ``--gpu`` takes."""
