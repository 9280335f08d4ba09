"""What the service adds to the bare engine, on JPEGs: to one request alone, and to throughput in full batches."""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from operator import sub, truediv
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from app.load.images import Payload, read_images
from benchmarks.overhead_sides import Bare, Served
from benchmarks.reports import write
from benchmarks.servers import calibrated, running, servers
from haste.config import parse_level
from haste.models import DEFAULT, list_pretrained

_IMAGES, _QUALITY = 200, 95

Figures = dict[str, list[float]]


def main() -> int:
    """The engine in a process of its own and the service, both alive, take short turns, which are compared in pairs.

    2 with one line where something is in the way.
    """
    args = _parser().parse_args()
    classes = next(record.classes for record in list_pretrained() if record.name == DEFAULT)
    try:
        payloads = [as_jpeg(one) for one in read_images(args.images, classes)[:_IMAGES]]
        with tempfile.TemporaryDirectory(prefix="haste-overhead-") as folder:
            figures, probes_ms = _turns(payloads, args, calibrated(Path(folder)))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"overhead: {error}\n")
        return 2
    report = summary(figures, probes_ms)
    Console().print_json(json.dumps({name: report[name] for name in report if name != "turns"}))
    write(args, report)
    return 0


def summary(figures: Figures, probes_ms: Sequence[float]) -> dict[str, Any]:
    """added_ms: of one request alone, over the bare forward, and that part of it which the forward itself is slower.

    throughput: images a second over those of the engine alone in full batches. Both are medians over the turns of what
    each turn says, since from one to the next the machine may change by more than what is to be found. livez_ms: of the
    probes of all turns. turns: what each measured.
    """

    def paired(compare: Callable[[float, float], float], ours: str, engine: str) -> float:
        return statistics.median(compare(*pair) for pair in zip(figures[ours], figures[engine], strict=True))

    return {
        "added_ms": {
            "whole": paired(sub, "service_ms", "engine_ms"),
            "forward": paired(sub, "server_forward_ms", "engine_ms"),
        },
        "throughput": {name: paired(truediv, f"{name}_images", "engine_images") for name in ("single", "eights")},
        "livez_ms": {f"p{percent}": float(np.percentile(probes_ms, percent)) for percent in (50, 99)},
        "medians": {name: statistics.median(values) for name, values in figures.items()},
        "turns": figures,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="overhead", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|NPZ", help="as for haste load")
    parser.add_argument("--L", type=parse_level, default="exact", help="the level (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.6, help="of each measurement (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def as_jpeg(payload: Payload) -> Payload:
    """The image as a JPEG of its own size, whatever it was."""
    buffer = BytesIO()
    with Image.open(BytesIO(payload.body)) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return replace(payload, body=buffer.getvalue(), content_type="image/jpeg")


def _turns(payloads: Sequence[Payload], args: argparse.Namespace, calibration: Path) -> tuple[Figures, list[float]]:
    """Both in the forms of one calibration file; every second turn begins with the service. And the probes' times."""
    ours = servers(Path(sys.executable), Path())[0]
    settings, figures, probes_ms = {"HASTE_CALIBRATION": str(calibration)}, Figures(), list[float]()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(Bare.prepare, (list(payloads), args.L, calibration))
        with running(ours, 60.0, calibration.with_name("server.log"), settings) as target:
            served = Served(target.url.origin(), [payload.body for payload in payloads], args.L)
            for turn in track(range(args.turns), "turns"):
                alone = pool.apply(Bare.turn, (args.seconds,)) if turn % 2 == 0 else {}
                found, probed = served.turn(args.seconds)
                alone = alone or pool.apply(Bare.turn, (args.seconds,))
                probes_ms += probed
                for name, value in (alone | found).items():
                    figures.setdefault(name, []).append(value)
    return figures, probes_ms


if __name__ == "__main__":
    sys.exit(main())
