"""The method in plain torch: this file is the specification that every other implementation is tested against."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from haste.config import HasteConfig, Level
from haste.counts import LayerCounts, live_pairs, live_taps
from haste.geometry import PatchGrid, Span
from haste.hashing import codes, hash_flops, hyperplanes
from haste.merging import MergePlan, plan_merges

THRESHOLD_FLOPS = 3  # an entry of the input costs to find what is near zero: times the norm, squared, summed


@dataclass(frozen=True)
class LayerInput:
    """What a convolution works on: x (N, C, H, W), padded, entries near zero set to it; FLOPs of finding them (N,).

    Of a strided 1x1 convolution, only what it reads; `grid` has its stride as well.
    """

    x: Tensor
    grid: PatchGrid
    cost: Tensor


@dataclass(frozen=True)
class MergedPatches:
    """The P patches of one size, image by image, row by row, and what is merged in them.

    patches: (P, C, h * w); codes: (P, C) int64, the L bits of each image; hash_cost: (P,) FLOPs of finding them.
    """

    rows: Span
    columns: Span
    patches: Tensor
    codes: Tensor
    plan: MergePlan
    hash_cost: Tensor


def haste_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int,
    padding: tuple[int, int],
    levels: Sequence[Level],
    config: HasteConfig,
    layer: str = "",
) -> tuple[Tensor, LayerCounts]:
    """Convolve every image at its own level, and count what a kernel would execute for it.

    x: (N, C, H, W) float; weight: (C_out, C, K, K); bias: (C_out,) or None; levels: N of them; layer: names the random
    planes. Returns the output (N, C_out, H', W') and the counts. Dense and exact images give the plain convolution; at
    an integer L entries near zero count as zero (`without_near_zero`), and where the layer merges, every patch is
    hashed, merged and convolved (paper section 3, ALGORITHM sections 1 to 4).
    On the CPU alone: ValueError names another device.
    """
    if x.device.type != "cpu":
        raise ValueError(f"HASTE runs on the CPU, not on {x.device}; move the model and its input there")
    seen = layer_input(x, weight, stride=stride, padding=padding, levels=levels, config=config)
    x, grid = seen.x, seen.grid
    hashed = torch.tensor([merges(level, x.shape[1], config) for level in levels], dtype=torch.bool)
    exact = ~hashed & torch.tensor([level != "dense" for level in levels], dtype=torch.bool)
    out = x.new_empty(len(x), len(weight), grid.out_height, grid.out_width)
    counts = LayerCounts.of_dense(len(x), 2 * weight.numel() * grid.out_height * grid.out_width)
    if not hashed.all():  # what counts as zero is zero by now
        out[~hashed] = F.conv2d(x[~hashed], weight, bias, grid.stride)
    if exact.any():
        pairs = live_pairs(x[exact], kernel=grid.kernel, stride=grid.stride, skip_pixels=config.skip_pixels)
        counts.convolution[exact] = 2 * len(weight) * pairs.sum(1)
        counts.skipped[exact] = (counts.dense - counts.convolution)[exact]
    if hashed.any():
        chosen = torch.tensor([level for level in levels if isinstance(level, int)])
        out[hashed], merged = _merged(x[hashed], weight, bias, chosen, grid, config, layer)
        counts.put(hashed, merged)
    counts.hash.add_(seen.cost)
    return out, counts


def merges(level: Level, channels: int, config: HasteConfig) -> bool:
    """Whether a layer of so many input channels hashes and merges at this level."""
    return isinstance(level, int) and config.merge_of(channels) != "none"


def layer_input(
    x: Tensor, weight: Tensor, *, stride: int, padding: tuple[int, int], levels: Sequence[Level], config: HasteConfig
) -> LayerInput:
    """Pad, and let what is near zero at an integer L be zero; arguments as for `haste_conv2d`."""
    kernel, unpadded = weight.shape[-1], x[0].numel()
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    if kernel == 1:
        x, stride = x[..., ::stride, ::stride], 1  # what a strided 1x1 convolution does not read is not its input
        unpadded = x[0].numel()
    grid = PatchGrid(x.shape[-2], x.shape[-1], kernel, stride, config.patch_outputs)
    steered = torch.tensor([isinstance(level, int) for level in levels], dtype=torch.bool)
    cost = torch.zeros(len(x), dtype=torch.int64)
    if steered.any() and config.threshold > 0 and config.skip_pixels:
        chosen = torch.tensor([level for level in levels if isinstance(level, int)])
        x = x.clone()
        x[steered] = without_near_zero(x[steered], channel_norms(weight), chosen, unpadded, config)
        cost[steered] = THRESHOLD_FLOPS * unpadded
    return LayerInput(x, grid, cost)


def channel_norms(weight: Tensor) -> Tensor:
    """|W_c|_F of each input channel: (C,)."""
    return weight.pow(2).sum((0, 2, 3)).sqrt()


def without_near_zero(x: Tensor, norms: Tensor, levels: Tensor, entries: int, config: HasteConfig) -> Tensor:
    """Entries near zero set to it: x (N, C, H, W), norms (C,) = |W_c|_F, levels (N,) int64, unpadded entries an image.

    The merge with the zero channel, entry by entry: x_c counts as zero where |x_c| |W_c|_F is at most threshold / L of
    the root mean square of these products over the layer's input, the padding not counted. Compared in double, so that
    no order of summation decides; nothing is near zero where the mean square is not finite.
    """
    weighted = (x * norms[:, None, None]).double()
    mean = weighted.square().sum((1, 2, 3)) / entries
    edge = config.threshold / levels * mean.sqrt()
    near = (weighted.abs() <= edge[:, None, None, None]) & edge.isfinite()[:, None, None, None]
    return torch.where(near, torch.zeros((), dtype=x.dtype), x)


def _merged(
    x: Tensor, weight: Tensor, bias: Tensor | None, levels: Tensor, grid: PatchGrid, config: HasteConfig, layer: str
) -> tuple[Tensor, LayerCounts]:
    """The patch path: hash, merge, reconstruct, convolve. levels: (N,) int64."""
    out = x.new_empty(len(x), len(weight), grid.out_height, grid.out_width)
    counts = LayerCounts.zeros(len(x))
    for group in merged_patches(x, weight, levels, grid, config, layer):
        rows, columns = group.rows, group.columns
        window = grid.window(rows.outputs), grid.window(columns.outputs)
        y = F.conv2d(group.plan.reconstruct().unflatten(-1, window), weight, bias, grid.stride)
        y = y.unflatten(0, (len(x), rows.count, columns.count)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)
        out[:, :, rows.first : rows.first + y.shape[2], columns.first : columns.first + y.shape[3]] = y
        patches = group.patches.unflatten(-1, window)
        counted = _counts(patches, group.plan, group.hash_cost, len(weight), grid, config)
        counts = counts + counted.per_image(len(x))
    return out, counts


def merged_patches(
    x: Tensor, weight: Tensor, levels: Tensor, grid: PatchGrid, config: HasteConfig, layer: str
) -> Iterator[MergedPatches]:
    """Hash every patch of a layer's input x (N, C, H, W) at its image's L and decide what to merge. levels: (N,)."""
    norms, full = channel_norms(weight), (grid.window(grid.patch_outputs),) * 2
    for rows, columns in grid.groups():
        window = grid.window(rows.outputs), grid.window(columns.outputs)
        patches = windows(x, grid, rows, columns)
        planes = hyperplanes(config, layer, full, window).to(x)
        own = levels.repeat_interleave(rows.count * columns.count)
        found = codes(patches, planes[: int(levels.max())], centre=config.centre) & ((1 << own) - 1)[:, None]
        plan = plan_merges(
            patches,
            found,
            norms,
            merge=config.merge,
            tolerance=config.tolerance,
            drop_zero=config.drop_zero,
        )
        hash_cost = hash_flops(config, planes, window)[own] * x.shape[1]
        yield MergedPatches(rows, columns, patches, found, plan, hash_cost)


def windows(x: Tensor, grid: PatchGrid, rows: Span, columns: Span) -> Tensor:
    """The windows of a group of patches, image by image, row by row: (N * patches, C, h * w)."""
    s = grid.stride
    x = x[..., rows.first * s :, columns.first * s :]
    high = x.unfold(2, grid.window(rows.outputs), rows.outputs * s)[:, :, : rows.count]
    both = high.unfold(3, grid.window(columns.outputs), columns.outputs * s)[:, :, :, : columns.count]
    return both.permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(2)


def _counts(
    patches: Tensor, plan: MergePlan, hash_cost: Tensor, out_channels: int, grid: PatchGrid, config: HasteConfig
) -> LayerCounts:
    """What the plan executes for patches (P, C, h, w), one value a patch; hash_cost (P,)."""
    kernel, stride, skip = grid.kernel, grid.stride, config.skip_pixels
    pairs = live_pairs(patches, kernel=kernel, stride=stride, skip_pixels=skip)
    total = live_pairs(patches[:1, :1], kernel=kernel, stride=stride, skip_pixels=None)
    kept, merged = plan.members > 0, plan.members > 1
    buckets = plan.inputs.view_as(patches)[merged]
    left = live_pairs(buckets, kernel=kernel, stride=stride, skip_pixels=skip)
    taps = live_taps(buckets, kernel=kernel, stride=stride, skip_pixels=skip)
    executed = torch.where(kept, pairs, 0).masked_scatter(merged, left).sum(1)
    skipped = torch.where(plan.dropped, total, total - pairs).sum(1)
    filters = torch.zeros_like(pairs).masked_scatter(merged, taps * (plan.members[merged] - 1)).sum(1)
    dense = (total * torch.ones_like(pairs)).sum(1)
    return LayerCounts(
        dense=2 * out_channels * dense,
        skipped=2 * out_channels * skipped,
        merged=2 * out_channels * (dense - skipped - executed),
        convolution=2 * out_channels * executed,
        hash=hash_cost,
        merge=(2 if config.merge == "projection" else 1) * out_channels * filters + plan.input_flops,
        channels=torch.full_like(dense, kept.shape[1]),
        buckets=kept.sum(1),
    )
