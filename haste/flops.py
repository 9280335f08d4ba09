"""The FLOP report: what was executed and what was not, per image and per layer, from what ran."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from haste.steering import Record

_PARTS = ("dense", "skipped", "merged", "convolution", "hash", "merge")
_COUNTED = (*_PARTS, "channels", "buckets")


@dataclass(frozen=True)
class Flops:
    """FLOPs (2 a MAC, 1 an addition); dense = skipped + merged + convolution, executed = convolution + overhead."""

    dense: int
    skipped: int
    merged: int
    convolution: int
    hash: int
    merge: int

    @property
    def overhead(self) -> int:
        """Hashing, centring, merging inputs and filters."""
        return self.hash + self.merge

    @property
    def executed(self) -> int:
        return self.convolution + self.overhead

    @property
    def reduction(self) -> float:
        """1 - executed / dense; negative where the overhead is more than what it saved."""
        return 1 - self.executed / self.dense if self.dense else 0.0


@dataclass(frozen=True)
class LayerFlops(Flops):
    """One layer over all images of the record; `compression_ratio` is r = 1 - buckets / C_in (paper section 3)."""

    compression_ratio: float


@dataclass(frozen=True)
class FlopReport:
    """`images`: one entry an image over all layers; `layers`: by name over all images; `total`: everything."""

    images: tuple[Flops, ...]
    layers: dict[str, LayerFlops]
    total: Flops

    @classmethod
    def from_record(cls, record: Record) -> "FlopReport":
        """Sum a record of one forward pass; ValueError when nothing was recorded."""
        if not record.layers:
            raise ValueError("nothing was recorded: run a converted model inside `with haste.recording()`")
        counts = {part: torch.stack([getattr(one, part) for one in record.layers.values()]) for part in _COUNTED}
        by_image = zip(*(counts[part].sum(0).tolist() for part in _PARTS), strict=True)
        by_layer = zip(*(counts[part].sum(1).tolist() for part in _COUNTED), strict=True)
        layers = {name: _layer(row) for name, row in zip(record.layers, by_layer, strict=True)}
        return cls(tuple(Flops(*row) for row in by_image), layers, Flops(*(int(counts[p].sum()) for p in _PARTS)))


def _layer(row: Sequence[int]) -> LayerFlops:
    *parts, channels, buckets = row
    ratio = 1 - buckets / channels if channels else 0.0
    return LayerFlops(**dict(zip(_PARTS, parts, strict=True)), compression_ratio=ratio)
