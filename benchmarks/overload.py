"""What the controller is worth under overload: one server, its configuration changed between loads, in one run."""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from yarl import URL

from app.arrivals import Times, by_name, poisson
from app.load.images import Payload, read_images
from app.load.outcomes import Outcomes
from app.load.sender import offer
from app.load.summary import Summary, summarise
from app.load.target import Target, read_answer
from benchmarks.servers import running, servers
from haste.bench.rows import machine

_OBJECTIVES = 4  # times the median of one dense request
_ENOUGH = 0.99
_STEPS = 6
_LEVELS = ("exact", 20, 16, 12, 8)
_BURST_SECONDS, _BURST_EVERY = 2.0, 10.0


def main() -> int:
    """Objective, capacity, then every load under every policy; prints a table, writes the JSON."""
    args = _parser().parse_args()
    with _service(args.images) as bench:
        report = bench.report(args.seconds, args.search_seconds)
    report = {"command": {n: str(v) for n, v in vars(args).items() if n != "json"}, "machine": machine(), **report}
    _print(report)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="overload", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|NPZ", help="labelled, as for haste load")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load (default: %(default)s)")
    parser.add_argument("--search-seconds", type=float, default=20.0, help="at each rate of the search for capacity")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every load, by the second too")
    return parser


@contextmanager
def _service(images: Path) -> Iterator["_Bench"]:
    ours = servers(Path(sys.executable), Path())[0]
    with (
        tempfile.TemporaryDirectory(prefix="haste-overload-") as folder,
        running(ours, 2.0, Path(folder) / "server.log") as target,
        httpx.Client() as client,
    ):
        yield _Bench(target, client, images)


class _Bench:
    def __init__(self, target: Target, client: httpx.Client, images: Path) -> None:
        self._target, self._client = target, client
        self._base = str(target.url.origin())
        (model,) = self._get("/models")["models"]
        self.calibration = model["calibration"]
        self._payloads: list[Payload] = read_images(images, model["classes"])
        self._slo_ms = 60_000
        self.rows: list[dict[str, Any]] = []

    def report(self, seconds: float, search_seconds: float) -> dict[str, Any]:
        dense_ms = self._dense_ms()
        self._slo_ms = round(_OBJECTIVES * dense_ms)
        capacity = self._capacity(search_seconds)
        levels = [level for level in _LEVELS if level == "exact" or level in self._measured()]
        for factor in (1.5, 3.0):
            for fixed in ("dense", "exact", "controller"):
                self._load(f"poisson {factor:g}x", fixed, poisson(factor * capacity, seconds, 1))
        wandering = by_name("wander", capacity, seconds, 2)
        for policy in ("dense", *levels, "controller"):
            self._load("wander 0.5x-2x", policy, wandering)
        bursts = by_name("burst", 0.5 * capacity, seconds, 3)
        for fixed in ("dense", "controller"):
            self._load("bursts 4x for 2 s", fixed, bursts)
        figures = {"dense_p50_ms": dense_ms, "slo_ms": self._slo_ms, "capacity": capacity}
        return {**figures, "calibration": self.calibration, "rows": self.rows}

    def _measured(self) -> set[Any]:
        return {point["level"] for point in self.calibration["frontier"]}

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(self._base + path).raise_for_status().json()
        return found

    def _configure(self, policy: object) -> None:
        """ "controller": from exact down; else that level alone."""
        steered = policy == "controller"
        controller = {"enabled": steered, "slo_ms": self._slo_ms}
        body = {"L": "exact" if steered else policy, "controller": controller}
        self._client.patch(f"{self._base}/config", json=body).raise_for_status()

    def _dense_ms(self) -> float:
        """Median of single requests, one after another."""
        self._configure("dense")
        taken = []
        for payload in self._payloads[:200]:
            answer = self._client.post(str(self._target.url), content=payload.body).raise_for_status()
            taken.append(answer.elapsed.total_seconds() * 1e3)
        return statistics.median(taken[20:])

    def _capacity(self, seconds: float) -> float:
        """The highest Poisson rate at which dense with admission keeps 99 % of what is offered, by bisection."""
        low, high = 2.0, 2 * 1e3 / (self._slo_ms / _OBJECTIVES)
        for step in range(_STEPS):
            rate = (low + high) / 2
            summary = self._load("search", "dense", poisson(rate, seconds, 100 + step))
            low, high = (rate, high) if (summary.attainment or 0) >= _ENOUGH else (low, rate)
        return low

    def _load(self, name: str, policy: object, times: Times) -> Summary:
        self._configure(policy)
        self._settle()
        outcomes = Outcomes(times)
        url = self._target.url.update_query(deadline_ms=self._slo_ms)
        target = Target(URL(url), self._target.timeout_seconds, self._target.connections, read_answer)
        offer(target, self._payloads, outcomes, 1, lambda _outcomes, _seconds: None)
        summary = summarise(outcomes, self._slo_ms)
        kept = summary.within / summary.answered if summary.answered else None
        row = {"load": name, "policy": str(policy), "rate": len(times) / times[-1], "kept": kept}
        if name.startswith("bursts"):
            row["recovered"] = _recovered(outcomes, self._slo_ms)
        self.rows.append({**row, **asdict(summary)})
        sys.stderr.write(f"{name}, {policy}: {len(times) / times[-1]:.1f}/s, in time {summary.attainment:.3f}\n")
        return summary

    def _settle(self) -> None:
        """A few calm requests, so that no load meets what the one before it taught."""
        for payload in self._payloads[:100]:
            self._client.post(str(self._target.url), content=payload.body)


def _recovered(outcomes: Outcomes, slo_ms: float) -> float:
    """Of what is offered from one second after a burst until the next, the share in time."""
    times, latency = outcomes.column("scheduled"), 1e3 * outcomes.column("latency")
    ends = (_BURST_EVERY + _BURST_SECONDS) / 2
    calm = (times % _BURST_EVERY >= ends + 1) | (times % _BURST_EVERY < ends - _BURST_SECONDS)
    calm &= times > ends
    return float(np.mean((outcomes.column("code") == 200)[calm] & (latency[calm] <= slo_ms)))


def _print(report: dict[str, Any]) -> None:
    title = f"objective {report['slo_ms']} ms, capacity of dense {report['capacity']:.1f}/s"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    names = ("load", "policy", "rate", "attainment", "kept", "accuracy", "effective_accuracy", "p50_ms", "p99_ms")
    for name in (*names, "levels", "recovered"):
        table.add_column(name)
    for row in report["rows"]:
        cells = [f"{row[n]:.3f}" if isinstance(row[n], float) else str(row[n]) for n in names]
        table.add_row(*cells, _shares(row["levels"]), f"{row['recovered']:.3f}" if "recovered" in row else "")
    Console(width=170).print(table)


def _shares(levels: dict[str, int]) -> str:
    whole: Sequence[int] = list(levels.values())
    return ", ".join(f"{name} {count / sum(whole):.0%}" for name, count in levels.items())


if __name__ == "__main__":
    sys.exit(main())
