"""The traces that a command line asks for: one rate, a sweep of them, or a file of times."""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from app.arrivals import NAMES, Times, by_name, from_csv

RATE, SECONDS = 30.0, 30.0
_MOST_RATES = 1000


@dataclass(frozen=True)
class Trace:
    """When requests are sent, and the rate that made it, a second; None for a file of times."""

    rate: float | None
    times: Times


def rate_text(rate: float | None) -> str:
    """How a trace is told from others."""
    return "trace" if rate is None else f"{rate:g}/s"


def add_trace_options(parser: argparse.ArgumentParser, what: str) -> None:
    """--rate of `what`, --arrival, --duration and --seed, which `traces` takes."""
    rate = f"{what} a second, or a sweep of rates (default: {RATE:g})"
    parser.add_argument("--rate", metavar="R|A:B:STEP", help=rate)
    arrival = f"{', '.join(NAMES)}, or a file whose first column is times in seconds (default: %(default)s)"
    parser.add_argument("--arrival", default="poisson", metavar="KIND|CSV", help=arrival)
    duration = f"seconds at each rate (default: {SECONDS:g}, or all of the file)"
    parser.add_argument("--duration", type=float, metavar="S", help=duration)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is random (default: %(default)s)")


def traces(arrival: str, rates: str | None, seconds: float | None, seed: int) -> list[Trace]:
    """One trace a rate, each of so many seconds (30, or all that a file holds). ValueError for what does not fit."""
    if seed < 0:
        raise ValueError(f"--seed must be 0 or more, not {seed}")
    if arrival in NAMES:
        found = [RATE] if rates is None else parse_rates(rates)
        span = SECONDS if seconds is None else seconds
        return [Trace(rate, by_name(arrival, rate, span, seed)) for rate in found]
    if not arrival.lower().endswith(".csv"):
        raise ValueError(f"--arrival must be {', '.join(NAMES)} or a FILE.csv, not {arrival!r}")
    if rates is not None:
        raise ValueError(f"--rate {rates}: {arrival} itself says when requests are sent; leave one of them out")
    times = from_csv(Path(arrival))
    kept = times if seconds is None else times[times < seconds]
    if not len(kept):
        raise ValueError(f"{arrival}: its first time is {times[0]:g} s, and --duration ends before")
    return [Trace(None, kept)]


def parse_rates(text: str) -> list[float]:
    """`"30"` -> [30.0], `"10:60:5"` -> 10, 15, ... 60; ValueError for anything else."""
    try:
        first, last, step = (float(part) for part in (text.split(":") if ":" in text else (text, text, "1")))
    except ValueError:
        raise ValueError(f"--rate must be like 30, or from:to:step like 10:60:5, not {text!r}") from None
    if not (0 < first <= last < math.inf and 0 < step < math.inf):
        raise ValueError(f"--rate {text}: rates must be positive and rise by a positive step")
    count = math.floor((last - first) / step + 1e-9) + 1
    if count > _MOST_RATES:
        raise ValueError(f"--rate {text} asks for {count} rates, over {_MOST_RATES}; take a larger step")
    return [first + i * step for i in range(count)]
