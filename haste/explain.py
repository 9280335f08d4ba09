"""Looks at merging while it happens: the specification's own plans for one image, of one layer and one patch."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from haste.config import HasteConfig, Level
from haste.conv import HasteConv2d
from haste.convert import reconfigure_
from haste.explanation import Explanation, FeatureMap, Grid, LayerTotal, Patch, RatioMap, ShownLayer
from haste.flops import FlopReport
from haste.geometry import PatchGrid
from haste.patches import Patches, box_of, channels_of, form_at, level_at, look, placed, shape_of
from haste.program import CompiledModel
from haste.steering import current_record, levels_of, num_hyperplanes, recording
from haste.trace import TRACING


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
    with TRACING:  # a model may be compiled in another thread
        network = _copied(model)
        if config is not None:
            reconfigure_(network, config)
        converted = {module.layer: module for module in network.modules() if isinstance(module, HasteConv2d)}
        if not converted:
            raise ValueError("the model is not converted; convert_ it first")
        (level,) = levels_of(1, next(iter(converted.values())).network_config.num_hyperplanes)
        watch = _Watch(level, _chosen(converted, layer, level), row, column)
        for module in converted.values():
            module.register_forward_pre_hook(watch)
        with num_hyperplanes(level), recording() as record:
            network(image[None])
    return Explanation(level, *watch.found(), _totals(FlopReport.from_record(record), converted, level, watch.skipping))


def _copied(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode that shares the weights: hooks on it and settings of it are its own."""
    network = model.network if isinstance(model, CompiledModel) else model
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared).eval()


def _chosen(converted: Mapping[str, HasteConv2d], asked: str | None, level: Level) -> HasteConv2d:
    if asked is not None:
        if asked not in converted:
            raise NoSuchPatch(f"unknown layer {asked[:80]!r}; layers: {', '.join(converted)}")
        return converted[asked]
    names = list(converted)
    merging = [name for name in names if form_at(converted[name], level) == "merge"]
    return converted[min(merging or names, key=lambda name: abs(names.index(name) - len(names) // 2))]


class _Watch:
    """A hook before every converted layer: looks closely at the chosen one, and counts where a layer only skips."""

    def __init__(self, level: Level, chosen: HasteConv2d, row: int | None, column: int | None) -> None:
        self._level, self._chosen, self._row, self._column = level, chosen, row, column
        self.skipping: dict[str, float] = {}
        self._shown: tuple[ShownLayer, Patch, RatioMap] | None = None

    def __call__(self, conv: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(conv, HasteConv2d)
        skips = form_at(conv, self._level) == "zeros"
        first = conv is self._chosen and self._shown is None  # of a layer that runs twice, the first time is shown
        if not (skips or first):
            return
        grid, patches = look(conv, inputs[0], self._level)
        if skips:
            buckets = [count for group in patches for count in group.buckets]
            self.skipping[conv.layer] = 1 - sum(buckets) / (len(buckets) * conv.in_channels)
        if first:
            self._shown = self._show(grid, patches, FeatureMap(*inputs[0].shape[-2:]))

    def found(self) -> tuple[ShownLayer, Patch, RatioMap]:
        """The chosen layer, its patch and all its patches, once the image came through."""
        if self._shown is None:
            raise NoSuchPatch(f"layer {self._chosen.layer} does not run")
        return self._shown

    def _show(
        self, grid: PatchGrid, patches: Sequence[Patches], size: FeatureMap
    ) -> tuple[ShownLayer, Patch, RatioMap]:
        conv, shape, record = self._chosen, shape_of(grid), current_record()
        assert record is not None
        row = _place("row", self._row, shape.rows, conv, shape)
        column = _place("column", self._column, shape.columns, conv, shape)
        ratios = [[0.0] * shape.columns for _ in range(shape.rows)]
        for down, right, group, number in placed(grid, patches):
            ratios[down][right] = 1 - group.buckets[number] / conv.in_channels
            if (down, right) == (row, column):
                channels, buckets = channels_of(group, number, level_at(conv, self._level))
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
        patch = Patch(row, column, box_of(conv, grid, (row, column), size), channels, buckets)
        return layer, patch, RatioMap(shape.rows, shape.columns, tuple(map(tuple, ratios)))


def _place(name: str, asked: int | None, count: int, conv: HasteConv2d, shape: Grid) -> int:
    if asked is None:
        return count // 2
    if 0 <= asked < count:
        return asked
    patches = f"layer {conv.layer} has {shape.rows} x {shape.columns} patches"
    raise NoSuchPatch(f"{name} must be in 0..{count - 1}, not {asked}: {patches}")


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
