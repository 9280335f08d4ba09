"""Encoded images -> network inputs, in the decoders' threads, several at once."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from app.contract import Engine, Prepared
from app.decoders import Decoders
from app.errors import ServiceError, TooManyPixels
from app.images import ImageLimits, decode
from app.uploads import at_index


class Preparation:
    """`observe` is told of each stage of an image: its model, "decode" or "preprocess", and seconds."""

    def __init__(
        self, engine: Engine, decoders: Decoders, limits: ImageLimits, observe: Callable[[str, str, float], None]
    ) -> None:
        self._engine, self._decoders, self._limits, self._observe = engine, decoders, limits, observe

    async def prepare(self, model: str, encoded: Sequence[bytes]) -> list[tuple[Prepared, float]]:
        """The network's inputs, each with the seconds that it took; the first bad image is raised with its index."""
        tasks = [self._decoders.run(partial(self._prepare, model, data)) for data in encoded]
        prepared: list[tuple[Prepared, float]] = []
        for index, outcome in enumerate(await asyncio.gather(*tasks, return_exceptions=True)):
            if isinstance(outcome, BaseException):
                raise at_index(outcome, index, len(encoded)) if isinstance(outcome, ServiceError) else outcome
            image, decode_seconds, preprocess_seconds = outcome
            prepared.append((image, decode_seconds + preprocess_seconds))
            self._observe(model, "decode", decode_seconds)
            self._observe(model, "preprocess", preprocess_seconds)
        return prepared

    def _prepare(self, model: str, data: bytes) -> tuple[Prepared, float, float]:
        """In a decoder's thread: the network's input, and the seconds to decode and to prepare it."""
        started = time.perf_counter()
        try:
            image = decode(data, self._limits)
            decoded = time.perf_counter()
            prepared = self._engine.prepare(model, image)
        except MemoryError:
            raise TooManyPixels("the image needs more memory than there is now") from None
        return prepared, decoded - started, time.perf_counter() - decoded
