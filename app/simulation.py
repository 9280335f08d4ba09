"""Arrivals through the real queue and controller on a virtual clock: no engine, no waiting, the same every time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from app.batching import Batching, Job
from app.contract import Level, Point
from app.controller import Controller
from app.latency import Latency
from app.objective import CALL_SECONDS, TICK_SECONDS, Objective
from app.plan import Batch

_MODEL = "simulated"
_NEVER = float("inf")


@dataclass(frozen=True)
class Box:
    """One box: the calibration of its model, the configured level, the objective, and how its times scatter.

    noise: standard deviation of the logarithm of a batch's time. slowdown: a factor on all of them, which the box does
    not know beforehand.
    """

    points: Sequence[Point]
    level: Level
    objective: Objective
    max_batch: int = 8
    capacity: int = 64
    noise: float = 0.05
    slowdown: float = 1.0


@dataclass
class Run:
    """What happened, by second of the arrival: counts of images; `agreed` is the expected number in time whose class
    is the dense network's. levels: images by level; depths: the longest queue."""

    seconds: int
    offered: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    in_time: list[int] = field(default_factory=list)
    agreed: list[float] = field(default_factory=list)
    levels: list[dict[Level, int]] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        zeros = [0] * self.seconds
        self.offered, self.accepted, self.in_time, self.depths = zeros[:], zeros[:], zeros[:], zeros[:]
        self.agreed, self.levels = [0.0] * self.seconds, [{} for _ in zeros]

    @property
    def attainment(self) -> float:
        """Answered in time / offered."""
        return sum(self.in_time) / max(1, sum(self.offered))

    @property
    def kept(self) -> float:
        """Answered in time / accepted."""
        return sum(self.in_time) / max(1, sum(self.accepted))

    @property
    def effective(self) -> float:
        """Answered in time with the dense network's class / offered."""
        return sum(self.agreed) / max(1, sum(self.offered))

    def percentile(self, share: float) -> float:
        """Seconds that this share of the answered took at most; nan where nothing was answered."""
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


class _Simulation:
    def __init__(self, box: Box, arrivals: Sequence[float], seed: int) -> None:
        self._box, self._arrivals = box, arrivals
        self._random = np.random.default_rng(seed)
        self._truth = Latency(box.points)
        self._agreement = _agreement(box.points)
        self._controller = Controller([_MODEL], lambda _: box.level, lambda: box.objective, box.max_batch)
        self._controller.calibrate(_MODEL, box.points)
        self._batching = Batching[int](self._controller, capacity=box.capacity)
        self.run = Run(int(arrivals[-1]) + 1 if len(arrivals) else 0)

    def play(self) -> Run:
        """Every arrival is offered, every batch ends; ticks fall between while the engine is free."""
        index, batch, ends, tick = 0, None, _NEVER, TICK_SECONDS
        while index < len(self._arrivals) or batch is not None:
            arrival = self._arrivals[index] if index < len(self._arrivals) else _NEVER
            now = min(arrival, ends, tick if batch is None else _NEVER)
            if now == ends and batch is not None:
                self._finish(batch, now)
                batch, ends = None, _NEVER
            elif now == arrival:
                self._offer(now)
                index += 1
            if batch is None:
                batch, _ = self._batching.take(now)
                tick = now + TICK_SECONDS
                if batch is not None:
                    self._seconds = self._draw(batch)
                    ends = now + self._seconds
        return self.run

    def _offer(self, now: float) -> None:
        second = int(now)
        self.run.offered[second] += 1
        job = Job(_MODEL, None, None, now, now + self._box.objective.slo_seconds, False, second)
        if self._batching.offer(now, [job]) is None:
            self.run.accepted[second] += 1
        self.run.depths[second] = max(self.run.depths[second], self._batching.depth())

    def _draw(self, batch: Batch[Job[int]]) -> float:
        scatter = float(np.exp(self._box.noise * self._random.standard_normal()))
        return self._box.slowdown * scatter * self._truth.mixed(batch.levels) + CALL_SECONDS

    def _finish(self, batch: Batch[Job[int]], now: float) -> None:
        self._batching.finished(batch, self._seconds)
        for job, level in zip(batch.jobs, batch.levels, strict=True):
            second, run = job.payload, self.run
            run.latencies.append(now - job.arrived)
            run.levels[second][level] = run.levels[second].get(level, 0) + 1
            if now <= job.deadline:
                run.in_time[second] += 1
                run.agreed[second] += self._agreement.get(level, 1.0)


def _agreement(points: Sequence[Point]) -> dict[Level, float]:
    by_level: dict[Level, list[float]] = {}
    for point in points:
        by_level.setdefault(point.level, []).append(point.agreement)
    return {level: sum(values) / len(values) for level, values in by_level.items()}


def simulate(box: Box, arrivals: Sequence[float], seed: int) -> Run:
    """One box; `arrivals`: seconds, in order. The same arguments give the same run."""
    return _Simulation(box, arrivals, seed).play()
