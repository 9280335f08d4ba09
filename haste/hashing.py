"""Hyperplanes and codes: which channels of a patch look alike."""

import math
import zlib
from functools import lru_cache

import torch
from torch import Tensor

from haste.config import MAX_HYPERPLANES, HasteConfig

DEAD_ZONE = 1e-5
"""The bit rule: a bit is 1 where projection > DEAD_ZONE |x|_1 max|plane|, so that rounding decides no bit."""


def hyperplanes(config: HasteConfig, layer: str, full: tuple[int, int], window: tuple[int, int]) -> Tensor:
    """The 32 planes of a layer for windows of that size: (32, h * w) float32. L of them are the first L (nested).

    `full` is the window of a whole patch; a smaller window at the edge takes the crop of its random planes, or the
    cosine planes of its own size. Paper section 3; the cosine planes are ours.
    """
    if config.planes == "dct":
        return dct_planes(*window)
    planes = _random_planes(config.seed, layer, full, config.sparsity)
    return planes[:, : window[0], : window[1]].flatten(1).contiguous()


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # kept: a caller's inference mode must not mark them
def _random_planes(seed: int, layer: str, full: tuple[int, int], sparsity: float) -> Tensor:
    """(32, h, w) with entries -1, 0, +1; a share `sparsity` of the entries is zero on average."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{layer}".encode()))
    shape = (MAX_HYPERPLANES, *full)
    signs = torch.randint(0, 2, shape, generator=generator).float() * 2 - 1
    return signs * (torch.rand(shape, generator=generator) >= sparsity)


def dct_frequencies(height: int, width: int) -> list[tuple[int, int]]:
    """The two-dimensional cosine frequencies of a window without (0, 0), lowest first, at most 32."""
    pairs = [(u, v) for u in range(height) for v in range(width) if u or v]
    return sorted(pairs, key=lambda f: ((f[0] / height) ** 2 + (f[1] / width) ** 2, f))[:MAX_HYPERPLANES]


@lru_cache(maxsize=256)
@torch.inference_mode(False)
def dct_planes(height: int, width: int) -> Tensor:
    """(32, h * w): DCT-II basis vectors by frequency, then random ternary planes shifted to zero sum.

    Every plane sums to zero: the code of a channel depends neither on its constant part nor on its length. A window of
    one position has no such plane: there the code is the sign.
    """
    if height * width == 1:
        return torch.ones(MAX_HYPERPLANES, 1)
    y, x = ((torch.arange(n, dtype=torch.float64) + 0.5) * math.pi / n for n in (height, width))
    cosines = [torch.outer(torch.cos(u * y), torch.cos(v * x)).flatten() for u, v in dct_frequencies(height, width)]
    missing = MAX_HYPERPLANES - len(cosines)
    extra = torch.randint(-1, 2, (missing, height * width), generator=torch.Generator().manual_seed(0)).double()
    return torch.cat([*(c[None] for c in cosines), extra - extra.mean(1, keepdim=True)]).float()


def codes(x: Tensor, planes: Tensor, *, centre: bool) -> Tensor:
    """The code of every channel over these planes: x (P, C, n) float -> (P, C) int64, bit l from plane l.

    The code at a smaller L is the lowest L bits: `codes & ((1 << L) - 1)`. With `centre` the mean over the channels is
    subtracted first, position by position (paper section 3).
    """
    if centre:
        x = x - x.mean(1, keepdim=True)
    length = x.abs() @ x.new_ones(x.shape[-1], 1)
    bits = (x @ planes.T) > DEAD_ZONE * length * planes.abs().amax(1)
    powers = 2.0 ** torch.arange(len(planes), dtype=torch.float64, device=x.device)
    return (bits.double() @ powers).long()


def hash_flops(config: HasteConfig, planes: Tensor, window: tuple[int, int]) -> Tensor:
    """FLOPs to hash one channel of a window with the first L planes: (33,) int64, entry L.

    Ternary planes cost one addition an entry. Cosine planes are separable: each distinct column frequency transforms
    every row, then each plane combines the rows; 2 FLOPs a multiply-add. The dead zone costs |x|_1, one addition a
    position, and centring two more: the mean over the channels, and its subtraction.
    """
    height, width = window
    positions = height * width
    if config.planes == "random":
        each = planes.count_nonzero(1)
    else:
        frequencies = dct_frequencies(height, width)
        seen: set[int] = set()
        macs = []
        for _, v in frequencies:
            macs.append(height + (0 if v in seen else positions))
            seen.add(v)
        macs += [positions] * (len(planes) - len(frequencies))
        each = 2 * torch.tensor(macs)
    fixed = 3 * positions if config.centre else positions
    return torch.cat([torch.zeros(1, dtype=torch.int64), fixed + each.cumsum(0)])
