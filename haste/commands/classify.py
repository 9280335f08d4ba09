"""`haste classify`: the classes of image files and folders, and the FLOPs that were not run."""

import argparse
import csv
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from haste.classify import Classification, classify
from haste.commands import Subparsers
from haste.commands.bars import progress_bar
from haste.commands.networks import add_network_options, dataset_of, load_network
from haste.config import HasteConfig, parse_level
from haste.convert import convert_
from haste.dataset import find_images
from haste.program import compile


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("classify", help="classify images")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="an image, or a folder of images")
    add_network_options(parser)
    parser.add_argument("--L", help="hyperplanes 1..32, exact or dense (default: the preset's)")
    parser.add_argument("--top-k", type=int, default=1, metavar="K", help="classes an image (default: 1)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--csv", action="store_true", help="print CSV, one row a class")
    output.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Classify everything, then print it as asked."""
    config = HasteConfig.preset("default", dataset=dataset_of(args.model))
    level = config.num_hyperplanes if args.L is None else parse_level(args.L)
    paths = expand(args.paths)
    model, record = load_network(args)
    convert_(model, config)
    results = []
    with progress_bar("classifying", len(paths)) as advance:
        for result in classify(compile(model), record, paths, level, args.top_k):
            results.append(result)
            advance(1)
    if args.json:
        print(json.dumps([_row(result) for result in results], indent=2))
    elif args.csv:
        _print_csv(results)
    else:
        _print_table(results)


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as the images below them; ValueError for a folder without images."""
    files: list[Path] = []
    for path in paths:
        below = find_images(path) if path.is_dir() else [path]
        if not below:
            raise ValueError(f"{path}: no images in this folder")
        files += below
    return files


def _name(path: Path) -> str:
    """The path as text that can be printed, whatever bytes it is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def _row(result: Classification) -> dict[str, Any]:
    flops = {name: getattr(result.flops, name) for name in ("dense", "skipped", "merged", "overhead", "executed")}
    return {
        "path": _name(result.path),
        "L": result.level,
        "predictions": [asdict(prediction) for prediction in result.predictions],
        "flops": flops | {"reduction": result.flops.reduction},
    }


def _print_csv(results: Sequence[Classification]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("path", "L", "rank", "label", "index", "probability", "flop_reduction"))
    for result in results:
        for rank, best in enumerate(result.predictions, start=1):
            values = (best.label, best.index, f"{best.probability:.6f}", f"{result.flops.reduction:.6f}")
            writer.writerow((_name(result.path), result.level, rank, *values))


def _print_table(results: Sequence[Classification]) -> None:
    table = Table("image", "L", "class", "FLOP reduction")
    for result in results:
        classes = "\n".join(f"{best.label} {best.probability:.1%}" for best in result.predictions)
        table.add_row(Text(_name(result.path)), str(result.level), Text(classes), f"{result.flops.reduction:.1%}")
    Console().print(table)
