"""The service without HTTP: its parts, its life from loading to the last answer, and the path of a request."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from app import images
from app.admission import Admission
from app.batching import Batching, Job
from app.contract import BatchResult, Engine, Prepared
from app.controller import Controller, Standing
from app.decoders import Decoders
from app.dispatch import Ask, Dispatcher, Done, Wanted
from app.errors import ServiceError, TooManyPixels, Unavailable
from app.metrics import Metrics
from app.objective import Change, Objective
from app.parameters import Choice
from app.plan import Batch
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
        turn, save = asyncio.Lock(), partial(write_state, settings.state_file)
        state = read_state(settings.state_file, engine, _objective(settings, engine))
        self.steering = Steering(engine, self._thread, turn, state, save)
        self.controller = Controller(
            self.names, self.steering.level, self.steering.objective, settings.max_batch_images
        )
        self.batching = Batching[Ask](self.controller, capacity=settings.queue_images)
        self.dispatcher = Dispatcher(
            engine, self._thread, self.controller, self.batching, turn, self._on_batch, self._on_change
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._describe()

    def _describe(self) -> None:
        self.metrics.queue_capacity.set(self.settings.queue_images)
        for name in self.names:
            self.metrics.watch(
                name,
                partial(self.batching.depth, name),
                partial(self.standing, name),
                lambda: self.controller.slo_seconds,
            )
            self.metrics.hyperplanes_min.labels(name).set(self.engine.levels.minimum)
            self.metrics.hyperplanes_max.labels(name).set(self.engine.levels.maximum)

    def standing(self, model: str) -> Standing:
        """How the controller steers a model now."""
        return self.controller.standing(time.perf_counter(), model)

    def _on_batch(self, batch: Batch[Job[Ask]], result: BatchResult) -> None:
        self.metrics.batch(batch.model, len(batch.jobs), batch.reason, result.compression)

    def _on_change(self, change: Change) -> None:
        self.metrics.adjusted(change)
        text = "the controller moves model %s from L = %s %s to %s, because of the %s"
        _log.info(text, change.model, change.before, change.direction, change.after, change.cause)

    def refresh(self) -> None:
        """Let the controller follow a change of the state: calibrations that no longer hold, another L or objective."""
        for name in self.names:
            found = self.engine.calibration(name)
            self.controller.calibrate(name, () if found is None else found.points)
        for change in self.controller.reconfigure():
            self._on_change(change)

    async def start(self) -> None:
        """Begin to load; requests are refused until a model is ready, probes are answered at once."""
        images.refuse_bombs()
        self._tasks = [asyncio.create_task(self._load()), asyncio.create_task(self.dispatcher.run())]

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
            self.refresh()
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
        self.dispatcher.close()
        await asyncio.gather(*self._tasks)
        loop = asyncio.get_running_loop()
        for pool in (self._thread, self.decoders):
            await loop.run_in_executor(None, pool.shutdown)

    def _check_ready(self, model: str) -> None:
        if model not in self.ready:
            raise Unavailable(self.failure or f"model {model} is still loading", retry_after_seconds=2)

    @contextmanager
    def admit(self, choice: Choice) -> Iterator[Callable[[int], None]]:
        """Around a classify request, before its body is read; yields what counts the body's bytes.

        Unavailable while the model is not loaded; Busy where too much is in flight, or it could not be in time.
        """
        self._check_ready(choice.model.name)
        self.dispatcher.check_room(_wanted(choice, time.perf_counter()), 1)
        with self.admission.admit() as hold:
            yield hold

    async def classify(self, encoded: Sequence[bytes], choice: Choice) -> list[Answer]:
        """Decode all images at once, queue them together, wait for all; the deadline counts from now.

        A request without a deadline of its own has the objective, which the decoding of its images does not use up: a
        photo of many pixels takes what it takes.
        """
        model, wanted = choice.model.name, _wanted(choice, time.perf_counter())
        self._check_ready(model)
        with self.dispatcher.expecting(wanted, len(encoded)):
            tasks = [self.decoders.run(partial(self._prepare, model, data)) for data in encoded]
            decoded = await asyncio.gather(*tasks, return_exceptions=True)
        prepared: list[Prepared] = []
        seconds: list[float] = []
        for index, outcome in enumerate(decoded):
            if isinstance(outcome, BaseException):
                raise at_index(outcome, index, len(encoded)) if isinstance(outcome, ServiceError) else outcome
            prepared.append(outcome[0])
            seconds.append(outcome[1] + outcome[2])
            self.metrics.stage(model, "decode", outcome[1])
            self.metrics.stage(model, "preprocess", outcome[2])
        if choice.deadline_ms is None:
            wanted = replace(wanted, arrived=wanted.arrived + max(seconds))
        done = await self.dispatcher.classify(wanted, prepared)
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


def _objective(settings: Settings, engine: Engine) -> Objective:
    try:
        return Objective(settings.controller, settings.slo_ms, engine.levels.check(settings.L_min))
    except ValueError as error:
        raise ValueError(f"HASTE_L_MIN {error}, not {settings.L_min!r}") from None


def _wanted(choice: Choice, arrived: float) -> Wanted:
    seconds = None if choice.deadline_ms is None else choice.deadline_ms / 1e3
    return Wanted(choice.model.name, choice.level, choice.min_level, choice.top_k, arrived, seconds)
