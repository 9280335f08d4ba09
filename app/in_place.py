"""Short work on the event loop's own thread, which saves two hand-overs and leaves its caches warm."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

MOST_SECONDS = 0.02
"""Of work that is done in place: nothing else is answered meanwhile, not even a probe."""

_TURNS = 4


class InPlace:
    """Remembers since when the loop was away, for whoever must know when a request came.

    Bytes that come meanwhile lie in the socket. They are read in the next turn of the loop or, on a new connection, in
    the one after, and their request is looked at one turn later.
    """

    def __init__(self) -> None:
        self._away_since: float | None = None

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises."""
        self._away_since = since = time.perf_counter()
        try:
            return work()
        finally:
            self._back(since, _TURNS)

    def _back(self, since: float, turns: int) -> None:
        if self._away_since != since:
            return
        if turns:
            asyncio.get_running_loop().call_soon(self._back, since, turns - 1)
        else:
            self._away_since = None

    def earliest(self, now: float) -> float:
        """When a request that is looked at now may have come, at the earliest."""
        return now if self._away_since is None else self._away_since
