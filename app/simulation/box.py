"""One box on a virtual clock: the real queue and controller, no engine, no waiting, the same every time."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.batching import Batching
from app.contract import Level, Point
from app.controller import Controller, Standing
from app.job import Job
from app.latency import Latency
from app.objective import CALL_SECONDS, TICK_SECONDS, Objective
from app.plan import Batch
from app.simulation.run import Answered, Run, agreements

REQUEST_SECONDS, REFUSED = 0.0025, 0.1
"""What a request that is accepted takes beside its forward, the client on the same cores, and the share of that which
one takes that is refused: chosen on a run of `benchmarks.against_simulation` on two cores of a Zen 4.

What they are worth in another run says simulation-x86_64.json.
"""

_MODEL = "simulated"
_NEVER = float("inf")


@dataclass(frozen=True)
class Box:
    """One box: the calibration of its model, the configured level, the objective, and how its times scatter.

    request_seconds: what a request takes of the cores beside the forward, half of it before it can wait in the queue,
    half for its answer; one that is refused takes a share of it. noise: standard deviation of the logarithm of a
    batch's time. slowdown: a factor on all of them, which the box does not know beforehand.
    """

    points: Sequence[Point]
    level: Level
    objective: Objective
    max_batch: int = 8
    capacity: int = 64
    request_seconds: float = REQUEST_SECONDS
    noise: float = 0.15
    slowdown: float = 1.0


def standing_of(box: Box) -> Standing:
    """How the controller would steer the box before anything came: what it can do at all."""
    return _controller(box).standing(0.0, _MODEL)


def _controller(box: Box) -> Controller:
    made = Controller([_MODEL], lambda _: box.level, lambda: box.objective, box.max_batch)
    made.calibrate(_MODEL, box.points)
    return made


@dataclass
class _Running:
    """The batch that the engine computes."""

    batch: Batch[Job[float]]
    started: float
    ends: float


class _Simulation:
    """A job's payload is the time at which its client sent it.

    Requests and answers pass through one event loop, one after another. The engine uses every core, so what the loop
    does during a batch makes the batch end later by as much.
    """

    def __init__(self, box: Box, arrivals: Sequence[float], seed: int) -> None:
        self._box, self._arrivals = box, deque(arrivals)
        self._random = np.random.default_rng(seed)
        self._truth = Latency(box.points)
        self._controller = _controller(box)
        self._batching = Batching[float](self._controller, capacity=box.capacity)
        self._received: deque[tuple[float, Job[Any]]] = deque()  # with the times from which they can wait
        self._loop_free_at = 0.0
        self._running: _Running | None = None
        self.run = Run(box.objective.slo_seconds, agreements(box.points))

    def play(self) -> Run:
        """Every arrival is looked at and offered, every batch ends; ticks fall between while nothing waits."""
        tick = TICK_SECONDS
        while self._arrivals or self._received or self._running:
            arrival = max(self._arrivals[0], self._loop_free_at) if self._arrivals else _NEVER
            offer = self._received[0][0] if self._received else _NEVER
            end = self._running.ends if self._running else _NEVER
            now = min(arrival, offer, end, _NEVER if self._running else tick)
            if self._running and now == end:
                self._finish(self._running, now)
            elif now == arrival and now != offer:
                self._receive(now)
                continue
            else:
                if now == offer:
                    self._offer(now)
                if self._running is None:
                    self._take(now)
            tick = now + TICK_SECONDS
        return self.run

    def _loop(self, now: float, seconds: float) -> float:
        """So much work, once the loop has done what came before; when that is done."""
        self._loop_free_at = max(now, self._loop_free_at) + seconds
        if self._running:
            self._running.ends += seconds
        return self._loop_free_at

    def _receive(self, now: float) -> None:
        """The service sees a request when its loop comes to it, counts the deadline from then, and may refuse it."""
        sent, slo_seconds = self._arrivals.popleft(), self._box.objective.slo_seconds
        reserve = self._batching.reserve(slo_seconds)
        job: Job[Any] = Job(_MODEL, None, None, now, now + slo_seconds, False, sent, reserve)
        self.run.offered.append(sent)
        self.run.depths.append(self._batching.depth())
        if self._batching.expect(now, [job]) is None:
            self._received.append((self._loop(now, self._box.request_seconds / 2), job))
        else:
            self._loop(now, REFUSED * self._box.request_seconds)

    def _offer(self, now: float) -> None:
        _, job = self._received.popleft()
        self._batching.came([job])
        self._batching.offer(now, [job], expected_since=job.arrived)

    def _take(self, now: float) -> None:
        batch, _ = self._batching.take(now)
        if batch is not None:
            scatter = float(np.exp(self._box.noise * self._random.standard_normal()))
            seconds = self._box.slowdown * scatter * self._truth.mixed(batch.levels) + CALL_SECONDS
            behind = max(0.0, self._loop_free_at - now)  # the loop's work that falls into this batch
            self._running = _Running(batch, now, now + seconds + behind)

    def _finish(self, running: _Running, now: float) -> None:
        """The next batch begins before the answers of this one go out; behind an empty queue nobody looks."""
        self._batching.finished(now, running.batch, now - running.started)
        self._running = None
        if not self._batching.empty:
            self._take(now)
        for job, level in zip(running.batch.jobs, running.batch.levels, strict=True):
            leaves = self._loop(now, self._box.request_seconds / 2)
            self._batching.answered(leaves, job.arrived, job.deadline)
            self.run.answered.append(Answered(job.payload, leaves - job.payload, level))


def simulate(box: Box, arrivals: Sequence[float], seed: int) -> Run:
    """One box; `arrivals`: seconds, in order. The same arguments give the same run."""
    return _Simulation(box, arrivals, seed).play()
