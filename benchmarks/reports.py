"""What a benchmark leaves behind: a JSON file with its command, its machine and its figures."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haste.bench.rows import machine

_OF_THIS_MACHINE = ("json", "python")


def write(args: argparse.Namespace, figures: Mapping[str, Any]) -> None:
    """Into `args.json`, where that is given; of paths the last part alone, since the rest means nothing elsewhere."""
    if args.json:
        given = {name: value for name, value in vars(args).items() if name not in _OF_THIS_MACHINE}
        command = {name: value.name if isinstance(value, Path) else str(value) for name, value in given.items()}
        report = {"command": command, "machine": machine(), **figures}
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
