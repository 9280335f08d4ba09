"""Cuts the outputs of a convolution into patches and names the input window of each; integers only."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Equal patches side by side along one axis: `count` patches of `outputs` outputs, from output `first` on."""

    first: int
    count: int
    outputs: int


@dataclass(frozen=True)
class PatchGrid:
    """Patches of T x T outputs that tile the outputs of a K x K convolution of that stride (paper section 3).

    `height` and `width` are those of the padded input. The last patch of a row or column is smaller where T does not
    divide the outputs. Neighbouring windows overlap by K - stride. Raises ValueError when there is no output.
    """

    height: int
    width: int
    kernel: int
    stride: int
    patch_outputs: int

    def __post_init__(self) -> None:
        if min(self.height, self.width) < self.kernel:
            raise ValueError(f"a {self.kernel}x{self.kernel} kernel needs more than {self.height}x{self.width} inputs")

    @property
    def out_height(self) -> int:
        return (self.height - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        return (self.width - self.kernel) // self.stride + 1

    def window(self, outputs: int) -> int:
        """Side of the window that `outputs` neighbouring outputs read: (T - 1) stride + K."""
        return (outputs - 1) * self.stride + self.kernel

    def groups(self) -> Iterator[tuple[Span, Span]]:
        """Rows and columns of patches of one size; at most four groups."""
        for rows in _spans(self.out_height, self.patch_outputs):
            for columns in _spans(self.out_width, self.patch_outputs):
                yield rows, columns


def _spans(outputs: int, patch_outputs: int) -> Iterator[Span]:
    whole, rest = divmod(outputs, patch_outputs)
    if whole:
        yield Span(0, whole, patch_outputs)
    if rest:
        yield Span(whole * patch_outputs, 1, rest)
