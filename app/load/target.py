"""The service under load: on this machine unless told otherwise, waited for, asked what it serves, tried once."""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

from app.load.images import Payload
from app.load.outcomes import Reading

KEY = "HASTE_LOAD_KEY"
"""The environment variable that holds the key of a service that wants one."""

_ABSENT_SECONDS, _LOADING_SECONDS, _POLL_SECONDS = 5.0, 60.0, 0.25
_KEEP_ALIVE_SECONDS = 4.0  # what is sent as a server closes is lost: ours after 20 s idle, plain uvicorn after 5


@dataclass(frozen=True)
class Target:
    """Where requests go, and how its answers are read. read: ValueError, LookupError or TypeError at no answer.

    headers: sent with every request, those before the load too.
    """

    url: URL
    timeout_seconds: float
    connections: int
    read: Callable[[bytes], Reading]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # they may hold a key

    def session(self) -> aiohttp.ClientSession:
        """Connections that stay open; nothing else than what a request says is sent."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=self.timeout_seconds),
            headers=self.headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )


def read_answer(body: bytes) -> Reading:
    """An answer of `/classify`."""
    answer = json.loads(body)
    return Reading(str(answer["predictions"][0]["label"]), answer["L"]["used"], bool(answer.get("degraded")))


def check_address(base: str, *, allow_remote: bool) -> URL:
    """The service's address; ValueError where it is none, or not of this machine and remote ones are not allowed."""
    try:
        url = URL(base)
        host, port = url.host, url.port
    except ValueError as error:
        raise ValueError(f"--url {base!r}: {error}") from None
    if url.scheme not in ("http", "https") or not host or url.query_string or url.user:
        raise ValueError(f"--url must be like http://127.0.0.1:8000, not {base!r}")
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError as error:
        raise ValueError(f"--url {base!r}: {host} has no address ({error.strerror})") from None
    remote = [address for address in found if not ipaddress.ip_address(address.split("%")[0]).is_loopback]
    if remote and not allow_remote:
        raise ValueError(f"{host} is {', '.join(remote)}, not this machine: --allow-remote if you may load it")
    return url


async def wait_until_ready(
    session: aiohttp.ClientSession,
    probe: URL,
    absent_seconds: float = _ABSENT_SECONDS,
    loading_seconds: float = _LOADING_SECONDS,
) -> None:
    """Ask until the probe answers 200; ValueError after so long without an answer, or with others than 200."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        try:
            async with session.get(probe, allow_redirects=False) as answer:
                if answer.status == 200:
                    return
                seconds, reason = loading_seconds, f"answers {answer.status}: {_detail(await answer.read())}"
                if answer.status == 404:
                    raise ValueError(f"{probe} {reason}; --url is the service's address, without a path of its API")
        except (aiohttp.ClientError, OSError) as error:
            seconds, reason = absent_seconds, f"{_reason(error)}; start it with `haste serve`, or give another --url"
        if loop.time() - started >= seconds:
            raise ValueError(f"not ready after {seconds:g} s: {probe} {reason}")
        await asyncio.sleep(_POLL_SECONDS)


async def served(session: aiohttp.ClientSession, base: URL, name: str | None) -> Mapping[str, Any]:
    """What `GET /models` tells of the model, by default of the first; ValueError where there is none of that name."""
    try:
        async with session.get(base / "models", allow_redirects=False) as answer:
            status, body = answer.status, await answer.read()
            models = {} if status in (401, 403) else {one["name"]: one for one in json.loads(body)["models"]}
    except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError):
        raise ValueError(f"{base / 'models'} names no models: is this `haste serve`?") from None
    if not models:
        remedy = f"; {KEY} must hold its data key" if status == 401 else ""
        raise ValueError(f"{base / 'models'} answers {status}: {_detail(body)}{remedy}")
    if name is not None and name not in models:
        raise ValueError(f"{base} serves {', '.join(models)}, not {name!r}")
    model: Mapping[str, Any] = models[name] if name is not None else next(iter(models.values()))
    return model


async def try_once(session: aiohttp.ClientSession, target: Target, payload: Payload) -> None:
    """Send one request; ValueError where the service refuses its parameters or its image."""
    headers = {"Content-Type": payload.content_type}
    try:
        async with session.post(target.url, data=payload.body, headers=headers, allow_redirects=False) as answer:
            status, body = answer.status, await answer.read()
    except (aiohttp.ClientError, OSError) as error:
        raise ValueError(f"{target.url} {_reason(error)}") from None
    if 300 <= status < 500 and status not in (408, 429):
        detail = _detail(body)
        remedy = (
            "; --no-deadline-sent leaves it out" if "deadline" in detail and "deadline_ms" in target.url.query else ""
        )
        raise ValueError(f"{target.url} answers {status}: {detail}{remedy}")


def _reason(error: Exception) -> str:
    what = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
    return f"does not answer ({what})"


def _detail(body: bytes) -> str:
    """What an error says in its problem's `detail`, else the beginning of the text."""
    text = body[:400].decode("utf-8", "replace")
    try:
        problem = json.loads(body)
        return str(problem["detail"])
    except (ValueError, LookupError, TypeError):
        return text
