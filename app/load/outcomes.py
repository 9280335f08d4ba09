"""What became of every arrival: flat arrays with one place each, written while the load runs."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.arrivals import Times

Level = int | Literal["exact", "dense"]


MOST_LATE_SECONDS = 2.0
"""What is due for longer is not sent any more: a rate that this tool cannot send would have no end."""


class Fate(IntEnum):
    """What happened instead of an HTTP status."""

    UNANSWERED = 0
    NOT_SENT = -1
    TIME_OUT = -2
    CONNECTION = -3
    UNREADABLE = -4


_FATES = {
    Fate.UNANSWERED: "unanswered at the end",
    Fate.NOT_SENT: "not sent",
    Fate.TIME_OUT: "client time-out",
    Fate.CONNECTION: "connection failed",
    Fate.UNREADABLE: "unreadable answer",
}
_LEVELS: dict[int, Level] = {-1: "exact", -2: "dense"}
_CODES = {name: code for code, name in _LEVELS.items()}
NO_LEVEL = 0


def code_name(code: int) -> str:
    """`429`, or what happened instead of a status."""
    return str(code) if code > 0 else _FATES[Fate(code)]


def level_of(code: int) -> Level:
    """The level that `Outcomes.level` holds as a number."""
    return _LEVELS.get(code, code)


@dataclass(frozen=True)
class Reading:
    """What one answer says: the class, and where the service steers, the level used and whether it was lowered."""

    label: str
    level: Level | None = None
    degraded: bool = False


class Outcomes:
    """Times in seconds from the start of the load, nan where it did not come to that; codes: a status or a `Fate`.

    scheduled, sent, finished: (N,) float64; code: (N,) int16; level: (N,) int16, see `level_of`, 0 where no answer
    named one; labelled, correct, degraded: (N,) bool. `reached` arrivals have come, the rest lies ahead.
    """

    def __init__(self, times: Times) -> None:
        count = len(times)
        self.scheduled = times
        self.sent, self.finished = np.full(count, np.nan), np.full(count, np.nan)
        self.code, self.level = np.zeros(count, np.int16), np.zeros(count, np.int16)
        self.labelled, self.correct, self.degraded = (np.zeros(count, np.bool_) for _ in range(3))
        self.reached = 0
        self.cpu_seconds = self.wall_seconds = 0.0

    def answered(self, index: int, reading: Reading, label: str | None) -> None:
        """Note what an answer says; `label`: the class that is right, None where nobody knows."""
        if reading.level is not None:
            self.level[index] = reading.level if isinstance(reading.level, int) else _CODES[reading.level]
        self.degraded[index] = reading.degraded
        self.correct[index] = label is not None and reading.label == label

    @property
    def latency(self) -> NDArray[np.float64]:
        """Seconds from the scheduled time, (N,) float64; nan where no answer came."""
        latency: NDArray[np.float64] = self.finished - self.scheduled
        return latency

    def column(self, name: str) -> NDArray[Any]:
        """One array, as far as the load has come."""
        values: NDArray[Any] = getattr(self, name)
        return values[: self.reached]


Watch = Callable[[Outcomes, float], None]
"""Called about twice a second while a load runs, with what there is and the seconds since its start."""
