"""Looks at merging while it happens: the specification's own plans for one image, of one layer and one patch."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from haste.config import HasteConfig, Level
from haste.conv import HasteConv2d
from haste.convert import reconfigure_
from haste.explanation import (
    Box,
    Bucket,
    Channel,
    Explanation,
    FeatureMap,
    Grid,
    LayerTotal,
    Patch,
    RatioMap,
    ShownLayer,
    State,
)
from haste.flops import FlopReport
from haste.geometry import PatchGrid, Span
from haste.layer import Form
from haste.program import CompiledModel
from haste.reference import LayerInput, layer_input, merged_patches, merges, windows
from haste.steering import current_record, levels_of, num_hyperplanes, recording


class NoSuchPatch(ValueError):
    """A layer, row or column that there is not; the message says what there is."""


@torch.inference_mode()
def explain(
    model: nn.Module,
    image: Tensor,
    *,
    layer: str | None = None,
    row: int | None = None,
    column: int | None = None,
    config: HasteConfig | None = None,
) -> Explanation:
    """Run one image (C, H, W) float32 through a converted model and say what became of it.

    `haste.num_hyperplanes` steers the level, as of any forward. `layer` None: the layer nearest to the middle of those
    that merge at this level, else of all that are converted; `row` and `column` None: the middle of its patches;
    `config` None: the model's own settings. NoSuchPatch names a layer or patch that there is not, ValueError a model
    that is not converted.

    The reference computes, on the activations of this very level. A calibration that leaves merges out of a compiled
    model has no part in it. The model itself is not touched and may run meanwhile: what runs is a copy of its modules
    that shares the weights.
    """
    network = _copied(model)
    if config is not None:
        reconfigure_(network, config)
    converted = {module.layer: module for module in network.modules() if isinstance(module, HasteConv2d)}
    if not converted:
        raise ValueError("the model is not converted; convert_ it first")
    (level,) = levels_of(1, next(iter(converted.values())).network_config.num_hyperplanes)
    name = _middle(converted, level) if layer is None else layer
    if name not in converted:
        raise NoSuchPatch(f"unknown layer {name[:80]!r}; layers: {', '.join(converted)}")
    watch = _Watch(level, converted[name], row, column)
    for module in converted.values():
        module.register_forward_pre_hook(watch)
    with num_hyperplanes(level), recording() as record:
        network(image[None])
    if watch.shown is None:
        raise NoSuchPatch(f"layer {name} does not run")
    return Explanation(level, *watch.shown, _totals(FlopReport.from_record(record), converted, level, watch.skipping))


def form_at(conv: HasteConv2d, level: Level) -> Form:
    """What a converted layer does for an image of this level."""
    own = conv.network_config.level_of(conv.layer, level)
    if merges(own, conv.in_channels, conv.config):
        return "merge"
    return "dense" if own == "dense" or conv.config.skip_pixels is None else "zeros"


def _copied(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode that shares the weights: hooks on it and settings of it are its own."""
    network = model.network if isinstance(model, CompiledModel) else model
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared).eval()


