"""Measures every layer of a compiled network in every form, then the network with the fastest of them."""

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

import torch
from torch import Tensor, nn

from haste import kernel
from haste.calibration import Calibration, Identity, Point, Times, on_frontier
from haste.config import HasteConfig, Level, check_level
from haste.conv import HasteConv2d
from haste.evaluate import Evaluation, evaluate
from haste.isotonic import rising
from haste.layer import Form, always
from haste.program import CompiledModel
from haste.steering import num_hyperplanes

LEVELS: tuple[Level, ...] = ("dense", "exact", 20, 16, 14, 12, 10, 8, 6)
BATCHES = (1, 2, 4, 8)
_ROUNDS = 3  # of each measurement at least, whatever the time
_SHARE = 0.6  # of the time for the layers; the rest is for the whole network

Progress = Callable[[int], None]
Chunk = tuple[Tensor, Tensor]


def identity_of(model: CompiledModel) -> Identity:
    """What a calibration of `model` holds for. The default level is no part of it."""
    digest = hashlib.sha256()
    for name, value in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return Identity(kernel.cpu(), model.threads, kernel.version(), digest.hexdigest(), configuration_of(model))


def configuration_of(model: CompiledModel) -> str:
    """The settings of the method that a calibration of `model` depends on, as JSON."""
    configs = [m.network_config for m in _converted(model)]
    return _text(configs[0]) if configs else "not converted"


def _text(config: HasteConfig) -> str:
    values = {name: getattr(config, name) for name in config.__dataclass_fields__ if name != "num_hyperplanes"}
    values["layers"] = {name: asdict(layer) for name, layer in sorted(config.layers.items())}
    return json.dumps(values, sort_keys=True)


def calibrate(
    model: nn.Module,
    images: Tensor,
    *,
    levels: Sequence[Level] = LEVELS,
    batches: Sequence[int] = BATCHES,
    seconds: float = 120.0,
    progress: Progress | None = None,
) -> Calibration:
    """Measure, choose the fastest forms, measure the whole network with them; the model uses them from then on.

    images: (N, 3, S, S) float32, normalised; taken in turns, repeated where a batch is larger. seconds: the time to
    take; everything is measured three times at least, which may take longer. progress: called before every batch with
    the whole seconds since the call before, mostly 0.
    ValueError for a model without a native program, or nothing to measure.
    """
    if not isinstance(model, CompiledModel):
        raise ValueError("only a model with a native program can be calibrated; the reference has one form of a layer")
    if not len(images) or not levels or not batches or min(batches) < 1:
        raise ValueError("a calibration needs images, levels, and batches of at least 1 image")
    levels = list(dict.fromkeys(["dense", *map(check_level, levels)]))
    turns = _Turns(images, batches, seconds, progress)
    times, calls = _time_layers(model, turns, levels)
    keep = not any(m.config.threshold > 0 and m.config.skip_pixels for m in _converted(model))
    forms = {
        batch: {
            level: {layer: _fastest(ms, keep_merging=keep) for layer, ms in rows.items()}
            for level, rows in by_level.items()
        }
        for batch, by_level in times.items()
    }
    made = datetime.now(UTC).isoformat(timespec="seconds")
    found = Calibration(identity_of(model), made, 0.0, len(images), times, calls, forms)
    model.forms = found.form
    points = _time_network(model, turns, found, levels)
    return replace(found, seconds=round(turns.elapsed, 1), points=tuple(points))


