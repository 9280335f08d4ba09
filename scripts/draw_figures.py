"""Draws docs/images: from the rows in benchmarks/results, and what the hash finds in one picture."""

import json
from pathlib import Path
from typing import Any

from patch_buckets import look
from result_tables import RESULTS, ROOT

from haste.config import HasteConfig
from haste.figures import draw_accuracy_against_flops, draw_accuracy_and_flops, draw_where_time_goes
from haste.patch_figures import draw_buckets, draw_compression

PICTURE, LAYER, PATCH = ROOT / "haste" / "samples" / "ship.jpg", "layer1.1.conv1", (1, 2)


def read(names: str) -> list[dict[str, Any]]:
    """The rows of the committed results that the pattern names; SystemExit where there are none."""
    files = sorted(RESULTS.glob(names))
    rows = [row for path in files for row in json.loads(path.read_text(encoding="utf-8"))]
    if not rows:
        raise SystemExit(f"no results: benchmarks/results holds no {names}")
    return rows


def draw_results(folder: Path) -> None:
    """What was measured: accuracy and FLOPs on the test images, and the time of every layer."""
    tests = read("test-*.json")
    draw_accuracy_and_flops(tests, folder / "accuracy-flops.png")
    draw_accuracy_against_flops(tests, folder / "accuracy-against-flops.png")
    draw_where_time_goes(read("layers-x86_64.json"), folder / "where-time-goes.png")


def draw_patches(folder: Path) -> None:
    """What the hash of the paper's settings finds in one layer."""
    config = HasteConfig.preset("paper")
    found = look(PICTURE, LAYER, config)
    where = f"{LAYER} of {PICTURE.name}, preset paper, L = {config.num_hyperplanes}"
    leader, ratio = found.leader[PATCH], found.ratios[PATCH]
    title = f"one patch of {where}: {len(leader)} channels, {len(set(leader.tolist()))} buckets, r = {ratio:.1%}"
    draw_buckets(found.channels[PATCH], leader, title, folder / "buckets.png")
    draw_compression(found.picture, found.ratios, PATCH, config.patch_outputs, where, folder / "compression-map.png")


def main() -> None:
    """Draw everything."""
    folder = ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    draw_results(folder)
    draw_patches(folder)


if __name__ == "__main__":
    main()
