"""A fake engine that counts and can be held, and a client that runs the application in a thread of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Any, TypeVar, cast
from unittest.mock import patch

import httpx
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from app.contract import (
    BatchResult,
    Calibration,
    Engine,
    ImageFlops,
    ImageResult,
    Item,
    Level,
    LevelRange,
    Method,
    ModelInfo,
    Picture,
    Prediction,
    Prepared,
    Shown,
)
from app.errors import InvalidParameter
from app.main import create_app
from app.routes.examples import EXPLAINED_EXAMPLE
from app.schemas import Explained
from app.service import Service
from app.settings import Settings
from tests.app.frontiers import points

T = TypeVar("T")
CLASSES = tuple("abcdefghij")


def info(name: str) -> ModelInfo:
    return ModelInfo(name, CLASSES, 32, 1000, None, "0" * 64, "MIT", "nowhere")


def fake_flops(level: Level) -> ImageFlops:
    """Large odd numbers that differ by level and fit together."""
    dense, skipped = 1_110_845_441, 0 if level == "dense" else 101_000_003
    merged, overhead = (level * 10_000_019, level * 1_000_003) if isinstance(level, int) else (0, 0)
    return ImageFlops(dense, dense - skipped - merged + overhead, skipped, merged, overhead)


class FakeEngine:
    """Answers at once unless `gate` is cleared; `trouble` is raised by the next forwards, `unloadable` by load."""

    levels = LevelRange(1, 32)
    method = Method(12, "projection", 0.03, ("mean", "projection"))
    build: Mapping[str, str] = {"version": "0", "torch": "0", "python": "3", "arch": "x", "implementation": "fake"}

    def __init__(self, *names: str) -> None:
        self.models = tuple(info(name) for name in names or ("small", "other"))
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()
        self.trouble: Exception | None = None
        self.unloadable: Exception | None = None
        self.unconfigurable: set[str] = set()
        self.batches: list[tuple[str, tuple[Level, ...]]] = []
        self.configured: list[tuple[str, str, float | None]] = []
        self.methods: dict[str, tuple[str, float | None]] = {}
        self.seen: list[Image.Image] = []
        self.loaded: set[str] = set()
        self.hurried = False
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.calibrations: dict[str, Calibration] = {}
        self.shown: list[tuple[str, Shown]] = []
        self.explaining = threading.Event()

    def load(self, model: str, merge: str, tolerance: float | None) -> None:
        self.gate.wait(10)
        if self.unloadable is not None:
            raise self.unloadable
        self.loaded.add(model)
        self.methods[model] = merge, tolerance
        self.loads.append(model)

    def hurry(self) -> None:
        self.hurried = True

    def unload(self, model: str) -> None:
        self.loaded.discard(model)
        self.unloads.append(model)

    def calibration(self, model: str) -> Calibration | None:
        return self.calibrations.get(model)

    def configure(self, model: str, merge: str, tolerance: float | None) -> None:
        if model not in self.loaded:
            return
        self.configured.append((model, merge, tolerance))
        self.methods[model] = merge, tolerance
        if model in self.unconfigurable and merge == "mean":
            raise RuntimeError("no")

    def prepare(self, model: str, image: Picture) -> Prepared:
        shown = image if isinstance(image, Image.Image) else Image.fromarray(image)
        self.seen.append(shown)
        return shown.getpixel((0, 0))

    def prepare_array(self, array: NDArray[np.float32]) -> Prepared:
        return tuple(int(value) for value in array[:, 0, 0])

    def forward(self, model: str, items: Sequence[Item]) -> BatchResult:
        self.batches.append((model, tuple(item.level for item in items)))
        self.running.set()
        self.gate.wait(10)
        if self.trouble is not None:
            raise self.trouble
        return BatchResult(tuple(self._result(item) for item in items), {"conv1": 0.25})

    def explain(self, model: str, shown: Shown) -> Explained:
        self.shown.append((model, shown))
        self.explaining.set()
        self.gate.wait(10)
        if shown.layer == "nope":
            raise InvalidParameter("unknown layer 'nope'; layers: layer3.1.conv1")
        return Explained.model_validate(EXPLAINED_EXAMPLE)

    def _result(self, item: Item) -> ImageResult:
        red = cast(tuple[int, int, int], item.prepared)[0]
        order = [(red + i) % len(CLASSES) for i in range(item.top_k)]
        return ImageResult(tuple(Prediction(CLASSES[i], i, 0.1) for i in order), fake_flops(item.level))


class Client:
    """Sends requests to the application inside a running event loop, from ordinary test code."""

    def __init__(
        self, app: FastAPI, loop: asyncio.AbstractEventLoop, http: httpx.AsyncClient, thread: int | None
    ) -> None:
        self.app, self._loop, self.http, self._thread = app, loop, http, thread

    @property
    def service(self) -> Service:
        return cast(Service, self.app.state.service)

    def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await something in the application's loop."""

        async def await_it() -> T:
            return await work()

        return self.start(await_it()).result(30)

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin something in the application's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _call_and_wait(self, function: Callable[[], None]) -> None:
        """Call something in the application's loop; at once where this is that loop's own thread."""
        if threading.get_ident() == self._thread:
            function()
            return

        async def call() -> None:
            function()

        self.run(call)

    def call(self, function: Callable[[], None]) -> None:
        """Call something in the application's loop, soon."""
        self._loop.call_soon_threadsafe(function)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self.run(lambda: self.http.request(method, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def classify(self, content: bytes | None = None, query: str = "", **options: Any) -> httpx.Response:
        options = options if content is None else {"content": content, **options}
        return self.request("POST", f"/classify{query}", **options)

    def patch(self, json: Any, **options: Any) -> httpx.Response:
        return self.request("PATCH", "/config", json=json, **options)

    def background(self, method: str, path: str, **options: Any) -> "Future[httpx.Response]":
        """Begin a request."""
        return self.start(self.http.request(method, path, **options))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Poll from the loop; AssertionError after ten seconds."""

        async def poll() -> None:
            for _ in range(2000):
                if condition():
                    return
                await asyncio.sleep(0.005)
            raise AssertionError("it did not come true")

        self.run(poll)

    def sample(self, series: str, **labels: str) -> float:
        """The value of one series now, as a scrape would have it; 0 where it does not exist yet."""
        self._call_and_wait(self.service.afterwards.now)
        value = self.service.metrics.registry.get_sample_value(series, labels)
        return 0.0 if value is None else value


@contextmanager
def serving(engine: Engine | None, *, ready: bool = True, in_place: bool = False, **settings: Any) -> Iterator[Client]:
    """The application with this engine, started and, unless told otherwise, ready; stopped at the end.

    Nothing is refused for its deadline unless a test asks for it: the machine that tests may be busy. in_place: whether
    short work is done in the loop's own thread, where an engine that is held would hold the application.
    """
    with ExitStack() as stack:
        if not in_place:
            stack.enter_context(patch("app.dispatch.MOST_SECONDS", 0.0))
        yield stack.enter_context(_serving(engine, ready, settings))


@contextmanager
def _serving(engine: Engine | None, ready: bool, settings: dict[str, Any]) -> Iterator[Client]:
    app = create_app(Settings(**({"decode_threads": 2, "threads": 1, "slo_ms": 600_000} | settings)), engine)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = Client(
        app, loop, httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30), thread.ident
    )
    lifespan = app.router.lifespan_context(app)
    try:
        client.run(lifespan.__aenter__)
        if ready:
            client.wait_until(lambda: client.service.loaded)
        yield client
    finally:
        if isinstance(engine, FakeEngine):
            engine.gate.set()
        client.run(lambda: lifespan.__aexit__(None, None, None))
        client.run(client.http.aclose)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def process(**environment: str) -> Iterator[httpx.Client]:
    """The real server in a process of its own, by its command, ready; it must end with 0 at SIGTERM, and log JSON."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}
    command = [sys.executable, "-m", "app", "--port", "0"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=clean | environment) as server,
    ):
        assert server.stdout is not None
        address = server.stdout.readline().split()[-1]
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(base_url=address, timeout=120, transport=transport) as client:
            try:
                wait_until_ready(client)
                yield client
            finally:
                server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        log.seek(0)
        assert all(isinstance(json.loads(line), dict) for line in log)


def calibrated(*names: str) -> FakeEngine:
    """A fake engine with a calibration of each of its models."""
    engine = FakeEngine(*names)
    made = Calibration("file", "2026-11-24T12:00:00+00:00", 1, tuple(points()))
    engine.calibrations = {own.name: made for own in engine.models}
    return engine


def encoded(
    kind: str = "PNG", size: tuple[int, int] = (8, 8), mode: str = "RGB", color: Any = None, **options: Any
) -> bytes:
    """An image of one colour; red by default."""
    default = {"RGB": (200, 0, 0), "RGBA": (200, 0, 0, 255), "CMYK": (0, 255, 255, 55)}.get(mode, 200)
    buffer = BytesIO()
    Image.new(mode, size, default if color is None else color).save(buffer, kind, **options)
    return buffer.getvalue()


def wait_until_ready(server: httpx.Client) -> None:
    """Poll a server in a process of its own; AssertionError after two minutes."""
    for _ in range(600):
        if server.get("/readyz").status_code == 200:
            return
        time.sleep(0.2)
    raise AssertionError("not ready after two minutes")
