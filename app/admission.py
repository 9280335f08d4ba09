"""Bounds what classify requests hold in memory at once: how many there are, and the bytes of their bodies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import Busy


class Admission:
    """Used from the event loop only."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def admit(self) -> Iterator[Callable[[int], None]]:
        """Around a request, before its body is read; give what it yields the size of each chunk that arrives.

        Busy where as many requests are in flight as may be, or a chunk is one too many. All is given back at the end.
        """
        if self.requests >= self._max_requests:
            raise Busy(f"{self.requests} requests are being worked on, as many as may be", retry_after_seconds=1)
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self.bytes + size > self._max_bytes:
                raise Busy(f"the bodies in flight may have {self._max_bytes} bytes together", retry_after_seconds=1)
            held += size
            self.bytes += size

        self.requests += 1
        try:
            yield hold
        finally:
            self.requests -= 1
            self.bytes -= held
