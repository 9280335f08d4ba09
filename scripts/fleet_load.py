"""Clients that ask without a pause, as examples/classify.py does, and count what became of every request."""

import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parent.parent))

from examples.classify import Client, GaveUp, Patience, Refused

PATIENCE = Patience(attempts=12, first_seconds=0.05, longest_seconds=3.0)


@dataclass(frozen=True)
class Seen:
    """Counted since the beginning."""

    answered: int
    retries: int
    lost: int
    longest_seconds: float
    levels: dict[str, int]


class Load:
    """`number` clients, each in a thread, from entering to leaving."""

    def __init__(self, url: str, image: bytes, number: int) -> None:
        self._image = image
        self._clients = [Client(url, patience=PATIENCE) for _ in range(number)]
        self._threads = [threading.Thread(target=self._ask, args=(client,)) for client in self._clients]
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._answered, self._longest, self._classes = 0, 0.0, 0
        self._levels: Counter[str] = Counter()
        self._lost: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def snapshot(self) -> Seen:
        with self._lock:
            retries = sum(client.retries for client in self._clients)
            return Seen(self._answered, retries, len(self._lost), round(self._longest, 3), dict(self._levels))

    def failures(self) -> list[str]:
        """Of every request that was lost, why."""
        with self._lock:
            return list(self._lost)

    def classes(self) -> int:
        """How many classes the last answer named."""
        return self._classes

    def _ask(self, client: Client) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                answer = client.classify(self._image)
                self._count(answer, time.monotonic() - started)
            except (GaveUp, Refused, KeyError, TypeError, IndexError) as error:  # or an answer of another shape
                with self._lock:
                    self._lost.append(repr(error))
        client.close()

    def _count(self, answer: dict[str, Any], seconds: float) -> None:
        if answer["predictions"][0]["label"] != "cat":
            with self._lock:
                self._lost.append(f"a wrong answer: {answer}")
            return
        with self._lock:
            self._answered += 1
            self._longest = max(self._longest, seconds)
            self._levels[str(answer["L"]["used"])] += 1
            self._classes = len(answer["predictions"])