def _middle(converted: Mapping[str, HasteConv2d], level: Level) -> str:
    names = list(converted)
    merging = [name for name in names if form_at(converted[name], level) == "merge"]
    return min(merging or names, key=lambda name: abs(names.index(name) - len(names) // 2))


@dataclass(frozen=True)
class _Patches:
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


class _Watch:
    """A hook before every converted layer: looks closely at the chosen one, and counts where a layer only skips."""

    def __init__(self, level: Level, chosen: HasteConv2d, row: int | None, column: int | None) -> None:
        self._level, self._chosen, self._row, self._column = level, chosen, row, column
        self.skipping: dict[str, float] = {}
        self.shown: tuple[ShownLayer, Patch, RatioMap] | None = None

    def __call__(self, conv: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(conv, HasteConv2d)
        skips = form_at(conv, self._level) == "zeros"
        first = conv is self._chosen and self.shown is None  # of a layer that runs twice, the first time is shown
        if not (skips or first):
            return
        grid, patches = _look(conv, inputs[0], self._level)
        if skips:
            buckets = [count for group in patches for count in group.buckets]
            self.skipping[conv.layer] = 1 - sum(buckets) / (len(buckets) * conv.in_channels)
        if first:
            self.shown = self._show(grid, patches, FeatureMap(*inputs[0].shape[-2:]))

    def _show(
        self, grid: PatchGrid, patches: Sequence[_Patches], size: FeatureMap
    ) -> tuple[ShownLayer, Patch, RatioMap]:
        conv, shape, record = self._chosen, _shape(grid), current_record()
        assert record is not None
        row = _place("row", self._row, shape.rows, conv, shape)
        column = _place("column", self._column, shape.columns, conv, shape)
        ratios = [[0.0] * shape.columns for _ in range(shape.rows)]
        for down, right, group, number in _placed(grid, patches):
            ratios[down][right] = 1 - group.buckets[number] / conv.in_channels
            if (down, right) == (row, column):
                channels, buckets = _channels(group, number, conv.network_config.level_of(conv.layer, self._level))
        layer = ShownLayer(
            name=conv.layer,
            index=len(record.layers),  # those that ran before
            in_channels=conv.in_channels,
            out_channels=conv.out_channels,
            kernel_size=(conv.kernel_size[0], conv.kernel_size[1]),
            stride=(conv.stride[0], conv.stride[1]),
            grid=shape,
            feature_map=size,
        )
        patch = Patch(row, column, _box(conv, grid, (row, column), size), channels, buckets)
        return layer, patch, RatioMap(shape.rows, shape.columns, tuple(map(tuple, ratios)))


def _look(conv: HasteConv2d, x: Tensor, level: Level) -> tuple[PatchGrid, list[_Patches]]:
    """What the layer does to the patches of its input x (1, C, H, W), by the steps of its own forward."""
    padded, padding = conv.padded(x)

    def at(own: Level) -> LayerInput:
        """What is near zero at this level set to it."""
        stride, config = conv.stride[0], conv.config
        return layer_input(padded, conv.weight, stride=stride, padding=padding, levels=[own], config=config)

    own = conv.network_config.level_of(conv.layer, level)
    worked, given = at(own), at("dense")
    decide = {"merge": _merged, "zeros": _skipped, "dense": _untouched}[form_at(conv, level)]
    found = [
        _Patches(rows, columns, windows(given.x, given.grid, rows, columns), codes, leader)
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


def _shape(grid: PatchGrid) -> Grid:
    t = grid.patch_outputs
    return Grid(-(-grid.out_height // t), -(-grid.out_width // t))


def _place(name: str, asked: int | None, count: int, conv: HasteConv2d, shape: Grid) -> int:
    if asked is None:
        return count // 2
    if 0 <= asked < count:
        return asked
    patches = f"layer {conv.layer} has {shape.rows} x {shape.columns} patches"
    raise NoSuchPatch(f"{name} must be in 0..{count - 1}, not {asked}: {patches}")


def _placed(grid: PatchGrid, patches: Sequence[_Patches]) -> Iterator[tuple[int, int, _Patches, int]]:
    """Row and column of every patch, with the group that holds it and its number there."""
    t = grid.patch_outputs
    for group in patches:
        for number in range(group.rows.count * group.columns.count):
            down, right = divmod(number, group.columns.count)
            yield group.rows.first // t + down, group.columns.first // t + right, group, number


def _box(conv: HasteConv2d, grid: PatchGrid, place: tuple[int, int], size: FeatureMap) -> Box:
    """The window of a patch, cut at the edges of the feature map."""
    edges = []
    sides = zip(place, (grid.out_height, grid.out_width), (size.height, size.width), conv.border, strict=True)
    for index, outputs, side, padding in sides:
        first = index * grid.patch_outputs
        last = min(first + grid.patch_outputs, outputs) - 1
        start, end = first * conv.stride[0] - padding, last * conv.stride[0] + conv.kernel_size[0] - padding
        edges.append((max(0, start) / side, min(side, end) / side))
    (top, bottom), (left, right) = edges
    return Box(left, top, right - left, bottom - top)


def _channels(group: _Patches, number: int, level: Level) -> tuple[tuple[Channel, ...], tuple[Bucket, ...]]:
    """The channels of one patch and their buckets, which are numbered by their first channels."""
    leader = group.leader[number].tolist()
    ids = {first: index for index, first in enumerate(sorted(set(leader) - {-1}))}
    members: dict[int, list[int]] = {first: [] for first in ids}
    for channel, first in enumerate(leader):
        if first >= 0:
            members[first].append(channel)
    codes = [None] * len(leader) if group.codes is None else group.codes[number].tolist()
    energies = group.x[number].square().mean(-1).sqrt().tolist()
    channels = []
    for index, (first, code, energy) in enumerate(zip(leader, codes, energies, strict=True)):
        state: State = "dropped" if first < 0 else "merged" if len(members[first]) > 1 else "kept"
        bits = None if code is None or first < 0 else _bits(code, level)
        channels.append(Channel(index, state, bits, ids.get(first), energy))
    return tuple(channels), tuple(Bucket(ids[first], tuple(own)) for first, own in members.items())


def _bits(code: int, level: Level) -> str:
    assert isinstance(level, int)
    return f"{code:0{level}b}"[::-1]


def _totals(
    report: FlopReport, converted: Mapping[str, HasteConv2d], level: Level, skipping: Mapping[str, float]
) -> tuple[LayerTotal, ...]:
    """Every layer of the report; `skipping` holds the ratios of those that hash nothing."""
    return tuple(
        LayerTotal(
            name=name,
            converted=name in converted,
            form=form_at(converted[name], level) if name in converted else "dense",
            compression_ratio=skipping.get(name, flops.compression_ratio),
            dense_flops=flops.dense,
            executed_flops=flops.executed,
        )
        for name, flops in report.layers.items()
    )
