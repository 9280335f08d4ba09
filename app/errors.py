"""What can go wrong with a request: one base, one table from exception to answer."""

import reprlib
from dataclasses import dataclass
from typing import Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.log import request_id

Outcome = Literal["ok", "rejected", "timeout", "cancelled", "bad_input", "error"]


class ServiceError(Exception):
    """A request that is not answered as asked; `detail` is written for the client."""

    def __init__(self, detail: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds


class MalformedBody(ServiceError):
    """A body that is not what its content type says."""


class Undecodable(ServiceError):
    """Bytes that are no image, or a broken one."""


class Unauthorized(ServiceError):
    """A request without the key that it needs."""


class Forbidden(ServiceError):
    """A changing request that is not accepted from here."""


class NotFound(ServiceError):
    """A path that names a model or a version that is not served."""


class BodyTimeout(ServiceError):
    """A client that takes too long to send its body."""


class DecodeTimeout(ServiceError):
    """An image that takes too long to decode."""


class VersionConflict(ServiceError):
    """A change of a state that is not the current one."""


class TooManyBytes(ServiceError):
    """A body or an image over the byte cap."""


class TooManyPixels(ServiceError):
    """An image whose header announces more pixels than the cap, or that does not fit in memory."""


class TooManyImages(ServiceError):
    """A request with more images than the cap."""


class UnsupportedFormat(ServiceError):
    """A known format that is not among those accepted."""


class InvalidParameter(ServiceError):
    """A parameter or field that is unknown, given twice, or out of bounds."""


class Busy(ServiceError):
    """More work than the service accepts at once."""


class ClientGone(ServiceError):
    """A client that did not wait for its answer; the status is for the counters alone."""


class Unavailable(ServiceError):
    """A service that is still loading, or about to stop."""


def stopping() -> Unavailable:
    """What is answered to a request that comes when the service is about to stop."""
    return Unavailable("the service is stopping", retry_after_seconds=5)


class EngineFailure(ServiceError):
    """A fault of ours while computing."""


@dataclass(frozen=True)
class Problem:
    """How a kind of error is answered and counted."""

    status: int
    name: str
    title: str
    outcome: Outcome
    rejection: str | None = None


TABLE: dict[type[ServiceError], Problem] = {
    MalformedBody: Problem(400, "malformed-body", "The body could not be read", "bad_input"),
    Undecodable: Problem(400, "undecodable", "The image could not be decoded", "bad_input", "undecodable"),
    Unauthorized: Problem(401, "unauthorized", "A key is missing or wrong", "bad_input"),
    Forbidden: Problem(403, "forbidden", "Changes are not accepted", "bad_input"),
    NotFound: Problem(404, "not-found", "Not Found", "bad_input"),
    BodyTimeout: Problem(408, "body-timeout", "The body took too long", "timeout"),
    DecodeTimeout: Problem(408, "decode-timeout", "The image took too long", "timeout", "decode_timeout"),
    VersionConflict: Problem(412, "version-conflict", "The state has changed", "bad_input"),
    TooManyBytes: Problem(413, "too-many-bytes", "Too many bytes", "bad_input", "too_many_bytes"),
    TooManyPixels: Problem(413, "too-many-pixels", "Too many pixels", "bad_input", "too_many_pixels"),
    TooManyImages: Problem(413, "too-many-images", "Too many images", "bad_input", "too_many_images"),
    UnsupportedFormat: Problem(415, "unsupported-format", "Unsupported format", "bad_input", "unsupported_format"),
    InvalidParameter: Problem(422, "invalid-parameter", "Invalid parameter", "bad_input"),
    Busy: Problem(429, "busy", "Too much work at once", "rejected"),
    ClientGone: Problem(499, "client-gone", "The client left", "cancelled"),
    EngineFailure: Problem(500, "engine-failure", "The service failed", "error"),
    Unavailable: Problem(503, "unavailable", "Not serving now", "rejected"),
}
METHOD_NOT_ALLOWED = Problem(405, "method-not-allowed", "Method Not Allowed", "bad_input")
INTERNAL = Problem(500, "internal", "The service failed", "error")
REJECTIONS = tuple(problem.rejection for problem in TABLE.values() if problem.rejection is not None)

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def outcome_of(error: type[BaseException] | None) -> Outcome:
    """How a request that ended with such an exception counts."""
    if error is None:
        return "ok"
    if issubclass(error, ServiceError):
        return TABLE[error].outcome
    return "error" if issubclass(error, Exception) else "cancelled"


def named(value: object) -> str:
    """A value from outside as it may stand in a message: short, printable, no lone surrogates."""
    text = _SHORT.repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def error_response(path: str, status: int, name: str, title: str, detail: str) -> Response:
    """RFC 9457; the request id lets the client's report be found in the log.

    Under /v2 as the Open Inference Protocol has it, which answers 400 to whatever is wrong with a request's values.
    """
    detail = detail.encode("utf-8", "backslashreplace").decode()
    if f"{path}/".startswith("/v2/"):
        return JSONResponse({"error": detail}, status_code=400 if status == 422 else status)
    body = {"type": f"urn:haste:problem:{name}", "title": title, "detail": detail, "request_id": request_id.get()}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


async def answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    problem = TABLE[type(error)]
    response = error_response(request.scope["path"], problem.status, problem.name, problem.title, error.detail)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """Unknown paths and methods, in the one shape."""
    assert isinstance(error, HTTPException)
    name, detail = {
        404: ("not-found", f"no such path: {named(request.url.path)}; /docs lists them"),
        405: (METHOD_NOT_ALLOWED.name, f"{named(request.method)} is not allowed here"),
    }.get(error.status_code, ("http-error", error.detail))
    response = error_response(request.scope["path"], error.status_code, name, error.detail, detail)
    response.headers.update(error.headers or {})
    return response


def install(app: Starlette) -> None:
    """Let the application answer errors by the table."""
    app.add_exception_handler(ServiceError, answer_service_error)
    app.add_exception_handler(HTTPException, answer_http_exception)
