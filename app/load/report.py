"""How a load is shown: a live line, a table with a row a rate, and a JSON file with everything."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from app.load.outcomes import Fate, Outcomes, Watch
from app.load.schedule import rate_text
from app.load.summary import Summary

_COLUMNS = ("rate", "offered", "200", "in time", "p50", "p95", "p99", "right", "effective", "degraded", "L")
_CAPTION = (
    "in time: 200 within {:g} ms of the schedule, of the offered. p50, p95, p99: ms from the "
    "schedule, of the answered. right: of the answered. effective: right and in time, of the "
    "offered. degraded: of the answered. L: mean level of those whose level is a number."
)


@dataclass(frozen=True)
class Row:
    """A rate, None for a trace from a file, and what came of it."""

    rate: float | None
    summary: Summary


@contextmanager
def live_line(title: str) -> Iterator[Watch]:
    """One line on standard error that the function given back writes anew, only where a person watches."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _outcomes, _seconds: None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:  # no thread beside the loop
        yield lambda outcomes, seconds: live.update(Text(f"{title}  {live_text(outcomes, seconds)}"), refresh=True)


def live_text(outcomes: Outcomes, seconds: float) -> str:
    """Where the load stands; the median is of what was scheduled in the last two seconds and is answered."""
    code, scheduled = outcomes.column("code"), outcomes.column("scheduled")
    answered, waiting = int((code == 200).sum()), int((code == Fate.UNANSWERED).sum())
    recent = outcomes.column("latency")[(code == 200) & (scheduled > seconds - 2)]
    median = f", median {1e3 * np.median(recent):.0f} ms" if len(recent) else ""
    others = outcomes.reached - answered - waiting
    return f"{seconds:.0f} s: {outcomes.reached} offered, {answered} answered, {waiting} wait, {others} not{median}"


def print_rows(rows: Sequence[Row], title: str, console: Console) -> None:
    """The table, then for each rate the codes, this tool's own lateness, and what the reader must know."""
    if not rows:
        return
    caption = _CAPTION.format(rows[0].summary.deadline_ms)
    table = Table(title=escape(title), caption=caption, caption_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        for line in _notes(row):
            console.print(line, highlight=False)
        for warning in row.summary.warnings:
            console.print(f"  warning: {warning}", style="yellow", highlight=False)


def _cells(row: Row) -> list[str]:
    s = row.summary
    counts = [rate_text(row.rate), str(s.offered), str(s.answered), _cell(s.attainment, "{:.1%}")]
    times = [_cell(value, "{:.1f}") for value in (s.p50_ms, s.p95_ms, s.p99_ms)]
    shares = [_cell(value, "{:.1%}") for value in (s.accuracy, s.effective_accuracy, s.degraded)]
    return [*counts, *times, *shares, _cell(s.mean_level, "{:.1f}")]


def _notes(row: Row) -> list[str]:
    s = row.summary
    codes = ", ".join(f"{count} {name}" for name, count in s.codes.items()) or "nothing offered"
    levels = ", ".join(f"{count} at {level}" for level, count in s.levels.items())
    late = [_cell(value, "{:.1f} ms") for value in (s.lateness_p99_ms, s.lateness_max_ms)]
    tool = f"  this tool: {late[0]} late at p99, {late[1]} at most; {_cell(s.cpu_share, '{:.0%}')} of a core"
    return [f"{rate_text(row.rate)}: {codes}" + (f"; L: {levels}" if levels else ""), tool]


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def write_json(path: Path, command: dict[str, Any], rows: Sequence[Row], *, interrupted: bool) -> None:
    """The command's parameters and every figure of every rate."""
    found = [{"rate": row.rate, **asdict(row.summary), "warnings": row.summary.warnings} for row in rows]
    report = {"command": command, "interrupted": interrupted, "rows": found}
    path.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")
