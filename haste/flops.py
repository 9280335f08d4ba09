"""The FLOP report: what was executed and what was not, per image and per layer, from what ran."""

from dataclasses import dataclass

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
        names, table = record.table()
        by_image = table[:, : len(_PARTS)].sum(0).T.tolist()
        by_layer = table.sum(2).tolist()
        total = table[:, : len(_PARTS)].sum((0, 2)).tolist()
        layers = {name: _layer(*row) for name, row in zip(names, by_layer, strict=True)}
        return cls(tuple(Flops(*row) for row in by_image), layers, Flops(*total))


def _layer(
    dense: int, skipped: int, merged: int, convolution: int, hash_cost: int, merge: int, channels: int, buckets: int
) -> LayerFlops:
    ratio = 1 - buckets / channels if channels else 0.0
    return LayerFlops(dense, skipped, merged, convolution, hash_cost, merge, ratio)
