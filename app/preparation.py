"""Encoded images -> network inputs: small ones at once, the others in the decoders' threads, several at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from app.contract import Engine, Picture, Prepared
from app.decoders import Decoders
from app.errors import ServiceError, TooManyPixels
from app.images import ImageLimits, decode
from app.small_jpeg import decode_small, may_be_small
from app.uploads import at_index


class Preparation:
    """`observe` is told of each stage of an image: its model, "decode" or "preprocess", and seconds."""

    def __init__(
        self, engine: Engine, decoders: Decoders, limits: ImageLimits, observe: Callable[[str, str, float], None]
    ) -> None:
        self._engine, self._decoders, self._limits, self._observe = engine, decoders, limits, observe
        self._turn = asyncio.Lock()

    async def prepare(self, model: str, encoded: Sequence[bytes]) -> list[tuple[Prepared, float]]:
        """The network's inputs, each with the seconds that it took; the first bad image is raised with its index."""
        if len(encoded) == 1:
            return [self._observed(model, *await self._one(model, encoded[0]))]
        prepared: list[tuple[Prepared, float]] = []
        works = (self._one(model, data) for data in encoded)
        for index, outcome in enumerate(await asyncio.gather(*works, return_exceptions=True)):
            if isinstance(outcome, BaseException):
                raise at_index(outcome, index, len(encoded)) if isinstance(outcome, ServiceError) else outcome
            prepared.append(self._observed(model, *outcome))
        return prepared

    def _observed(self, model: str, image: Prepared, decode: float, preprocess: float) -> tuple[Prepared, float]:
        self._observe(model, "decode", decode)
        self._observe(model, "preprocess", preprocess)
        return image, decode + preprocess

    async def _one(self, model: str, data: bytes) -> tuple[Prepared, float, float]:
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

    def _decode(self, model: str, data: bytes) -> tuple[Prepared, float, float]:
        started = time.perf_counter()
        return self._prepare(model, decode(data, self._limits), started)

    def _prepare(self, model: str, image: Picture, started: float) -> tuple[Prepared, float, float]:
        """The network's input, and the seconds that decoding took, since `started`, and that this takes."""
        decoded = time.perf_counter()
        prepared = self._engine.prepare(model, image)
        return prepared, decoded - started, time.perf_counter() - decoded
