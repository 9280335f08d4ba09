"""`haste eval`: what levels cost and save on labelled images."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from haste.commands import Subparsers
from haste.commands.bars import progress_bar
from haste.commands.networks import add_network_options, dataset_of, load_network
from haste.commands.options import add_merge_options, check_writable, merge_changes, parse_levels
from haste.config import HasteConfig
from haste.convert import convert_
from haste.dataset import read_dataset
from haste.evaluate import Evaluation, evaluate
from haste.program import compile

_BATCH = 50
_COLUMNS = ("L", "top-1", "agreement", "KL", "reduction", "zeros", "merged", "overhead")
_CAPTION = "reduction = zeros + merged - overhead, in shares of the dense FLOPs"


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("eval", help="measure accuracy and FLOPs at several L")
    add_network_options(parser)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR|NPZ", help="one folder a class, or an npz")
    parser.add_argument("--limit", type=int, metavar="N", help="an evenly strided sample of N images over the classes")
    parser.add_argument("--L", default="dense,exact,14,10,8", help="levels, comma-separated (default: %(default)s)")
    parser.add_argument("--preset", choices=("paper", "default"), default="default")
    parser.add_argument("--planes", choices=("random", "dct"))
    parser.add_argument("--patch-outputs", type=int, metavar="T", help="outputs a side of a patch")
    parser.add_argument(
        "--threshold", type=float, metavar="b", help="|x||W_c| up to b / L of the rms counts as zero; 0: off"
    )
    add_merge_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Evaluate, print the table, write the rows."""
    levels = parse_levels(args.L)
    check_writable(args.json)
    config = read_config(args)
    model, record = load_network(args)
    data = read_dataset(args.data, record).take(args.limit)
    convert_(model, config)
    with progress_bar("evaluating", len(data) * len(levels)) as advance:
        results = evaluate(compile(model), data.batches(_BATCH), levels, advance)
    _print(results, f"{record.name}, preset {args.preset}, {len(data)} images")
    if args.json:
        args.json.write_text(json.dumps([row_of(result, args, config) for result in results], indent=2) + "\n")


def read_config(args: argparse.Namespace) -> HasteConfig:
    """The preset with the options applied; ValueError names a value out of bounds."""
    options = {"planes": args.planes, "patch_outputs": args.patch_outputs, "threshold": args.threshold}
    changes = {name: value for name, value in options.items() if value is not None} | merge_changes(args)
    return HasteConfig.preset(args.preset, dataset=dataset_of(args.model), **changes)


def row_of(result: Evaluation, args: argparse.Namespace, config: HasteConfig) -> dict[str, Any]:
    """One row of the JSON file."""
    values = asdict(result)
    settings = {"model": args.model, "preset": args.preset, "L": values.pop("level")}
    settings |= {name: getattr(config, name) for name in ("merge", "planes", "patch_outputs", "tolerance", "threshold")}
    del values["merged"]
    return settings | values


def _print(results: list[Evaluation], title: str) -> None:
    table = Table(*_COLUMNS, title=f"{title}; dense top-1 {results[0].dense_top1:.2%}", caption=_CAPTION)
    for result in results:
        shares = (result.flop_reduction, result.skipped, result.merged, result.overhead)
        quality = (f"{result.top1:.2%}", f"{result.agreement:.2%}", f"{result.kl:.4f}")
        table.add_row(str(result.level), *quality, *(f"{share:.2%}" for share in shares))
    Console().print(table)
