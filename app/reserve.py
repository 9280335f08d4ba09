"""What share of a deadline to keep back at admission, beyond what is always left: learned from what was late."""

import math
from dataclasses import dataclass

LEAVES = 0.93
"""The part of a deadline after which an answer that leaves counts as late. The rest is for its way to the client, and
for what the service cannot see: how long the request lay in the socket while the event loop was busy with others. On
loopback at 1.5x capacity and 47 ms: of 4,572 answers the service saw 22 leave after .95, 33 after .9; 39 came late.
"""

_LATE_SHARE = 0.005  # half of the 1 % that may be late
_STEP, _MOST = 0.03, 0.3  # of a deadline
_LOCKED_SECONDS = 2.0


@dataclass
class _Octave:
    share: float = 0.0
    answered_at: float = -math.inf


class Reserve:
    """Shares of deadlines, each of which stands still where one answer of 200 is late.

    A late answer moves its share up by a step, one in time down by 1/199 of that: a quantile followed as Robbins and
    Monro (1951) find a root. Forwards that scatter, an event loop that is behind, a machine that others use: whatever
    makes answers late, the same remedy. Every octave of deadlines has its own share, so that a client whose deadlines
    are too tight for this machine takes none of the time that others have.
    """

    def __init__(self) -> None:
        self._octaves: dict[int, _Octave] = {}

    def share(self, seconds: float) -> float:
        """What to keep back of a deadline that is so many seconds long; 0..0.3."""
        return self._of(seconds).share

    def answered(self, now: float, arrived: float, deadline: float) -> None:
        """Learn from an answer that leaves now."""
        seconds = deadline - arrived
        late, own = now > arrived + LEAVES * seconds, self._of(seconds)
        own.share += _STEP * ((1 - _LATE_SHARE) if late else -_LATE_SHARE)
        own.share, own.answered_at = min(max(own.share, 0.0), _MOST), now

    def refused(self, now: float, seconds: float) -> None:
        """The share alone refused a request: where that happens to all, no answer would ever teach it otherwise."""
        own = self._of(seconds)
        if now - own.answered_at > _LOCKED_SECONDS:
            own.share = max(own.share - _STEP, 0.0)

    def _of(self, seconds: float) -> _Octave:
        return self._octaves.setdefault(math.frexp(seconds)[1], _Octave())
