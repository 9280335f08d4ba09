"""`python -m haste` is the `haste` command."""

import sys

from haste.cli import main

if __name__ == "__main__":
    sys.exit(main())
