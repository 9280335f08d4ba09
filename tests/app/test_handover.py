"""Work in a thread: its result, its error, and a caller that did not wait."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from app.handover import run_in


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1, thread_name_prefix="engine") as executor:
        yield executor


def test_work_runs_in_the_thread_and_its_result_comes_back(thread: ThreadPoolExecutor) -> None:
    name = asyncio.run(run_in(thread, lambda: threading.current_thread().name))
    assert name.startswith("engine")


@pytest.mark.parametrize("error", [ValueError("no"), MemoryError(), SystemExit(3)], ids=["value", "memory", "exit"])
def test_whatever_it_raises_is_raised_where_it_is_awaited(thread: ThreadPoolExecutor, error: BaseException) -> None:
    def work() -> None:
        raise error

    async def ask() -> BaseException:
        with pytest.raises(type(error)) as caught:
            await run_in(thread, work)
        return caught.value

    assert asyncio.run(ask()) is error
    assert asyncio.run(run_in(thread, lambda: 1)) == 1  # the thread lives


def test_a_caller_that_is_cancelled_harms_neither_the_work_nor_the_loop(thread: ThreadPoolExecutor) -> None:
    gate, troubles = threading.Event(), []

    async def ask() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: troubles.append(context))
        left = asyncio.create_task(run_in(thread, lambda: gate.wait(10)))
        await asyncio.sleep(0)
        left.cancel()
        with suppress(asyncio.CancelledError):
            await left
        gate.set()
        return await run_in(thread, lambda: 2)

    assert asyncio.run(ask()) == 2
    assert troubles == []
