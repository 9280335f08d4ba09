"""The FLOP report: what was executed and what was not, per image and per layer, from what ran."""

from dataclasses import dataclass
from functools import cached_property

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
    """Of one forward pass: `images`, one entry an image over all layers; the others are found when they are asked for.

    sums: by layer, the fields of its `LayerCounts` over all images.
    """

    images: tuple[Flops, ...]
    sums: dict[str, list[int]]

    @classmethod
    def from_record(cls, record: Record) -> "FlopReport":
        """Sum a record of one forward pass; ValueError when nothing was recorded."""
        names, table = record.table()
        by_image = table[:, : len(_PARTS)].sum(0).T.tolist()
        return cls(tuple(Flops(*row) for row in by_image), dict(zip(names, table.sum(2).tolist(), strict=True)))

    @cached_property
    def layers(self) -> dict[str, LayerFlops]:
        """By name, over all images."""
        return {name: _layer(*sums) for name, sums in self.sums.items()}

    @cached_property
    def total(self) -> Flops:
        """Over all layers and images."""
        return Flops(*map(sum, zip(*(sums[: len(_PARTS)] for sums in self.sums.values()), strict=True)))

    @property
    def compression_ratios(self) -> dict[str, float]:
        """By name, r = 1 - buckets / C_in of the layers that hashed (paper section 3)."""
        return {name: _ratio(*sums[-2:]) for name, sums in self.sums.items() if sums[-2]}


def _layer(
    dense: int, skipped: int, merged: int, convolution: int, hash_cost: int, merge: int, channels: int, buckets: int
) -> LayerFlops:
    return LayerFlops(dense, skipped, merged, convolution, hash_cost, merge, _ratio(channels, buckets))


def _ratio(channels: int, buckets: int) -> float:
    return 1 - buckets / channels if channels else 0.0
