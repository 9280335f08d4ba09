"""What is counted and logged of an answer: a moment after it left, and for many answers at once."""

import asyncio
import logging
from asyncio.events import TimerHandle
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import ParamSpec

P = ParamSpec("P")
_SECONDS, _MOST = 0.05, 256
_log = logging.getLogger(__name__)


class Afterwards:
    """Used from the event loop only; who reads what is counted calls `now` first.

    A forward leaves nothing of Python in the processor's caches. One answer's counts and log line behind each take
    several times what the same take together, and the next request would wait for them.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer: TimerHandle | None = None

    def later(self, work: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do this soon, in the order of the calls and in this context."""
        self._waiting.append(partial(copy_context().run, _try, partial(work, *args, **kwargs)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.now)
        elif len(self._waiting) >= _MOST:
            self.now()

    def now(self) -> None:
        """Do what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._waiting.popleft()()


def _try(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001  the answers are out, and the other counts must not be lost
        _log.exception("what is counted behind an answer failed")
