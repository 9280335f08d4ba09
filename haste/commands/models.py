"""`haste models`: the pretrained weights."""

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from haste.commands import Subparsers
from haste.models import DEFAULT, WeightsRecord, list_pretrained


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("models", help="list the pretrained weights")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print one row for each set of weights."""
    records = list_pretrained()
    if args.json:
        print(json.dumps([_row(record) for record in records], indent=2))
        return
    table = Table("name", "top-1", "parameters", "input", "classes", "licence", title="pretrained weights")
    for record in records:
        name = f"{record.name} (default)" if record.name == DEFAULT else record.name
        top1 = "unknown" if record.dense_top1 is None else f"{record.dense_top1:.2%}"
        side, classes = f"{record.input_size}x{record.input_size}", str(len(record.classes))
        table.add_row(name, top1, f"{record.parameters:,}", side, classes, record.licence)
    Console().print(table)


def _row(record: WeightsRecord) -> dict[str, Any]:
    fields = ("embedded", "dense_top1", "parameters", "input_size", "classes", "sha256", "licence", "source")
    values = {name: getattr(record, name) for name in fields}
    return {"name": record.name, "default": record.name == DEFAULT} | values
