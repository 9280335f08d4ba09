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
    the one after, and their request is looked at one turn later. `run` is called while it is `back` alone.
    """

    def __init__(self) -> None:
        self._away_since: float | None = None

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises."""
        self._away_since = time.perf_counter()
        try:
            return work()
        finally:
            self._return(_TURNS)

    def _return(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._return, turns - 1)
        else:
            self._away_since = None

    @property
    def back(self) -> bool:
        """Whether what came meanwhile has been looked at; before that, more work would be done in its way."""
        return self._away_since is None

    def earliest(self, now: float) -> float:
        """When a request that is looked at now may have come, at the earliest."""
        return now if self._away_since is None else self._away_since
