"""`haste bench`: how fast levels are on this machine, and other runtimes beside them, on the same images."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from haste.bench.contenders import HASTE, PEERS, Job, able
from haste.bench.gate import Gate
from haste.bench.layers import layer_table
from haste.bench.race import Rules, race
from haste.bench.rows import DENSE, MAX_LOSS, Quality, fastest_peer, machine, measured, quotable, row_of, stored
from haste.bench.table import layer_rows, printed
from haste.bench.worker import GATE_IMAGES
from haste.calibrate import calibrate, identity_of, runs_of
from haste.calibration import Calibration
from haste.commands import Subparsers
from haste.commands.bars import progress_bar
from haste.commands.networks import add_network_options, dataset_of, load_network
from haste.commands.options import check_writable, parse_levels, whole_numbers
from haste.config import HasteConfig, Level
from haste.convert import convert_
from haste.dataset import SAMPLES, read_dataset, read_photos
from haste.evaluate import evaluate
from haste.models import WeightsRecord
from haste.program import CompiledModel, compile

_CALIBRATION_S = 10
_LAYER_ROUNDS = 20
_EVALUATION_BATCH = 50
_COLUMNS = ("contender", "L", "ms", "p10", "p90", "ratio", "saved", "loss", "error")
_CAPTION = f"ratio: speed-up over the fastest rival, where the level is known to lose at most {MAX_LOSS:.2%} top-1"


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("bench", help="time levels on this machine, and other runtimes beside them")
    add_network_options(parser)
    parser.add_argument("--threads", default="1", metavar="N", help="comma-separated (default: %(default)s)")
    parser.add_argument(
        "--batch", default="1", metavar="N", help="images a call, comma-separated (default: %(default)s)"
    )
    parser.add_argument("--L", default="dense,exact,14,12,10,8", help="levels, comma-separated (default: %(default)s)")
    everyone = ",".join(PEERS)
    parser.add_argument("--peers", nargs="?", const=everyone, metavar="NAMES", help=f"rivals; without names {everyone}")
    parser.add_argument("--preset", choices=("paper", "default"), default="default")
    parser.add_argument("--images", type=Path, default=SAMPLES, metavar="DIR", help="to run on (default: the samples)")
    costs = parser.add_mutually_exclusive_group()
    costs.add_argument(
        "--data", type=Path, metavar="DIR|NPZ", help="labelled images: measure what levels save and cost"
    )
    costs.add_argument("--evaluation", type=Path, metavar="FILE", help="read it from what `haste eval --json` wrote")
    parser.add_argument("--limit", type=int, metavar="N", help="an evenly strided sample of N labelled images")
    parser.add_argument(
        "--rounds", type=int, default=8, metavar="N", help="the first is not counted (default: %(default)s)"
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE|none",
        help="forms of our layers (default: measured now; none: all that L asks for)",
    )
    parser.add_argument(
        "--layers", type=Path, metavar="FILE", help="measure every layer in every form, and write the rows"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows of the race")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Judge and time every contender, print the tables, write the rows."""
    levels = list(dict.fromkeys(parse_levels(args.L)))
    threads, batches = whole_numbers("threads", args.threads, 256), whole_numbers("batch", args.batch, 1024)
    rules, peers = Rules(args.rounds), _peers(args.peers)
    _check(args)
    model, record = load_network(args)
    images = read_photos(args.images, record)
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="haste-bench-") as folder:
        np.save(Path(folder) / "images.npy", images.numpy())
        starting, notes = able(peers, model, record.input_size, batches, Path(folder))
        convert_(model, _config(args))
        for count, batch in ((n, size) for size in batches for n in threads):
            found = _calibration(args, model, images, levels, count, batch, Path(folder) / "calibration.json")
            qualities = _qualities(args, model, record, levels, found, batch)
            gate = Gate(model, images[:GATE_IMAGES], levels, found, batch)
            forms = str(Path(folder) / "calibration.json") if found else None
            jobs = _jobs(args, record.input_size, levels, starting, count, batch, folder, forms)
            title = f"{count} threads, batch {batch}"
            with progress_bar(title, rules.steps(len(jobs))) as advance:
                outcome = race(jobs, gate.judge, rules, advance)
            raced = [row_of(result, qualities.get(result.job.level), machine()) for result in outcome.results]
            Console().print(_table(raced, f"{record.name}, preset {args.preset}, {title}"))
            notes += outcome.lost
            rows += raced
            if args.json:
                args.json.write_text(json.dumps(rows, indent=2) + "\n")
    if unknown := [str(level) for level in levels if level not in qualities]:
        notes.append(f"nothing tells what L = {', '.join(unknown)} costs: no speed-up (--data or --evaluation)")
    print(*(f"haste: {note}" for note in dict.fromkeys(notes)), sep="\n", end="\n" * bool(notes), file=sys.stderr)
    if args.layers:
        args.layers.write_text(json.dumps(_layers(model, images, levels, threads, batches), indent=1) + "\n")


