"""The reference against the text of the method, executed patch by patch and tap by tap in plain loops."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from haste.config import HasteConfig
from haste.hashing import codes, hyperplanes
from haste.reference import haste_conv2d
from tests.tolerances import SAME_LAYER_ANOTHER_PATH

CONFIGS = {
    "default": HasteConfig(merge_channels=1, threshold=2),
    "paper": HasteConfig.preset("paper"),
    "mean": HasteConfig(merge="mean", merge_channels=1, skip_pixels=2, threshold=0),
    "kept": HasteConfig(drop_zero=False, merge_channels=1, tolerance=None, skip_pixels=3, threshold=0),
}


def near_zero(x: Tensor, norms: Tensor, edge: float) -> Tensor:
    """The input with what counts as zero set to it, entry by entry."""
    kept = x.clone()
    for channel, norm in enumerate(norms.tolist()):
        for value in kept[0, channel].flatten().split(1):
            if abs(value.item()) * norm <= edge:
                value.zero_()
    return kept


def members_of(window: Tensor, level: int, config: HasteConfig, full: int, norms: Tensor) -> list[list[int]]:
    """The buckets of one window (C, h, w), zero channels left out where they are dropped, after verification."""
    h, w = window.shape[1:]
    planes = hyperplanes(config, "conv", (full, full), (h, w))[:level]
    code = codes(window.flatten(1)[None], planes, centre=config.centre)[0].tolist()
    buckets: dict[int, list[int]] = {}
    for channel, value in enumerate(code):
        if not (config.drop_zero and bool((window[channel] == 0).all())):
            buckets.setdefault(value, []).append(channel)
    return [kept for members in buckets.values() for kept in verified(window, members, config, norms)]


def approximations(window: Tensor, members: list[int], config: HasteConfig) -> tuple[Tensor, list[Tensor]]:
    """The bucket input u and a_c u of each member."""
    u = window[members].sum(0)
    if config.merge == "mean":
        return u, [u / len(members) for _ in members]
    norm = (u * u).sum()
    return u, [u * ((window[c] * u).sum() / norm if norm > 0 else 0.0) for c in members]


def verified(window: Tensor, members: list[int], config: HasteConfig, norms: Tensor) -> list[list[int]]:
    if config.tolerance is None:
        return [members]
    bound = config.tolerance * ((window.flatten(1).norm(dim=1) * norms) ** 2).sum().sqrt()
    alone: list[list[int]] = []
    for _ in range(2):
        if len(members) < 2:
            return [m for m in [*alone, members] if m]
        _, taken = approximations(window, members, config)
        failed = [c for c, a in zip(members, taken, strict=True) if (window[c] - a).norm() * norms[c] > bound]
        if not failed:
            return [*alone, members]
        alone += [[c] for c in failed]
        members = [c for c in members if c not in failed]
    return alone + [[c] for c in members]


def live(window: Tensor, ky: int, kx: int, stride: int, block: tuple[int, int, int], skip: bool) -> bool:
    """Whether a tap reads anything but zeros for the outputs `first`..`last` of a row."""
    row, first, last = block
    return not skip or bool(
        (window[row * stride + ky, first * stride + kx : last * stride + kx + 1 : stride] != 0).any()
    )


def taps_of(window: Tensor, kernel: int, stride: int, skip: int | None) -> tuple[int, int]:
    """(tap, output) pairs left for one channel of a window, and taps left for any output."""
    rows, columns = ((side - kernel) // stride + 1 for side in window.shape)
    width = skip or columns
    blocks = [(r, c, min(c + width, columns) - 1) for r in range(rows) for c in range(0, columns, width)]
    left = [[b for b in blocks if live(window, ky, kx, stride, b, skip is not None)]
            for ky in range(kernel) for kx in range(kernel)]  # fmt: skip
    return sum(last - first + 1 for tap in left for _, first, last in tap), sum(bool(tap) for tap in left)


@pytest.mark.parametrize("name", CONFIGS)
@given(
    channels=st.integers(2, 9), outputs=st.integers(1, 3), side=st.integers(2, 8), kernel=st.sampled_from([1, 3]),
    stride=st.integers(1, 2), patch=st.integers(1, 4), level=st.integers(1, 6), seed=st.integers(0, 1000),
)  # fmt: skip
def test_results_and_counts_are_those_of_the_text(
    name: str, channels: int, outputs: int, side: int, kernel: int, stride: int, patch: int, level: int, seed: int
) -> None:
    config = replace(CONFIGS[name], patch_outputs=patch)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-6, 7, (1, channels, side, side), generator=generator).float().relu()
    weight = torch.randn(outputs, channels, kernel, kernel, generator=generator)
    pad = kernel // 2
    y, counts = haste_conv2d(
        x, weight, None, stride=stride, padding=(pad, pad), levels=[level], config=config, layer="conv"
    )
    if kernel == 1:
        x, stride = x[..., ::stride, ::stride].contiguous(), 1
    norms = weight.pow(2).sum((0, 2, 3)).sqrt()
    weighted = x[0].double() * norms[:, None, None]
    whole = F.pad(near_zero(x, norms, config.threshold / level * float(weighted.square().mean().sqrt())), (pad,) * 4)[0]
    n = (whole.shape[1] - kernel) // stride + 1
    full = (patch - 1) * stride + kernel
    pairs = skipped = filters = buckets = 0
    expected = torch.zeros(outputs, n, n)
    for top in range(0, n, patch):
        for first in range(0, n, patch):
            high, wide = min(patch, n - top), min(patch, n - first)
            window = whole[:, top * stride :, first * stride :]
            window = window[:, : (high - 1) * stride + kernel, : (wide - 1) * stride + kernel]
            rebuilt = torch.zeros_like(window)
            for channel in window:
                zero = config.drop_zero and bool((channel == 0).all())
                all_pairs = kernel * kernel * high * wide
                skipped += all_pairs if zero else all_pairs - taps_of(channel, kernel, stride, config.skip_pixels)[0]
            for members in members_of(window, level, config, full, norms):
                u, taken = approximations(window, members, config) if len(members) > 1 else (window[members[0]], [])
                left, taps = taps_of(u, kernel, stride, config.skip_pixels)
                pairs, filters, buckets = pairs + left, filters + taps * (len(members) - 1), buckets + 1
                for channel, value in zip(members, taken or [u], strict=True):
                    rebuilt[channel] = value
            expected[:, top : top + high, first : first + wide] = F.conv2d(rebuilt[None], weight, None, stride)[0]
    assert (y[0] - expected).abs().max() <= SAME_LAYER_ANOTHER_PATH * expected.abs().max().clamp(min=1e-6)
    assert counts.buckets.item() == buckets
    assert counts.convolution.item() == 2 * outputs * pairs
    assert counts.skipped.item() == 2 * outputs * skipped
    per_weight = 2 if config.merge == "projection" else 1
    assert counts.merge.item() >= per_weight * outputs * filters
