"""Which models are loaded: loads and unloads them one at a time in the engine's thread, and knows who uses them."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal

from app.contract import Engine
from app.errors import EngineFailure, Unavailable
from app.metrics import Metrics

_log = logging.getLogger(__name__)
State = Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]


@dataclass
class Entry:
    """A model's state and, where it is not obvious, the reason; the rest is the repository's own."""

    state: State = "LOADING"
    reason: str = "it waits for its turn"
    users: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Repository:
    """Used from the event loop only.

    `method`: merge rule and tolerance of a model, read in `thread`, the engine's own, at each load; `on_ready` is
    called in the loop after it. A load is made at a `standstill`: no other model answers meanwhile. An unload takes
    `turn`, as a batch does.
    """

    def __init__(
        self,
        engine: Engine,
        thread: Executor,
        metrics: Metrics,
        method: Callable[[str], tuple[str, float | None]],
        on_ready: Callable[[], None],
        standstill: Callable[[str], AbstractAsyncContextManager[None]],
        turn: asyncio.Lock,
    ) -> None:
        self._engine, self._thread, self._metrics = engine, thread, metrics
        self._method, self._on_ready, self._standstill, self._turn = method, on_ready, standstill, turn
        self.entries = {info.name: Entry() for info in engine.models}

    @property
    def loading(self) -> bool:
        """Whether a model is being loaded, or waits to be."""
        return any(entry.state == "LOADING" for entry in self.entries.values())

    def ready(self, model: str) -> bool:
        return self.entries[model].state == "READY"

    def check_ready(self, model: str, *, named: bool = True) -> None:
        """Raise Unavailable where the model does not answer now; with a time to ask again unless nobody loads it.

        named: whether the model is known; where the body may still name another, any that answers will do.
        """
        entry = self.entries[model]
        if not self.ready(model) and (named or not any(map(self.ready, self.entries))):
            seconds = None if entry.state == "UNAVAILABLE" else 2
            raise Unavailable(f"model {model} is {entry.state.lower()}: {entry.reason}", retry_after_seconds=seconds)

    @contextmanager
    def using(self, model: str) -> Iterator[None]:
        """Around work that was accepted for a model: it stays until that is done. Unavailable as `check_ready`."""
        self.check_ready(model)
        entry = self.entries[model]
        entry.users += 1
        entry.idle.clear()
        try:
            yield
        finally:
            entry.users -= 1
            if not entry.users:
                entry.idle.set()

    async def load(self, model: str) -> None:
        """Until it is warm; nothing happens where it is ready. EngineFailure says why it cannot be loaded."""
        entry = self.entries[model]
        async with entry.lock:
            if entry.state == "READY":
                return
            self._set(model, "LOADING", "it takes a few seconds")
            started = time.perf_counter()
            try:
                async with self._standstill(f"model {model} is being loaded"):
                    await self._in_thread(self._load, model)
            except BaseException as error:
                reason = f"it could not be loaded: {error}"
                self._set(model, "UNAVAILABLE", reason)
                if not isinstance(error, Exception):
                    raise
                _log.exception("model %s could not be loaded", model)
                raise EngineFailure(f"model {model} could not be loaded: {error}") from error
            seconds = time.perf_counter() - started
            self._metrics.load_duration.labels(model).set(seconds)
            self._on_ready()
            self._set(model, "READY")
            _log.info("model %s is ready after %.1f s", model, seconds)

    async def unload(self, model: str) -> None:
        """Refuse what is new, wait for what was accepted, free the rest; nothing happens where it is not loaded."""
        entry = self.entries[model]
        async with entry.lock:
            if entry.state != "READY":
                return
            self._set(model, "UNLOADING", "what was accepted is finished first")
            try:
                if entry.users:
                    await entry.idle.wait()
                async with self._turn:
                    await self._in_thread(self._engine.unload, model)
            except BaseException:
                self._set(model, "READY")
                raise
            self._set(model, "UNAVAILABLE", f"it was unloaded; POST /models/{model}/load brings it back")
            _log.info("model %s is unloaded", model)

    def _load(self, model: str) -> None:
        try:
            self._engine.load(model, *self._method(model))
        except BaseException:
            self._engine.unload(model)
            raise

    async def _in_thread(self, work: Callable[[str], None], model: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work, model)

    def _set(self, model: str, state: State, reason: str = "") -> None:
        entry = self.entries[model]
        entry.state, entry.reason = state, reason
        self._metrics.ready.labels(model).set(state == "READY")
