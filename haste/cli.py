"""The `haste` command: finds its commands, runs one, and turns what goes wrong into one line and an exit status."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import NoReturn

from haste.commands import Subparsers, bench, calibrate, classify, evaluate, info, models

GROUP = "haste.commands"
"""Entry points of this group add commands: each is a function that takes the subparsers and sets `run`."""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{_line(message)} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser with the package's own commands and those of installed packages."""
    parser: argparse.ArgumentParser = _Parser(prog="haste", description="Fewer FLOPs from a pretrained CNN.")
    commands: Subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    for register in (c.register for c in (classify, models, evaluate, bench, calibrate, info)):
        register(commands)
    for found in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _load(found)(commands)
    return parser


def _load(found: EntryPoint) -> Callable[[Subparsers], object]:
    """An entry point's function; where its package lacks something, a command that says so."""
    try:
        return found.load()  # type: ignore[no-any-return]
    except ImportError as error:
        reason = f"`haste {found.name}` cannot start: {error}; pip install 'haste-edge[serve]' brings what it needs"

        def fail(_: argparse.Namespace) -> int:
            raise ValueError(reason)

        return lambda commands: commands.add_parser(found.name, help="not installed").set_defaults(run=fail)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 2 for what the caller got wrong, 130 interrupted, 141 output closed."""
    try:
        args = build_parser().parse_args(argv)
        status = args.run(args)
        sys.stdout.flush()
        return int(status or 0)
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at exit
            return 141
        print(_line(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("haste: interrupted", file=sys.stderr)
        return 130


def _line(error: object) -> str:
    return f"haste: {' '.join(str(error).split())}"
