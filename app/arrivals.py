"""When requests arrive: traces in seconds from the start, made by name from a rate and a seed, or read from a file."""

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.float64]
"""(N,) float64, ascending, seconds from the start, read-only; at most `MOST_ARRIVALS`."""

MOST_ARRIVALS = 10_000_000
MOST_SECONDS = 7 * 86_400
"""Of a trace: a week. Simulations step through all of it, and it is shown by the second."""

_TURN_SECONDS, _SWAY_SECONDS = 30.0, 11.0


def constant(rate: float, seconds: float) -> Times:
    """One arrival every 1 / rate seconds, the first at 0. rate: a second. ValueError out of bounds, as for all."""
    _check(rate, seconds, rate)
    times = np.arange(math.ceil(rate * seconds)) / rate
    return _frozen(times[times < seconds])


def poisson(rate: float, seconds: float, seed: int) -> Times:
    """Independent arrivals, `rate` a second."""
    _check(rate, seconds, rate)
    return _frozen(_uniform(rate, seconds, np.random.default_rng(seed)))


def burst(
    rate: float, seconds: float, seed: int, *, factor: float = 4.0, length: float = 2.0, every: float = 10.0
) -> Times:
    """Poisson at `rate`, and at `factor` times the rate for `length` seconds in the middle of every `every` seconds."""
    if not (factor >= 1 and 0 < length < every < math.inf):
        raise ValueError(f"bursts need factor >= 1 and 0 < length < every, not {factor}, {length} and {every}")
    first = (every - length) / 2

    def at(times: Times) -> Times:
        inside = (times % every >= first) & (times % every < first + length)
        return np.where(inside, factor * rate, rate)

    return _thinned(at, factor * rate, rate, seconds, np.random.default_rng(seed))


def day(rate: float, seconds: float, seed: int, *, low: float = 0.1, high: float = 1.0) -> Times:
    """A day from midnight to midnight in `seconds`: from `low` to `high` at noon and back, in shares of `rate`."""
    if not 0 <= low <= high <= 1 or high == 0:
        raise ValueError(f"a day needs 0 <= low <= high <= 1 and high > 0, not {low} and {high}")

    def at(times: Times) -> Times:
        return rate * (low + (high - low) * (1 - np.cos(2 * np.pi * times / seconds)) / 2)

    return _thinned(at, high * rate, rate, seconds, np.random.default_rng(seed))


def wander(rate: float, seconds: float, seed: int) -> Times:
    """Poisson at a rate that drifts smoothly between half and twice `rate`, another way for every seed."""
    random = np.random.default_rng(seed)
    turn, sway = random.uniform(0, 2 * np.pi, 2)

    def at(times: Times) -> Times:
        swaying = 1.5 * np.sin(2 * np.pi * times / _SWAY_SECONDS + sway)
        return np.asarray(rate * 2 ** np.sin(2 * np.pi * times / _TURN_SECONDS + turn + swaying), np.float64)

    return _thinned(at, 2 * rate, rate, seconds, random)


_BY_NAME: dict[str, Callable[[float, float, int], Times]] = {
    "poisson": poisson,
    "constant": lambda rate, seconds, _seed: constant(rate, seconds),
    "burst": burst,
    "day": day,
    "wander": wander,
}
NAMES = tuple(_BY_NAME)


def by_name(name: str, rate: float, seconds: float, seed: int) -> Times:
    """Arrivals of one of `NAMES`; the same arguments give the same trace. ValueError for another name."""
    if name not in _BY_NAME:
        raise ValueError(f"arrivals are {', '.join(NAMES)}, not {name!r}")
    return _BY_NAME[name](rate, seconds, seed)


def from_csv(path: Path) -> Times:
    """The first column, seconds in ascending order; a first line that is no number is a header.

    ValueError names the file, the line and the value that is no time, or the file that holds none.
    """
    times: list[float] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            for row in rows:
                cell = row[0].strip() if row else ""
                if not cell or (rows.line_num == 1 and _number(cell) is None):
                    continue
                times.append(_time(cell, times[-1] if times else 0.0, f"{path}, line {rows.line_num}"))
                if len(times) > MOST_ARRIVALS:
                    raise ValueError(f"{path}: more than {MOST_ARRIVALS} arrivals")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a CSV of times ({error})") from None
    if not times:
        raise ValueError(f"{path}: no times in it; its first column must hold seconds")
    return _frozen(times)


def _time(cell: str, last: float, where: str) -> float:
    value = _number(cell)
    if value is None or not 0 <= value < math.inf:
        raise ValueError(f"{where}: {cell!r} is not a time in seconds, 0 or more")
    if value < last:
        raise ValueError(f"{where}: {cell} comes after {last:g}; times must ascend")
    if value > MOST_SECONDS:
        raise ValueError(
            f"{where}: {cell} is over {MOST_SECONDS} s, a week; times count from the start: subtract the first one"
        )
    return value


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _check(rate: float, seconds: float, peak: float) -> None:
    for name, value in (("rate", rate), ("seconds", seconds)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a positive, finite number, not {value}")
    if seconds > MOST_SECONDS:
        raise ValueError(f"{seconds:g} s is over a week, {MOST_SECONDS} s; lower --duration")
    if peak * seconds > MOST_ARRIVALS:
        raise ValueError(
            f"rate {rate:g} for {seconds:g} s is over {MOST_ARRIVALS} arrivals; lower one of them: --rate or --duration"
        )


def _uniform(rate: float, seconds: float, random: np.random.Generator) -> Times:
    """A Poisson number of arrivals, each at any time alike, in order."""
    return np.sort(random.uniform(0, seconds, min(int(random.poisson(rate * seconds)), MOST_ARRIVALS)))


def _thinned(
    at: Callable[[Times], Times], peak: float, rate: float, seconds: float, random: np.random.Generator
) -> Times:
    """Poisson at the rate `at(time)`: arrivals at `peak`, of which each stays with probability at(time) / peak."""
    _check(rate, seconds, peak)
    times = _uniform(peak, seconds, random)
    return _frozen(times[random.random(len(times)) * peak < at(times)])


def _frozen(values: Sequence[float] | Times) -> Times:
    times = np.array(values, np.float64)
    times.flags.writeable = False
    return times
