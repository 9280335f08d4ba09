"""The service without HTTP: its parts, its life from loading to the last answer, and the path of a request."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from app import images
from app.admission import Admission
from app.batching import Ask, Batcher, Done
from app.contract import BatchResult, Engine, Prepared
from app.decoders import Decoders
from app.errors import EngineFailure, ServiceError, TooManyPixels, Unavailable
from app.metrics import Metrics, Tally
from app.oip.statistics import Statistics
from app.parameters import Choice
from app.repository import Repository
from app.settings import Settings
from app.state import Steering
from app.state_file import read_state, write_state
from app.uploads import UploadLimits, at_index

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """One image's way through the service; times in seconds."""

    done: Done
    decode_seconds: float


class Service:
    """Everything that lives as long as the process. Built outside the event loop, `start`ed and `stop`ped in it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self.engine = settings, engine
        self.names = tuple(info.name for info in engine.models)
        self.metrics = Metrics(self.names, engine.build)
        self.statistics = Statistics(self.names)
        self.upload_limits = UploadLimits(
            settings.max_request_bytes, settings.max_image_bytes, settings.max_images, settings.request_body_timeout_ms
        )
        self.loaded = False
        self.draining = False
        self.failure: str | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self._image_limits = images.ImageLimits(
            settings.max_image_bytes, settings.max_image_pixels, settings.decode_timeout_ms
        )
        self._thread: Executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self.decoders = Decoders(settings.decode_threads)
        self.admission = Admission(settings.max_requests_in_flight, settings.max_bytes_in_flight)
        save = partial(write_state, settings.state_file)
        self.steering = Steering(engine, self._thread, read_state(settings.state_file, engine), save)
        self.repository = Repository(engine, self._thread, self.metrics, self.steering.configure)
        self.batcher = Batcher(
            engine,
            self._thread,
            self.steering.level,
            self._on_batch,
            queue_images=settings.queue_images,
            max_batch_images=settings.max_batch_images,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._describe()

    def _describe(self) -> None:
        self.metrics.queue_capacity.set(self.settings.queue_images)
        for name in self.names:
            self.metrics.watch_queue(name, partial(self.batcher.depth, name))
            self.metrics.hyperplanes_min.labels(name).set(self.engine.levels.minimum)
            self.metrics.hyperplanes_max.labels(name).set(self.engine.levels.maximum)
        self.show_levels()

    def show_levels(self) -> None:
        """Bring the gauge of L up to the state."""
        for name in self.names:
            level = self.steering.state.level(name)
            self.metrics.hyperplanes.labels(name).set(level if isinstance(level, int) else float("nan"))

    def _on_batch(self, model: str, result: BatchResult, seconds: float) -> None:
        self.metrics.batch(model, len(result.images), result.compression)
        self.statistics.batch(model, len(result.images), seconds)

    async def start(self) -> None:
        """Begin to load; requests are refused until a model is ready, probes are answered at once."""
        images.refuse_bombs()
        self._tasks = [asyncio.create_task(self._load()), asyncio.create_task(self.batcher.run())]

    async def _load(self) -> None:
        for name in self.names:
            if self.draining:
                return
            try:
                await self.repository.load(name)
            except EngineFailure as error:  # the probes show it, and it ends the server
                self.failure = error.detail
                self.on_failure()
                return
        self.loaded = True

    async def stop(self) -> None:
        """Finish what was accepted, then end the threads."""
        self.draining = True
        self.batcher.close()
        await asyncio.gather(*self._tasks)
        loop = asyncio.get_running_loop()
        for pool in (self._thread, self.decoders):
            await loop.run_in_executor(None, pool.shutdown)

    def check_loaded(self) -> None:
        """Raise Unavailable until every model was loaded once."""
        if not self.loaded:
            raise Unavailable(self.failure or "still loading", retry_after_seconds=2)

    def check_open(self) -> None:
        """Raise Unavailable when the service stops."""
        if self.draining:
            raise Unavailable("the service is stopping", retry_after_seconds=5)

    def check_started(self) -> None:
        """Both."""
        self.check_open()
        self.check_loaded()

    @contextmanager
    def inference(self) -> Iterator[Tally]:
        """Around a request for an inference: counts it under the model that the tally names, by how it ends."""
        started, answered = time.perf_counter(), False
        with self.metrics.inference() as tally:
            try:
                yield tally
                answered = True
            finally:
                self.statistics.ended(tally.model, time.perf_counter() - started, answered=answered)

    @contextmanager
    def admit(self, model: str) -> Iterator[Callable[[int], None]]:
        """Around a classify request, before its body is read; yields what counts the body's bytes.

        Unavailable while the model is not loaded; Busy where too much is in flight, or the queue is full.
        """
        self.repository.check_ready(model)
        self.batcher.check_room(1)
        with self.admission.admit() as hold:
            yield hold

    async def classify(self, encoded: Sequence[bytes], choice: Choice) -> list[Answer]:
        """Decode all images at once, queue them together, wait for all."""
        model = choice.model.name
        with self.repository.using(model):
            self.batcher.check_room(len(encoded))
            return await self._run(await self._decode(model, encoded), choice)

    async def classify_prepared(self, prepared: Sequence[Prepared], choice: Choice) -> list[Answer]:
        """The same for network inputs, of which nothing is to be decoded."""
        with self.repository.using(choice.model.name):
            return await self._run([(one, 0.0) for one in prepared], choice)

    async def _run(self, prepared: Sequence[tuple[Prepared, float]], choice: Choice) -> list[Answer]:
        asks = [Ask(one, choice.level, choice.top_k) for one, _ in prepared]
        done = await self.batcher.classify(choice.model.name, asks)
        return [Answer(one, seconds) for one, (_, seconds) in zip(done, prepared, strict=True)]

    async def _decode(self, model: str, encoded: Sequence[bytes]) -> list[tuple[Prepared, float]]:
        """The network's inputs, each with the seconds that it took."""
        tasks = [self.decoders.run(partial(self._prepare, model, data)) for data in encoded]
        prepared: list[tuple[Prepared, float]] = []
        for index, outcome in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if isinstance(outcome, BaseException):
                raise at_index(outcome, index, len(encoded)) if isinstance(outcome, ServiceError) else outcome
            prepared.append((outcome[0], outcome[1] + outcome[2]))
            self.metrics.stage(model, "decode", outcome[1])
            self.metrics.stage(model, "preprocess", outcome[2])
        return prepared

    def answered(self, model: str, answers: Sequence[Answer], postprocess_seconds: float) -> None:
        """Count the images of an answer that goes out, and what each stage of it took."""
        for answer in answers:
            self.metrics.answered(model, answer.done.level, answer.done.result.flops)
            self.metrics.stage(model, "queue", answer.done.queue_seconds)
            self.metrics.stage(model, "forward", answer.done.forward_seconds)
            self.metrics.stage(model, "postprocess", postprocess_seconds / len(answers))
        last = max((answer.done for answer in answers), key=lambda done: done.queue_seconds)
        self.statistics.answered(
            model,
            len(answers),
            queue=last.queue_seconds,
            compute_input=max(answer.decode_seconds for answer in answers),
            compute_infer=last.forward_seconds,
            compute_output=postprocess_seconds,
        )

    def _prepare(self, model: str, data: bytes) -> tuple[Prepared, float, float]:
        """In a decoder's thread: the network's input, and the seconds to decode and to prepare it."""
        started = time.perf_counter()
        try:
            image = images.decode(data, self._image_limits)
            decoded = time.perf_counter()
            prepared = self.engine.prepare(model, image)
        except MemoryError:
            raise TooManyPixels("the image needs more memory than there is now") from None
        return prepared, decoded - started, time.perf_counter() - decoded
