"""`haste info`: versions, machine, implementation, weights and presets."""

import argparse
import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table

from haste.commands import Subparsers
from haste.config import HasteConfig, Preset
from haste.kernel import build_info, cpu
from haste.models import list_models, list_pretrained

_PACKAGES = ("haste-edge", "torch", "numpy", "pillow", "safetensors")


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("info", help="versions, machine, weights and presets")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print what a bug report should hold."""
    facts = collect()
    if args.json:
        print(json.dumps(facts, indent=2))
        return
    table = Table(show_header=False, title="haste")
    for name, value in facts.items():
        nested = value.items() if isinstance(value, dict) else [("", value)]
        table.add_row(name, "\n".join(f"{key} {_text(item)}".strip() for key, item in nested))
    Console().print(table)


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def collect() -> dict[str, Any]:
    """The facts by name, ready for JSON."""
    presets: tuple[str, ...] = get_args(Preset)
    return {
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "machine": {"system": platform.platform(), "cpu": cpu(), "cores": os.cpu_count()},
        "torch threads": torch.get_num_threads(),
        **build_info(),
        "networks": list_models(),
        "embedded weights": [record.name for record in list_pretrained() if record.embedded],
        "presets": {name: repr(HasteConfig.preset(name)) for name in presets},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
