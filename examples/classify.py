"""Classifies images over HTTP with the standard library alone, and asks again where an answer was lost.

    python examples/classify.py haste/samples/cat.jpg --L 10

Copy `Client` into your program. docs/clients.md says why asking again is safe, and when it stops.
"""

import argparse
import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

AGAIN = frozenset({429, 500, 502, 503, 504})
"""Too much load, stopping, or a gateway that lost the process behind it: another try may be answered."""


class Refused(Exception):
    """The service will not answer this request, however often it is asked."""


class GaveUp(Exception):
    """Every attempt failed; the message names the last failure."""


@dataclass(frozen=True)
class Patience:
    """How often a request is sent at most, and how long is waited in between: 0..first * 2^n, never over `longest`."""

    attempts: int = 8
    first_seconds: float = 0.05
    longest_seconds: float = 2.0
    longest_named_seconds: float = 60.0

    def pause(self, attempt: int, retry_after: str | None, draw: Callable[[float, float], float]) -> float:
        """Seconds after an attempt, counted from 0: at random, lest all clients come back at once.

        What the service names is waited, up to a minute, and the random part comes on top.
        """
        named = float(retry_after) if retry_after is not None and retry_after.isdecimal() else 0.0
        drawn = draw(0.0, min(self.longest_seconds, self.first_seconds * 2.0**attempt))
        return min(named, self.longest_named_seconds) + drawn


@dataclass
class Client:
    """One connection that is kept, for one thread; `retries` counts the attempts beyond the first."""

    url: str = "http://localhost:8000"
    key: str | None = None
    timeout_seconds: float = 30.0
    patience: Patience = field(default_factory=Patience)
    retries: int = 0
    _connection: HTTPConnection | None = None

    def classify(self, image: bytes, **query: object) -> dict[str, Any]:
        """The answer for one image; `query`: L, top_k, model, deadline_ms, min_L. Refused, or GaveUp.

        All attempts carry the same X-Request-ID, so that the service's log shows them as one.
        """
        headers = {"Content-Type": "application/octet-stream", "X-Request-ID": uuid.uuid4().hex}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        path, failure = f"/classify?{urlencode(query)}", "no attempt was made"
        for attempt in range(self.patience.attempts):
            self.retries += attempt > 0
            retry_after = None
            try:
                status, retry_after, body = self._send(path, image, headers)
                if status == 200:
                    answer: dict[str, Any] = json.loads(body)
                    return answer
            except (OSError, HTTPException, ValueError) as error:  # lost or cut short; computed or not, nobody can tell
                failure = f"{type(error).__name__}: {error}"
            else:
                failure = f"{status}: {body.decode('utf-8', 'replace')[:500]}"
                if status not in AGAIN:
                    raise Refused(failure)
            if attempt + 1 < self.patience.attempts:
                time.sleep(self.patience.pause(attempt, retry_after, random.uniform))
        raise GaveUp(f"{self.patience.attempts} attempts failed, the last with {failure}")

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str | None, bytes]:
        """Status, Retry-After and body; a connection that failed is not used again."""
        try:
            connection = self._connection = self._connection or self._open()
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheader("Retry-After"), response.read()
        except BaseException:
            self.close()
            raise

    def _open(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise Refused(f"the address must be http://HOST:PORT or https://HOST:PORT, not {self.url!r}")
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(parts.hostname, parts.port, timeout=self.timeout_seconds)


def main() -> int:
    """One line an image: its name, the best class, the level that was used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--url", default=Client.url)
    parser.add_argument("--L", help="number of hyperplanes, exact or dense (default: what the service has)")
    parser.add_argument("--key", help="data key, where the service has one")
    args = parser.parse_args()
    client = Client(args.url, args.key)
    query = {} if args.L is None else {"L": args.L}
    try:
        for path in args.images:
            answer = client.classify(path.read_bytes(), **query)
            best = answer["predictions"][0]
            print(f"{path.name}\t{best['label']}\t{best['probability']:.3f}\tL={answer['L']['used']}")
    except (OSError, Refused, GaveUp) as error:
        print(f"classify.py: {error}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
