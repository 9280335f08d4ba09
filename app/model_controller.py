"""Where one model stands between its configured level and L_min: down as load asks, up after relief."""

import math
from collections.abc import Callable, Sequence

from app.arrival_rate import ArrivalRate
from app.contract import Level, Point, at_least, order
from app.interference import Interference
from app.latency import Latency
from app.objective import CALL_SECONDS, Cause, Change, Objective
from app.overload import refused_share

_FASTER = 0.98
_REFUSED_SHARE = 0.01
_UP_REFUSED_SHARE = 0.003
_UP_SECONDS, _LONGEST_UP_SECONDS, _SETTLED_SECONDS = 1.0, 8.0, 10.0


class ModelController:
    """One model's rungs, from the configured level down to L_min, and the rung that it stands on."""

    def __init__(self, model: str, max_batch: int, interference: Interference) -> None:
        self.model, self._max_batch, self._interference = model, max_batch, interference
        self.latency = Latency()
        self._rates: dict[Level | None, ArrivalRate] = {}  # by the least level that is asked for
        self.rungs: tuple[Level, ...] = ()
        self._rung = 0
        self._points: Sequence[Point] = ()
        self._measured: tuple[Level, ...] = ()
        self._upper_fits_since: float | None = None
        self._went_up, self._up_after = -math.inf, _UP_SECONDS
        self._configured: tuple[Level, Objective] | None = None

    def calibrate(self, points: Sequence[Point]) -> None:
        """Take another calibration, an empty one where it does not hold any more; what was learned is forgotten."""
        if self._points == points:
            return
        self._points = points
        self.latency = Latency(points)
        self._measured = tuple(sorted({point.level for point in points}, key=order, reverse=True))
        self._configured = None

    def arrived(self, now: float, images: int, least: Level | None) -> None:
        """Count images that the controller steers, not under `least`."""
        self._rates.setdefault(least, ArrivalRate()).arrived(now, images)

    def _load(self, now: float, level: Level, rate_of: Callable[[ArrivalRate], float]) -> float:
        """Share of the engine's time that the arrivals need while the model stands at a level."""
        rates = self._rates.items()
        return sum(rate_of(rate) * self.image_seconds(now, at_least(level, least)) for least, rate in rates)

    @property
    def level(self) -> Level:
        return self.rungs[self._rung]

    @property
    def ceiling(self) -> Level:
        return self.rungs[0]

    @property
    def floor(self) -> Level:
        return self.rungs[-1]

    def image_seconds(self, now: float, level: Level) -> float:
        """Expected seconds an image while batches follow each other, beside what came over some seconds."""
        seconds = self.latency.expected * self.latency.image(level, self._max_batch) + CALL_SECONDS
        return self._interference.mean_stretch(now) * seconds

    def configure(self, ceiling: Level, objective: Objective) -> Change | None:
        """Stand below `ceiling` on no rung that is not faster than the one above it, nor under L_min."""
        if self._configured == (ceiling, objective):
            return None
        self._configured = ceiling, objective
        before = self.level if self._rung else ceiling
        rungs = [ceiling]
        for level in self._measured if objective.enabled else ():
            if order(objective.L_min) <= order(level) < order(ceiling) and self._faster(level, rungs[-1]):
                rungs.append(level)
        self.rungs = tuple(rungs)
        self._rung = next((i for i, level in enumerate(rungs) if order(level) <= order(before)), len(rungs) - 1)
        self._upper_fits_since = None
        return self._change(before, "config")

    def _faster(self, level: Level, than: Level) -> bool:
        latency, most = self.latency, self._max_batch
        alone = latency.batch(level, 1) < _FASTER * latency.batch(than, 1)
        return alone and latency.image(level, most) < _FASTER * latency.image(than, most)

    def step(
        self, now: float, room_seconds: float, in_time: Callable[[Level], bool], other_load: float
    ) -> Change | None:
        """Before a batch: down at once as far as the queue or the rate asks, up by one rung after a while of relief.

        room_seconds: what an image may take until its answer leaves. in_time: whether all that waits would be in time
        at a level. other_load: the share of the engine's time that is needed for what this model's controller does not
        steer.
        """
        if len(self.rungs) < 2:
            return None
        before = self.level
        by_queue = self._first(in_time)

        def fits(level: Level) -> bool:
            load = self._load(now, level, lambda rate: rate.fast(now)) + other_load
            return self._refused(now, level, load, room_seconds) <= _REFUSED_SHARE

        by_rate = self._first(fits)
        wanted = max(by_queue, by_rate)
        if wanted > self._rung:
            self._rung, self._upper_fits_since = wanted, None
            self._learn_from_going_down(now)
            return self._change(before, "queue" if by_queue > by_rate else "rate")
        if self._rung and self._upper_fits(now, room_seconds, by_queue, other_load):
            self._rung, self._upper_fits_since, self._went_up = self._rung - 1, now, now
            return self._change(before, "relief")
        return None

    def _learn_from_going_down(self, now: float) -> None:
        """Soon after going up that was too early: the next time waits twice as long; else as at the beginning."""
        too_early = now - self._went_up < _SETTLED_SECONDS
        self._up_after = min(2 * self._up_after, _LONGEST_UP_SECONDS) if too_early else _UP_SECONDS

    def _first(self, fits: Callable[[Level], bool]) -> int:
        return next((i for i, level in enumerate(self.rungs) if fits(level)), len(self.rungs) - 1)

    def _upper_fits(self, now: float, room_seconds: float, by_queue: int, other_load: float) -> bool:
        """Whether the rung above would have done for some time, by the larger of the fast and the slow rate."""
        upper = self._rung - 1
        load = self._load(now, self.rungs[upper], lambda rate: rate.larger(now)) + other_load
        refused = self._refused(now, self.rungs[upper], load, room_seconds)
        if by_queue > upper or refused > _UP_REFUSED_SHARE:
            self._upper_fits_since = None
            return False
        if self._upper_fits_since is None:
            self._upper_fits_since = now
        return now - self._upper_fits_since >= self._up_after

    def _refused(self, now: float, level: Level, load: float, room_seconds: float) -> float:
        seconds = self.image_seconds(now, level)
        return refused_share(load, (room_seconds - seconds) / seconds)

    def load(self, now: float) -> float:
        """Share of the engine's time that the arrivals need where the model stands; a rise shows at once."""
        return self._load(now, self.level, lambda rate: rate.larger(now))

    def pressure(self, now: float) -> float:
        """The share that they would need at the configured level, over some seconds."""
        return self._load(now, self.ceiling, lambda rate: rate.slow(now))

    def _change(self, before: Level, cause: Cause) -> Change | None:
        return None if self.level == before else Change(self.model, before, self.level, cause)
