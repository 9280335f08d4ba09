"""Encoded images -> network inputs: small ones at once, the others in the decoders' threads, several at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from app.contract import Engine, Prepared
from app.decoders import Decoders
from app.errors import ServiceError, TooManyPixels
from app.images import ImageLimits, decode
from app.uploads import at_index

SMALL_BYTES, SMALL_SIDE, _START = 4096, 64, b"\xff\xd8"
"""Of a JPEG that is decoded on the event loop; PNG and WebP may hold a thousand times their bytes. Decision 0009."""


class Preparation:
    """`observe` is told of each stage of an image: its model, "decode" or "preprocess", and seconds."""

    def __init__(
        self, engine: Engine, decoders: Decoders, limits: ImageLimits, observe: Callable[[str, str, float], None]
    ) -> None:
        self._engine, self._decoders, self._limits, self._observe = engine, decoders, limits, observe
        self._small = replace(limits, max_image_side=SMALL_SIDE)
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
        if len(data) <= SMALL_BYTES and data.startswith(_START):
            async with self._turn:
                with suppress(TooManyPixels):
                    prepared = self._prepare(model, data, self._small)
                    await asyncio.sleep(0)
                    return prepared
        return await self._decoders.run(partial(self._prepare, model, data, self._limits))

    def _prepare(self, model: str, data: bytes, limits: ImageLimits) -> tuple[Prepared, float, float]:
        """The network's input, and the seconds to decode and to prepare it."""
        started = time.perf_counter()
        try:
            image = decode(data, limits)
            decoded = time.perf_counter()
            prepared = self._engine.prepare(model, image)
        except MemoryError:
            raise TooManyPixels("the image needs more memory than there is now") from None
        return prepared, decoded - started, time.perf_counter() - decoded
