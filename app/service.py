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
from app.errors import ServiceError, TooManyPixels, Unavailable
from app.metrics import Metrics
from app.parameters import Choice
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
        self.upload_limits = UploadLimits(
            settings.max_request_bytes, settings.max_image_bytes, settings.max_images, settings.request_body_timeout_ms
        )
        self.ready: set[str] = set()
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

    def _on_batch(self, model: str, result: BatchResult) -> None:
        self.metrics.batch(model, len(result.images), result.compression)

    async def start(self) -> None:
        """Begin to load; requests are refused until a model is ready, probes are answered at once."""
        images.silence_pillow()
        self._tasks = [asyncio.create_task(self._load()), asyncio.create_task(self.batcher.run())]

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        for name in self.names:
            if self.draining:
                return
            started = time.perf_counter()
            try:
                await loop.run_in_executor(self._thread, self._load_one, name)
            except Exception as error:  # noqa: BLE001  it is logged, shown by the probes, and ends the server
                _log.exception("model %s could not be loaded", name)
                self.failure = f"model {name} could not be loaded: {error}"
                self.on_failure()
                return
            seconds = time.perf_counter() - started
            self.ready.add(name)
            self.metrics.ready.labels(name).set(1)
            self.metrics.load_duration.labels(name).set(seconds)
            _log.info("model %s is ready after %.1f s", name, seconds)

    def _load_one(self, name: str) -> None:
        self.engine.load(name)
        self.steering.configure(name)

    @property
    def loaded(self) -> bool:
        """Whether every model is ready."""
        return len(self.ready) == len(self.names)

    async def stop(self) -> None:
        """Finish what was accepted, then end the threads."""
        self.draining = True
        self.batcher.close()
        await asyncio.gather(*self._tasks)
        loop = asyncio.get_running_loop()
        for pool in (self._thread, self.decoders):
            await loop.run_in_executor(None, pool.shutdown)

    def _check_ready(self, model: str) -> None:
        if model not in self.ready:
            raise Unavailable(self.failure or f"model {model} is still loading", retry_after_seconds=2)

    @contextmanager
    def admit(self, model: str) -> Iterator[Callable[[int], None]]:
        """Around a classify request, before its body is read; yields what counts the body's bytes.

        Unavailable while the model is not loaded; Busy where too much is in flight, or the queue is full.
        """
        self._check_ready(model)
        self.batcher.check_room(1)
        with self.admission.admit() as hold:
            yield hold

    async def classify(self, encoded: Sequence[bytes], choice: Choice) -> list[Answer]:
        """Decode all images at once, queue them together, wait for all."""
        model = choice.model.name
        self._check_ready(model)
        self.batcher.check_room(len(encoded))
        tasks = [self.decoders.run(partial(self._prepare, model, data)) for data in encoded]
        decoded = await asyncio.gather(*tasks, return_exceptions=True)
        asks: list[Ask] = []
        seconds: list[float] = []
        for index, outcome in enumerate(decoded):
            if isinstance(outcome, BaseException):
                raise at_index(outcome, index, len(encoded)) if isinstance(outcome, ServiceError) else outcome
            asks.append(Ask(outcome[0], choice.level, choice.top_k))
            seconds.append(outcome[1] + outcome[2])
            self.metrics.stage(model, "decode", outcome[1])
            self.metrics.stage(model, "preprocess", outcome[2])
        done = await self.batcher.classify(model, asks)
        return [Answer(one, decode) for one, decode in zip(done, seconds, strict=True)]

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
