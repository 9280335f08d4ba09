"""What became of simulated arrivals, and what that is worth."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.contract import Level, Point, order


@dataclass(frozen=True)
class Answered:
    """An image that was accepted: seconds at which it came and that it took, and the level that it ran at."""

    arrived: float
    latency: float
    level: Level


@dataclass(frozen=True)
class Second:
    """One second of arrivals; depth: the longest queue; p95: seconds, None where nothing was answered."""

    offered: int
    answered: int
    in_time: int
    depth: int
    p95: float | None
    levels: Mapping[str, int]


@dataclass
class Run:
    """Every arrival in seconds, with the length of the queue that it met, and every answer.

    agreement: by level, the share of images whose class is the dense network's; dense is among them.
    """

    slo_seconds: float
    agreement: Mapping[Level, float]
    offered: list[float] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)

    @classmethod
    def together(cls, runs: Sequence["Run"]) -> "Run":
        """Several boxes as one."""
        whole = cls(runs[0].slo_seconds, runs[0].agreement)
        for run in runs:
            whole.offered += run.offered
            whole.depths += run.depths
            whole.answered += run.answered
        return whole

    @property
    def attainment(self) -> float:
        """Answered in time / offered; NaN where nothing was, as for the other shares."""
        return _share(len(self._in_time()), len(self.offered))

    @property
    def kept(self) -> float:
        """Answered in time / answered."""
        return _share(len(self._in_time()), len(self.answered))

    @property
    def effective(self) -> float:
        """Answered in time with the dense network's class / offered; expected, by the agreement of each level."""
        counts = Counter(one.level for one in self._in_time())
        return _share(sum(count * self._agreement(level) for level, count in counts.items()), len(self.offered))

    def _agreement(self, level: Level) -> float:
        """Of the level; of the next one that merges less where it was not measured."""
        return self.agreement[min((one for one in self.agreement if order(one) >= order(level)), key=order)]

    def _in_time(self) -> list[Answered]:
        return [one for one in self.answered if one.latency <= self.slo_seconds]

    def percentile(self, share: float) -> float | None:
        """Seconds that this share of the answered took at most; None where nothing was answered."""
        return float(np.quantile([one.latency for one in self.answered], share)) if self.answered else None

    def levels(self) -> dict[str, int]:
        """Answers by level."""
        counts: dict[str, int] = {}
        for one in self.answered:
            counts[str(one.level)] = counts.get(str(one.level), 0) + 1
        return counts

    def seconds(self) -> list[Second]:
        """The same by the second of the arrival."""
        last = int(max(self.offered, default=-1)) + 1
        parts = [Run(self.slo_seconds, self.agreement) for _ in range(last)]
        for arrived, depth in zip(self.offered, self.depths, strict=True):
            parts[int(arrived)].offered.append(arrived)
            parts[int(arrived)].depths.append(depth)
        for one in self.answered:
            parts[int(one.arrived)].answered.append(one)
        return [part.as_second() for part in parts]

    def as_second(self) -> Second:
        """All of it as if it were one second."""
        depth, p95 = max(self.depths, default=0), self.percentile(0.95)
        return Second(len(self.offered), len(self.answered), len(self._in_time()), depth, p95, self.levels())


def _share(part: float, whole: int) -> float:
    return part / whole if whole else math.nan


def agreements(points: Sequence[Point]) -> dict[Level, float]:
    """Of each level, the mean over its batch sizes; dense agrees with itself, measured or not."""
    by_level: dict[Level, list[float]] = {"dense": [1.0]}
    for point in points:
        by_level.setdefault(point.level, []).append(point.agreement)
    return {level: sum(values) / len(values) for level, values in by_level.items()}
