"""The command `simulate`: what a load would do to boxes like this one, with the controller and without."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from app.arrivals import Times
from app.calibrator import images_of, parse_level, read_points
from app.load.files import check_files
from app.load.schedule import Trace, add_trace_options, rate_text, traces
from app.objective import Objective
from app.simulation.box import REQUEST_SECONDS, Box, standing_of
from app.simulation.replicas import MOST, needed, play, policies
from app.simulation.report import Row, print_needed, print_rows, row_of

AUTO = "auto"
_FEW_IMAGES = 200


def add_simulate(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `simulate` to the command line."""
    parser = subparsers.add_parser("simulate", help="play a load through the queue and the controller, without a box")
    calibration = "what `haste calibrate` wrote on such a box (default: %(default)s)"
    parser.add_argument("--calibration", type=Path, default=Path("calibration.json"), metavar="FILE", help=calibration)
    add_trace_options(parser, "images")
    parser.add_argument("--L", default="exact", help="the configured level (default: %(default)s)")
    parser.add_argument("--L-min", default="8", metavar="L", help="the controller goes no lower (default: %(default)s)")
    parser.add_argument("--slo-ms", type=int, default=100, metavar="MS", help="the objective (default: %(default)s)")
    batch = "most images of a batch (default: %(default)s)"
    parser.add_argument("--max-batch", type=int, default=8, metavar="N", help=batch)
    replicas = f"boxes that share the load, 1..{MOST}, or {AUTO}: how many it needs (default: %(default)s)"
    parser.add_argument("--replicas", default="1", metavar=f"N|{AUTO}", help=replicas)
    request = "what a request takes of the box beside the forward (default: %(default)s)"
    parser.add_argument("--request-ms", type=float, default=1e3 * REQUEST_SECONDS, metavar="MS", help=request)
    noise = "scatter of a batch's time, as the deviation of its logarithm (default: %(default)s)"
    parser.add_argument("--noise", type=float, default=0.15, metavar="X", help=noise)
    slowdown = "a factor on all times, which the box does not know beforehand (default: %(default)s)"
    parser.add_argument("--slowdown", type=float, default=1.0, metavar="X", help=slowdown)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything, by the second too")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw attainment, L and the queue over time")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Check everything, play every rate by every policy, show it; or search for the number of boxes."""
    check_files(args.json, args.plot)
    box, replicas = _box(args), _replicas(args.replicas)
    plan = traces(args.arrival, args.rate, args.duration, args.seed)
    _warn(box, images_of(args.calibration))
    if replicas is None:
        _tell_needed(args, box, plan)
    else:
        _tell_rows(args, box, plan, replicas)


def _warn(box: Box, images: int) -> None:
    """Where it is known beforehand that the controller can do nothing, or nothing would be in time, or what is guessed.

    images: those that the calibration measured agreement on.
    """
    standing, console = standing_of(box), Console(stderr=True)
    if standing.off is not None:
        console.print(f"the controller does nothing: {standing.off}", soft_wrap=True, highlight=False)
    if standing.warning is not None:
        console.print(f"the objective cannot be held: {standing.warning}", soft_wrap=True, highlight=False)
    if images < _FEW_IMAGES:
        remedy = f"calibrate with --images DIR, of {_FEW_IMAGES} of yours or more"
        text = f"what a level costs is known from {images} images, so effective is a guess: {remedy}"
        console.print(text, soft_wrap=True, highlight=False)


def _tell_rows(args: argparse.Namespace, box: Box, plan: Sequence[Trace], replicas: int) -> None:
    rows: list[Row] = []
    interrupted = True
    try:
        with Console(stderr=True).status("") as status:
            for trace in plan:
                for name, own in policies(box).items():
                    status.update(f"{rate_text(trace.rate)}, {name}")
                    rows.append(row_of(trace.rate, name, play(own, trace.times, replicas, args.seed)))
        interrupted = False
    finally:
        _tell(args, rows, replicas, interrupted=interrupted)


def _tell(args: argparse.Namespace, rows: Sequence[Row], replicas: int, *, interrupted: bool) -> None:
    """What was played, after Ctrl-C too."""
    if not rows:
        return
    print_rows(rows, replicas, Console())
    _write(args, {"interrupted": interrupted, "rows": [asdict(row) for row in rows]})
    if args.plot:
        from app.simulation.plot import draw

        draw(rows, args.slo_ms, args.plot)


def _tell_needed(args: argparse.Namespace, box: Box, plan: Sequence[Trace]) -> None:
    if args.plot:
        raise ValueError(f"--plot draws what becomes of a load over time, not --replicas {AUTO}; --json writes that")
    found: dict[float | None, Mapping[str, int | None]] = {}
    interrupted = True
    try:
        with Console(stderr=True).status("") as status:
            for trace in plan:
                found[trace.rate] = _search(box, trace.times, args.seed, status.update)
        interrupted = False
    finally:
        if found:  # after Ctrl-C too
            print_needed(tuple(found.items()), Console())
            needs = [{"rate": rate, "boxes": counts} for rate, counts in found.items()]
            _write(args, {"interrupted": interrupted, "needed": needs})


def _write(args: argparse.Namespace, found: Mapping[str, object]) -> None:
    if args.json:
        command = {name: str(value) for name, value in vars(args).items() if name != "run"}
        args.json.write_text(json.dumps({"command": command, **found}, indent=1) + "\n", encoding="utf-8")


def _search(box: Box, times: Times, seed: int, told: Callable[[str], None]) -> dict[str, int | None]:
    """How many boxes each policy needs."""
    counts: dict[str, int | None] = {}
    for name, own in policies(box).items():

        def tell(replicas: int, attainment: float, name: str = name) -> None:
            told(f"{name}: {replicas} boxes, {attainment:.1%} in time")

        counts[name] = needed(own, times, seed, tell)
    return counts


def _box(args: argparse.Namespace) -> Box:
    whole = {"--slo-ms": (args.slo_ms, 600_000), "--max-batch": (args.max_batch, 1024)}
    for name, (value, most) in whole.items():
        if not 1 <= value <= most:
            raise ValueError(f"{name} must be 1..{most}, not {value}")
    if not 0 <= args.request_ms <= 1000:
        raise ValueError(f"--request-ms must be 0..1000, not {args.request_ms}")
    if not 0.1 <= args.slowdown <= 100:
        raise ValueError(f"--slowdown must be 0.1..100, not {args.slowdown}")
    if not 0 <= args.noise <= 2:
        raise ValueError(f"--noise must be 0..2, not {args.noise}")
    if not args.calibration.exists():
        raise ValueError(f"{args.calibration}: no such file; `haste calibrate` writes it, on a box like these")
    objective = Objective(True, args.slo_ms, parse_level(args.L_min))
    times = {"request_seconds": args.request_ms / 1e3, "noise": args.noise, "slowdown": args.slowdown}
    return Box(read_points(args.calibration), parse_level(args.L), objective, args.max_batch, **times)


def _replicas(text: str) -> int | None:
    if text == AUTO:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST):
        raise ValueError(f"--replicas must be 1..{MOST} or {AUTO}, not {text!r}")
    return int(text)
