"""How long a batch takes on this machine: as it was calibrated, corrected by what is measured while serving."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from app.contract import Level, Point, order

_UNKNOWN_SECONDS = 0.001
_GAIN, _SPREAD_GAIN, _SPREADS = 1 / 16, 1 / 8, 2.0
_SPREAD_AT_START, _FARTHEST = 0.1, 4.0
_LEAST_SECONDS = 1e-6


class Latency:
    """Seconds by level and batch size. Without a calibration every level costs what the last batches did.

    The correction is the running ratio of measured to calibrated time and its mean deviation, as TCP estimates a round
    trip (Jacobson 1988): `cautious` lies two deviations above the mean.
    """

    def __init__(self, points: Iterable[Point] = ()) -> None:
        table: dict[Level, dict[int, float]] = {}
        for point in points:
            table.setdefault(point.level, {})[point.batch] = point.median_ms / 1e3
        self._levels = sorted(table, key=order)
        self._orders = [order(level) for level in self._levels]
        self._table = {level: sorted(by_batch.items()) for level, by_batch in table.items()}
        self._batches: dict[tuple[Level, int], float] = {}
        self._best: dict[tuple[Level, int, float], int] = {}
        self._images: dict[tuple[Level, int], float] = {}
        self._ratio: float | None = 1.0 if table else None
        self._spread = _SPREAD_AT_START

    @property
    def calibrated(self) -> bool:
        return bool(self._table)

    @property
    def cautious(self) -> float:
        """The factor on calibrated times that few batches exceed."""
        return (1.0 if self._ratio is None else self._ratio) + _SPREADS * self._spread

    @property
    def expected(self) -> float:
        """The factor on calibrated times that the last batches took."""
        return 1.0 if self._ratio is None else self._ratio

    @property
    def nominal(self) -> float:
        """The factor on a machine that does nothing else."""
        return 1.0 if self.calibrated else self.expected

    def batch(self, level: Level, images: int) -> float:
        """Calibrated seconds of a batch of one level; between two sizes linear, beyond the largest in proportion."""
        key = level, images
        if key not in self._batches:
            self._batches[key] = self._interpolated(self._rows(level), images)
        return self._batches[key]

    @staticmethod
    def _interpolated(rows: Sequence[tuple[int, float]], images: int) -> float:
        if not rows:
            return _UNKNOWN_SECONDS * images
        sizes = [size for size, _ in rows]
        right = bisect_left(sizes, images)
        if right == len(rows):
            size, seconds = rows[-1]
            return seconds * images / size
        size, seconds = rows[right]
        if size == images or right == 0:
            return seconds
        below, seconds_below = rows[right - 1]
        return seconds_below + (seconds - seconds_below) * (images - below) / (size - below)

    def mixed(self, levels: Sequence[Level]) -> float:
        """Calibrated seconds of one batch whose images run at these levels: each has its share of the time."""
        images = len(levels)
        if levels.count(levels[0]) == images:
            return self.batch(levels[0], images)
        return sum(self.batch(level, images) for level in levels) / images

    def best_batch(self, level: Level, most: int, call_seconds: float) -> int:
        """The size up to `most` that takes the least time an image, with `call_seconds` for each call beside."""
        key = level, most, call_seconds
        if key not in self._best:
            sizes = {1, most} | {size for size, _ in self._rows(level) if size <= most}
            self._best[key] = min(sorted(sizes), key=lambda size: (self.batch(level, size) + call_seconds) / size)
        return self._best[key]

    def image(self, level: Level, most: int) -> float:
        """Calibrated seconds an image where many wait: in batches of the best size."""
        key = level, most
        if key not in self._images:
            size = self.best_batch(level, most, 0.0)
            self._images[key] = self.batch(level, size) / size
        return self._images[key]

    def observe(self, levels: Sequence[Level], seconds: float) -> None:
        """Learn from a batch that took `seconds`, or would have with nothing beside it."""
        ratio = seconds / max(self.mixed(levels), _LEAST_SECONDS)
        if self._ratio is None:
            self._ratio, self._spread = ratio, _SPREAD_AT_START * ratio
            return
        error = min(ratio, _FARTHEST * self._ratio) - self._ratio  # a pause of the machine is no slower engine
        self._ratio += _GAIN * error
        self._spread += _SPREAD_GAIN * (abs(error) - self._spread)

    def _rows(self, level: Level) -> Sequence[tuple[int, float]]:
        """Of the level; of the next one that merges less where it was not measured, which is no faster."""
        if not self._levels:
            return ()
        index = bisect_left(self._orders, order(level))
        return self._table[self._levels[min(index, len(self._levels) - 1)]]
