"""The service without HTTP: its parts, and its life from loading to the last answer."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial

from app import images
from app.admission import Admission
from app.afterwards import Afterwards
from app.asked import Ask
from app.batching import Batching
from app.classifying import Classifying
from app.contract import BatchResult, Engine, Level, LevelRange
from app.controller import Controller, Standing
from app.decoders import Decoders
from app.dispatch import Dispatcher
from app.errors import EngineFailure, Unavailable, stopping
from app.explaining import Explaining
from app.job import Job
from app.metrics import Metrics
from app.objective import Change, Objective
from app.oip.statistics import Statistics
from app.parameters import ExplainChoice
from app.plan import Batch
from app.preparation import Preparation
from app.repository import Repository
from app.schemas import Explained
from app.settings import Settings
from app.state import State, Steering
from app.state_file import initial_state, read_state, write_state
from app.uploads import UploadLimits

_log = logging.getLogger(__name__)


class Service:
    """Everything that lives as long as the process. Built outside the event loop, `start`ed and `stop`ped in it."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings, self.engine = settings, engine
        self.names = tuple(info.name for info in engine.models)
        objective = _objective(settings, engine)
        state = read_state(settings.state_file, engine, objective)
        self.metrics = Metrics(self.names, engine.build, state.controller.slo_seconds)
        self.statistics, self.afterwards = Statistics(self.names), Afterwards()
        self.upload_limits = UploadLimits(
            settings.max_request_bytes, settings.max_image_bytes, settings.max_images, settings.request_body_timeout_ms
        )
        self.loaded = False
        self.draining = False
        self.failure: str | None = None
        self.changed_by: str | None = None
        """What alone may change this process, where an engine steers it as one of many; clients are told."""
        self.on_loaded: Callable[[], None] = lambda: None
        self.on_failure: Callable[[], None] = lambda: None
        self._thread: Executor = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self.decoders = Decoders(settings.decode_threads)
        limits = images.ImageLimits(settings.max_image_bytes, settings.max_image_pixels, settings.decode_timeout_ms)
        preparation = Preparation(engine, self.decoders, limits)
        self.explaining = Explaining(engine, preparation, settings.explain_per_minute)
        self.admission = Admission(settings.max_requests_in_flight, settings.max_bytes_in_flight)
        turn = asyncio.Lock()
        self._steer(initial_state(engine, objective), state, turn)
        self.repository = Repository(
            engine, self._thread, self.metrics, self.steering.method, self.refresh, self.dispatcher.standstill, turn
        )
        self.classifying = Classifying(
            self.repository,
            self.admission,
            preparation,
            self.dispatcher,
            self.metrics,
            self.statistics,
            self.afterwards,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._warned: dict[str, str | None] = {}
        self._describe()

    def _steer(self, start: State, state: State, turn: asyncio.Lock) -> None:
        """The state, the controller that lowers L under it, and the queue before the engine; start: the settings'."""
        settings, engine = self.settings, self.engine
        save = partial(write_state, settings.state_file, start)
        self.steering = Steering(engine, self._thread, turn, state, save)
        self.controller = Controller(
            self.names, self.steering.level, self.steering.objective, settings.max_batch_images
        )
        self.steering.on_change = self.refresh
        self.batching = Batching[Ask](self.controller, capacity=settings.queue_images)
        self.dispatcher = Dispatcher(
            engine,
            self._thread,
            self.controller,
            self.batching,
            turn,
            self._on_batch,
            self._on_change,
        )

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

    def engine_turn(self) -> Future[None]:
        """Done once the engine's thread has come to it, behind what it is at and what waits; not after `stop`."""
        return self._thread.submit(_nothing)

    def _on_batch(self, batch: Batch[Job[Ask]], result: BatchResult, seconds: float) -> None:
        images, dense_seconds = len(batch.jobs), self.controller.dense_seconds(batch.model, len(batch.jobs))
        self.afterwards.later(self.metrics.batch, batch.model, images, batch.reason, result.compression)
        self.afterwards.later(self.metrics.forward, batch.model, images, seconds, dense_seconds)
        self.afterwards.later(self.statistics.batch, batch.model, images, seconds)

    def _on_change(self, change: Change) -> None:
        self.metrics.adjusted(change)
        text = "the controller moves model %s from L = %s %s to %s, because of the %s"
        _log.info(text, change.model, change.before, change.direction, change.after, change.cause)

    def refresh(self) -> None:
        """Let the controller follow a change of the state: calibrations that no longer hold, another L or objective."""
        for name in self.names:
            found = self.engine.calibration(name)
            self.metrics.expect_levels(name, () if found is None else {point.level for point in found.points})
            for change in self.controller.calibrate(name, () if found is None else found.points):
                self._on_change(change)
            warning = self.standing(name).warning
            if warning is not None and warning != self._warned.get(name):
                _log.warning("the objective of model %s cannot be held: %s", name, warning)
            self._warned[name] = warning

    async def start(self) -> None:
        """Begin to load; requests are refused until a model is ready, probes are answered at once."""
        images.silence_pillow()
        for name, work in (("loading", self._load()), ("dispatching", self.dispatcher.run())):
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A fault of ours in one of them would leave every client waiting: better to end."""
        if not task.cancelled() and task.exception() is not None:
            self.failure = f"{task.get_name()} failed: {task.exception()}"
            _log.error(self.failure, exc_info=task.exception())
            self.on_failure()

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
        self.on_loaded()
        self.loaded = True

    def drain(self) -> None:
        """Be ready no more, and let a calibration that is being measured go: nobody will use it."""
        self.draining = True
        self.engine.hurry()

    async def stop(self) -> None:
        """Finish what was accepted, then end the threads."""
        self.drain()
        self.dispatcher.close()
        await asyncio.wait(self._tasks)  # how they ended was told
        loop = asyncio.get_running_loop()
        for pool in (self._thread, self.decoders, self.explaining):
            await loop.run_in_executor(None, pool.shutdown)
        self.afterwards.now()

    @property
    def settled(self) -> bool:
        """Whether every model was loaded once and none is being loaded."""
        return self.loaded and not self.repository.loading

    def check_loaded(self) -> None:
        """Raise Unavailable until every model was loaded once."""
        if not self.loaded:
            raise Unavailable(self.failure or "still loading", retry_after_seconds=2)

    def check_open(self) -> None:
        """Raise Unavailable when the service stops."""
        if self.draining:
            raise stopping()

    def check_started(self) -> None:
        """Both."""
        self.check_open()
        self.check_loaded()

    async def explain(self, encoded: bytes, choice: ExplainChoice) -> tuple[Level, Explained]:
        """What the method does to one image, at the level asked for or else the configured one, which is told."""
        model = choice.model.name
        level = self.steering.level(model) if choice.level is None else choice.level
        with self.repository.using(model):
            return level, await self.explaining.explain(encoded, choice, level)


def _nothing() -> None:
    """What the engine's thread does to show that it lives."""


def _objective(settings: Settings, engine: Engine) -> Objective:
    lowest = level_setting("HASTE_L_MIN", settings.L_min, engine.levels)
    return Objective(settings.controller, settings.slo_ms, lowest)


def level_setting(variable: str, value: Level, levels: LevelRange) -> Level:
    """A level that a setting names; ValueError with the variable and the value where the engine has none such."""
    try:
        return levels.check(value)
    except ValueError as error:
        raise ValueError(f"{variable} {error}, not {value!r}") from None
