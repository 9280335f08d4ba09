"""HTTP as bytes on a socket: requests that may be wrong in any way, answers read strictly. For tests of a server."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_LIMIT = 2**22


@dataclass(frozen=True)
class Answer:
    """One answer; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it is the connection's last."""
        return self.headers.get("connection", "").lower() == "close"

    def json(self) -> object:
        """The body's value; None where it is no JSON."""
        try:
            value: object = json.loads(self.body)
        except ValueError:
            return None
        return value


class Lost(Exception):
    """The connection ended before an answer was whole."""


class Link:
    """A connection; whatever goes wrong with it is an OSError or Lost."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Self:
        """To loopback."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=_LIMIT))

    async def send(self, data: bytes) -> None:
        """All of it, into the system's buffers."""
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self, method: str = "GET") -> Answer:
        """The next answer, to a request of this method; interim answers are skipped."""
        while True:
            try:
                head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                lines = head.split("\r\n")
                status = int(lines[0].split(" ")[1])
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                length = 0 if method == "HEAD" or status in (204, 304) else int(headers.get("content-length", 0))
                body = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise Lost(str(error)) from None
            if status >= 200:
                return Answer(status, headers, body)

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send and receive. A server may answer before it has all, and stop to listen."""
        try:
            await self.send(data)
        except ConnectionError:
            return await self.receive(method)
        return await self.receive(method)

    def close(self) -> None:
        """At once, whatever is on its way."""
        self._writer.close()


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    """A proper request; underscores in the names of headers stand for hyphens."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method in ("POST", "PATCH", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body
