"""What a benchmark leaves behind: a JSON file with its command, its machine and its figures."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from haste.bench.rows import machine

_OF_THIS_MACHINE = ("json", "python")


def write(args: argparse.Namespace, figures: Mapping[str, Any]) -> None:
    """Into `args.json`, where that is given; without the paths that mean nothing elsewhere."""
    if args.json:
        command = {name: str(value) for name, value in vars(args).items() if name not in _OF_THIS_MACHINE}
        report = {"command": command, "machine": machine(), **figures}
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
