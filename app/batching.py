"""A bounded queue before the engine: batches of one model, a level for each image, in the order of arrival."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from app.contract import BatchResult, Engine, ImageResult, Item, Level, Prepared
from app.errors import Busy, EngineFailure, Unavailable

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ask:
    """One image to classify; a level of None leaves the choice to the state at the time that it runs."""

    prepared: Prepared
    level: Level | None
    top_k: int


@dataclass(frozen=True)
class Done:
    """One image's result, the level that it ran at, and its times in seconds."""

    result: ImageResult
    level: Level
    queue_seconds: float
    forward_seconds: float


@dataclass(eq=False)
class _Job:
    model: str
    ask: Ask
    future: asyncio.Future[Done]
    queued_at: float = field(default_factory=time.perf_counter)


class Batcher:
    """Runs on the event loop; the engine runs in `thread`, an executor of one worker."""

    def __init__(
        self,
        engine: Engine,
        thread: Executor,
        default_level: Callable[[str], Level],
        on_batch: Callable[[str, BatchResult, float], None],
        *,
        queue_images: int,
        max_batch_images: int,
    ) -> None:
        self._engine, self._thread = engine, thread
        self._default_level, self._on_batch = default_level, on_batch
        self._capacity, self._max_batch = queue_images, max_batch_images
        self._queue: deque[_Job] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._seconds_per_image = 0.0

    def depth(self, model: str) -> int:
        """Images of the model that wait."""
        return sum(job.model == model for job in self._queue)

    def check_room(self, images: int) -> None:
        """Raise Busy when that many images cannot wait now, Unavailable when no more are taken."""
        if self._closing:
            raise Unavailable("the service is stopping", retry_after_seconds=5)
        if len(self._queue) + images > self._capacity:
            wait_seconds = math.ceil(len(self._queue) * self._seconds_per_image)
            raise Busy(
                f"{len(self._queue)} images wait, {self._capacity} may; {images} more do not fit",
                retry_after_seconds=min(max(1, wait_seconds), 60),
            )

    async def classify(self, model: str, asks: Sequence[Ask]) -> list[Done]:
        """Results in order, all or an error. A caller that is cancelled gives its places in the queue back at once."""
        self.check_room(len(asks))
        loop = asyncio.get_running_loop()
        jobs = [_Job(model, ask, loop.create_future()) for ask in asks]
        self._queue.extend(jobs)
        self._wake.set()
        try:
            return list(await asyncio.gather(*(job.future for job in jobs)))
        finally:
            self._withdraw(jobs)

    def _withdraw(self, jobs: Iterable[_Job]) -> None:
        """Forget what nobody waits for any more; a job in a running batch loses its reader."""
        for job in jobs:
            if not job.future.done():
                job.future.cancel()
            elif not job.future.cancelled():
                job.future.exception()  # seen, or asyncio would report the failures of a batch one by one
        self._queue = deque(job for job in self._queue if not job.future.done())

    async def run(self) -> None:
        """Until closed and empty: take what waits, let the engine compute it, hand the results out."""
        while True:
            batch = self._take()
            if batch:
                await self._compute(batch)
            elif self._closing:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def close(self) -> None:
        """Take nothing more; `run` returns once all that was accepted is done."""
        self._closing = True
        self._wake.set()

    def _take(self) -> list[_Job]:
        """The oldest job and those behind it of the same model, up to a full batch."""
        batch: list[_Job] = []
        others: deque[_Job] = deque()
        for job in self._queue:
            if job.future.done():  # its client left
                continue
            fits = len(batch) < self._max_batch and (not batch or job.model == batch[0].model)
            (batch if fits else others).append(job)
        self._queue = others
        return batch

    async def _compute(self, batch: list[_Job]) -> None:
        """Whatever the engine raises is answered, and the service goes on."""
        try:
            await self._forward(batch)
        except Exception as error:  # noqa: BLE001  it is logged, and each client hears of it
            _log.exception("the engine failed on a batch of %d images", len(batch))
            for job in batch:
                if not job.future.done():
                    failure = EngineFailure("the engine failed on this image; the log has the details")
                    failure.__cause__ = error
                    job.future.set_exception(failure)

    async def _forward(self, batch: list[_Job]) -> None:
        started, loop = time.perf_counter(), asyncio.get_running_loop()
        levels, result = await loop.run_in_executor(self._thread, self._in_thread, batch)
        seconds = time.perf_counter() - started
        self._seconds_per_image = seconds / len(batch)
        self._on_batch(batch[0].model, result, seconds)
        for job, level, image in zip(batch, levels, result.images, strict=True):
            if not job.future.done():
                job.future.set_result(Done(image, level, started - job.queued_at, seconds))

    def _in_thread(self, batch: list[_Job]) -> tuple[list[Level], BatchResult]:
        """In the engine's thread, so that a change of state falls between two batches and is whole."""
        model = batch[0].model
        default = self._default_level(model)
        levels = [default if job.ask.level is None else job.ask.level for job in batch]
        items = [Item(job.ask.prepared, level, job.ask.top_k) for job, level in zip(batch, levels, strict=True)]
        return levels, self._engine.forward(model, items)
