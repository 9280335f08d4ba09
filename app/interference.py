"""What the event loop takes of the engine's cores: how much it has to do, and what that costs the batch beside it."""

from dataclasses import dataclass

from app.arrival_rate import ArrivalRate

ACCEPTED, REFUSED, ANSWERED = 1.0, 0.7, 0.4
"""The work of a request that is accepted, of one that is refused and of an answer, as shares of the first: a regression
of the times of 6,121 batches under bursts gave 2.0, 1.35 and .8 ms, the client on the same cores (decision 0006)."""

_FAST_SECONDS, _SLOW_SECONDS = 0.05, 2.0
_SECONDS_AT_START, _MOST_SECONDS = 0.001, 0.004
_STEP, _FEW_PER_SECOND = 0.05, 400.0  # below so much work a calibrated second a batch teaches little
_MOST_ERROR_SECONDS = 0.001
_LEAST_SECONDS = 1e-6
_MOST_SHARE, _SOON_SECONDS = 0.7, 0.1


@dataclass(frozen=True)
class Beside:
    """What is expected beside the batches to come: for a tenth of a second as much as a moment ago, then as on average.

    soon, then: factors on the seconds of the engine. answer_seconds: between an answer of a batch and the next.
    """

    soon: float
    then: float
    answer_seconds: float

    def after(self, seconds: float) -> float:
        """When so many seconds of the engine are over, in seconds from now."""
        near = min(seconds, _SOON_SECONDS / self.soon)
        return self.soon * near + self.then * (seconds - near)

    def stretch(self, seconds: float) -> float:
        """The factor on a batch that begins after so many seconds of the engine."""
        return self.soon if seconds * self.soon < _SOON_SECONDS else self.then


class Interference:
    """Work is counted in accepted requests; `request_seconds`, what one adds to a batch, is learned from batches.

    Without it the first tenths of a second of a burst are predicted as if the calm before went on: the ratio of
    measured to calibrated time has to learn anew, batch by batch, what the number of requests tells at once.
    """

    def __init__(self) -> None:
        self._rate = ArrivalRate(_FAST_SECONDS, _SLOW_SECONDS)
        self.work = 0.0
        self.request_seconds = _SECONDS_AT_START

    def did(self, now: float, work: float) -> None:
        """A request came or an answer left."""
        self.work += work
        self._rate.arrived(now, work)

    def beside(self, now: float) -> Beside:
        """What is expected from now on."""
        soon = self._stretch(self._rate.larger(now))
        return Beside(soon, self.mean_stretch(now), ANSWERED * self.request_seconds)

    def mean_stretch(self, now: float) -> float:
        """The factor on the time of a batch by what came over some seconds; at least 1."""
        return self._stretch(self._rate.slow(now))

    def _stretch(self, rate: float) -> float:
        return 1 / (1 - min(self.request_seconds * rate, _MOST_SHARE))

    def without(self, seconds: float, work: float) -> float:
        """What a batch that took so many seconds would have taken without the work beside it."""
        return max(seconds - work * self.request_seconds, (1 - _MOST_SHARE) * seconds)

    def observe(self, seconds: float, alone: float, calibrated: float, work: float) -> None:
        """Learn from a batch: a step of the normalised least mean squares (Widrow and Hoff 1960).

        seconds: what it took with so much work beside it. alone: what was expected without. calibrated: what it is as
        calibrated, by which long batches and short ones count alike. No batch tells more than that each request took a
        millisecond more or less: where the machine itself stands still, many come beside one batch.
        """
        calibrated = max(calibrated, _LEAST_SECONDS)
        most, each = work * _MOST_ERROR_SECONDS, work / calibrated
        error = min(max(seconds - alone - work * self.request_seconds, -most), most) / calibrated
        step = _STEP * error * each / (_FEW_PER_SECOND**2 + each**2)
        self.request_seconds = min(max(self.request_seconds + step, 0.0), _MOST_SECONDS)
