"""A traced model as one native call a batch, with the same steering and recording as the model itself."""

import logging
import threading
from contextvars import Context
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from haste import kernel
from haste.config import HasteConfig, Level
from haste.conv import HasteConv2d
from haste.layer import Counting, Forms, Layer
from haste.steering import current_record, levels_of
from haste.trace import NotTraceable, Trace, trace

_log = logging.getLogger(__name__)
_MOST_PROGRAMS = 4  # image sizes that one model keeps programs of
_MOST_LEVELS = 256  # rows of levels that a program remembers


@dataclass(frozen=True)
class LayerTime:
    """Seconds that one operation took over a batch: lists and merge plans, hashes, merged filters, products."""

    name: str
    listing: float
    hashing: float
    merging: float
    multiplying: float

    @property
    def total(self) -> float:
        return self.listing + self.hashing + self.merging + self.multiplying


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
        self.forms: Forms | None = None  # set by a calibration; None: every layer does all that its level asks for
        self._making = threading.Lock()
        self._programs: dict[tuple[int, ...], tuple[tuple[HasteConfig, ...], Program | None]] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) float32 on the CPU -> (N, O); anything else goes to the network itself."""
        fits = images.ndim == 4 and images.dtype == torch.float32 and images.device.type == "cpu"
        program = self.program(tuple(images.shape[1:])) if fits else None
        if program is None:
            return self.network(images)  # type: ignore[no-any-return]
        return torch.from_numpy(program.run(images.detach().contiguous().numpy(), self.forms))

    def layers(self, images: Tensor) -> list[Layer]:
        """The operations for images of this size. ValueError without a program."""
        return self._native_program(images).layers

    def timed(self, images: Tensor) -> list[LayerTime]:
        """Run once under the present steering and forms; the time of every operation. ValueError without a program."""
        program = self._native_program(images)
        times = np.empty((len(program.layers), 4), np.int64)
        program.run(images.detach().contiguous().numpy(), self.forms, times)
        rows = zip(program.layers, times.tolist(), strict=True)
        return [LayerTime(layer.operation.name, *(ns / 1e9 for ns in row)) for layer, row in rows]

    def _native_program(self, images: Tensor) -> "Program":
        program = self.program(tuple(images.shape[1:]))
        if program is None:
            raise ValueError("there is no native program of this model: its layers cannot be timed")
        return program

    def program(self, shape: tuple[int, ...]) -> "Program | None":
        """The program of this image size under the present settings; None where there can be none."""
        settings = tuple(m.network_config for m in self._converted)
        with self._making:
            found = self._programs.get(shape)
            if found is None or found[0] != settings:
                self._programs.pop(shape, None)
                while len(self._programs) >= _MOST_PROGRAMS:
                    self._programs.pop(next(iter(self._programs)))  # the oldest: each holds its weights packed
                found = self._programs[shape] = settings, self._make(shape)
            return found[1]

    def _make(self, shape: tuple[int, ...]) -> "Program | None":
        try:
            # in a context of its own: the caller's steering and record are not for the trace's trial run
            with torch.no_grad():  # or what the trial run and the folding made would be kept with the weights
                return Program(Context().run(trace, self.network, (shape[0], shape[1], shape[2])), self.threads)
        except NotTraceable as reason:
            _log.warning("no native program: %s; the reference computes", reason)
            return None


def infer(model: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits (N, O) of images (N, C, H, W), without a gradient.

    And without a call of torch where the model is compiled: behind a native call, which leaves nothing of its code in
    the processor's caches, a few of them take longer than a layer.
    """
    if isinstance(model, CompiledModel) and (program := model.program(images.shape[1:])) is not None:
        return program.run(np.ascontiguousarray(images), model.forms)
    with torch.inference_mode():
        logits: NDArray[np.float32] = model(torch.from_numpy(images)).float().numpy()
    return logits


class Program:
    """One native program of images (N, C, H, W) float32 -> (N, O)."""

    def __init__(self, traced: Trace, threads: int) -> None:
        self.layers = [Layer(op, traced.buffers) for op in traced.operations]
        self._counting = Counting(self.layers)
        self._outputs = traced.buffers[traced.operations[-1].output].channels
        configs = [layer.network_config for layer in self.layers if layer.network_config]
        self._default: Level = configs[0].num_hyperplanes if configs else "dense"
        self._known: dict[tuple[tuple[Level, ...], Forms | None], NDArray[np.int32]] = {}
        places, shapes = plan_memory(traced)
        operations = [layer.native(places) for layer in self.layers]
        try:
            self._native = kernel.Program(kernel.implementation(), shapes, operations, threads)
        except ValueError as error:
            raise NotTraceable(str(error)) from error

    def run(
        self, images: NDArray[np.float32], forms: Forms | None, times: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """The logits (N, O); `times` (operations, 4) int64 takes the nanoseconds of a `LayerTime`."""
        n = len(images)
        logits = np.empty((n, self._outputs), np.float32)
        counts = np.empty((len(self.layers), n, 7), np.int64)
        self._native.run(images, self._levels(n, forms), logits, counts, times)
        if record := current_record():
            record.add_table(self._counting.names, self._counting.table(counts))
        return logits

    def _levels(self, images: int, forms: Forms | None) -> NDArray[np.int32]:
        """(operations, N) int32 for the kernel; remembered, since it takes longer to find than a layer to compute."""
        key = levels_of(images, self._default), forms
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_LEVELS:
                self._known.clear()
            rows = [layer.levels(images, forms) for layer in self.layers]
            found = self._known[key] = np.array(rows, np.int32).reshape(len(rows), images)
        return found


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
