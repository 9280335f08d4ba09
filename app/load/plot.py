"""A picture of a load over time: requests, latency and L by the second, rates of a sweep one after another."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from app.load.report import Row


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG. Needs the extra `figures`."""
    seconds = [second for row in rows for second in row.summary.series]
    edges = range(len(seconds) + 1)
    figure = Figure(figsize=(9, 7), layout="constrained")
    requests, latency, level = figure.subplots(3, 1, sharex=True)
    for name, colour in (("offered", "0.6"), ("answered", "tab:blue"), ("within", "tab:green")):
        requests.stairs([getattr(second, name) for second in seconds], edges, baseline=None, color=colour, label=name)
    requests.set(ylabel="requests a second", ylim=(0, None))
    latency.stairs([_gap(second.p95_ms) for second in seconds], edges, baseline=None, color="tab:blue", label="p95")
    latency.axhline(rows[0].summary.deadline_ms, color="tab:red", linestyle="--", label="deadline")
    latency.set(ylabel="ms from schedule", ylim=(0, None))
    levels = [_gap(second.mean_level) for second in seconds]
    level.stairs(levels, edges, baseline=None, color="tab:purple", label="mean L")
    level.set(ylabel="L", xlabel="time, s", ylim=(0, 33))
    shares = level.twinx()
    degraded = [100 * (second.degraded or 0) for second in seconds]
    shares.stairs(degraded, edges, fill=True, color="tab:orange", alpha=0.25)
    shares.set(ylabel="degraded, %", ylim=(0, 105))
    for axes in (requests, latency, level):
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
    figure.savefig(path, dpi=130)


def _gap(value: float | None) -> float:
    """A line has a hole where there is nothing."""
    return float("nan") if value is None else value
