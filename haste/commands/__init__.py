"""The commands of `haste`, one file each: what they accept and how they print it; the work is done elsewhere."""

import argparse
from typing import TypeAlias

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no public name
