"""A picture of a simulation over time: what was in time, the levels, and the queue; rates one after another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from app.simulation.report import Row

_COLOURS = ("tab:green", "tab:blue", "tab:grey")  # one for each of `policies`, which are two where dense is configured


def draw(rows: Sequence[Row], slo_ms: int, path: Path) -> None:
    """Write a PNG. Needs the extra `figures`."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    attained, latency, depth, level = figure.subplots(4, 1, sharex=True)
    by_policy: dict[str, list[Row]] = {}
    for row in rows:
        by_policy.setdefault(row.policy, []).append(row)
    for colour, (policy, own) in zip(_COLOURS[: len(by_policy)], by_policy.items(), strict=True):
        seconds = [second for row in own for second in row.seconds]
        time = range(len(seconds))
        shares = [100 * second.in_time / second.offered if second.offered else np.nan for second in seconds]
        p95 = [np.nan if second.p95 is None else 1e3 * second.p95 for second in seconds]
        attained.step(time, shares, color=colour, label=policy, where="post")
        latency.step(time, p95, color=colour, where="post")
        depth.step(time, [second.depth for second in seconds], color=colour, where="post")
    latency.axhline(slo_ms, color="tab:red", linestyle="--", label="objective")
    shown, own = next(iter(by_policy.items()))
    first = [second for row in own for second in row.seconds]
    names = list(dict.fromkeys(name for second in first for name in second.levels))
    shares_by_level = [[second.levels.get(name, 0) / max(1, second.answered) for second in first] for name in names]
    if names:
        level.stackplot(range(len(first)), *shares_by_level, labels=[f"L={name}" for name in names], step="post")
    for axes, text in ((attained, "in time, %"), (latency, "p95, ms"), (depth, "queue"), (level, "levels")):
        axes.set(ylabel=text, ylim=(0, None))
        axes.grid(alpha=0.3)
    for axes in (attained, latency, *([level] if names else [])):
        axes.legend(loc="lower left", fontsize="small")
    level.set(xlabel="time, s", title=f"levels of: {shown}")
    figure.savefig(path, dpi=130)
