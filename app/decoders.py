"""Threads for work on a client's bytes: no more at once than there are threads, and nothing kept that nobody awaits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from app.handover import settle

T = TypeVar("T")


class Decoders:
    """Used from one event loop."""

    def __init__(self, threads: int, name: str = "decode") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = threads
        self._waiting: dict[asyncio.Future[Any], Callable[[], Any]] = {}

    def run(self, function: Callable[[], T]) -> "asyncio.Future[T]":
        """The result of `function`, in a thread, in the order of arrival.

        A caller that is cancelled while it waits leaves nothing behind. Running work cannot be stopped from outside:
        it keeps its thread and its bytes until it returns, and only then may the next begin, so that bodies whose
        clients left never pile up.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[future] = function
        future.add_done_callback(lambda gone: self._waiting.pop(gone, None))
        self._start()
        return future

    def _start(self) -> None:
        while self._free and self._waiting:
            future = next(iter(self._waiting))
            work = self._pool.submit(self._waiting.pop(future))
            work.add_done_callback(partial(self._done, future))
            self._free -= 1

    def _done(self, future: "asyncio.Future[Any]", work: "Future[Any]") -> None:
        """In the thread that did it."""
        future.get_loop().call_soon_threadsafe(self._hand_over, future, work)

    def _hand_over(self, future: "asyncio.Future[Any]", work: "Future[Any]") -> None:
        self._free += 1
        settle(future, work)
        self._start()

    def shutdown(self) -> None:
        """Wait for what runs, then end the threads."""
        self._pool.shutdown()
