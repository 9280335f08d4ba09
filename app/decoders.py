"""Threads for work on a client's bytes: no more at once than there are threads, and nothing kept that nobody awaits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Decoders:
    """Used from one event loop."""

    def __init__(self, threads: int, name: str = "decode") -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = asyncio.Semaphore(threads)

    async def run(self, function: Callable[[], T]) -> T:
        """The result of `function`, in a thread, in the order of arrival.

        A caller that is cancelled while it waits leaves nothing behind. Running work cannot be stopped from outside:
        it keeps its thread and its bytes until it returns, and only then may the next begin, so that bodies whose
        clients left never pile up.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()

        def release(_work: "Future[T]") -> None:
            loop.call_soon_threadsafe(self._free.release)

        work = self._pool.submit(function)
        work.add_done_callback(release)
        return await asyncio.wrap_future(work)

    def shutdown(self) -> None:
        """Wait for what runs, then end the threads."""
        self._pool.shutdown()
