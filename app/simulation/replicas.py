"""Boxes that share a load, and how many of them it needs."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from app.arrivals import Times
from app.simulation.box import Box, simulate
from app.simulation.run import Run

MOST = 10_000
PLAYED = 8
_ENOUGH = 0.99


def play(box: Box, arrivals: Times, replicas: int, seed: int) -> Run:
    """The runs of `replicas` equal boxes as one; each arrival goes to one of them at random.

    Of many boxes eight are played, for they are alike: counts are then those of the eight.
    """
    played = min(replicas, PLAYED)
    chosen = np.random.default_rng(seed).integers(0, replicas, len(arrivals))
    return Run.together([simulate(box, arrivals[chosen == index].tolist(), seed + index) for index in range(played)])


def needed(box: Box, arrivals: Times, seed: int, told: Callable[[int, float], None]) -> int | None:
    """The least number of boxes that answer 99 % of what is offered in time; None where 10,000 do not.

    `told` hears of each number that is tried, and its attainment. One is enough for no arrivals; of so many that the
    boxes played get none, nothing is known.
    """

    def enough(replicas: int) -> bool:
        attainment = play(box, arrivals, replicas, seed).attainment
        told(replicas, attainment)
        return attainment >= _ENOUGH

    if not len(arrivals):
        return 1
    least = most = _too_few(box, arrivals) + 1
    while not enough(most):
        if most == MOST:
            return None
        least, most = most + 1, min(2 * most, MOST)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle + 1, most)
    return most


def _too_few(box: Box, arrivals: Times) -> int:
    """A number of boxes that could not do half of it, at their fastest level and largest batch; 0 at least."""
    fastest = min(point.median_ms / point.batch for point in box.points) / 1e3 + box.request_seconds / 2
    span = float(arrivals[-1] - arrivals[0]) + box.objective.slo_seconds
    return min(int(len(arrivals) * fastest / span / 2), MOST - 1)


def policies(box: Box) -> dict[str, Box]:
    """What is compared: the controller, the configured level alone, and dense alone where that is another."""
    off = replace(box, objective=replace(box.objective, enabled=False))
    return {"controller": box, f"fixed L={box.level}": off, "fixed L=dense": replace(off, level="dense")}
