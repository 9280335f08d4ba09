"""Between the event loop and the engine's thread: images wait in the queue, batches run, results find their clients."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TypeVar

from app.asked import Ask, Done, Wanted
from app.batching import Batching
from app.contract import BatchResult, Engine, Item, Prepared
from app.controller import Controller
from app.errors import Busy, EngineFailure, InvalidParameter, Unavailable, stopping
from app.handover import run_in
from app.in_place import MOST_SECONDS, InPlace
from app.job import Job, Refusal
from app.objective import TICK_SECONDS, Change
from app.plan import Batch

_log = logging.getLogger(__name__)
_MOST_RETRY_SECONDS, _LOOK_SECONDS = 600, 0.005  # no deadline is longer
T = TypeVar("T")


class Dispatcher:
    """Runs on the event loop; the engine runs in `thread`, an executor of one worker, or at once where that is short.

    `turn` is held while a batch is chosen and run: who changes the configuration takes it, so that a change falls
    between two batches.
    """

    def __init__(
        self,
        engine: Engine,
        thread: Executor,
        controller: Controller,
        batching: Batching[Ask],
        turn: asyncio.Lock,
        on_batch: Callable[[Batch[Job[Ask]], BatchResult, float], None],
        on_change: Callable[[Change], None],
    ) -> None:
        self._engine, self._thread, self._controller, self._turn = engine, thread, controller, turn
        self._batching, self._on_batch, self._on_change = batching, on_batch, on_change
        self._wake, self._still, self._in_place = asyncio.Event(), asyncio.Lock(), InPlace()
        self._closing = False

    def check_room(self, wanted: Wanted, images: int) -> None:
        """Raise Busy where so many images could not be in time now, Unavailable where no more are taken."""
        self._check_open()
        _raise(self._batching.check(time.perf_counter(), self._placeholders(wanted, images)))

    def refused(self, wanted: Wanted, images: int) -> None:
        """Count as offered what was refused elsewhere."""
        self._batching.refused(time.perf_counter(), self._placeholders(wanted, images))

    @contextmanager
    def expecting(self, wanted: Wanted, images: int) -> Iterator[float]:
        """Around the decoding of images: the same check, and others wait behind these from now on, which it yields."""
        self._check_open()
        jobs, now = self._placeholders(wanted, images), time.perf_counter()
        _raise(self._batching.expect(now, jobs))
        try:
            yield now
        except Exception:
            self._batching.spoilt(time.perf_counter())
            raise
        finally:
            self._batching.came(jobs)

    def _placeholders(self, wanted: Wanted, images: int) -> list[Job[None]]:
        return [self._job(wanted, images, None) for _ in range(images)]

    async def classify(
        self, wanted: Wanted, prepared: Sequence[Prepared], *, expected_since: float | None = None, alone: bool = False
    ) -> list[Done]:
        """Results in order, all or an error. A caller that is cancelled gives its places in the queue back at once.

        expected_since: what `expecting` gave, within which this is called. alone: whether no other request is in
        flight.
        """
        self._check_open()
        loop, now = asyncio.get_running_loop(), time.perf_counter()
        asks = [Ask(one, wanted.top_k, now, loop.create_future()) for one in prepared]
        jobs = [self._job(wanted, len(asks), ask) for ask in asks]
        _raise(self._batching.offer(now, jobs, expected_since=expected_since))
        try:
            self._begin(jobs[0], alone=alone)
            return [await ask.future for ask in asks]
        except asyncio.CancelledError:
            self._batching.left(time.perf_counter(), jobs[0])
            raise
        finally:
            self._withdraw(jobs)

    def arrived(self, not_before: float) -> float:
        """When a request that is looked at now came, on the clock of time.perf_counter; not later than it did.

        not_before: what it cannot have come before.
        """
        return max(not_before, self._in_place.earliest(time.perf_counter()))

    def answered(self, now: float, done: Done) -> None:
        """An answer leaves; what comes after learns from it."""
        self._batching.answered(now, done.arrived, done.deadline)

    def _check_open(self) -> None:
        if self._closing:
            raise stopping()

    def _job(self, wanted: Wanted, images: int, payload: T) -> Job[T]:
        asked = wanted.deadline_seconds
        seconds = self._controller.slo_seconds * images if asked is None else asked
        times = wanted.arrived, wanted.arrived + seconds
        return Job(
            wanted.model,
            wanted.level,
            wanted.min_level,
            *times,
            firm=asked is not None,
            payload=payload,
            reserve=self._batching.reserve(seconds),
            answers=1 / images,
        )

    def _withdraw(self, jobs: Sequence[Job[Ask]]) -> None:
        """A job in a running batch loses its reader, one that waits is forgotten."""
        for job in jobs:
            future = job.payload.future
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                future.exception()  # seen, or asyncio would report the failures of a batch one by one
        self._batching.withdraw(jobs)

    @asynccontextmanager
    async def standstill(self, reason: str) -> AsyncIterator[None]:
        """Around other work in the engine's thread: what was accepted is finished first, nothing is accepted inside."""
        async with self._still:
            self._batching.closed_for = reason
            try:
                while True:
                    async with self._turn:
                        if self._batching.empty:
                            yield
                            return
                    await asyncio.sleep(_LOOK_SECONDS)
            finally:
                self._batching.closed_for = None

    async def run(self) -> None:
        """Until closed and empty: take what waits, let the engine compute it, hand the results out."""
        while True:
            async with self._turn:
                batch = self._take()
                if batch is not None:
                    with self._computing(batch) as found:
                        found(await run_in(self._thread, self._work(batch)))
                    if not self._batching.empty:
                        continue  # else the controller looks again when something comes, or at its tick
            if self._closing:
                return
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()

    def close(self) -> None:
        """Take nothing more; `run` returns once all that was accepted is done."""
        self._closing = True
        self._wake.set()

    def _begin(self, job: Job[Ask], *, alone: bool) -> None:
        """Compute it here where nothing else is to be done and it is short, which saves the way to `run` and back."""
        free = alone and self._in_place.back and not self._turn.locked()
        if not free or self._batching.alone_seconds(job) > MOST_SECONDS:
            self._wake.set()
        elif (batch := self._take()) is not None:
            with self._computing(batch, handed_over=False) as found:
                found(self._in_place.run(self._work(batch)))

    def _take(self) -> Batch[Job[Ask]] | None:
        batch, changes = self._batching.take(time.perf_counter())
        for change in changes:
            self._on_change(change)
        return batch

    def _work(self, batch: Batch[Job[Ask]]) -> Callable[[], BatchResult]:
        asks = [job.payload for job in batch.jobs]
        items = [Item(ask.prepared, level, ask.top_k) for ask, level in zip(asks, batch.levels, strict=True)]
        return partial(self._engine.forward, batch.model, items)

    @contextmanager
    def _computing(
        self, batch: Batch[Job[Ask]], *, handed_over: bool = True
    ) -> Iterator[Callable[[BatchResult], None]]:
        """Around the engine's work, which gives what it found; what it raises is answered, and the service goes on."""
        started, seconds = time.perf_counter(), None

        def found(result: BatchResult) -> None:
            nonlocal seconds
            seconds = time.perf_counter() - started
            self._hand_out(batch, result, started, seconds)
            self._on_batch(batch, result, seconds)

        try:
            yield found
        except Exception as error:  # noqa: BLE001  it is logged, and each client hears of it
            _fail(batch, error)
        finally:  # before its answers leave, which are not beside it
            self._batching.finished(time.perf_counter(), batch, seconds, handed_over=handed_over)

    def _hand_out(self, batch: Batch[Job[Ask]], result: BatchResult, started: float, seconds: float) -> None:
        for job, level, image in zip(batch.jobs, batch.levels, result.images, strict=True):
            degraded, queued = self._controller.degraded(job, level), started - job.payload.queued_at
            if not job.payload.future.done():
                done = Done(image, level, degraded, job.arrived, job.deadline, queued, seconds)
                job.payload.future.set_result(done)


def _fail(batch: Batch[Job[Ask]], error: Exception) -> None:
    _log.error("the engine failed on a batch of %d images", len(batch.jobs), exc_info=error)
    for job in batch.jobs:
        if not job.payload.future.done():
            failure = EngineFailure("the engine failed on this image; the log has the details")
            failure.__cause__ = error
            job.payload.future.set_exception(failure)


def _raise(refusal: Refusal | None) -> None:
    if refusal is not None:
        if refusal.retry_seconds is None:
            raise InvalidParameter(f"the deadline cannot be met: {refusal.detail}")
        seconds = min(max(1, math.ceil(refusal.retry_seconds)), _MOST_RETRY_SECONDS)
        kind = Unavailable if refusal.closed else Busy
        raise kind(refusal.detail, retry_after_seconds=seconds)
