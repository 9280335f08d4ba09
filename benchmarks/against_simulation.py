"""Whether `haste simulate` is right: the same arrivals on a real box and on the virtual clock, in one run."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import httpx
from rich.console import Console
from rich.table import Table

from app.arrivals import Times, by_name
from app.contract import Level, Point
from app.load.schedule import parse_rates
from app.objective import Objective
from app.simulation.box import Box, simulate
from app.simulation.report import row_of
from benchmarks.bars import CONTROLLER, DENSE
from benchmarks.overload import service
from benchmarks.overload_loads import Bench
from benchmarks.reports import write

_LEAST = 8  # the controller goes no lower, as the service unless it is told
_COMPARED = ("attainment", "kept", "p50_ms", "p99_ms")


def main() -> int:
    """Every objective and rate, with the controller and dense without; prints both columns, writes the JSON.

    2 with one line where something is in the way.
    """
    parser = argparse.ArgumentParser(prog="against_simulation", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|NPZ", help="labelled, as for haste load")
    parser.add_argument("--slo-ms", type=int, nargs="+", default=[50, 100], metavar="MS", help="(default: %(default)s)")
    rates = "images a second (default: 20:140:30 200 400)"
    parser.add_argument("--rate", nargs="+", default=["20:140:30", "200", "400"], metavar="R|A:B:STEP", help=rates)
    bursts = "the rate between bursts of four times as much (default: %(default)s)"
    parser.add_argument("--burst", type=float, nargs="*", default=[50, 100], metavar="R", help=bursts)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row")
    args = parser.parse_args()
    try:
        loads = [("poisson", rate) for text in args.rate for rate in parse_rates(text)]
        loads += [("burst", rate) for rate in args.burst]
        with service(args.images) as bench:
            rows = [row for slo_ms in args.slo_ms for row in _rows(bench, slo_ms, loads, args.seconds)]
            points = [asdict(point) for point in bench.points]
    except (ValueError, OSError, httpx.HTTPError) as error:
        sys.stderr.write(f"against_simulation: {error}\n")
        return 2
    write(args, {"mean_difference": mean_difference(rows), "points": points, "rows": rows})
    _print(rows)
    return 0


def _rows(bench: Bench, slo_ms: int, loads: Sequence[tuple[str, float]], seconds: float) -> list[dict[str, Any]]:
    """Every second load goes through its policies backwards, so that none is always the first."""
    bench.slo_ms, rows = slo_ms, []
    for number, (arrival, rate) in enumerate(loads):
        seed = slo_ms + number
        times = by_name(arrival, rate, seconds, seed)
        for policy in (CONTROLLER, DENSE)[:: -1 if number % 2 else 1]:
            bench.load(f"{arrival} {rate:g}/s within {slo_ms} ms", policy, times)
            measured = {name: bench.rows[-1][name] for name in (*_COMPARED, "levels", "lateness_p99_ms")}
            simulated = simulated_row(bench.points, slo_ms, policy, times)
            told = {"slo_ms": slo_ms, "arrival": arrival, "rate": rate, "seed": seed, "policy": policy}
            rows.append({**told, "measured": measured, "simulated": simulated})
    return rows


def simulated_row(points: Sequence[Point], slo_ms: int, policy: str, times: Times) -> dict[str, Any]:
    """What the simulation says of these arrivals, in the words of the load tool."""
    steered = policy == CONTROLLER
    level = "exact" if steered else cast(Level, policy)
    run = simulate(Box(points, level, Objective(steered, slo_ms, _LEAST)), times.tolist(), 1)
    row = row_of(None, policy, run)
    return {name: getattr(row, name) for name in (*_COMPARED, "levels")}


def mean_difference(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of the share in time, simulated less measured: the mean, and the mean of its magnitude."""
    found = [row["simulated"]["attainment"] - row["measured"]["attainment"] for row in rows]
    return {"attainment": sum(found) / len(found), "attainment_magnitude": sum(map(abs, found)) / len(found)}


def _print(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title="measured | simulated", box=None, padding=(0, 1, 0, 0))
    for name in ("objective", "load", "policy", *_COMPARED):
        table.add_column(name)
    for row in rows:
        pairs = [" | ".join(_cell(row[side][name]) for side in ("measured", "simulated")) for name in _COMPARED]
        table.add_row(f"{row['slo_ms']} ms", f"{row['arrival']} {row['rate']:g}/s", row["policy"], *pairs)
    Console(width=160).print(table)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
