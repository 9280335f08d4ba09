"""What arrives a second, over a short time and a long one: images, or seconds of work."""

import math

_FAST_SECONDS, _SLOW_SECONDS = 0.5, 5.0


class ArrivalRate:
    """Two exponentially weighted counts on a clock that is given; what was refused counts as well."""

    def __init__(self, fast_seconds: float = _FAST_SECONDS, slow_seconds: float = _SLOW_SECONDS) -> None:
        self._fast_seconds, self._slow_seconds = fast_seconds, slow_seconds
        self._at = -math.inf
        self._fast = self._slow = 0.0

    def arrived(self, now: float, amount: float) -> None:
        self._decay(now)
        self._fast += amount / self._fast_seconds
        self._slow += amount / self._slow_seconds

    def fast(self, now: float) -> float:
        """A second, over about the short time."""
        self._decay(now)
        return self._fast

    def slow(self, now: float) -> float:
        """A second, over about the long time."""
        self._decay(now)
        return self._slow

    def larger(self, now: float) -> float:
        """The larger of the two: a rise shows at once, a fall after a while."""
        return max(self.fast(now), self.slow(now))

    def _decay(self, now: float) -> None:
        passed, self._at = max(0.0, now - self._at), max(now, self._at)
        self._fast *= math.exp(-passed / self._fast_seconds)
        self._slow *= math.exp(-passed / self._slow_seconds)
