"""The server around the application: bounded connections, and an end that loses no request."""

import asyncio
import ctypes
import logging
import math
import signal
import socket
import ssl
import struct
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.connection import Connection, ConnectionLimits
from app.memory import Rest
from app.notify import Notifier
from app.service import Service
from app.settings import Settings
from app.supervision import Supervision

_BACKLOG = 2048
_LOOK_SECONDS = 0.05
_ADOPTION_SECONDS = 2.0
_SO_ATTACH_FILTER, _RETURN = 26, 0x06  # of asm-generic/socket.h, and BPF_RET | BPF_K of linux/bpf_common.h
_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Ends with a plain return after a signal, once what was accepted is answered; a second Ctrl-C cuts that short.

    At the signal the service is not ready any more, and every answer closes its connection. For a moment (`drain_ms`)
    new connections are still taken, since those who send them need time to hear of it. `all_answered` tells at the end
    whether everything that was accepted was answered: not where that took too long or was cut short.
    """

    def __init__(
        self, app: FastAPI, settings: Settings, tls: ssl.SSLContext | None = None, notifier: Notifier | None = None
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                loop="uvloop",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=-(-settings.keep_alive_timeout_ms // 1000),
                timeout_graceful_shutdown=-(-settings.shutdown_timeout_ms // 1000),
            )
        )
        self._service: Service = app.state.service
        self._supervision = Supervision(self._service, notifier or Notifier())
        self._rest = Rest()
        self._tls = tls
        self.all_answered = False
        self._drain_seconds = settings.drain_ms / 1000
        self._limits = ConnectionLimits(
            settings.max_connections, settings.request_header_timeout_ms / 1000, settings.response_timeout_ms / 1000
        )

    def stop(self) -> None:
        """End as after a signal."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn names it
        self._service.drain()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    def _connection(self) -> Connection:
        return Connection(
            self._limits,
            lambda: self._service.draining,
            self._service.metrics.connection_refused,
            self.config,
            self.server_state,
            self.lifespan.state,
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on these sockets, which are bound; uvicorn itself would leave TLS handshakes unbounded."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            server = await loop.create_server(
                self._connection,
                sock=listener,
                backlog=_BACKLOG,
                ssl=self._tls,
                **_handshake(self._tls, self._limits.head_seconds),
            )
            self.servers.append(server)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second while it serves."""
        now = time.monotonic()
        self._supervision.look(now)
        busy = bool(self.server_state.tasks) or not self._service.settled
        self._rest.look(now, self.server_state.total_requests, busy=busy)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, stop listening, finish."""
        self._service.drain()
        self._supervision.stopping()
        for connection in tuple(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.drain()
        for _ in range(math.ceil(self._drain_seconds / _LOOK_SECONDS)):
            if self.force_exit:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        for listener in sockets or ():
            await self._stop_listening(listener)
        await super().shutdown()
        self._service.afterwards.now()  # where a second Ctrl-C leaves the service no time to stop

    async def _wait_tasks_to_complete(self) -> None:
        """Cancelled where it takes too long."""
        await super()._wait_tasks_to_complete()
        self.all_answered = not self.force_exit

    async def _stop_listening(self, listener: socket.socket) -> None:
        """Close the socket with nobody left in its queue, whom the system would cut."""
        turn_away(listener)
        with listener.dup() as queue:
            for server in self.servers:
                server.close()
            accepted = []
            while True:
                try:
                    accepted.append(queue.accept()[0])
                except OSError:  # none waits
                    break
        await asyncio.gather(*(self._adopt(client) for client in accepted))

    async def _adopt(self, client: socket.socket) -> None:
        """Take a connection; who does not finish the handshake of TLS soon has asked nothing yet, and is cut."""
        client.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection,
                client,
                ssl=self._tls,
                **_handshake(self._tls, min(self._limits.head_seconds, _ADOPTION_SECONDS)),
            )
        except OSError as error:
            _log.info("a client left before its connection was taken: %s", error)


def turn_away(listener: socket.socket) -> None:
    """Let the socket hear of no new connection, where the system can; those in its queue are not touched.

    Who connects between the last look into the queue and its end would be cut after having sent a request. Unheard it
    asks again a second later, and is refused. The filter is one instruction, which keeps no byte of any packet.
    """
    if sys.platform == "linux":
        instruction = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
        program = struct.pack("HP", 1, ctypes.addressof(instruction))
        with suppress(OSError):
            listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _handshake(tls: ssl.SSLContext | None, seconds: float) -> dict[str, Any]:
    """How long TLS may take to begin and to end; without it, asyncio allows no such limit."""
    return dict.fromkeys(("ssl_handshake_timeout", "ssl_shutdown_timeout"), None if tls is None else seconds)
