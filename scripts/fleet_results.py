"""Asks `haste simulate` how many boxes a load needs, ten times that, and a thousand times; writes one JSON.

The box is put together from two committed results: times from a calibration's check, quality from an evaluation.
"""

import argparse
import json
import tempfile
from pathlib import Path

from result_tables import read

from haste.calibration import Calibration, Identity, Point, on_frontier
from haste.cli import main as haste

TIMES, QUALITY = "calibration-2-threads-x86_64.json", "test-no-merge.json"
BASE, FACTORS, ARRIVALS, SECONDS = 100, (1, 10, 1_000), ("poisson", "burst"), 10
OBJECTIVE = {"--L": "exact", "--L-min": "8", "--slo-ms": "100"}


def box() -> Calibration:
    """A calibration of the levels that were both timed and evaluated, without the forms of layers."""
    timed, quality = read(TIMES), {row["L"]: row for row in read(QUALITY)}
    points = [
        Point(
            level=one["L"],
            batch=one["batch"],
            predicted_ms=one["predicted_ms"],
            median_ms=one["median_ms"],
            p10_ms=one["median_ms"],
            p90_ms=one["median_ms"],
            reduction=quality[one["L"]]["flop_reduction"],
            agreement=quality[one["L"]]["agreement"],
            kl=quality[one["L"]]["kl"],
        )
        for one in timed["points"]
        if one["L"] in quality
    ]
    batches = sorted({point.batch for point in points})
    return Calibration(
        identity=Identity(**timed["identity"]),
        made=f"from {TIMES} and {QUALITY}",
        seconds=0.0,
        images=quality["dense"]["images"],
        times={batch: {} for batch in batches},
        calls=dict.fromkeys(batches, 0.0),
        forms={batch: {} for batch in batches},
        points=tuple(on_frontier(points)),
    )


def needed(calibration: Path, arrival: str, rate: int, out: Path) -> dict[str, int | None]:
    """Boxes by policy."""
    options = OBJECTIVE | {"--arrival": arrival, "--rate": str(rate), "--duration": str(SECONDS)}
    command = ["simulate", "--calibration", str(calibration), "--replicas", "auto", "--json", str(out)]
    if haste([*command, *(word for pair in options.items() for word in pair)]):
        raise RuntimeError(f"haste {' '.join(command)} failed")
    (found,) = json.loads(out.read_text(encoding="utf-8"))["needed"]
    boxes: dict[str, int | None] = found["boxes"]
    return boxes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calibration = Path(folder) / "box.json"
        box().save(calibration)
        rows = [
            {
                "arrival": arrival,
                "factor": factor,
                "rate": BASE * factor,
                "boxes": needed(calibration, arrival, BASE * factor, Path(folder) / "needed.json"),
            }
            for arrival in ARRIVALS
            for factor in FACTORS
        ]
    found = {"times": TIMES, "quality": QUALITY, "seconds": SECONDS, "options": OBJECTIVE, "rows": rows}
    args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
