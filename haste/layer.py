"""One operation of a program: how the kernel sees it, which level it runs at, and what its counts mean."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from haste import kernel
from haste.config import HasteConfig, Level
from haste.conv import HasteConv2d
from haste.geometry import PatchGrid
from haste.hashing import hash_flops, hyperplanes
from haste.steering import levels_of
from haste.trace import CONVOLUTION, LINEAR, Buffer, NotTraceable, Operation

Form = Literal["dense", "zeros", "merge"]
"""How a layer computes: every MAC, what is (near) zero skipped, or merging as well."""
Forms: TypeAlias = Callable[[str, Level, int], Form]
"""The form of a layer, of the level that was asked of the network and the number of images in the batch. A form may
leave out what the layer would do at that level, never add to it."""

_MERGES = ("mean", "projection", "none")  # in the kernel's order
_DENSE, _EXACT, _ZEROS = -1, 0, 64  # levels as the kernel writes them


class Layer:
    """One operation with what it needs to be steered and counted."""

    def __init__(self, operation: Operation, buffers: Sequence[Buffer]) -> None:
        self.operation = operation
        source, target = buffers[operation.input], buffers[operation.output]
        self.source, self.target, self.outputs = source, target, target.channels
        self.converted = operation.module if isinstance(operation.module, HasteConv2d) else None
        self.network_config = self.converted.network_config if self.converted else None
        macs = 0
        if operation.kind == CONVOLUTION:
            macs = operation.kernel**2 * source.channels * target.channels * target.height * target.width
        elif operation.kind == LINEAR:
            macs = source.channels * target.channels
        self.flops = 2 * macs

    def levels(self, images: int, forms: Forms | None) -> list[int]:
        """The level of each image as the kernel writes it: -1 dense, 0 exact, L, or 64 + L where nothing is merged."""
        if self.network_config is None:
            return [_DENSE] * images
        name = self.operation.name
        asked = levels_of(images, self.network_config.num_hyperplanes)
        own = [self.network_config.level_of(name, level) for level in asked]
        chosen: list[Form] = [forms(name, level, images) if forms else "merge" for level in asked]
        return [_number(level, form) for level, form in zip(own, chosen, strict=True)]

    def native(self, places: Sequence[int]) -> "kernel.Operation":
        op = self.operation
        return kernel.operation(
            kind=op.kind,
            input=places[op.input],
            output=places[op.output],
            residual=places[op.residual] if op.residual >= 0 else -1,
            kernel=op.kernel,
            stride=op.stride,
            padding=op.padding,
            relu=op.relu,
            weight=None if op.weight is None else op.weight.detach().float().contiguous(),
            bias=None if op.bias is None else op.bias.detach().float().contiguous(),
            method=self._method(self.converted.config) if self.converted else None,
        )

    def _method(self, config: HasteConfig) -> "kernel.Method":
        if config.skip_pixels not in (None, 1):
            raise NotTraceable(f"the kernels skip zeros pixel by pixel, not over skip_pixels = {config.skip_pixels}")
        assert self.converted is not None
        op, stride = self.operation, self.operation.stride
        height, width = self.source.height + 2 * op.padding, self.source.width + 2 * op.padding
        if op.kernel == 1:
            height, width, stride = -(-height // stride), -(-width // stride), 1
        grid = PatchGrid(height, width, op.kernel, stride, config.patch_outputs)
        full = (grid.window(config.patch_outputs),) * 2
        planes = []
        for rows, columns in grid.groups():
            window = grid.window(rows.outputs), grid.window(columns.outputs)
            own = hyperplanes(config, self.converted.layer, full, window)
            planes.append((2 * (rows.first > 0) + (columns.first > 0), own, hash_flops(config, own, window)))
        return kernel.method(
            patch_outputs=config.patch_outputs,
            skip=config.skip_pixels is not None,
            merge=_MERGES.index(config.merge_of(self.source.channels)),
            centre=config.centre,
            drop_zero=config.drop_zero,
            tolerance=config.tolerance,
            threshold=config.threshold if config.skip_pixels else 0.0,
            norms=self.converted.weight.detach().pow(2).sum((0, 2, 3)).sqrt().contiguous(),
            planes=planes,
        )


class Counting:
    """What the kernel's counts of a program's layers mean, for all at once: they are linear in what it counted."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        own = [(row, layer) for row, layer in enumerate(layers) if layer.flops]
        self.names = [layer.operation.name for _, layer in own]
        self._rows = np.array([row for row, _ in own], np.int64)
        self._per_count = np.zeros((len(own), 8, 7), np.int64)
        self._constant = np.zeros((len(own), 8, 1), np.int64)
        for (_, layer), per_count, constant in zip(own, self._per_count, self._constant, strict=True):
            self._describe(layer, per_count, constant[:, 0])

    @staticmethod
    def _describe(layer: Layer, per_count: NDArray[np.int64], constant: NDArray[np.int64]) -> None:
        """Fill in (8, 7) and (8,): the fields of `LayerCounts` by what the kernel counts."""
        dense, skipped, merged, convolution, hash_cost, merge, channels, buckets = range(8)
        executed, zeros, filters, input_flops, hashed, read, used = range(7)
        constant[dense] = layer.flops
        if layer.converted is None:
            constant[convolution] = layer.flops
            return
        weighs = layer.converted.config.merge == "projection"
        per_count[convolution, executed] = per_count[skipped, zeros] = 2 * layer.outputs
        constant[merged], per_count[merged, executed], per_count[merged, zeros] = layer.flops, *[-2 * layer.outputs] * 2
        per_count[merge, filters], per_count[merge, input_flops] = layer.outputs * (1 + weighs), 1
        per_count[hash_cost, hashed] = per_count[channels, read] = per_count[buckets, used] = 1

    def table(self, counted: NDArray[np.int64]) -> NDArray[np.int64]:
        """(operations, N, 7) int64 of the kernel -> (names, 8, N): `LayerCounts` of every layer that has a name."""
        return self._per_count @ counted[self._rows].swapaxes(1, 2) + self._constant


@cache
def always(form: Form) -> Forms:
    """Every layer in this form; one function a form, since programs remember the levels that follow from it."""
    return lambda *_: form


def _number(level: Level, form: Form) -> int:
    if level == "dense" or form == "dense":
        return _DENSE
    if level == "exact":
        return _EXACT
    return level + _ZEROS if form == "zeros" else level
