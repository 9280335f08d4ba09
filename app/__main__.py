"""`python -m app`: the same as `haste serve`."""

import argparse
import sys

from app.cli import add_serve


def main() -> int:
    """Parse `serve`'s options alone."""
    parser = argparse.ArgumentParser(prog="python -m app")
    add_serve(parser.add_subparsers())
    args = parser.parse_args(["serve", *sys.argv[1:]])
    return int(args.run(args))


if __name__ == "__main__":
    sys.exit(main())
