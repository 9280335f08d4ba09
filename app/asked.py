"""What a request asks of the engine, how one of its images waits for it, and what became of it."""

import asyncio
from dataclasses import dataclass

from app.contract import ImageResult, Level, Prepared


@dataclass(frozen=True)
class Wanted:
    """What a request asks of every one of its images. `arrived` is on the clock of time.perf_counter.

    level None: the controller's choice, not under min_level; deadline_seconds None: the objective for each image.
    """

    model: str
    level: Level | None
    min_level: Level | None
    top_k: int
    arrived: float
    deadline_seconds: float | None


@dataclass(frozen=True)
class Done:
    """One image's result, the level that it ran at and whether load lowered it; times in seconds.

    arrived, deadline: on the clock, from when to when the answer is due.
    """

    result: ImageResult
    level: Level
    degraded: bool
    arrived: float
    deadline: float
    queue_seconds: float
    forward_seconds: float


@dataclass(frozen=True)
class Ask:
    """One image in the queue: what the engine takes, and who waits for it."""

    prepared: Prepared
    top_k: int
    queued_at: float
    future: asyncio.Future[Done]
