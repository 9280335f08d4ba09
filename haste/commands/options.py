"""What several commands accept alike: lists of levels and of whole numbers, and files that will be written."""

from pathlib import Path

from haste.config import Level, parse_level


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
