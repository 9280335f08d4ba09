"""What the controller is worth under overload: one server, its configuration changed between loads, in one run."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from app.calibrator import read_points
from benchmarks.overload_loads import Bench
from benchmarks.reports import write
from benchmarks.servers import calibrated, go_first, running, servers
from haste.bench.rows import stored
from haste.config import HasteConfig
from haste.models import DEFAULT

_EVALUATION = Path(__file__).parent / "results" / "test-default.json"


def main() -> int:
    """Objective, capacity, then every load under every policy; prints a table and the bars, writes the JSON.

    2 with one line where something is in the way.
    """
    args = _parser().parse_args()
    try:
        qualities = stored(args.evaluation, DEFAULT, "default", HasteConfig.preset("default", dataset="cifar10"))
        if not qualities:
            raise ValueError(f"{args.evaluation}: no row of {DEFAULT} with the present settings; run haste eval anew")
        with service(args.images) as bench:
            report = bench.report(args.seconds, args.search_seconds, qualities)
    except (ValueError, OSError, httpx.HTTPError) as error:
        sys.stderr.write(f"overload: {error}\n")
        return 2
    _print(report)
    write(args, report)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="overload", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|NPZ", help="labelled, as for haste load")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load (default: %(default)s)")
    parser.add_argument("--search-seconds", type=float, default=20.0, help="at each rate of the search for capacity")
    parser.add_argument(
        "--evaluation",
        type=Path,
        default=_EVALUATION,
        metavar="FILE",
        help="what levels lose, of haste eval --json",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every load, by the second too")
    return parser


@contextmanager
def service(images: Path) -> Iterator[Bench]:
    """Ours on a new calibration, while inside."""
    ours = servers(Path(sys.executable), Path())[0]
    with tempfile.TemporaryDirectory(prefix="haste-overload-") as name:
        file = calibrated(Path(name))
        settings = {"HASTE_CALIBRATION": str(file)}
        with running(ours, 2.0, Path(name) / "server.log", settings) as target, httpx.Client() as client:
            yield Bench(target, client, images, read_points(file), client_first=go_first())


def _print(report: dict[str, Any]) -> None:
    title = f"objective {report['slo_ms']} ms, capacity of dense {report['capacity']:.1f}/s"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    names = ("load", "policy", "rate", "attainment", "kept", "accuracy", "effective_accuracy", "p50_ms", "p99_ms")
    for name in (*names, "levels", "codes", "recovered"):
        table.add_column(name)
    for row in report["rows"]:
        cells = [f"{row[n]:.3f}" if isinstance(row[n], float) else str(row[n]) for n in names]
        shares = (_shares(row["levels"]), _shares(row["codes"]))
        table.add_row(*cells, *shares, f"{row['recovered']:.3f}" if "recovered" in row else "")
    Console(width=200).print(table)
    Console().print_json(json.dumps(report["bars"]))


def _shares(levels: dict[str, int]) -> str:
    whole: Sequence[int] = list(levels.values())
    return ", ".join(f"{name} {count / sum(whole):.0%}" for name, count in levels.items())


if __name__ == "__main__":
    sys.exit(main())
