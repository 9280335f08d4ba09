"""Around every request: its id in and out, its duration and status counted by route, one log line, no stack trace."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import error_response
from app.log import accepted_request_id, request_id
from app.metrics import Metrics

_log = logging.getLogger("app.access")
_PROBES_OF_V2 = ("health/live", "health/ready", "models/{model}/ready", "models/{model}/versions/{version}/ready")
_QUIET = frozenset(("/livez", "/readyz", "/startupz", "/metrics", *(f"/v2/{path}" for path in _PROBES_OF_V2)))
_UNMATCHED = "unmatched"
HEADER = "X-Request-ID"


class RequestMiddleware:
    """Plain ASGI, so that a client's disconnect and streaming bodies pass through."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        identity = accepted_request_id(Headers(scope=scope).get(HEADER))
        token = request_id.set(identity)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            _log.exception("unhandled")
            if status:
                raise  # the answer has begun; the server can only cut it off
            detail = "a fault of ours; the log has the details under this request id"
            answer = error_response(scope["path"], 500, "internal", "The service failed", detail)
            await answer(scope, receive, send_with_id)
        finally:
            self._finish(scope, status or 499, time.perf_counter() - started)
            request_id.reset(token)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", _UNMATCHED)
        self._metrics.http_request(route, scope["method"], status, seconds)
        if route not in _QUIET:
            fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1)}
            _log.info("%s %s %d", scope["method"], route, status, extra={"fields": fields})
