"""Writes the generated pages of docs/, the results in README.md, and Grafana's dashboards, from what they tell of."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dashboards import DASHBOARDS, dashboard_json
from metrics_page import metrics_page, rows

from app.settings_doc import settings_markdown
from haste.bench.rows import fastest_peer, quotable
from haste.cli import build_parser

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = "docs/images/accuracy-flops.png"
NOTE = "<!-- written by `make docs`: change the code, not this page -->"
BEGIN, END = "<!-- results: begin (make docs) -->", "<!-- results: end -->"
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
METRICS = ("name", "type", "labels", "what", "used by")
COLUMNS = ("model", "preset", "L", "images", "top-1", "dense", "agreement", "KL", "FLOPs saved", "zeros", "overhead")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table; bars inside a cell are escaped."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def cli_page() -> str:
    """Every command with its options, out of the parser itself."""
    parser = build_parser()
    parts = [
        "# Command line",
        "`haste COMMAND --help` prints the same. Errors are one line on stderr, exit status 2.",
        NOTE,
    ]
    for name, help_text, command in commands(parser):
        rows = [(f"`{invocation(action)}`", action_help(action)) for action in arguments(command)]
        parts += [f"## haste {name}", f"{help_text[:1].upper()}{help_text[1:]}."]
        parts += [table(("argument", "what"), rows)] if rows else []
    return "\n\n".join(parts) + "\n"


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, help line and parser of each command."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
            for name, command in action.choices.items():
                yield name, helps.get(name, ""), command


def arguments(command: argparse.ArgumentParser) -> list[argparse.Action]:
    """All arguments but --help."""
    return [action for action in command._actions if action.dest != "help"]  # noqa: SLF001


def invocation(action: argparse.Action) -> str:
    """`--limit N`, `PATH...`, `--preset {paper,default}`."""
    choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else None
    shown = action.metavar or choices or action.dest.upper()
    value = shown if isinstance(shown, str) else " ".join(shown)
    if action.nargs in ("+", "*"):
        value += "..."
    names = ", ".join(action.option_strings)
    return f"{names} {value}" if names and action.nargs != 0 else names or value


def action_help(action: argparse.Action) -> str:
    """The help line with argparse's own placeholders filled in."""
    return (action.help or "") % vars(action)


def results(names: str) -> str:
    """For each result file that the pattern names: its rows, and the command that wrote it."""
    parts = []
    for path in sorted(RESULTS.glob(names)):
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, list):  # a report, which is read and not shown
            continue
        columns, rows = result_table(path.name, found)
        lines = path.with_suffix(".sh").read_text(encoding="utf-8").splitlines()
        command = "\n".join(line for line in lines if line and not line.startswith(("#", "set ")))
        script = f"benchmarks/results/{path.stem}.sh"
        parts.append(f"{table(columns, rows)}\n\nWritten by `{script}`:\n\n```bash\n{command}\n```")
    return "\n\n".join(parts)


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


def results_page() -> str:
    """All committed results."""
    head = "# Results\n\nTop-1 and agreement with the dense network; FLOPs over all layers, overhead included."
    return f"{head}\n\n{NOTE}\n\n{results('*.json') or 'None is committed yet.'}\n"


def readme() -> str:
    """README.md with the results of the test split, and their picture, between its markers."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    picture = f"![Accuracy and FLOPs saved over L]({PICTURE})" if (ROOT / PICTURE).exists() else ""
    inner = "\n\n".join(part for part in (picture, results("test-*.json"), results("race-*.json")) if part)
    return f"{before}{BEGIN}\n{inner}\n{END}{after}" if inner else f"{before}{BEGIN}\n{END}{after}"


def pages() -> dict[Path, str]:
    """Path -> text of everything that is generated."""
    docs = ROOT / "docs"
    generated = {"settings.md": settings_markdown(), "cli.md": cli_page(), "results.md": results_page()}
    generated |= {"metrics.md": metrics_page(NOTE, table(METRICS, rows()))}
    boards = ROOT / "deploy" / "grafana" / "dashboards"
    found = {boards / f"{board.name}.json": dashboard_json(board) for board in DASHBOARDS}
    return found | {docs / name: text for name, text in generated.items()} | {ROOT / "README.md": readme()}


def drifted() -> list[str]:
    """The generated files that are not what `make docs` would write."""
    return [
        str(path.relative_to(ROOT))
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write the pages; with --check only say which have drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page has drifted")
    if parser.parse_args().check:
        stale = drifted()
        print("\n".join(f"{name}: run make docs" for name in stale) or "documents are current")
        return 1 if stale else 0
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
