"""How a simulation is shown: a table with a row a rate and policy, or the number of boxes that each policy needs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from app.load.schedule import rate_text
from app.simulation.replicas import PLAYED
from app.simulation.run import Run, Second

Needed = tuple[float | None, Mapping[str, int | None]]
"""A rate, and the boxes that each policy needs for it; None where no number is enough."""


@dataclass(frozen=True)
class Row:
    """One rate under one policy; shares of what was offered, but `kept` of what was accepted; times in ms.

    None where there is nothing to take it of.
    """

    rate: float | None
    policy: str
    offered: int
    attainment: float | None
    kept: float | None
    effective: float | None
    p50_ms: float | None
    p99_ms: float | None
    levels: Mapping[str, int]
    seconds: Sequence[Second]


def row_of(rate: float | None, policy: str, run: Run) -> Row:
    p50, p99 = (_ms(run.percentile(share)) for share in (0.5, 0.99))
    attainment, kept, effective = (_told(share) for share in (run.attainment, run.kept, run.effective))
    levels, seconds = run.levels(), run.seconds()
    return Row(rate, policy, len(run.offered), attainment, kept, effective, p50, p99, levels, seconds)


def _told(share: float) -> float | None:
    return None if math.isnan(share) else share


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1e3 * seconds, 3)


def print_rows(rows: Sequence[Row], replicas: int, console: Console) -> None:
    """The table; effective is what the calibration's agreement lets expect."""
    title = "1 box" if replicas == 1 else f"{replicas} boxes"
    if replicas > PLAYED:
        title += f", {PLAYED} of them played, with their share of what is offered"
    caption = "in time, effective: of the offered; effective: in time with the class of the dense network, expected. "
    caption += "kept: in time, of the accepted. p50, p99: ms of the answered."
    table = Table(title=title, caption=caption, caption_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("rate", justify="right")
    table.add_column("policy")
    for name in ("offered", "in time", "kept", "effective", "p50", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("L")
    for row in rows:
        shares = ["-" if share is None else f"{share:.1%}" for share in (row.attainment, row.kept, row.effective)]
        times = ["-" if value is None else f"{value:.1f}" for value in (row.p50_ms, row.p99_ms)]
        levels = ", ".join(f"{level} {count / sum(row.levels.values()):.0%}" for level, count in row.levels.items())
        table.add_row(rate_text(row.rate), row.policy, str(row.offered), *shares, *times, levels)
    console.print(table)


def print_needed(found: Sequence[Needed], console: Console) -> None:
    """How many boxes each policy needs for 99 % in time."""
    table = Table(title="boxes that answer 99 % in time", box=None, padding=(0, 1, 0, 0))
    for name in ("rate", *found[0][1]):
        table.add_column(name, justify="right")
    for rate, counts in found:
        table.add_row(rate_text(rate), *("none" if count is None else str(count) for count in counts.values()))
    console.print(table)
