"""Sends by the schedule, whatever comes back: late answers, refusals and silence never hold the next request up."""

import asyncio
import selectors
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import aiohttp
import numpy as np

from app.load.images import Payload
from app.load.outcomes import MOST_LATE_SECONDS, Fate, Outcomes, Watch
from app.load.target import Target

T = TypeVar("T")

MOST_CONNECTIONS = 900
_WATCH_SECONDS, _LEAD_SECONDS = 0.5, 0.05


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop that waits by select(): it takes microseconds, where epoll() rounds up to whole milliseconds.

    select() knows 1,024 files, hence `MOST_CONNECTIONS`. KeyboardInterrupt at Ctrl-C, all tasks cancelled.
    """
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(work)


def offer(target: Target, payloads: Sequence[Payload], outcomes: Outcomes, seed: int, watch: Watch) -> None:
    """Send a request at each scheduled time, wait for the last answers, and note everything in `outcomes`.

    Each image comes as often as any other, in an order by the seed. KeyboardInterrupt leaves what there is so far.
    """
    shuffled = [payloads[i] for i in np.random.default_rng(seed).permutation(len(payloads))]
    outcomes.labelled = np.resize([payload.label is not None for payload in shuffled], len(outcomes.scheduled))
    cpu = time.process_time()
    try:
        run(_Sender(target, shuffled, outcomes).run(watch))
    finally:
        outcomes.cpu_seconds = time.process_time() - cpu


class _Sender:
    def __init__(self, target: Target, payloads: Sequence[Payload], outcomes: Outcomes) -> None:
        self._target, self._payloads, self._outcomes = target, payloads, outcomes
        self._tasks: set[asyncio.Task[None]] = set()
        self._start = 0.0

    async def run(self, watch: Watch) -> None:
        loop, outcomes = asyncio.get_running_loop(), self._outcomes
        async with self._target.session() as session:
            self._start = loop.time() + _LEAD_SECONDS
            watching = loop.create_task(self._watch(watch))
            try:
                for index, scheduled in enumerate(outcomes.scheduled.tolist()):
                    due = self._start + scheduled - loop.time()
                    if due > -MOST_LATE_SECONDS:
                        await asyncio.sleep(due)
                        self._begin(session, index)
                    else:
                        self._leave_out(index)
                if self._tasks:
                    await asyncio.wait(self._tasks)
            finally:
                outcomes.wall_seconds = loop.time() - self._start
                for task in (watching, *self._tasks):  # else a closing session would fail what is only unanswered
                    task.cancel()
                await asyncio.gather(watching, *self._tasks, return_exceptions=True)

    def _leave_out(self, index: int) -> None:
        self._outcomes.reached = index + 1
        self._outcomes.code[index] = Fate.NOT_SENT

    def _begin(self, session: aiohttp.ClientSession, index: int) -> None:
        if len(self._tasks) >= self._target.connections:
            self._leave_out(index)
            return
        self._outcomes.reached = index + 1
        task = asyncio.get_running_loop().create_task(self._send(session, index))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, session: aiohttp.ClientSession, index: int) -> None:
        payload, outcomes = self._payloads[index % len(self._payloads)], self._outcomes
        loop = asyncio.get_running_loop()
        headers = {"Content-Type": payload.content_type}
        outcomes.sent[index] = loop.time() - self._start
        try:
            async with session.post(
                self._target.url, data=payload.body, headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.read()
            outcomes.finished[index] = loop.time() - self._start
            if answer.status == 200:
                outcomes.answered(index, self._target.read(body), payload.label)
            outcomes.code[index] = answer.status
        except TimeoutError:  # some of aiohttp's are connection errors too
            outcomes.code[index] = Fate.TIME_OUT
        except (aiohttp.ClientError, OSError):
            outcomes.code[index] = Fate.CONNECTION
        except (ValueError, LookupError, TypeError):
            outcomes.code[index] = Fate.UNREADABLE

    async def _watch(self, watch: Watch) -> None:
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            watch(self._outcomes, asyncio.get_running_loop().time() - self._start)
