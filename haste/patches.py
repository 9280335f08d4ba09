"""What a converted layer does to the patches of its input, by the steps of its own forward."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from haste.config import Level
from haste.conv import HasteConv2d
from haste.explanation import Box, Bucket, Channel, FeatureMap, Grid, State
from haste.geometry import PatchGrid, Span
from haste.layer import Form
from haste.reference import LayerInput, layer_input, merged_patches, merges, windows


def level_at(conv: HasteConv2d, level: Level) -> Level:
    """The layer's own level for an image of this level."""
    return conv.network_config.level_of(conv.layer, level)


def form_at(conv: HasteConv2d, level: Level) -> Form:
    """What the layer does for an image of this level."""
    own = level_at(conv, level)
    if merges(own, conv.in_channels, conv.config):
        return "merge"
    return "dense" if own == "dense" or conv.config.skip_pixels is None else "zeros"


@dataclass(frozen=True)
class Patches:
    """The P patches of one size of one image, row by row.

    x: (P, C, h * w), as they came; codes: (P, C) int64 where the layer hashes; leader: (P, C) int64, the first channel
    of each one's bucket, -1 where it is dropped.
    """

    rows: Span
    columns: Span
    x: Tensor
    codes: Tensor | None
    leader: Tensor

    @cached_property
    def buckets(self) -> list[int]:
        """Of each patch: P of them."""
        counts: list[int] = (self.leader == torch.arange(self.leader.shape[1])).sum(1).tolist()
        return counts


def look(conv: HasteConv2d, x: Tensor, level: Level) -> tuple[PatchGrid, list[Patches]]:
    """What the layer does to the patches of its input x (1, C, H, W), by the steps of its own forward."""
    padded, padding = conv.padded(x)

    def at(own: Level) -> LayerInput:
        """What is near zero at this level set to it."""
        stride, config = conv.stride[0], conv.config
        return layer_input(padded, conv.weight, stride=stride, padding=padding, levels=[own], config=config)

    own = level_at(conv, level)
    worked, given = at(own), at("dense")
    decide = {"merge": _merged, "zeros": _skipped, "dense": _untouched}[form_at(conv, level)]
    found = [
        Patches(rows, columns, windows(given.x, given.grid, rows, columns), codes, leader)
        for rows, columns, codes, leader in decide(conv, worked, own)
    ]
    return worked.grid, found


_Decided = Iterator[tuple[Span, Span, Tensor | None, Tensor]]


def _merged(conv: HasteConv2d, seen: LayerInput, level: Level) -> _Decided:
    assert isinstance(level, int)
    for own in merged_patches(seen.x, conv.weight, torch.tensor([level]), seen.grid, conv.config, conv.layer):
        yield own.rows, own.columns, own.codes, own.plan.leaders()


def _skipped(_conv: HasteConv2d, seen: LayerInput, _level: Level) -> _Decided:
    """A channel whose window is all zeros has no tap that is executed."""
    for rows, columns in seen.grid.groups():
        zero = (windows(seen.x, seen.grid, rows, columns) == 0).all(-1)
        yield rows, columns, None, torch.arange(zero.shape[1]).expand_as(zero).masked_fill(zero, -1)


def _untouched(conv: HasteConv2d, seen: LayerInput, _level: Level) -> _Decided:
    for rows, columns in seen.grid.groups():
        yield rows, columns, None, torch.arange(conv.in_channels).expand(rows.count * columns.count, -1)


def shape_of(grid: PatchGrid) -> Grid:
    t = grid.patch_outputs
    return Grid(-(-grid.out_height // t), -(-grid.out_width // t))


def placed(grid: PatchGrid, patches: Sequence[Patches]) -> Iterator[tuple[int, int, Patches, int]]:
    """Row and column of every patch, with the group that holds it and its number there."""
    t = grid.patch_outputs
    for group in patches:
        for number in range(group.rows.count * group.columns.count):
            down, right = divmod(number, group.columns.count)
            yield group.rows.first // t + down, group.columns.first // t + right, group, number


def box_of(conv: HasteConv2d, grid: PatchGrid, place: tuple[int, int], size: FeatureMap) -> Box:
    """The window of a patch, cut at the edges of the feature map."""
    edges = []
    sides = zip(place, (grid.out_height, grid.out_width), (size.height, size.width), conv.border, strict=True)
    for index, outputs, side, padding in sides:
        first = index * grid.patch_outputs
        last = min(first + grid.patch_outputs, outputs) - 1
        start, end = first * conv.stride[0] - padding, last * conv.stride[0] + conv.kernel_size[0] - padding
        edges.append([min(max(0, edge), side) / side for edge in (start, end)])
    (top, bottom), (left, right) = edges
    return Box(left, top, right - left, bottom - top)


def channels_of(group: Patches, number: int, level: Level) -> tuple[tuple[Channel, ...], tuple[Bucket, ...]]:
    """The channels of one patch and their buckets, which are numbered by their first channels."""
    leader = group.leader[number].tolist()
    ids = {first: index for index, first in enumerate(sorted(set(leader) - {-1}))}
    members: dict[int, list[int]] = {first: [] for first in ids}
    for channel, first in enumerate(leader):
        if first >= 0:
            members[first].append(channel)
    codes = [None] * len(leader) if group.codes is None else group.codes[number].tolist()
    sizes = group.x[number].square().mean(-1).sqrt().tolist()
    channels = []
    for index, (first, code, rms) in enumerate(zip(leader, codes, sizes, strict=True)):
        state: State = "dropped" if first < 0 else "merged" if len(members[first]) > 1 else "kept"
        bits = None if code is None or first < 0 else _bits(code, level)
        channels.append(Channel(index, state, bits, ids.get(first), rms))
    return tuple(channels), tuple(Bucket(ids[first], tuple(own)) for first, own in members.items())


def _bits(code: int, level: Level) -> str:
    assert isinstance(level, int)
    return f"{code:0{level}b}"[::-1]
