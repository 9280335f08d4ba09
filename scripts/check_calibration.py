"""Measures a calibration again: layers where the form it chose is slower than dense, and its predictions of the whole.

Writes {"identity", "slower": [...], "median_error", "points": [...]} as JSON. Run it apart from the calibration.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import haste
from haste.bench.layers import layer_table
from haste.calibrate import identity_of, runs_of
from haste.calibration import Calibration
from haste.dataset import SAMPLES, read_photos
from haste.models import load_pretrained
from haste.program import CompiledModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calibration", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = Calibration.load(args.calibration)
    network, record = load_pretrained()
    haste.convert_(network)
    model = haste.compile(network, threads=found.identity.threads)
    assert isinstance(model, CompiledModel)
    if reason := found.stale(identity_of(model)):
        raise SystemExit(reason)
    images = read_photos(SAMPLES, record)
    slower, points = [], []
    for batch in found.forms:
        levels = [haste.parse_level(level) for level in found.forms[batch]]
        steered = [level for level in levels if level != "dense"]
        slower += slower_layers(model, found, images[[i % len(images) for i in range(batch)]], steered, args.rounds)
        points += whole(model, found, images, batch, levels, args.rounds)
    errors = [abs(point["predicted_ms"] / point["median_ms"] - 1) for point in points]
    report = {
        "identity": asdict(found.identity) | {"configuration": "the default preset"},
        "slower": slower,
        "median_error": round(statistics.median(errors), 4),
        "points": points,
    }
    text = json.dumps(report, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def slower_layers(
    model: CompiledModel, found: Calibration, images: torch.Tensor, levels: Sequence[haste.Level], rounds: int
) -> list[dict[str, Any]]:
    """Layers whose chosen form took longer than dense in both of two runs; noise seldom does that twice."""
    runs = runs_of(["dense", *levels])
    tables = [{(r.layer, r.L, r.form): r.total_ms for r in layer_table(model, images, runs, rounds)} for _ in range(2)]
    result: list[dict[str, Any]] = []
    for level in levels:
        for layer, form in found.forms[len(images)][str(level)].items():
            key = (layer, level, form)
            if form == "dense" or key not in tables[0]:
                continue
            ratios = [round(table[key] / table[layer, "dense", "dense"], 3) for table in tables]
            if min(ratios) > 1:
                result.append({"batch": len(images), "L": level, "layer": layer, "form": form, "over_dense": ratios})
    return result


def whole(
    model: CompiledModel,
    found: Calibration,
    images: torch.Tensor,
    batch: int,
    levels: Sequence[haste.Level],
    rounds: int,
) -> list[dict[str, Any]]:
    """Predicted and measured milliseconds of the whole network."""
    model.forms = found.form
    taken: dict[haste.Level, list[float]] = {level: [] for level in levels}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            x = images[[(turn * batch + i) % len(images) for i in range(batch)]]
            for level in levels:
                with haste.num_hyperplanes(level):
                    start = time.perf_counter()
                    model(x)
                    taken[level].append(1e3 * (time.perf_counter() - start))
    return [
        {
            "batch": batch,
            "L": level,
            "predicted_ms": round(found.predict(level, batch), 3),
            "median_ms": round(statistics.median(values[1:]), 3),
        }
        for level, values in taken.items()
    ]


if __name__ == "__main__":
    main()
