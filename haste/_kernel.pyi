from collections.abc import Sequence

from torch import Tensor

class Method: ...
class Operation: ...

def implementations() -> list[str]:
    """Those that this build holds and this processor runs, the fastest first."""

def method(
    *,
    patch_outputs: int,
    skip_pixels: int,
    projection: bool,
    centre: bool,
    drop_zero: bool,
    tolerance: float | None,
    norms: Tensor,
    planes: Sequence[tuple[int, Tensor, Tensor]],
) -> Method:
    """norms: (C,) float32; planes: (size, planes (32, positions) float32, FLOPs (33,) int64); skip_pixels 0: off."""

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

    def run(self, images: Tensor, levels: Tensor, logits: Tensor, counts: Tensor) -> None:
        """images (n, C, H, W) float32, levels (operations, n) int32 -> logits (n, O) float32, counts (operations, n, 7)
        int64. The GIL is released; two calls at once on one program queue."""
