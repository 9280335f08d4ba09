"""The real server on a loopback port, in a thread, with any engine; and a socket that speaks to it byte by byte."""

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvloop

from app.cli import bind
from app.contract import Engine
from app.main import create_app
from app.notify import Notifier
from app.server import Server
from app.service import Service
from app.settings import Settings

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Live:
    """A running server."""

    def __init__(self, server: Server, port: int, service: Service) -> None:
        self.server, self.port, self.service = server, port, service

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self.server.servers[0].get_loop()

    def open(self, data: bytes = b"") -> socket.socket:
        """A connection on which `data` was sent; reading from it ends after ten seconds at the latest."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        client.sendall(data)
        return client

    def exchange(self, data: bytes) -> bytes:
        """All that comes back until the server closes."""
        with self.open(data) as client:
            return read_all(client)

    def ended(self, outcome: str) -> float:
        """How many requests for an inference of the model `small` ended so, as a scrape would have it."""

        async def count() -> None:
            self.service.afterwards.now()

        asyncio.run_coroutine_threadsafe(count(), self.loop).result(10)
        labels = {"model": "small", "outcome": outcome}
        return self.service.metrics.registry.get_sample_value("haste_inference_requests_total", labels) or 0.0

    def wait_for_connections(self, number: int) -> None:
        """AssertionError where the server does not have that many within ten seconds."""
        connections = self.server.server_state.connections
        self.wait_until(lambda: len(connections) == number, lambda: f"{len(connections)} connections, not {number}")

    def wait_until(self, condition: Callable[[], bool], told: Callable[[], str] = lambda: "it did not happen") -> None:
        """AssertionError where it does not come true within ten seconds."""
        for _ in range(1000):
            if condition():
                return
            time.sleep(0.01)
        raise AssertionError(told())


def post(body: bytes, kind: bytes = b"image/png") -> bytes:
    """A request to /classify."""
    head = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def read_all(client: socket.socket) -> bytes:
    """Until the other side closes; a reset counts as its end."""
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def read_answer(client: socket.socket) -> bytes:
    """One answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-len"))
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def statuses(data: bytes) -> list[int]:
    """Of the answers that follow one another."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [^\n]*\r\n", data)]


@contextmanager
def live(
    engine: Engine,
    tls: ssl.SSLContext | None = None,
    notifier: Notifier | None = None,
    **settings: Any,
) -> Iterator[Live]:
    """A server that is ready; it must end by itself when it is told to stop."""
    values = Settings(**({"decode_threads": 2, "threads": 1, "drain_ms": 0, "port": 0} | settings))
    app = create_app(values, engine)
    server = Server(app, values, tls, notifier)
    with bind("127.0.0.1", 0) as listener:
        running = Live(server, listener.getsockname()[1], cast(Service, app.state.service))
        thread = threading.Thread(target=lambda: uvloop.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            for _ in range(1000):
                if server.started and running.service.loaded:
                    break
                time.sleep(0.01)
            yield running
        finally:
            server.stop()
            thread.join(20)
            assert not thread.is_alive()
