"""The loads of the overload benchmark, cut into parts for policies that take turns, and joined again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.arrivals import Times, burst, by_name, poisson
from app.load.outcomes import Outcomes
from benchmarks.bars import BURSTS, CONTROLLER, DENSE, OVERLOADS, WANDERING

PART_SECONDS = 20.0
"""Of a load, until the next policy has its turn; bursts end well before."""
BURST_SECONDS, BURST_EVERY = 2.0, 10.0
_BURST_FACTOR = 4.0


@dataclass(frozen=True)
class Load:
    """Arrivals, and what answers them: "controller", or a level alone."""

    name: str
    times: Times
    policies: Sequence[object]


def plan(capacity: float, saturation: float, seconds: float, levels: Sequence[object]) -> list[Load]:
    """The loads, most in multiples of `capacity`; bursts rise from it to four times as much.

    capacity: images a second of which dense keeps 99 %. saturation: what it answers in time of far more.
    """
    bursts = burst(capacity, seconds, 3, factor=_BURST_FACTOR, length=BURST_SECONDS, every=BURST_EVERY)
    measured = {"capacity": capacity, "saturation": saturation}
    overloads = [
        Load(name, poisson(factor * measured[of], seconds, 1), (DENSE, "exact", CONTROLLER))
        for name, (factor, of) in OVERLOADS.items()
    ]
    return [
        *overloads,
        Load(WANDERING, by_name("wander", capacity, seconds, 2), (DENSE, *levels, CONTROLLER)),
        Load(BURSTS, bursts, (DENSE, CONTROLLER)),
    ]


def cut(times: Times) -> list[Times]:
    """The parts of a load, each from its own zero; one that nothing falls into is left out."""
    parts = (times[(times >= start) & (times < start + PART_SECONDS)] - start for start in _starts(times))
    return [part for part in parts if len(part)]


def _starts(times: Times) -> Iterator[float]:
    return (part * PART_SECONDS for part in range(int(times[-1] // PART_SECONDS) + 1))


def joined(times: Times, parts: Sequence[Outcomes]) -> Outcomes:
    """What became of a load out of its parts, as if they had followed each other."""
    whole, place = Outcomes(times), 0
    for part in parts:
        here, shift = slice(place, place + len(part.scheduled)), times[place] - part.scheduled[0]
        whole.sent[here], whole.finished[here] = part.sent + shift, part.finished + shift
        for name in ("code", "level", "labelled", "correct", "degraded"):
            getattr(whole, name)[here] = getattr(part, name)
        whole.cpu_seconds += part.cpu_seconds
        whole.wall_seconds += part.wall_seconds
        place = here.stop
    whole.reached = place
    return whole
