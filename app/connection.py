"""One connection of the server: bounded in bytes and in time at every point, strict, its errors in the one shape."""

import asyncio
import math
import select
import time
from asyncio.events import TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.connection_state import CONNECTION
from app.refusals import (
    FULL,
    HEAD_TIMEOUT,
    HEAD_TOO_LARGE,
    MALFORMED,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_TARGET_BYTES,
    STOPPING,
    TARGET_TOO_LONG,
    Refusal,
    head_fault,
    malformed,
)

_MAX_PIPELINED = 16
_SPARE_CONNECTIONS = 16
_SPARE_SECONDS = 1.0
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 64 * 2**20
_LAST_CALL_SECONDS = 0.1


@dataclass(frozen=True)
class ConnectionLimits:
    """Connections at once; seconds for the head of a request to arrive, and for an answer to be read."""

    max_connections: int
    head_seconds: float
    response_seconds: float


class _Refused(Exception):
    """Raised in the parser's callbacks, which ends the parsing."""


class Connection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection on httptools, with what it leaves unbounded bounded.

    - The head of a request must arrive whole in time, within a number of bytes and of fields.
    - A client that does not read its answer, or goes on sending after it, is cut.
    - Bytes that a proxy could read in another way (no or two hosts, other transfer codings) are refused, and trailers
      are dropped: no field of the head may come behind the body (RFC 9110, 6.5.1).
    - Over the limit of connections a few more are taken, which are answered once, and only if they ask a probe.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        draining: Callable[[], bool],
        on_refusal: Callable[[int], None],
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        """on_refusal: told of the status where bytes are answered that never became a request."""
        super().__init__(config, server_state, app_state)
        self._limits, self._draining, self._on_refusal = limits, draining, on_refusal
        self.app_state = app_state | {CONNECTION: self}
        self.spare = False  # over the limit: answered once, and only if it asks a probe
        self.answered_at = -math.inf
        self._answers = _Answers(self)
        self._timer: TimerHandle | None = None
        self._unread_timer: TimerHandle | None = None  # while writing is paused, whatever else is waited for
        self._asked = False
        self._in_head = False
        self._field_bytes = 0  # of the request's whole fields, trailers included
        self._loose_bytes = 0  # since the parser last told of anything, but for the rest of the read in which it did
        self._refusal = MALFORMED
        self._deaf = False  # what still arrives is dropped
        self._dropped_bytes = 0
        self._last_call = False
        self._leave: Callable[[], None] | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        over = len(self.connections) - self._limits.max_connections
        self.spare = over > 0
        if over > _SPARE_CONNECTIONS:
            self._write(FULL)
            transport.close()
        else:
            self._arm(_SPARE_SECONDS if self.spare else self._limits.head_seconds, self._head_overdue)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which uvicorn leaves running after a reset
        if self._leave is not None:
            self._leave()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > _LINGER_BYTES:
                self.transport.abort()
            return
        self._loose_bytes += len(data)
        super().data_received(data)
        if self._deaf:
            return
        if self._loose_bytes > MAX_HEAD_BYTES:  # one endless field, in the head or in a trailer
            self._refuse(HEAD_TOO_LARGE)
        elif (self._in_head or self.idle) and self._timer is None:  # less than a whole head is there
            self._arm(self._limits.head_seconds, self._head_overdue)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self.loop.call_later(self._limits.response_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._field_bytes, self._loose_bytes = True, 0, 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._reject(TARGET_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
        self._loose_bytes = 0
        self._field_bytes += len(name) + len(value) + 4
        if self._field_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._reject(HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_head, self._loose_bytes = False, 0
        self._disarm()
        fault = head_fault(self.parser.get_http_version(), self.headers, upgrades=self.parser.should_upgrade())
        if fault is None and len(self.pipeline) >= _MAX_PIPELINED:
            fault = malformed(f"{_MAX_PIPELINED} requests may wait on a connection for their turn")
        if fault is not None:
            self._reject(fault)
        super().on_headers_complete()
        self._asked = True
        self.cycle.transport = self._answers
        if self.spare or self._draining() or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._loose_bytes = 0
        super().on_body(body)

    def _reject(self, refusal: Refusal) -> None:
        self._refusal = refusal
        raise _Refused  # comes back through the parser as an error of its own, and so to send_400_response

    def send_400_response(self, _msg: str) -> None:
        self._refuse(self._refusal)

    def _head_overdue(self) -> None:
        self._timer = None
        if self._in_head:
            self._refuse(HEAD_TIMEOUT)
        elif not self._readable():
            self.close()

    # What the server and the answers tell

    def on_response_complete(self) -> None:
        self.answered_at = time.perf_counter()
        if self._deaf and not self.pipeline:  # what came behind this request was refused
            self.close()
        else:
            super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        if not self._readable():
            self.close()

    def drain(self) -> None:
        """Let the answer that is being made be the connection's last."""
        if not self.idle:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End soon: after the answers that are due; an idle connection has a moment for a request on its way."""
        if self._deaf or self.transport.is_closing():
            return
        if not self.idle:
            self.drain()
        elif self._in_head:
            self._refuse(STOPPING)
        elif not self._last_call or self._readable():
            self._last_call = True
            self.loop.call_later(_LAST_CALL_SECONDS, self.shutdown)
        else:
            self.close()

    def close(self) -> None:
        """Close once everything is sent, or by force where the client does not read it in time."""
        if self._asked and self.cycle.more_body:
            self._linger()
        elif not self.transport.is_closing():
            self.transport.close()
            self._arm(self._limits.response_seconds, self.transport.abort)

    def watch(self, leave: Callable[[], None]) -> None:
        """Call `leave`, and no other from now on, once the connection is lost."""
        self._leave = leave
        self.flow.resume_reading()  # or an end that comes behind a long body would not be seen

    @property
    def gone(self) -> bool:
        """Whether it is lost, or about to be closed."""
        return self.transport.is_closing()

    @property
    def idle(self) -> bool:
        """Whether no answer is due."""
        return not self._asked or self.cycle.response_complete

    @property
    def arrived(self) -> bool:
        """Whether the request that is being answered has arrived whole; only the newest may still be on its way."""
        return bool(self.pipeline) or not self.cycle.more_body

    # The ends

    def _refuse(self, refusal: Refusal) -> None:
        """Answer and close; where answers are due, they go out first, and the refused request only closes."""
        self._deaf = True
        self._disarm()
        if self.idle:
            self._answer(refusal)
        elif self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()
        elif self.cycle.more_body and not self.cycle.response_started:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._answer(refusal)
        elif self.cycle.more_body:
            self.close()

    def _answer(self, refusal: Refusal) -> None:
        self._write(refusal)
        self._linger()

    def _write(self, refusal: Refusal) -> None:
        self._on_refusal(refusal.status)
        self.transport.write(refusal.answer(self.server_state.default_headers))

    def _linger(self) -> None:
        """End our side and drop what comes, for a moment: bytes left unread would make the system cut the answer."""
        self._deaf = True
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._arm(_LINGER_SECONDS, self.transport.abort)

    def _readable(self) -> bool:
        """Whether bytes, or the client's end, wait to be read."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _arm(self, seconds: float, action: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Answers(asyncio.Transport):
    """What answers are written to: the connection's transport, but for its end."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._connection.transport.write(data)

    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    def close(self) -> None:
        self._connection.close()
