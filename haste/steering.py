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
        self._rows: dict[str, Tensor] = {}

    @property
    def layers(self) -> dict[str, LayerCounts]:
        """The counts by layer name, in the order in which they ran."""
        return {layer: LayerCounts(*rows) for layer, rows in self._rows.items()}

    def table(self) -> tuple[list[str], Tensor]:
        """The layers' names, and (layers, 8, N) int64: the fields of their `LayerCounts`. ValueError where none ran."""
        if not self._rows:
            raise ValueError("nothing was recorded: run a converted model inside `with haste.recording()`")
        return list(self._rows), torch.stack(list(self._rows.values()))

    def add(self, layer: str, counts: LayerCounts) -> None:
        self.add_rows(layer, torch.stack(counts.columns))

    def add_rows(self, layer: str, rows: Tensor) -> None:
        """The same for (8, N) int64, the fields of a `LayerCounts` in order."""
        before = self._rows.get(layer)
        if before is not None and before.shape != rows.shape:
            raise ValueError(
                f"one recording holds one batch: {layer} saw {before.shape[1]} images, then {rows.shape[1]}"
            )
        self._rows[layer] = rows if before is None else before + rows


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
