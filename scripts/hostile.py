"""Requests that try a server: images, bodies, parameters and headers that are wrong, and bytes that are no HTTP."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from hostile_bodies import config_patch, json_body, multipart, query, v2_body, v2_target, value
from hostile_images import cut, flipped, image
from wire import request

_PATHS: tuple[str, ...] = (
    "/",
    "/livez",
    "/readyz",
    "/startupz",
    "/metrics",
    "/models",
    "/config",
    "/docs",
    "/openapi.json",
    "/classify",
)
_PATHS += ("/v2", "/explain", "//", "/%2e%2e/%2e%2e/etc/passwd", "/classify/", "/models/x/load", "/%ff", "/a" * 500)
_METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "TRACE")
_TYPES = (
    "image/jpeg",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "",
    "text/html; charset=x",
    "a/b/c",
)
_HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("X_Request_ID", ("mine", "a b", "x" * 200, '{"a":1}', "\xff")),
    ("Content_Encoding", ("identity", "gzip", "br, gzip", "")),
    ("If_Match", ('"1"', "*", "W/1", '"', "\xe9" * 50)),
    ("Authorization", ("Bearer x", "Basic eDp5", "Bearer", "\xff\xfe", "Bearer " + "a" * 5000)),
    ("Origin", ("http://evil.example", "null", "http://[", "http://localhost")),
    ("Accept", ("text/html", "\xff", "*/*;q=2")),
    ("Range", ("bytes=0-", "bytes=-1,5-2", "x")),
    ("Expect", ("100-continue", "x")),
    ("Cookie", ("a=b; " * 500,)),
    ("X_Forwarded_For", ("127.0.0.1", "\xff")),
    ("Transfer_Encoding", ("chunked", "gzip")),
    ("Connection", ("close", "keep-alive, Upgrade", "x")),
    ("Upgrade", ("websocket", "h2c")),
    ("Accept_Encoding", ("gzip",)),
)
_RAW = (
    b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://127.0.0.1:99999999/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x",
    b"POST /classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST /classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: " + b"y" * 300_000,
    b"POST /classify HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\nabc",
    b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\0" * 500,
)


@dataclass(frozen=True)
class Attempt:
    """Bytes to send. Where `proper`, one answer is due to them; otherwise the server may also close the connection.

    A client that `leaves` does so without its answer, perhaps before it has sent everything.
    """

    kind: str
    method: str
    data: bytes
    proper: bool = True
    leaves: bool = False

    @property
    def is_v2(self) -> bool:
        """Whether it asks a path of the Open Inference Protocol, whose errors have a shape of their own."""
        return b" /v2" in self.data.partition(b"\n")[0]


def raw_image(rng: random.Random) -> Attempt:
    """One image as the body."""
    data = request("POST", f"/classify{query(rng)}", image(rng), Content_Type=rng.choice(_TYPES))
    return Attempt("image", "POST", data)


def json_images(rng: random.Random) -> Attempt:
    """Images in JSON."""
    kind = rng.choice(("application/json", "application/json", "text/json; charset=utf-16", "application/ld+json"))
    return Attempt("json", "POST", request("POST", f"/classify{query(rng)}", json_body(rng), Content_Type=kind))


def form(rng: random.Random) -> Attempt:
    """Images in a form."""
    body, kind = multipart(rng)
    return Attempt("multipart", "POST", request("POST", f"/classify{query(rng)}", body, Content_Type=kind))


def config(rng: random.Random) -> Attempt:
    """A change of the state."""
    method = rng.choice(("PATCH", "POST"))
    return Attempt("config", method, request(method, "/config", config_patch(rng), Content_Type="application/json"))


def odd_headers(rng: random.Random) -> Attempt:
    """Any path by any method with headers that may contradict one another."""
    method, path = rng.choice(_METHODS), rng.choice(_PATHS)
    headers = {name: rng.choice(values) for name, values in rng.sample(_HEADERS, rng.choice((1, 2, 4)))}
    body = rng.choice((b"", image(rng), json_body(rng)))
    target = path + (query(rng) if rng.random() < 0.5 else "")
    tricky = {"Transfer_Encoding", "Upgrade", "Connection"} & set(headers)
    return Attempt("headers", method, request(method, target, body, **headers), proper=not tricky)


def odd_host(rng: random.Random) -> Attempt:
    """A change, or a look, by an odd name of this machine."""
    host = rng.choice(
        (b"", b"[", b"[::1", b"a" * 900, b"\xff\xfe", b"localhost:99999999", b"evil.example", b"a@b:c/d?e")
    )
    data = rng.choice((request("GET", rng.choice(_PATHS)), request("PATCH", "/config", b'{"L":8}')))
    return Attempt("host", data.split(b" ")[0].decode(), data.replace(b"localhost", host, 1), proper=False)


def rubbish(rng: random.Random) -> Attempt:
    """Bytes that are no HTTP, or nearly."""
    base = rng.choice((raw_image, json_images, form, odd_headers))(rng).data
    chunked = b"POST /classify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + base[-3000:]
    data = rng.choice((rng.choice(_RAW), rng.randbytes(rng.choice((1, 100, 5000))), flipped(base, rng), cut(base, rng)))
    data = rng.choice((data, data, chunked, base + data))
    return Attempt("raw", data.partition(b" ")[0].decode("latin-1").upper(), data, proper=False)


def protocol_v2(rng: random.Random) -> Attempt:
    """The Open Inference Protocol."""
    target, (body, headers) = v2_target(rng), v2_body(rng)
    method = "POST" if target.endswith("infer") or "repository" in target else rng.choice(("GET", "GET", "POST"))
    if rng.random() < 0.05:
        target += "?" + quote(str(value(rng))[:200], errors="replace")
    return Attempt("v2", method, request(method, target, body, **headers))


_KINDS: tuple[tuple[Callable[[random.Random], Attempt], int], ...] = (
    (raw_image, 40),
    (json_images, 20),
    (form, 15),
    (odd_headers, 10),
    (rubbish, 8),
    (config, 4),
    (odd_host, 3),
)


def attempt(seed: int, number: int, v2: bool) -> Attempt:
    """The same for the same numbers; with `v2`, also of that protocol."""
    rng = random.Random(f"{seed} {number}")
    kinds = (*_KINDS, (protocol_v2, 30)) if v2 else _KINDS
    return rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0](rng)
