"""The kernel table: every layer in every form, its time, and how close it comes to what the machine can do."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from haste import kernel
from haste.calibrate import possible_forms
from haste.config import Level
from haste.layer import Form, Layer, always
from haste.program import CompiledModel, LayerTime
from haste.steering import num_hyperplanes, recording


@dataclass(frozen=True)
class LayerRow:
    """One layer in one form at one level: medians in milliseconds, and shares of what was measured on this machine.

    shape: input channels @ output side, kernel, stride -> output channels. kept: share of the multiply-adds executed.
    peak_share: multiply-adds executed in the time of multiplying, against one thread's peak times the threads.
    bandwidth_share: weights, inputs and outputs moved once in the layer's time, against reading with one thread.
    """

    layer: str
    shape: str
    L: Level
    form: Form
    threads: int
    batch: int
    total_ms: float
    listing_ms: float
    hashing_ms: float
    merging_ms: float
    multiplying_ms: float
    kept: float
    gflops: float
    peak_share: float
    mbytes: float
    bandwidth_share: float


def layer_table(
    model: CompiledModel,
    images: Tensor,
    runs: Sequence[tuple[Level, Form]],
    rounds: int = 20,
    progress: Callable[[int], None] | None = None,
) -> list[LayerRow]:
    """Run the batch `images` (N, 3, S, S) in turns over (level, form), and describe every layer that multiplies."""
    peak, bandwidth = kernel.measure(kernel.implementation())
    layers = {layer.operation.name: layer for layer in model.layers(images) if layer.flops}
    possible = possible_forms(model)
    times: dict[tuple[Level, Form, str], list[LayerTime]] = {}
    kept: dict[tuple[Level, Form, str], float] = {}
    for turn in range(rounds + 1):  # the first warms up
        for level, form in runs:
            model.forms = always(form)
            with num_hyperplanes(level), recording() as record:
                rows = model.timed(images)
            executed = record.layers
            for row in rows:
                if turn and row.name in layers and form in ("dense", *possible.get(row.name, ())):
                    key, counts = (level, form, row.name), executed[row.name]
                    times.setdefault(key, []).append(row)
                    kept[key] = int(counts.convolution.sum()) / int(counts.dense.sum())
            if progress is not None:
                progress(1)
    model.forms = None
    table = []
    for (level, form, name), taken in times.items():
        layer = layers[name]
        total, multiplying = _median(taken, "total"), _median(taken, "multiplying")
        gflops = kept[level, form, name] * layer.flops * len(images) / multiplying / 1e6
        mbytes = _moved(layer, len(images)) / 1e6
        table.append(
            LayerRow(
                layer=name,
                shape=_shape(layer),
                L=level,
                form=form,
                threads=model.threads,
                batch=len(images),
                total_ms=total,
                listing_ms=_median(taken, "listing"),
                hashing_ms=_median(taken, "hashing"),
                merging_ms=_median(taken, "merging"),
                multiplying_ms=multiplying,
                kept=round(kept[level, form, name], 4),
                gflops=round(gflops, 1),
                peak_share=round(gflops / peak / model.threads, 3),
                mbytes=round(mbytes, 3),
                bandwidth_share=round(mbytes / total / bandwidth, 3),
            )
        )
    return table


def _median(rows: Sequence[LayerTime], part: str) -> float:
    return round(1e3 * float(statistics.median(getattr(row, part) for row in rows)), 4)


def _shape(layer: Layer) -> str:
    op = layer.operation
    side = f"{layer.target.height}" if layer.target.height == layer.target.width else str(layer.target.shape[:2])
    return f"{layer.source.channels}@{side} {op.kernel}x{op.kernel}/{op.stride} -> {layer.outputs}"


def _moved(layer: Layer, images: int) -> int:
    """Bytes of the weights once, and of the inputs and outputs of every image."""
    source, weight = layer.source, layer.operation.weight
    weights = 0 if weight is None else weight.numel()
    inputs = source.channels * source.height * source.width
    outputs = layer.outputs * layer.target.height * layer.target.width
    return 4 * (weights + images * (inputs + outputs))
