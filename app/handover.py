"""Work handed to a thread, and its result back to the event loop, in as few steps as that takes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def run_in(thread: Executor, work: Callable[[], T]) -> T:
    """The result of `work` as `loop.run_in_executor` gives it, but that this cannot be cancelled before it began.

    That ties two futures together, each with callbacks of its own, while what it runs has left nothing of Python in
    the processor's caches: some 65 microseconds of a request.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():  # whoever waited was cancelled
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        else:
            future.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  it is raised where the result is awaited
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, result, None)

    thread.submit(run)
    return await future
