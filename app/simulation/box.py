"""One box on a virtual clock: the real queue and controller, no engine, no waiting, the same every time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.batching import Batching, Job
from app.contract import Level, Point
from app.controller import Controller
from app.latency import Latency
from app.objective import CALL_SECONDS, TICK_SECONDS, Objective
from app.plan import Batch
from app.simulation.run import Answered, Run, agreements

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


class _Simulation:
    def __init__(self, box: Box, arrivals: Sequence[float], seed: int) -> None:
        self._box, self._arrivals = box, arrivals
        self._random = np.random.default_rng(seed)
        self._truth = Latency(box.points)
        self._controller = Controller([_MODEL], lambda _: box.level, lambda: box.objective, box.max_batch)
        self._controller.calibrate(_MODEL, box.points)
        self._batching = Batching[None](self._controller, capacity=box.capacity)
        self.run = Run(box.objective.slo_seconds, agreements(box.points))

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
        self.run.offered.append(now)
        job = Job(_MODEL, None, None, now, now + self._box.objective.slo_seconds, False, None)
        self._batching.offer(now, [job])
        self.run.depths.append(self._batching.depth())

    def _draw(self, batch: Batch[Job[None]]) -> float:
        scatter = float(np.exp(self._box.noise * self._random.standard_normal()))
        return self._box.slowdown * scatter * self._truth.mixed(batch.levels) + CALL_SECONDS

    def _finish(self, batch: Batch[Job[None]], now: float) -> None:
        self._batching.finished(now, batch, self._seconds)
        for job, level in zip(batch.jobs, batch.levels, strict=True):
            self.run.answered.append(Answered(job.arrived, now - job.arrived, level))


def simulate(box: Box, arrivals: Sequence[float], seed: int) -> Run:
    """One box; `arrivals`: seconds, in order. The same arguments give the same run."""
    return _Simulation(box, arrivals, seed).play()
