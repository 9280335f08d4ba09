"""What a caller says and hears without touching the model: L per call, and what each layer executed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from haste.config import Level, check_level
from haste.counts import LayerCounts

_LEVELS: ContextVar[tuple[Level, ...] | Level | None] = ContextVar("haste_levels", default=None)
_RECORD: ContextVar["Record | None"] = ContextVar("haste_record", default=None)


class Record:
    """Counts by layer of one forward pass; a layer that runs twice for the same images adds up."""

    def __init__(self) -> None:
        self._layers: dict[str, LayerCounts] = {}
        self._program: tuple[Sequence[str], Tensor] | None = None  # all of one forward, until somebody asks by layer

    @property
    def layers(self) -> dict[str, LayerCounts]:
        """The counts by layer name, in the order in which they ran."""
        if self._program is not None:
            (names, table), self._program = self._program, None
            for name, rows in zip(names, table, strict=True):
                self.add(name, LayerCounts(*rows))
        return self._layers

    def table(self) -> tuple[Sequence[str], Tensor]:
        """The layers' names, and (layers, 8, N) int64: the fields of their `LayerCounts`. ValueError where none ran."""
        if self._program is not None:
            return self._program
        if not self._layers:
            raise ValueError("nothing was recorded: run a converted model inside `with haste.recording()`")
        return list(self._layers), torch.stack([torch.stack(one.columns) for one in self._layers.values()])

    def add_program(self, names: Sequence[str], table: Tensor) -> None:
        """The same as adding each layer of a `table`, without a tensor for every number."""
        alone = self._program is None and not self._layers
        if alone and len(set(names)) == len(names):  # a layer that runs twice has two rows
            self._program = names, table
        else:
            for name, rows in zip(names, table, strict=True):
                self.add(name, LayerCounts(*rows))

    def add(self, layer: str, counts: LayerCounts) -> None:
        before = self.layers.get(layer)
        if before is not None and before.dense.shape != counts.dense.shape:
            raise ValueError(
                f"one recording holds one batch: {layer} saw {len(before.dense)} images, then {len(counts.dense)}"
            )
        self._layers[layer] = counts if before is None else before + counts


@contextmanager
def num_hyperplanes(level: Level | Sequence[Level]) -> Iterator[None]:
    """Run converted models inside at this L: one level for all images, or one an image.

    Levels are 1..32, "exact" or "dense"; ValueError names another. Threads and tasks see their own value.
    """
    if isinstance(level, str) or not isinstance(level, Sequence):
        levels: tuple[Level, ...] | Level = check_level(level)
    else:
        levels = tuple(check_level(v) for v in level)
    token = _LEVELS.set(levels)
    try:
        yield
    finally:
        _LEVELS.reset(token)


@contextmanager
def recording() -> Iterator[Record]:
    """Collect what every layer of a converted model executes inside, image by image."""
    record = Record()
    token = _RECORD.set(record)
    try:
        yield record
    finally:
        _RECORD.reset(token)


def levels_of(images: int, default: Level) -> tuple[Level, ...]:
    """The level of each of `images` images; ValueError when the steering names another number of images."""
    levels = _LEVELS.get()
    if levels is None:
        return (default,) * images
    if not isinstance(levels, tuple):
        return (levels,) * images
    if len(levels) != images:
        raise ValueError(f"{len(levels)} levels for a batch of {images} images")
    return levels


def current_record() -> Record | None:
    """The record that is being made, if any."""
    return _RECORD.get()
