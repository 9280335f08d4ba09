"""Holds the latency objective by lowering L: pure logic on a clock that it is given, for all models of an engine."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

from app.arrival_rate import ArrivalRate
from app.contract import Level, Point, at_least, order
from app.interference import Interference
from app.latency import Latency
from app.model_controller import ModelController
from app.objective import CALL_SECONDS, ON_TIME, Change, Objective
from app.plan import Batch, Planner, Waiting

W = TypeVar("W", bound=Waiting)
SWITCHED_OFF, UNCALIBRATED = "it is switched off", "there is no calibration that holds"
"""Why a controller may do nothing, besides that no level is faster."""
_LONE_SECONDS, _MANY = 0.05, 8


@dataclass(frozen=True)
class Standing:
    """How a model is steered now. `off`: why the controller does nothing, None while it may.

    warning: why the objective cannot be held at the levels it may use now, None where an idle box holds it.
    pressure: the share of the engine's time that the arrivals of all models would need at their configured levels;
    above 1 the box is too small for them, however well the objective is held.
    """

    level: Level
    configured: Level
    lowest: Level
    off: str | None
    warning: str | None
    pressure: float

    @property
    def degraded(self) -> bool:
        return self.level != self.configured


class Controller:
    """Chooses the level of every image that names none. Reads the configuration anew at every batch."""

    def __init__(
        self,
        models: Iterable[str],
        configured: Callable[[str], Level],
        objective: Callable[[], Objective],
        max_batch: int,
    ) -> None:
        self.interference = Interference()
        self._models: Mapping[str, ModelController] = {
            name: ModelController(name, max_batch, self.interference) for name in models
        }
        self._configured, self._objective, self._max_batch = configured, objective, max_batch
        self._planner = Planner(self.latency, max_batch, self.interference)
        self._fixed = ArrivalRate()
        self._stepped_at, self._came = -math.inf, 0
        self.reconfigure()

    def calibrate(self, model: str, points: Sequence[Point]) -> list[Change]:
        """Use this calibration of a model from now on, an empty one where none holds."""
        self._models[model].calibrate(points)
        return self.reconfigure()

    def reconfigure(self) -> list[Change]:
        """Follow the configuration: the levels and the objective."""
        objective = self._objective()
        changes = [own.configure(self._configured(name), objective) for name, own in self._models.items()]
        return [change for change in changes if change is not None]

    @property
    def slo_seconds(self) -> float:
        """The latency objective."""
        return self._objective().slo_seconds

    def latency(self, model: str) -> Latency:
        return self._models[model].latency

    def arrived(self, now: float, model: str, level: Level | None, images: int, least: Level | None = None) -> None:
        """Count what is asked for, accepted or not; least: under which the controller may not go for it."""
        own = self._models[model]
        self._came += images
        if level is None:
            own.arrived(now, images, least)
        else:
            self._fixed.arrived(now, images * own.image_seconds(now, level))

    def level(self, waiting: Waiting) -> Level:
        """The level that an image would run at now."""
        return _of(waiting, self._models[waiting.model].level)

    def lowest(self, waiting: Waiting) -> Level:
        """The lowest level that an image may run at."""
        return _of(waiting, self._models[waiting.model].floor)

    def degraded(self, waiting: Waiting, used: Level) -> bool:
        """Whether the image ran at a lower level than it would have without load."""
        return used != _of(waiting, self._models[waiting.model].ceiling)

    def nominal_seconds(self, waiting: Waiting, images: int) -> float:
        """What so many images take at their lowest level on a machine that does nothing else."""
        latency = self.latency(waiting.model)
        level = self.lowest(waiting)
        many = images * latency.image(level, self._max_batch)
        return latency.nominal * max(many, latency.batch(level, 1)) + CALL_SECONDS

    def alone_seconds(self, waiting: Waiting) -> float:
        """What one image takes without load, by a cautious estimate; infinity where there is no calibration."""
        latency = self.latency(waiting.model)
        seconds = latency.cautious * latency.batch(_of(waiting, self._models[waiting.model].ceiling), 1)
        return seconds if latency.calibrated else math.inf

    def dense_seconds(self, model: str, images: int) -> float | None:
        """What a batch takes dense as calibrated, None without a calibration."""
        latency = self.latency(model)
        return latency.batch("dense", images) if latency.calibrated else None

    def batch(self, now: float, queue: Sequence[W]) -> Batch[W]:
        """The next batch of what waits, most urgent first, at the levels of now."""
        return self._planner.next(now, queue, self.level)

    def ends(self, now: float, busy: float, queue: Sequence[W]) -> Iterator[tuple[W, float]]:
        """When each image of the queue would be answered, at the lowest levels, the engine `busy` for so long alone."""
        return self._planner.ends(now, busy, queue, self.lowest)

    def observe(self, batch: Batch[W], seconds: float, work: float) -> None:
        """Learn from a batch what it took of its engine, and what the work beside it added."""
        latency = self.latency(batch.model)
        calibrated = latency.mixed(batch.levels)
        alone = self.interference.without(seconds, work)
        self.interference.observe(seconds, latency.expected * calibrated, calibrated, work)
        latency.observe(batch.levels, alone)

    def step(self, now: float, queue: Sequence[Waiting], reserve: float = 0.0) -> list[Change]:
        """Before a batch, and at every tick: every model moves on its rungs as the queue and the rates ask.

        reserve: the share of the objective that admission keeps back. Right behind a step, before one image that waits
        alone and is in time as things stand, nothing is asked again unless many came.
        """
        few = len(queue) == 1 and now - self._stepped_at < _LONE_SECONDS and self._came < _MANY
        if few and all(end <= waiting.due for waiting, end in self._planner.ends(now, 0.0, queue, self.level)):
            return []
        self._stepped_at, self._came = now, 0
        changes = self.reconfigure()
        seconds = (ON_TIME - reserve) * self._objective().slo_seconds
        late = cache(partial(self._late, now, queue))
        for model, own in self._models.items():
            in_time = partial(self._in_time, now, queue, model, late)
            change = own.step(now, seconds, in_time, self._other_load(now, model))
            changes += [] if change is None else [change]
        return changes

    def _late(self, now: float, queue: Sequence[Waiting]) -> AbstractSet[int]:
        """What is late at the lowest levels too, for which no step is worth its price."""
        return {id(waiting) for waiting, end in self.ends(now, 0.0, queue) if end > waiting.due}

    def _in_time(
        self, now: float, queue: Sequence[Waiting], model: str, late: Callable[[], AbstractSet[int]], level: Level
    ) -> bool:
        """Whether all that waits would be in time with this model at this level and the others where they stand."""

        def of(waiting: Waiting) -> Level:
            return _of(waiting, level if waiting.model == model else self._models[waiting.model].level)

        ends = self._planner.ends(now, 0.0, queue, of)
        return all(end <= waiting.due or id(waiting) in late() for waiting, end in ends)

    def standing(self, now: float, model: str) -> Standing:
        own, objective = self._models[model], self._objective()
        pressure = sum(each.pressure(now) for each in self._models.values()) + self._fixed.slow(now)
        off, warning = self._off(own, objective), self._warning(own, objective)
        return Standing(own.level, own.ceiling, own.floor, off, warning, pressure)

    def _off(self, own: ModelController, objective: Objective) -> str | None:
        if not objective.enabled:
            return SWITCHED_OFF
        if not own.latency.calibrated:
            return UNCALIBRATED
        if order(own.ceiling) <= order(objective.L_min):
            return f"the configured L, {own.ceiling}, is not above L_min, {objective.L_min}"
        return None if len(own.rungs) > 1 else f"no level from {own.ceiling} down to L_min {objective.L_min} is faster"

    def _warning(self, own: ModelController, objective: Objective) -> str | None:
        least = own.latency.batch(own.floor, 1) + CALL_SECONDS
        if not own.latency.calibrated or least <= objective.slo_seconds:
            return None
        return f"one image takes {least * 1e3:.1f} ms at L = {own.floor}, too long for {objective.slo_ms} ms"

    def _other_load(self, now: float, model: str) -> float:
        others = sum(own.load(now) for name, own in self._models.items() if name != model)
        return others + self._fixed.larger(now)


def _of(waiting: Waiting, level: Level) -> Level:
    """The image's own level; where it has none, the model's, but not under what it asks for at least."""
    return waiting.level if waiting.level is not None else at_least(level, waiting.min_level)
