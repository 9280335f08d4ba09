"""The highest Poisson rate that our server and LitServe hold with p99 under a bound, in turns on the same images."""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from app.arrivals import Times, poisson
from app.load.images import Payload, read_images
from app.load.outcomes import Outcomes
from app.load.report import live_line
from app.load.schedule import parse_rates
from app.load.sender import offer
from app.load.summary import Summary, summarise
from app.load.target import Target
from benchmarks.reports import write
from benchmarks.servers import export, go_first, peer_versions, running, servers
from haste.models import DEFAULT

_WARM_UP_RATE, _WARM_UP_SECONDS = 5.0, 4.0
_ENOUGH = 0.99


def main() -> int:
    """Run all rounds, print what each server held, write the rows; 2 with one line where something is in the way."""
    args = _parser().parse_args()
    try:
        versions, first = peer_versions(args.python), go_first()
        with TemporaryDirectory(prefix="haste-litserve-") as folder:
            rows = compare(args, Path(folder))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"against_litserve: {error}\n")
        return 2
    rates = held(rows)
    right = {server: accuracy(rows, server) for server in rates}
    Console().print(_table(rates, right))
    write(args, {"peer": versions, "client_goes_first": first, "held": rates, "right": right, "rows": rows})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="against_litserve", description=__doc__)
    parser.add_argument("--python", type=Path, required=True, help="of an environment with litserve and onnxruntime")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|NPZ", help="as for haste load")
    parser.add_argument("--rate", default="10:100:5", metavar="A:B:STEP", help="rising rates (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="at each rate (default: %(default)s)")
    parser.add_argument("--p99-ms", type=float, default=100.0, help="bound on p99 from schedule (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="each begins with another server (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row")
    return parser


def compare(args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for every round, server and rate that was tried; a server climbs up to the first rate it does not hold."""
    rates = parse_rates(args.rate)
    payloads = read_images(args.images, export(DEFAULT, folder))
    contenders = servers(args.python, folder)
    rows = []
    for number in range(args.rounds):
        first = number % len(contenders)
        for server in (*contenders[first:], *contenders[:first]):
            with running(server, max(2.0, args.p99_ms / 100), folder / "server.log") as target:
                load(server.name, target, payloads, poisson(_WARM_UP_RATE, _WARM_UP_SECONDS, number), args.p99_ms)
                for rate in rates:
                    times = poisson(rate, args.seconds, number)
                    summary = load(f"{server.name} {rate:g}/s", target, payloads, times, args.p99_ms)
                    holds = holding(summary)
                    figures = {name: value for name, value in asdict(summary).items() if name != "series"}
                    rows.append({"server": server.name, "round": number, "rate": rate, "holds": holds, **figures})
                    if not holds:
                        break
    return rows


def load(title: str, target: Target, payloads: Sequence[Payload], times: Times, p99_ms: float) -> Summary:
    """Offer one trace; the images come in the same order to every server."""
    outcomes = Outcomes(times)
    with live_line(title) as watch:
        offer(target, payloads, outcomes, 0, watch)
    return summarise(outcomes, p99_ms)


def holding(summary: Summary) -> bool:
    """Whether p99 of all that was offered, from the schedule, is within the bound: what was refused is beyond any.

    So a server that answers one in a hundred too late and one that refuses it are judged alike.
    """
    return summary.attainment is not None and summary.attainment >= _ENOUGH


def held(rows: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """The highest rate that each server held, by round; 0 where it held none."""
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        rounds = found.setdefault(row["server"], {})
        rounds[row["round"]] = max(rounds.get(row["round"], 0.0), row["rate"] if row["holds"] else 0.0)
    return {server: [rounds[number] for number in sorted(rounds)] for server, rounds in found.items()}


def accuracy(rows: Sequence[dict[str, Any]], server: str) -> float | None:
    """What share of its answers was right, over the rates that it held; None where it held none, or no image a label.

    A rate that is not held tells of what happened to be answered.
    """
    own = [row["accuracy"] for row in rows if row["server"] == server and row["holds"] and row["accuracy"] is not None]
    return statistics.fmean(own) if own else None


def _table(rates: Mapping[str, Sequence[float]], right: Mapping[str, float | None]) -> Table:
    table = Table("server", "held, median", "by round", "right", title="Poisson rate held, a second")
    for server, by_round in rates.items():
        share = right[server]
        rounds = ", ".join(f"{rate:g}" for rate in by_round)
        table.add_row(server, f"{statistics.median(by_round):g}", rounds, "-" if share is None else f"{share:.1%}")
    return table


if __name__ == "__main__":
    sys.exit(main())
