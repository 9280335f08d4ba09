"""Around every request: its id in and out, its duration and status counted by route, one log line, no stack trace."""

import logging
import time
from collections.abc import Callable, Mapping

from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.afterwards import Afterwards
from app.connection_state import connection_of, not_before
from app.errors import INTERNAL, ServiceError, answer_service_error, error_response
from app.log import accepted_request_id, request_id
from app.metrics import UNMATCHED, Metrics

_log = logging.getLogger("app.access")
_PROBES_OF_V2 = ("health/live", "health/ready", "models/{model}/ready", "models/{model}/versions/{version}/ready")
_QUIET = frozenset(("/livez", "/readyz", "/startupz", "/metrics", *(f"/v2/{path}" for path in _PROBES_OF_V2)))
_QUIET_PATHS = tuple(compile_path(route)[0] for route in _QUIET)
HEADER = "X-Request-ID"


def _is_quiet(path: str) -> bool:
    """Whether a path is a probe's or `/metrics`."""
    return any(pattern.match(path) for pattern in _QUIET_PATHS)


class RequestMiddleware:
    """Plain ASGI, so that a client's disconnect and streaming bodies pass through."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        afterwards: Afterwards,
        arrived: Callable[[float], float],
        direct: Mapping[tuple[str, str], APIRoute],
    ) -> None:
        """arrived: when a request that is looked at now came, of what it cannot have come before; time.perf_counter's.

        direct: by method and path, routes that are served without the router and its layers.
        """
        self._app, self._metrics, self._afterwards, self._arrived = app, metrics, afterwards, arrived
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = self._arrived(not_before(scope))
        identity = accepted_request_id(Headers(scope=scope).get(HEADER))
        token = request_id.set(identity)
        connection = connection_of(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[HEADER] = identity
                if connection is not None and not connection.arrived:
                    headers["Connection"] = "close"  # nobody reads the rest of the body
            await send(message)

        try:
            if connection is not None and connection.spare and not _is_quiet(scope["path"]):
                await _too_many_connections(scope["path"])(scope, receive, send_with_id)
            elif route := self._direct.get((scope["method"], scope["path"])):
                await _serve(route, scope, receive, send_with_id)
            else:
                await self._app(scope, receive, send_with_id)
        except Exception:
            _log.exception("unhandled")
            if status:
                raise  # the answer has begun; the server can only cut it off
            detail = "a fault of ours; the log has the details under this request id"
            answer = error_response(scope["path"], INTERNAL.status, INTERNAL.name, INTERNAL.title, detail)
            await answer(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            self._afterwards.later(self._finish, scope, status or 499, seconds, time.time())
            request_id.reset(token)

    def _finish(self, scope: Scope, status: int, seconds: float, now: float) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        self._metrics.http_request(route, scope["method"], status, seconds)
        if route not in _QUIET:
            fields = {"method": scope["method"], "route": route, "status": status, "ms": round(seconds * 1000, 1)}
            _log.info("%s %s %d", scope["method"], route, status, extra={"fields": fields, "at": now})


async def _serve(route: APIRoute, scope: Scope, receive: Receive, send: Send) -> None:
    """As the router would, in fewer steps."""
    scope["route"] = route
    request = Request(scope, receive, send)
    try:
        response = await route.endpoint(request)
    except ServiceError as error:
        response = await answer_service_error(request, error)
    await response(scope, receive, send)


def _too_many_connections(path: str) -> Response:
    detail = "as many connections are open as may be; only probes are answered"
    response = error_response(path, 503, "unavailable", "Not serving now", detail)
    response.headers["Retry-After"] = "5"
    return response
