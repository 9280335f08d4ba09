"""What several commands accept alike: how to merge, lists of levels and of whole numbers, and files to be written."""

import argparse
from pathlib import Path
from typing import Any, get_args

from haste.config import Level, Merge, parse_level


def add_merge_options(parser: argparse.ArgumentParser) -> None:
    """`--merge` and `--tolerance`."""
    parser.add_argument("--merge", choices=get_args(Merge), help="the merge rule (default: the preset's)")
    tolerance = "verified bound on what merging a channel may cost, or none (default: the preset's)"
    parser.add_argument("--tolerance", metavar="t", help=tolerance)


def merge_changes(args: argparse.Namespace) -> dict[str, Any]:
    """What `--merge` and `--tolerance` change in a preset; ValueError for what is no tolerance."""
    changes = {} if args.merge is None else {"merge": args.merge}
    return changes if args.tolerance is None else changes | {"tolerance": _tolerance(args.tolerance)}


def _tolerance(text: str) -> float | None:
    if text.lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"tolerance must be a number or none, not {text!r}") from None


def parse_levels(text: str) -> list[Level]:
    """`"dense,exact,14"` -> the levels in their order; ValueError names what is none."""
    return [parse_level(part.strip()) for part in text.split(",")]


def whole_numbers(name: str, text: str, most: int) -> list[int]:
    """`"1,2"` -> [1, 2], each once; ValueError names what is no number in 1..most."""
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not (part.isascii() and part.isdecimal() and len(part) < 5 and 1 <= int(part) <= most):
            raise ValueError(f"{name} must be whole numbers in 1..{most}, comma-separated, not {part!r}")
    return list(dict.fromkeys(map(int, parts)))


def check_writable(*files: Path | None) -> None:
    """ValueError for one that is no file in an existing directory: said before the work and not after it."""
    for file in files:
        if file and (file.is_dir() or not file.parent.is_dir()):
            raise ValueError(f"{file}: not a file in an existing directory")
