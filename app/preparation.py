"""Encoded images -> network inputs: small ones at once, the others in the decoders' threads, several at a time."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from app.contract import Engine, Picture, Prepared
from app.decoders import Decoders
from app.errors import ServiceError, TooManyPixels
from app.images import ImageLimits, decode
from app.small_jpeg import decode_small, may_be_small
from app.uploads import at_index


@dataclass(frozen=True)
class Stages:
    """Seconds that an image took until it could wait; None where nothing was to be decoded."""

    decode: float | None = None
    preprocess: float | None = None

    @property
    def seconds(self) -> float:
        """Of both."""
        return (self.decode or 0.0) + (self.preprocess or 0.0)


@dataclass(frozen=True)
class Decoded:
    """A network's input, and what it took to make."""

    prepared: Prepared
    stages: Stages = Stages()


class Preparation:
    """Used from the event loop only."""

    def __init__(self, engine: Engine, decoders: Decoders, limits: ImageLimits) -> None:
        self._engine, self._decoders, self._limits = engine, decoders, limits
        self._turn = asyncio.Lock()

    async def prepare(self, model: str, encoded: Sequence[bytes]) -> list[Decoded]:
        """The network's inputs; the first bad image is raised with its index.

        A small JPEG at once, one a turn of the loop, which takes less than to wake a thread; the others in threads.
        """
        found = [await self._small(model, data) for data in encoded]
        rest = [at for at, one in enumerate(found) if one is None]
        works = [self._decoders.run(partial(self._decode, model, encoded[at])) for at in rest]
        outcomes = dict(zip(rest, await asyncio.gather(*works, return_exceptions=True), strict=True)) if rest else {}
        return [one or _unwrapped(outcomes[at], at, len(found)) for at, one in enumerate(found)]

    async def _small(self, model: str, data: bytes) -> Decoded | None:
        """None for what is no small JPEG, or nothing that this decoder takes."""
        if not may_be_small(data, self._limits):
            return None
        await self._turn.acquire()
        asyncio.get_running_loop().call_soon(self._turn.release)  # in the next turn
        started = time.perf_counter()
        with suppress(MemoryError):
            image = decode_small(data, self._limits)
            return None if image is None else self._prepare(model, image, started)
        return None

    def _decode(self, model: str, data: bytes) -> Decoded:
        started = time.perf_counter()
        return self._prepare(model, decode(data, self._limits), started)

    def _prepare(self, model: str, image: Picture, started: float) -> Decoded:
        """started: when the decoding began."""
        decoded = time.perf_counter()
        prepared = self._engine.prepare(model, image)
        return Decoded(prepared, Stages(decoded - started, time.perf_counter() - decoded))


def _unwrapped(outcome: Decoded | BaseException, index: int, of: int) -> Decoded:
    if isinstance(outcome, MemoryError):
        outcome = TooManyPixels("the image needs more memory than there is now")
    if isinstance(outcome, ServiceError):
        raise at_index(outcome, index, of)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
