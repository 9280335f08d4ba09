"""The FLOP report: what was executed and what was not, per image and per layer, from what ran."""

from dataclasses import dataclass

from haste.counts import LayerCounts
from haste.steering import Record

_PARTS = ("dense", "skipped", "merged", "convolution", "hash", "merge")


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
        whole = sum(list(record.layers.values())[1:], next(iter(record.layers.values())))
        rows = zip(*(getattr(whole, part).tolist() for part in _PARTS), strict=True)
        layers = {name: _layer(counts) for name, counts in record.layers.items()}
        return cls(tuple(Flops(*row) for row in rows), layers, Flops(*_sums(whole)))


def _sums(counts: LayerCounts) -> list[int]:
    return [int(getattr(counts, part).sum()) for part in _PARTS]


def _layer(counts: LayerCounts) -> LayerFlops:
    channels = int(counts.channels.sum())
    ratio = 1 - int(counts.buckets.sum()) / channels if channels else 0.0
    return LayerFlops(**dict(zip(_PARTS, _sums(counts), strict=True)), compression_ratio=ratio)
