from collections.abc import Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray
from torch import Tensor

_Array: TypeAlias = Tensor | NDArray[Any]

class Method: ...
class Operation: ...

def implementations() -> list[str]:
    """Those that this build holds and this processor runs, the fastest first."""

def measure(implementation: str) -> tuple[float, float]:
    """What one thread of this machine does at best: GFLOP/s of multiply-adds, GB/s read from memory; takes 0.2 s."""

def method(
    *,
    patch_outputs: int,
    skip: bool,
    merge: int,
    centre: bool,
    drop_zero: bool,
    tolerance: float | None,
    threshold: float,
    norms: Tensor,
    planes: Sequence[tuple[int, Tensor, Tensor]],
) -> Method:
    """merge: 0 mean, 1 projection, 2 none; norms: (C,) float32; planes: (size, planes (32, positions) float32,
    FLOPs (33,) int64)."""

def operation(
    *,
    kind: int,
    input: int,
    output: int,
    residual: int = -1,
    kernel: int = 1,
    stride: int = 1,
    padding: int = 0,
    relu: bool = False,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    method: Method | None = None,
) -> Operation:
    """kind: 0 convolution, 1 max pool, 2 average pool, 3 linear; weights (O, C, K, K) or (O, C) float32."""

class Program:
    def __init__(
        self,
        implementation: str,
        buffers: Sequence[tuple[int, int, int, int]],
        operations: Sequence[Operation],
        threads: int,
    ) -> None:
        """buffers: (height, width, channels, border). ValueError where the description does not fit."""

    def run(self, images: _Array, levels: _Array, logits: _Array, counts: _Array, times: _Array | None = None) -> None:
        """images (n, C, H, W) float32, levels (operations, n) int32 -> logits (n, O) float32, counts (operations, n, 7)
        int64, times (operations, 4) int64, nanoseconds of listing and planning, hashing, merging filters, multiplying.
        The GIL is released; two calls at once on one program queue."""
