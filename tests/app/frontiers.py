"""Calibrations of a box that does not exist: times by level, in milliseconds an image."""

from collections.abc import Callable, Mapping, Sequence

from app.contract import Level, Point
from app.controller import Controller
from app.objective import Objective

MS: Mapping[Level, float] = {"dense": 10.0, "exact": 7.0, 12: 6.0, 8: 5.0}
SLO_MS = 40
ON = Objective(True, SLO_MS, 8)
OFF = Objective(False, SLO_MS, 8)


def points(milliseconds: Mapping[Level, float] = MS, batches: Sequence[int] = (1, 8), gain: float = 0.0) -> list[Point]:
    """Every level at these batch sizes; an image of the largest batch takes the share `gain` less."""
    last = max(batches)
    return [
        Point(level, size, ms * size * (1 - gain * (size - 1) / max(1, last - 1)), 0.0, 1.0 if level != 8 else 0.9, 0.0)
        for level, ms in milliseconds.items()
        for size in batches
    ]


def controller(
    level: Level | Callable[[str], Level] = "exact",
    objective: Objective | Callable[[], Objective] = ON,
    models: Mapping[str, Sequence[Point]] | None = None,
    max_batch: int = 8,
) -> Controller:
    """A controller of one calibrated model "m", or of those given; requests cost its engine nothing as yet."""
    calibrations = {"m": points()} if models is None else models
    of = level if callable(level) else lambda _: level
    goal = objective if callable(objective) else lambda: objective
    made = Controller(calibrations, of, goal, max_batch)
    made.interference.request_seconds = 0.0
    for name, measured in calibrations.items():
        made.calibrate(name, measured)
    return made
