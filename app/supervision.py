"""What the supervisor hears of the service: that it is ready, that it still makes progress, that it stops."""

import math
from concurrent.futures import Future

from app.notify import Notifier
from app.service import Service

_BEATS = 4
"""Beats in the time after which the supervisor would end the process: three may be late."""
_STATUS_SECONDS = 10.0
"""Between two reports where the supervisor sets no time."""
_LONGEST_LOAD_SECONDS = 900.0
"""What the engine's thread may be busy for with loading and calibrating models; a batch takes under a second."""


class Supervision:
    """`look` belongs to every tick of the event loop, so a loop that stands still sends nothing.

    A beat also needs the engine's thread to have come, since the one before, to what it was given then.
    """

    def __init__(self, service: Service, notifier: Notifier) -> None:
        self._service, self._notifier = service, notifier
        watchdog = notifier.watchdog_seconds
        self._seconds = _STATUS_SECONDS if watchdog is None else watchdog / _BEATS
        self._next = -math.inf
        self._turn: Future[None] | None = None
        self._progress = -math.inf
        self._told_ready = False

    def look(self, now: float) -> None:
        """Tell what is due; `now` in seconds on a clock that never goes back."""
        if not self._notifier.listened:
            return
        if self._service.loaded and not self._told_ready:
            self._told_ready = True
            self._notifier.tell(READY="1", STATUS=self._status())
        if now >= self._next:
            self._next = now + self._seconds
            self._report(now)

    def _report(self, now: float) -> None:
        """A beat with the state. Until the service is ready it also asks for time, of which the start has a limit."""
        if not self._alive(now):
            self._notifier.tell(STATUS=f"the engine has not answered for {now - self._progress:.0f} s")
            return
        more = {} if self._told_ready else {"EXTEND_TIMEOUT_USEC": str(round(_BEATS * self._seconds * 1e6))}
        self._notifier.tell(WATCHDOG="1", STATUS=self._status(), **more)

    def _alive(self, now: float) -> bool:
        if self._turn is None or self._turn.done():
            self._turn, self._progress = self._service.engine_turn(), now
            return True
        return self._service.repository.loading and now - self._progress < _LONGEST_LOAD_SECONDS

    def _status(self) -> str:
        service = self._service
        if not service.loaded:
            return f"loading {', '.join(service.names)}"
        levels = ", ".join(f"{name} at L = {service.standing(name).level}" for name in service.names)
        return f"serving {levels}; {service.batching.depth()} images wait"

    def stopping(self) -> None:
        """The service takes nothing new from now on."""
        self._notifier.tell(STOPPING="1", STATUS=self._service.failure or "finishing what was accepted")
