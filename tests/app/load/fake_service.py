"""A small service in a thread of its own: it can hold its answers back, refuse, and tell what it was asked."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

CLASSES = ["cat", "dog"]
ANSWER: dict[str, Any] = {"predictions": [{"label": "cat", "index": 0}], "L": {"used": 10}, "degraded": False}


class FakeService:
    """Answers `answer` with `status`, at once; where `hold_until` is set, each answer waits for so many requests."""

    def __init__(self) -> None:
        self.url = ""
        self.status, self.answer = 200, dict(ANSWER)
        self.hold_until = 0
        self.loading = self.locked = False
        self.redirect: str | None = None
        self.queries: list[dict[str, str]] = []
        self.keys: set[str | None] = set()
        self.bodies: list[tuple[str, bytes]] = []
        self.on_request: Callable[[], None] = lambda: None
        self._enough = asyncio.Event()

    def release(self) -> None:
        """Let every answer go, to whom it may still concern."""
        self._enough.set()

    async def ready(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("Authorization"))
        return web.Response(status=503 if self.loading else 200, text="still loading" if self.loading else "ok")

    async def models(self, request: web.Request) -> web.Response:
        self.keys.add(request.headers.get("Authorization"))
        if self.locked:
            return web.json_response({"detail": "a key is needed"}, status=401)
        return web.json_response({"models": [{"name": name, "classes": CLASSES} for name in ("first", "second")]})

    async def classify(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.queries.append(dict(request.query))
        self.keys.add(request.headers.get("Authorization"))
        self.bodies.append((request.content_type, body))
        self.on_request()
        if len(self.queries) >= self.hold_until:
            self.release()
        await self._enough.wait()
        if self.redirect:
            raise web.HTTPTemporaryRedirect(self.redirect)
        return web.json_response(self.answer, status=self.status)


@contextmanager
def serving() -> Iterator[FakeService]:
    """The service on a loopback port that the system chooses."""
    service, loop = FakeService(), asyncio.new_event_loop()
    app = web.Application()
    app.router.add_get("/readyz", service.ready)
    app.router.add_get("/models", service.models)
    app.router.add_post("/classify", service.classify)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        service.url = f"http://{host}:{port}"

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield service
    finally:
        loop.call_soon_threadsafe(service.release)
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
