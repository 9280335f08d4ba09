"""A traced model as one native call a batch, with the same steering and recording as the model itself."""

import logging
from collections.abc import Sequence
from contextvars import Context

import torch
from torch import Tensor, nn

from haste import kernel
from haste.config import HasteConfig, Level
from haste.conv import HasteConv2d
from haste.counts import LayerCounts
from haste.geometry import PatchGrid
from haste.hashing import hash_flops, hyperplanes
from haste.steering import current_record, levels_of
from haste.trace import CONVOLUTION, LINEAR, Buffer, NotTraceable, Operation, Trace, trace

_log = logging.getLogger(__name__)
_WIDEST_BLOCK = 4  # of pixels that share one zero-skipping decision in the native kernels


def compile(model: nn.Module, *, threads: int | None = None) -> nn.Module:
    """A converted model whose forward is one native call; the model itself where none can be made of it (logged once).

    The weights are read at the first forward of each image size: load them before. `reconfigure_` on the model given
    back, or on `model`, is noticed. The model is put into evaluation mode; it is not to be trained.
    """
    if kernel.implementation() == kernel.REFERENCE:
        return model
    return CompiledModel(model, threads or kernel.threads())


class CompiledModel(nn.Module):
    """Programs of one model, one an image size and configuration; `network` is the model that they were made of."""

    def __init__(self, network: nn.Module, threads: int) -> None:
        super().__init__()
        self.network = network
        self.threads = threads
        self.eval()
        self._converted = [m for m in network.modules() if isinstance(m, HasteConv2d)]
        self._programs: dict[tuple[int, ...], tuple[tuple[HasteConfig, ...], Program | None]] = {}

    def forward(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.dtype != torch.float32 or images.device.type != "cpu":
            return self.network(images)  # type: ignore[no-any-return]
        program = self._program(tuple(images.shape[1:]))
        return self.network(images) if program is None else program(images)

    def _program(self, shape: tuple[int, ...]) -> "Program | None":
        """The program of this image size under the present settings; None where there can be none."""
        settings = tuple(m.network_config for m in self._converted)
        if shape not in self._programs or self._programs[shape][0] != settings:
            self._programs[shape] = settings, self._make(shape)
        return self._programs[shape][1]

    def _make(self, shape: tuple[int, ...]) -> "Program | None":
        try:
            # in a context of its own: the caller's steering and record are not for the trace's trial run
            return Program(Context().run(trace, self.network, (shape[0], shape[1], shape[2])), self.threads)
        except NotTraceable as reason:
            _log.warning("no native program: %s; the reference computes", reason)
            return None


class Program:
    """One native program: callable on images (N, C, H, W) float32 -> (N, O)."""

    def __init__(self, traced: Trace, threads: int) -> None:
        self._layers = [_Layer(op, traced.buffers) for op in traced.operations]
        self._outputs = traced.buffers[traced.operations[-1].output].channels
        places, shapes = plan_memory(traced)
        operations = [layer.native(places) for layer in self._layers]
        try:
            self._native = kernel.Program(kernel.implementation(), shapes, operations, threads)
        except ValueError as error:
            raise NotTraceable(str(error)) from error

    def __call__(self, images: Tensor) -> Tensor:
        n, count = len(images), len(self._layers)
        levels = torch.tensor([layer.levels(n) for layer in self._layers], dtype=torch.int32).view(count, n)
        logits = torch.empty(n, self._outputs)
        counts = torch.empty(count, n, 7, dtype=torch.int64)
        self._native.run(images.detach().contiguous(), levels, logits, counts)
        if record := current_record():
            for layer, counted in zip(self._layers, counts, strict=True):
                if layer.flops:
                    record.add(layer.operation.name, layer.counts(counted))
        return logits


def plan_memory(traced: Trace) -> tuple[list[int], list[tuple[int, int, int, int]]]:
    """The place of each buffer, and the places' shapes: buffers of one shape that never overlap share one."""
    last = {b: step for step, op in enumerate(traced.operations) for b in (op.input, op.residual) if b >= 0}
    places = [-1] * len(traced.buffers)
    shapes: list[tuple[int, int, int, int]] = []
    free: dict[tuple[int, int, int, int], list[int]] = {}

    def take(buffer: int) -> None:
        shape = traced.buffers[buffer].shape
        waiting = free.get(shape)
        places[buffer] = waiting.pop() if waiting else len(shapes)
        if places[buffer] == len(shapes):
            shapes.append(shape)

    first = traced.operations[0].input
    take(first)
    for step, op in enumerate(traced.operations):
        take(op.output)
        for done in {op.input, op.residual} - {-1, first}:
            if last[done] == step:
                free.setdefault(traced.buffers[done].shape, []).append(places[done])
    return places, shapes


class _Layer:
    """One operation with what it needs to be steered and counted."""

    def __init__(self, operation: Operation, buffers: Sequence[Buffer]) -> None:
        self.operation = operation
        source, target = buffers[operation.input], buffers[operation.output]
        self.source, self.outputs = source, target.channels
        self.converted = operation.module if isinstance(operation.module, HasteConv2d) else None
        self.network_config = self.converted.network_config if self.converted else None
        macs = 0
        if operation.kind == CONVOLUTION:
            macs = operation.kernel**2 * source.channels * target.channels * target.height * target.width
        elif operation.kind == LINEAR:
            macs = source.channels * target.channels
        self.flops = 2 * macs

    def levels(self, images: int) -> list[int]:
        """The level of each image as the kernel writes it: -1 dense, 0 exact, else L."""
        if self.network_config is None:
            return [-1] * images
        levels = levels_of(images, self.network_config.num_hyperplanes)
        return [_number(self.network_config.level_of(self.operation.name, level)) for level in levels]

    def counts(self, counted: Tensor) -> LayerCounts:
        """(N, 7) int64 of the kernel -> the counts of the specification."""
        if self.converted is None:
            return LayerCounts.of_dense(len(counted), self.flops)
        executed, zeros, filters, input_flops, hash_cost, channels, buckets = counted.unbind(1)
        dense = torch.full_like(executed, self.flops)
        convolution, skipped = 2 * self.outputs * executed, 2 * self.outputs * zeros
        per_weight = 2 if self.converted.config.merge == "projection" else 1
        merge = per_weight * self.outputs * filters + input_flops
        merged = dense - convolution - skipped
        return LayerCounts(dense, skipped, merged, convolution, hash_cost, merge, channels, buckets)

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
        if config.skip_pixels is not None and config.skip_pixels > _WIDEST_BLOCK:
            raise NotTraceable(f"skip_pixels of {config.skip_pixels} is more than {_WIDEST_BLOCK}")
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
            skip_pixels=config.skip_pixels or 0,
            projection=config.merge == "projection",
            centre=config.centre,
            drop_zero=config.drop_zero,
            tolerance=config.tolerance,
            norms=self.converted.weight.detach().pow(2).sum((0, 2, 3)).sqrt().contiguous(),
            planes=planes,
        )


def _number(level: Level) -> int:
    return -1 if level == "dense" else 0 if level == "exact" else level
