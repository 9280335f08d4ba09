"""What a connection is answered where its bytes never become a request: the one shape, as bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import error_response, stopping
from app.log import new_request_id, request_id
from app.middleware import HEADER

MAX_TARGET_BYTES = 8_192
MAX_HEAD_BYTES = 32_768
MAX_HEADERS = 100


@dataclass(frozen=True)
class Refusal:
    """A status, and what the problem's fields say."""

    status: int
    name: str
    title: str
    detail: str

    def answer(self, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The whole response with these headers, after which the connection closes."""
        token = request_id.set(new_request_id())
        try:
            response = error_response("", self.status, self.name, self.title, self.detail)
            response.headers[HEADER] = request_id.get()
        finally:
            request_id.reset(token)
        response.headers["Connection"] = "close"
        if self.status == 503:
            response.headers["Retry-After"] = "5"
        lines = b"".join(b"%b: %b\r\n" % pair for pair in (*headers, *response.raw_headers))
        return b"%b%b\r\n%b" % (STATUS_LINE[self.status], lines, bytes(response.body))


def malformed(detail: str) -> Refusal:
    """What is no request as it should be."""
    return Refusal(400, "malformed-request", "Not a proper HTTP request", detail)


MALFORMED = malformed("the bytes are no valid HTTP/1.1 request")
HEAD_TIMEOUT = Refusal(408, "head-timeout", "The request took too long", "the request's head did not arrive in time")
TARGET_TOO_LONG = Refusal(
    414, "target-too-long", "The path or query is too long", f"both may have {MAX_TARGET_BYTES} bytes together"
)
HEAD_TOO_LARGE = Refusal(
    431,
    "head-too-large",
    "The request's head is too large",
    f"it may have {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} header fields",
)
STOPPING = Refusal(503, "unavailable", "Not serving now", stopping().detail)
FULL = Refusal(503, "unavailable", "Not serving now", "as many connections are open as may be; come back later")


def head_fault(version: str, headers: Sequence[tuple[bytes, bytes]], *, upgrades: bool) -> Refusal | None:
    """Why a head could be taken for another request by another server; None where it could not.

    headers: names in lower case, values. upgrades: whether the parser takes it for a change of protocol.
    """
    hosts = sum(name == b"host" for name, _ in headers)
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    has_body = bool(codings) or any(name == b"content-length" for name, _ in headers)
    if version not in ("1.0", "1.1"):
        return malformed(f"HTTP/{version} is not spoken here, HTTP/1.1 is")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return malformed(f"a request names one Host, this one names {hosts}")
    if codings and (version == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]):
        return malformed("the only transfer coding is chunked, in HTTP/1.1")
    if upgrades and has_body:
        return malformed("protocols are not upgraded here; send a body without the header Upgrade")
    return None
