"""Draws docs/images from the rows in benchmarks/results, those of the test split alone."""

import json
from pathlib import Path

from haste.figures import draw_accuracy_and_flops

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Draw what there are results for."""
    files = sorted((ROOT / "benchmarks" / "results").glob("test-*.json"))
    rows = [row for path in files for row in json.loads(path.read_text(encoding="utf-8"))]
    if not rows:
        raise SystemExit("no results: benchmarks/results holds no test-*.json")
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    draw_accuracy_and_flops(rows, folder / "accuracy-flops.png")


if __name__ == "__main__":
    main()
