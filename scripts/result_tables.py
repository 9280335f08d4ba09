"""The committed results as Markdown: every row with the command that wrote it, and the few that other pages quote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haste.bench.rows import fastest_peer, quotable

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
NOTE = "<!-- written by `make docs`: change the code, not this page -->"
RACE = ("runtime", "version", "threads", "batch", "L", "median ms", "p10-p90", "speed-up", "FLOPs saved", "top-1 loss")
LAYERS = (
    "layer",
    "shape",
    "threads",
    "batch",
    "L",
    "form",
    "ms",
    "list",
    "hash",
    "merge",
    "multiply",
    "kept",
    "of peak",
    "of memory",
)
COLUMNS = ("model", "preset", "L", "images", "top-1", "dense", "agreement", "KL", "FLOPs saved", "zeros", "overhead")


def read(name: str) -> Any:
    """A committed result."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; bars inside a cell are escaped."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def results(names: str) -> str:
    """For each result file that the pattern names: its rows, and the command that wrote it."""
    parts = []
    for path in sorted(RESULTS.glob(names)):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, list):  # a report: report_tables.py
            continue
        columns, rows = result_table(path.name, found)
        parts.append(f"{table(columns, rows)}\n\n{command_of(path)}")
    return "\n\n".join(parts)


def command_of(path: Path) -> str:
    """What wrote a result file, from the script beside it."""
    lines = path.with_suffix(".sh").read_text(encoding="utf-8").splitlines()
    command = "\n".join(line for line in lines if line and not line.startswith(("#", "set ")))
    return f"Written by `benchmarks/results/{path.stem}.sh`:\n\n```bash\n{command}\n```"


def result_table(name: str, rows: list[dict[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and cells of a result file, by what its name begins with."""
    if name.startswith("race-"):
        return RACE, [race_row(row, rows) for row in rows]
    if name.startswith("layers-"):
        return LAYERS, [layer_row(row) for row in rows]
    return COLUMNS, [result_row(row) for row in rows]


def race_row(row: dict[str, Any], rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """One row of `haste bench --json`; its speed-up over the fastest rival, where it may be quoted."""
    peer = fastest_peer([r for r in rows if (r["threads"], r["batch"]) == (row["threads"], row["batch"])])
    times = (
        ("wrong", "")
        if not row["median_ms"]
        else (f"{row['median_ms']:.2f}", f"{row['p10_ms']:.2f}-{row['p90_ms']:.2f}")
    )
    shares = ["" if row[name] is None else f"{row[name]:.2%}" for name in ("flop_reduction", "top1_loss")]
    ratio = f"{peer['median_ms'] / row['median_ms']:.2f}x" if peer and quotable(row) else ""
    return (
        row["runtime"],
        row["version"],
        str(row["threads"]),
        str(row["batch"]),
        str(row["L"]),
        *times,
        ratio,
        *shares,
    )


def layer_row(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of `haste bench --layers`."""
    times = [f"{row[f'{name}_ms']:.3f}" for name in ("total", "listing", "hashing", "merging", "multiplying")]
    shares = [f"{row[name]:.0%}" for name in ("kept", "peak_share", "bandwidth_share")]
    return (
        row["layer"],
        row["shape"],
        str(row["threads"]),
        str(row["batch"]),
        str(row["L"]),
        row["form"],
        *times,
        *shares,
    )


def result_row(row: dict[str, Any]) -> tuple[str, ...]:
    """One row of `haste eval --json` as cells of COLUMNS."""
    shares = [f"{row[name]:.2%}" for name in ("top1", "dense_top1", "agreement")]
    saved = [f"{row[name]:.1%}" for name in ("flop_reduction", "skipped", "overhead")]
    preset = row["preset"] + (", no merging" if row["merge"] == "none" else "")
    return (row["model"], preset, str(row["L"]), f"{row['images']:,}", *shares, f"{row['kl']:.4f}", *saved)