class _Turns:
    """Batch after batch of the images until a share of the time is up, and a few times at least."""

    def __init__(self, images: Tensor, batches: Sequence[int], seconds: float, progress: Progress | None) -> None:
        self.images, self.batches, self.seconds, self.progress = images, batches, seconds, progress
        self.begin, self.told = time.perf_counter(), 0

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.begin

    def until(self, share: float) -> Iterator[Tensor]:
        turn = 0
        while turn < _ROUNDS or self.elapsed < share * self.seconds:
            for batch in self.batches:
                self.tell()
                yield self.images[[(turn * batch + i) % len(self.images) for i in range(batch)]]
            turn += 1
        self.tell()

    def tell(self) -> None:
        """Call `progress`, which may raise and so end it all."""
        whole = int(min(self.elapsed, self.seconds))
        if self.progress:
            self.progress(whole - self.told)
        self.told = whole

    def told_of(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The same, with a word before each."""
        for chunk in chunks:
            self.tell()
            yield chunk


def _time_layers(model: CompiledModel, turns: _Turns, levels: Sequence[Level]) -> tuple[Times, dict[int, float]]:
    """Medians over rounds of everything in turns, and what a call of each batch size takes outside of its layers."""
    taken: dict[tuple[int, Level, str, Form], list[float]] = {}
    calls: dict[int, list[float]] = {}
    runs = runs_of(levels)
    for x in turns.until(_SHARE):
        for level, form in runs:
            model.forms = always(form)
            start = time.perf_counter()
            with num_hyperplanes(level):
                rows = model.timed(x)
            wall = time.perf_counter() - start
            for row in rows:
                taken.setdefault((len(x), level, row.name, form), []).append(1e3 * row.total)
            calls.setdefault(len(x), []).append(1e3 * (wall - sum(row.total for row in rows)))
    times: Times = {}
    forms = possible_forms(model)
    for (batch, level, layer, form), values in taken.items():
        own = times.setdefault(batch, {}).setdefault(str(level), {}).setdefault(layer, {})
        own["dense"] = _median(taken[batch, "dense", layer, "dense"])
        if form in forms.get(layer, ()):
            own[form] = _median(values)
    for by_level in times.values():
        smooth(by_level)
    return times, {batch: _median(values) for batch, values in calls.items()}


def smooth(by_level: dict[str, dict[str, dict[Form, float]]]) -> None:
    """Let no layer that skips zeros take longer at a lower L, where more is near zero: only noise says that it does.

    Merging is left alone: a lower L merges more filters, which may well take longer.
    """
    levels = sorted((level for level in by_level if level.isdecimal()), key=int)
    for layer in by_level[levels[0]] if levels else ():
        rows = [by_level[level][layer] for level in levels]
        if all("zeros" in row for row in rows):
            for row, value in zip(rows, rising([row["zeros"] for row in rows]), strict=True):
                row["zeros"] = round(value, 4)


def runs_of(levels: Sequence[Level]) -> list[tuple[Level, Form]]:
    """Each level in every form that it adds: what is dense at one level is dense at all."""
    forms: dict[str, tuple[Form, ...]] = {"dense": ("dense",), "exact": ("zeros",)}
    return [(level, form) for level in levels for form in forms.get(str(level), ("zeros", "merge"))]


def possible_forms(model: CompiledModel) -> dict[str, tuple[Form, ...]]:
    """What the converted layers can do beside dense."""
    merges = {m.layer: m.config.merge_of(m.in_channels) != "none" for m in _converted(model)}
    return {layer: ("zeros", "merge") if merge else ("zeros",) for layer, merge in merges.items()}


def _converted(model: CompiledModel) -> list[HasteConv2d]:
    return [m for m in model.network.modules() if isinstance(m, HasteConv2d)]


def _fastest(milliseconds: dict[Form, float], *, keep_merging: bool) -> Form:
    """The fastest form; where L steers nothing but merging, merging stays, or L would have no effect."""
    return "merge" if keep_merging and "merge" in milliseconds else min(milliseconds, key=milliseconds.__getitem__)


def _median(milliseconds: list[float]) -> float:
    return round(statistics.median(milliseconds[1:]), 4)  # the first round packs weights and allocates


def _time_network(model: CompiledModel, turns: _Turns, found: Calibration, levels: Sequence[Level]) -> list[Point]:
    """Every level and batch with the forms chosen: predicted and measured, and what it costs in accuracy."""
    quality: dict[tuple[int, Level], Evaluation] = {}
    labels = torch.zeros(len(turns.images), dtype=torch.int64)
    for batch in turns.batches:
        model.forms = found.in_batch(batch)
        chunks = zip(turns.images.split(batch), labels.split(batch), strict=True)
        quality |= {(batch, row.level): row for row in evaluate(model, turns.told_of(chunks), levels)}
    model.forms = found.form
    taken: dict[tuple[int, Level], list[float]] = {}
    with torch.inference_mode():
        for x in turns.until(1):
            for level in levels:
                with num_hyperplanes(level):
                    start = time.perf_counter()
                    model(x)
                    taken.setdefault((len(x), level), []).append(1e3 * (time.perf_counter() - start))
    points = []
    for (batch, level), values in taken.items():
        row, tenths = quality[batch, level], statistics.quantiles(values, n=10, method="inclusive")
        points.append(
            Point(
                level=level,
                batch=batch,
                predicted_ms=round(found.predict(level, batch), 4),
                median_ms=round(statistics.median(values), 4),
                p10_ms=round(tenths[0], 4),
                p90_ms=round(tenths[-1], 4),
                reduction=round(row.flop_reduction, 4),
                agreement=round(row.agreement, 4),
                kl=round(row.kl, 6),
            )
        )
    return on_frontier(points)
