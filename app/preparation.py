"""Encoded images -> network inputs: small ones at once, the others in the decoders' threads, several at a time."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.contract import Engine, Picture, Prepared
from app.decoders import Decoders
from app.errors import ServiceError, TooManyPixels
from app.images import ImageLimits, decode
from app.small_jpeg import decode_small, may_be_small
from app.uploads import at_index


@dataclass(frozen=True)
class Decoded:
    """A network's input, and the seconds that its stages took; None where nothing was to be decoded."""

    prepared: Prepared
    decode_seconds: float | None = None
    preprocess_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """Of all of it."""
        return (self.decode_seconds or 0.0) + (self.preprocess_seconds or 0.0)


class Preparation:
    """Used from the event loop only."""

    def __init__(self, engine: Engine, decoders: Decoders, limits: ImageLimits) -> None:
        self._engine, self._decoders, self._limits = engine, decoders, limits
        self._turn = asyncio.Lock()

    async def prepare(self, model: str, encoded: Sequence[bytes]) -> list[Decoded]:
        """The network's inputs; the first bad image is raised with its index."""
        if len(encoded) == 1:
            return [await self._one(model, encoded[0])]
        outcomes: Sequence[Decoded | BaseException]
        if all(may_be_small(data, self._limits) for data in encoded):  # they take turns, and need no task for each
            outcomes = [await _outcome(self._one(model, data)) for data in encoded]
        else:
            outcomes = await asyncio.gather(*(self._one(model, data) for data in encoded), return_exceptions=True)
        return [_unwrapped(outcome, index, len(encoded)) for index, outcome in enumerate(outcomes)]

    async def _one(self, model: str, data: bytes) -> Decoded:
        """A small JPEG at once, one a turn of the loop, which takes less than to wake a thread; else in a thread."""
        try:
            if may_be_small(data, self._limits):
                await self._turn.acquire()
                asyncio.get_running_loop().call_soon(self._turn.release)  # in the next turn
                started = time.perf_counter()
                image = decode_small(data, self._limits)
                if image is not None:
                    return self._prepare(model, image, started)
            return await self._decoders.run(partial(self._decode, model, data))
        except MemoryError:
            raise TooManyPixels("the image needs more memory than there is now") from None

    def _decode(self, model: str, data: bytes) -> Decoded:
        started = time.perf_counter()
        return self._prepare(model, decode(data, self._limits), started)

    def _prepare(self, model: str, image: Picture, started: float) -> Decoded:
        """started: when the decoding began."""
        decoded = time.perf_counter()
        prepared = self._engine.prepare(model, image)
        return Decoded(prepared, decoded - started, time.perf_counter() - decoded)


async def _outcome(work: Coroutine[Any, Any, Decoded]) -> Decoded | BaseException:
    try:
        return await work
    except Exception as error:  # noqa: BLE001  it is raised once all are done, with its index
        return error


def _unwrapped(outcome: Decoded | BaseException, index: int, of: int) -> Decoded:
    if isinstance(outcome, ServiceError):
        raise at_index(outcome, index, of)
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
