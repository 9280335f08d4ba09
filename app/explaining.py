"""The path of a request to see merging: bounded in rate, one at a time, on a thread beside the engine's."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from app.contract import Engine, Level, Shown
from app.decoders import Decoders
from app.errors import Busy, NotFound
from app.parameters import ExplainChoice
from app.preparation import Preparation
from app.schemas import Explained

_WINDOW_SECONDS = 60.0
_MOST_AT_ONCE = 4  # one that is worked on, the others waiting


class RateLimit:
    """At most so many in any minute, on a clock of seconds that it is given."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._taken: deque[float] = deque()

    def take(self, now: float) -> None:
        """Count one more; Busy says after how long there is room, where there is none."""
        while self._taken and now - self._taken[0] >= _WINDOW_SECONDS:
            self._taken.popleft()
        if len(self._taken) >= self._per_minute:
            seconds = math.ceil(self._taken[0] + _WINDOW_SECONDS - now)
            raise Busy(f"{self._per_minute} images a minute may be explained", retry_after_seconds=seconds)
        self._taken.append(now)


class Explaining:
    """Used from the event loop only. Its thread begins with the first request."""

    def __init__(self, engine: Engine, preparation: Preparation, per_minute: int) -> None:
        """per_minute: requests in any minute; 0: none."""
        self._engine, self._preparation = engine, preparation
        self._rate = RateLimit(per_minute) if per_minute else None
        self._thread = Decoders(1, "explain")
        self._at_once = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Around a request, before its body is read. NotFound where it is turned off, Busy where there are too many."""
        if self._rate is None:
            raise NotFound("/explain is turned off: start the service with HASTE_EXPLAIN_PER_MINUTE above 0")
        if self._at_once >= _MOST_AT_ONCE:
            raise Busy(f"{self._at_once} images are being explained or wait for it", retry_after_seconds=1)
        self._rate.take(time.monotonic())
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1

    async def explain(self, encoded: bytes, choice: ExplainChoice, level: Level) -> Explained:
        """Decode the image, wait for the thread, look. A caller that is cancelled while it waits leaves nothing."""
        model = choice.model.name
        (image,) = await self._preparation.prepare(model, [encoded])
        shown = Shown(image.prepared, level, choice.layer, choice.row, choice.column)
        return await self._thread.run(partial(self._engine.explain, model, shown))

    def shutdown(self) -> None:
        """Wait for what runs, then end the thread."""
        self._thread.shutdown()
