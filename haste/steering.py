"""What a caller says and hears without touching the model: L per call, and what each layer executed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from numpy.typing import NDArray

from haste.config import Level, check_level
from haste.counts import LayerCounts

_LEVELS: ContextVar[tuple[Level, ...] | Level | None] = ContextVar("haste_levels", default=None)
_RECORD: ContextVar["Record | None"] = ContextVar("haste_record", default=None)


class Record:
    """Counts by layer of one forward pass; a layer that runs twice for the same images adds up."""

    def __init__(self) -> None:
        self._rows: dict[str, NDArray[np.int64]] = {}
        self._whole: tuple[Sequence[str], NDArray[np.int64]] | None = None

    @property
    def layers(self) -> dict[str, LayerCounts]:
        """The counts by layer name, in the order in which they ran."""
        return {layer: LayerCounts(*torch.from_numpy(rows)) for layer, rows in self._by_layer().items()}

    def table(self) -> tuple[list[str], NDArray[np.int64]]:
        """The layers' names, and (layers, 8, N) int64: the fields of their `LayerCounts`. ValueError where none ran."""
        if self._whole is not None:
            names, table = self._whole
            return list(names), table
        if not self._rows:
            raise ValueError("nothing was recorded: run a converted model inside `with haste.recording()`")
        return list(self._rows), np.stack(list(self._rows.values()))

    def add(self, layer: str, counts: LayerCounts) -> None:
        self._add(layer, torch.stack(counts.columns).cpu().numpy())

    def add_table(self, names: Sequence[str], table: NDArray[np.int64]) -> None:
        """The same for many layers: (layers, 8, N) int64. The first is kept whole, most often the only."""
        if self._whole is None and not self._rows and len(set(names)) == len(names):
            self._whole = names, table
            return
        for name, rows in zip(names, table, strict=True):
            self._add(name, rows)

    def _add(self, layer: str, rows: NDArray[np.int64]) -> None:
        by_layer = self._by_layer()
        before = by_layer.get(layer)
        if before is not None and before.shape != rows.shape:
            raise ValueError(
                f"one recording holds one batch: {layer} saw {before.shape[1]} images, then {rows.shape[1]}"
            )
        by_layer[layer] = rows if before is None else before + rows

    def _by_layer(self) -> dict[str, NDArray[np.int64]]:
        if self._whole is not None:
            names, table = self._whole
            self._rows, self._whole = dict(zip(names, table, strict=True)), None
        return self._rows


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
