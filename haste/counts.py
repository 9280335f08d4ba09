"""What one convolution executed, image by image, and which taps of a window read only zeros."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayerCounts:
    """FLOPs of one layer, all (N,) int64, one value an image. 1 MAC = 2 FLOPs, 1 addition = 1 FLOP.

    dense = skipped + merged + convolution; executed = convolution + hash + merge.
    `channels` and `buckets` are sums over the patches: input channels, and bucket inputs that were convolved.
    """

    dense: Tensor
    skipped: Tensor
    merged: Tensor
    convolution: Tensor
    hash: Tensor
    merge: Tensor
    channels: Tensor
    buckets: Tensor

    @classmethod
    def zeros(cls, images: int) -> "LayerCounts":
        return cls(*(torch.zeros(images, dtype=torch.int64) for _ in fields(cls)))

    @classmethod
    def of_dense(cls, images: int, flops: int) -> "LayerCounts":
        """A layer that executed every MAC of every image."""
        counts = cls.zeros(images)
        counts.dense.fill_(flops)
        counts.convolution.fill_(flops)
        return counts

    @property
    def columns(self) -> tuple[Tensor, ...]:
        """The fields in order."""
        return tuple(getattr(self, f.name) for f in fields(self))

    def __add__(self, other: "LayerCounts") -> "LayerCounts":
        return LayerCounts(*(own + others for own, others in zip(self.columns, other.columns, strict=True)))

    def put(self, images: Tensor, counts: "LayerCounts") -> None:
        """Replace the counts of the images that the (N,) bool mask selects."""
        for own, others in zip(self.columns, counts.columns, strict=True):
            own[images] = others

    def per_image(self, images: int) -> "LayerCounts":
        """Counts by patch, image after image, summed over the patches of each image."""
        return LayerCounts(*(column.unflatten(0, (images, -1)).sum(1) for column in self.columns))

    @property
    def overhead(self) -> Tensor:
        return self.hash + self.merge

    @property
    def executed(self) -> Tensor:
        return self.convolution + self.overhead

    @property
    def compression_ratio(self) -> Tensor:
        """r = 1 - buckets / C_in over the patches of each image: (N,) float; 0 where nothing was hashed."""
        hashed = self.channels > 0
        return torch.where(hashed, 1 - self.buckets / self.channels.clamp(min=1), 0.0)


def live_pairs(x: Tensor, *, kernel: int, stride: int, skip_pixels: int | None) -> Tensor:
    """The (tap, output) pairs that zero skipping leaves in windows x (..., h, w): (...) int64.

    A tap of a channel is skipped for a block of `skip_pixels` neighbouring outputs of a row where every input that it
    reads for them is zero (padding included); blocks begin at the left edge of the window. None: nothing is skipped.
    """
    rows, columns = ((side - kernel) // stride + 1 for side in x.shape[-2:])
    if skip_pixels is None:
        return torch.full(x.shape[:-2], kernel * kernel * rows * columns, device=x.device)
    block = min(skip_pixels, columns)
    blocks = -(-columns // block)
    outputs = torch.zeros(x.shape[-2], blocks, device=x.device)  # that an input row and a block serve, per tap column
    for row in range(rows):
        outputs[row * stride : row * stride + kernel] += block
    outputs[:, -1] = outputs[:, -1] / block * (columns - block * (blocks - 1))  # the division is exact
    live = _live_blocks(x, kernel, stride, block, blocks)
    return torch.stack([torch.tensordot(outputs, tap_column.float(), 2) for tap_column in live]).sum(0).long()


def live_taps(x: Tensor, *, kernel: int, stride: int, skip_pixels: int | None) -> Tensor:
    """The taps that `live_pairs` leaves for any output of a window: x (..., h, w) -> (...) int64, at most K * K."""
    rows, columns = ((side - kernel) // stride + 1 for side in x.shape[-2:])
    if skip_pixels is None:
        return torch.full(x.shape[:-2], kernel * kernel, device=x.device)
    taps = torch.zeros(x.shape[:-2], dtype=torch.int64, device=x.device)
    for tap_column in _live_blocks(x, kernel, stride, columns, 1):
        for row in range(kernel):
            taps += tap_column[row : row + stride * (rows - 1) + 1 : stride, 0].any(0)
    return taps


def _live_blocks(x: Tensor, kernel: int, stride: int, block: int, blocks: int) -> Iterator[Tensor]:
    """For each kernel column: where a block of outputs reads anything but zeros in an input row: (h, blocks, ...)."""
    mask = (x != 0).movedim((-2, -1), (0, 1)).contiguous()
    reach = x.shape[-1] - kernel + 1  # what one kernel column reads of a row
    columns = -(-reach // stride)
    nothing = mask[:, :1].expand(-1, block * blocks - columns, *mask.shape[2:]) & False
    for column in range(kernel):
        read = torch.cat([mask[:, column : column + reach : stride], nothing], 1)
        live = read[:, ::block].clone()
        for pixel in range(1, block):
            live |= read[:, pixel::block]
        yield live
