"""The latency objective: what is asked, and what a step towards it is."""

from dataclasses import dataclass
from typing import Literal

from app.contract import Level, order

CALL_SECONDS = 0.0003
"""What a batch costs beside the forward, the way to the engine's thread and back: a guess that the measured ratio of
every batch corrects."""

ON_TIME = 0.9
"""The part of a deadline in which an answer is planned to leave; the rest is for what comes before and after that."""

TICK_SECONDS = 0.25
"""How often a step is due where no batch makes one."""

Direction = Literal["down", "up"]
Cause = Literal["queue", "rate", "relief", "config"]


@dataclass(frozen=True)
class Objective:
    """What is asked of the service: the latency objective, and how far L may be lowered to hold it."""

    enabled: bool
    slo_ms: int
    L_min: Level

    @property
    def slo_seconds(self) -> float:
        return self.slo_ms / 1e3


@dataclass(frozen=True)
class Change:
    """A step of a model's level, because of the queue, the rate of arrivals, relief from both, or the configuration."""

    model: str
    before: Level
    after: Level
    cause: Cause

    @property
    def direction(self) -> Direction:
        return "down" if order(self.after) < order(self.before) else "up"
