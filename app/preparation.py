"""Encoded images -> network inputs: small ones at once, the others in the decoders' threads, several at a time."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from app.contract import Engine, Prepared
from app.decoders import Decoders
from app.errors import ServiceError, TooManyPixels
from app.images import ImageLimits, decode
from app.uploads import at_index

SMALL_BYTES, SMALL_PIXELS, SMALL_START = 4096, 64 * 64, b"\xff\xd8"
"""Of a JPEG that is decoded on the event loop; PNG and WebP may hold a thousand times their bytes. Decision 0009."""

_Outcome = tuple[Prepared, float, float] | BaseException


class Preparation:
    """`observe` is told of each stage of an image: its model, "decode" or "preprocess", and seconds."""

    def __init__(
        self, engine: Engine, decoders: Decoders, limits: ImageLimits, observe: Callable[[str, str, float], None]
    ) -> None:
        self._engine, self._decoders, self._limits, self._observe = engine, decoders, limits, observe
        self._small = replace(limits, max_image_pixels=min(SMALL_PIXELS, limits.max_image_pixels))

    async def prepare(self, model: str, encoded: Sequence[bytes]) -> list[tuple[Prepared, float]]:
        """The network's inputs, each with the seconds that it took; the first bad image is raised with its index."""
        outcomes: list[_Outcome | None] = []
        for data in encoded:
            if outcomes:
                await asyncio.sleep(0)  # others may be waiting for the loop
            outcomes.append(self._at_once(model, data))
        large = [index for index, outcome in enumerate(outcomes) if outcome is None]
        tasks = [self._decoders.run(partial(self._prepare, model, encoded[index], self._limits)) for index in large]
        for index, outcome in zip(large, await asyncio.gather(*tasks, return_exceptions=True), strict=True):
            outcomes[index] = outcome
        prepared: list[tuple[Prepared, float]] = []
        for index, outcome in enumerate(cast(list[_Outcome], outcomes)):
            if isinstance(outcome, BaseException):
                raise at_index(outcome, index, len(encoded)) if isinstance(outcome, ServiceError) else outcome
            image, decode_seconds, preprocess_seconds = outcome
            prepared.append((image, decode_seconds + preprocess_seconds))
            self._observe(model, "decode", decode_seconds)
            self._observe(model, "preprocess", preprocess_seconds)
        return prepared

    def _at_once(self, model: str, data: bytes) -> _Outcome | None:
        """What becomes of a small JPEG, which takes less than to wake a thread for it; None of anything else."""
        if len(data) > SMALL_BYTES or not data.startswith(SMALL_START):
            return None
        try:
            return self._prepare(model, data, self._small)
        except TooManyPixels:
            return None
        except Exception as error:  # noqa: BLE001  raised by who asked, as those of the threads are
            return error

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