def _check(args: argparse.Namespace) -> None:
    """What would else be said after the work."""
    check_writable(args.json, args.layers)
    if args.limit is not None and (args.data is None or args.limit < 1):
        raise ValueError(f"--limit {args.limit}: at least 1, of the images of --data")
    if args.evaluation:
        stored(args.evaluation, args.model, args.preset, _config(args))
    if args.evaluation and args.calibration != "none":
        raise ValueError(f"{args.evaluation}: an evaluation is of the method in full; it needs --calibration none")


def _layers(
    model: nn.Module, images: Tensor, levels: Sequence[Level], threads: Sequence[int], batches: Sequence[int]
) -> list[dict[str, Any]]:
    """The kernel table for every number of threads and batch size, printed on the way."""
    rows: list[dict[str, Any]] = []
    runs = runs_of(levels)
    for count, batch in ((n, size) for size in batches for n in threads):
        compiled = compile(model, threads=count)
        if not isinstance(compiled, CompiledModel):
            raise ValueError("the reference has no kernels to measure")
        x = images[[i % len(images) for i in range(batch)]]
        title = f"layers, {count} threads, batch {batch}"
        with progress_bar(title, len(runs) * (_LAYER_ROUNDS + 1)) as advance:
            table = layer_table(compiled, x, runs, _LAYER_ROUNDS, advance)
        Console().print(printed(table, title))
        rows += layer_rows(table, machine())
    return rows


def _peers(text: str | None) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(","))) if text is not None else []
    for name in names:
        if name not in PEERS:
            raise ValueError(f"peers are {', '.join(PEERS)}, not {name!r}")
    return names


def _config(args: argparse.Namespace) -> HasteConfig:
    return HasteConfig.preset(args.preset, dataset=dataset_of(args.model))


def _calibration(
    args: argparse.Namespace,
    model: nn.Module,
    images: Tensor,
    levels: Sequence[Level],
    threads: int,
    batch: int,
    file: Path,
) -> Calibration | None:
    """The forms of our layers, written to `file`: from the user's file, else measured in a short time; None without."""
    compiled = compile(model, threads=threads)
    if args.calibration == "none" or not isinstance(compiled, CompiledModel):
        return None
    if args.calibration:
        found = Calibration.load(Path(args.calibration))
        if reason := found.stale(identity_of(compiled)):
            raise ValueError(f"{args.calibration}: {reason}; haste calibrate makes a new one")
    else:
        with progress_bar(f"calibrating for {threads} threads, batch {batch}", _CALIBRATION_S) as advance:
            found = calibrate(
                compiled, images, levels=levels, batches=(batch,), seconds=_CALIBRATION_S, progress=advance
            )
    found.save(file)
    return found


def _qualities(
    args: argparse.Namespace,
    model: nn.Module,
    record: WeightsRecord,
    levels: Sequence[Level],
    found: Calibration | None,
    batch: int,
) -> dict[Level, Quality]:
    """What the levels save and cost with these forms, as far as it is known; dense needs no evaluation."""
    qualities: dict[Level, Quality] = {}
    if args.evaluation:
        qualities = stored(args.evaluation, args.model, args.preset, _config(args))
    elif args.data:
        data = read_dataset(args.data, record).take(args.limit)
        compiled = compile(model)
        if found and isinstance(compiled, CompiledModel):
            compiled.forms = found.in_batch(batch)
        with progress_bar("evaluating", len(data) * len(levels)) as advance:
            qualities = measured(evaluate(compiled, data.batches(_EVALUATION_BATCH), levels, advance))
    return qualities | {"dense": DENSE}


def _jobs(
    args: argparse.Namespace,
    side: int,
    levels: Sequence[Level],
    peers: Sequence[str],
    threads: int,
    batch: int,
    folder: str,
    calibration: str | None,
) -> list[Job]:
    """Ours, one a level, then the rivals."""
    entries: list[tuple[str, Level]] = [*((HASTE, level) for level in levels), *((peer, "dense") for peer in peers)]
    return [
        Job(
            runtime=runtime,
            model=args.model,
            checkpoint=str(args.checkpoint) if args.checkpoint else None,
            dataset=dataset_of(args.model),
            preset=args.preset,
            level=level,
            threads=threads,
            batch=batch,
            side=side,
            folder=folder,
            calibration=calibration,
        )
        for runtime, level in entries
    ]


def _table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    table = Table(*_COLUMNS, title=title, caption=_CAPTION, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    peer = fastest_peer(rows)
    for row in rows:
        times = [_cell(row[name], ".2f") for name in ("median_ms", "p10_ms", "p90_ms")]
        ratio = f"{peer['median_ms'] / row['median_ms']:.2f}x" if peer and quotable(row) else "-"
        shares = [_cell(row[name], ".2%") for name in ("flop_reduction", "top1_loss")]
        error = _cell(row["max_abs_error"], ".1e")
        table.add_row(row["runtime"], str(row["L"]), *times, "wrong" if "wrong" in row else ratio, *shares, error)
    return table


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
