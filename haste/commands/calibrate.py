"""`haste calibrate`: the fastest form of every layer at every level on this machine."""

import argparse
import importlib.util
from collections import Counter
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from haste import kernel
from haste.calibrate import BATCHES, LEVELS, calibrate
from haste.calibration import Calibration
from haste.commands import Subparsers
from haste.commands.bars import progress_bar
from haste.commands.networks import add_network_options, dataset_of, load_network
from haste.commands.options import add_merge_options, check_writable, merge_changes, parse_levels, whole_numbers
from haste.config import HasteConfig
from haste.convert import convert_
from haste.dataset import SAMPLES, read_photos
from haste.program import compile


def register(commands: Subparsers) -> None:
    parser = commands.add_parser("calibrate", help="measure every layer in every form, choose the fastest")
    add_network_options(parser)
    parser.add_argument("--preset", choices=("paper", "default"), default="default")
    add_merge_options(parser)
    parser.add_argument("--threads", type=int, metavar="t", help="threads of the engine (default: the CPU quota)")
    parser.add_argument("--batch", default=",".join(map(str, BATCHES)), help="batch sizes (default: %(default)s)")
    parser.add_argument("--L", default=",".join(map(str, LEVELS)), help="levels (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=2.0, help="time to take (default: %(default)s)")
    parser.add_argument("--images", type=Path, default=SAMPLES, metavar="DIR", help="to run on (default: the samples)")
    out = "JSON for the service, and a picture beside it (default: %(default)s)"
    parser.add_argument("--out", type=Path, default=Path("calibration.json"), metavar="FILE", help=out)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Measure, print the frontier and the forms, write the calibration and its picture."""
    levels, batches = parse_levels(args.L), whole_numbers("batch", args.batch, 1024)
    threads = kernel.threads() if args.threads is None else whole_numbers("threads", str(args.threads), 256)[0]
    if not 0 < args.minutes <= 600:
        raise ValueError(f"minutes must be above 0 and at most 600, not {args.minutes}")
    check_writable(args.out)
    if args.out.suffix == ".png":
        raise ValueError(f"{args.out}: the calibration is JSON; its picture gets the same name with .png")
    config = HasteConfig.preset(args.preset, dataset=dataset_of(args.model), **merge_changes(args))
    model, record = load_network(args)
    images = read_photos(args.images, record)
    convert_(model, config)
    torch.set_num_threads(1)
    seconds = 60 * args.minutes
    with progress_bar("calibrating, seconds", int(seconds)) as advance:
        compiled = compile(model, threads=threads)
        found = calibrate(compiled, images, levels=levels, batches=batches, seconds=seconds, progress=advance)
    found.save(args.out)
    _print(found, record.name)
    print(f"written: {args.out}")
    if importlib.util.find_spec("matplotlib") is None:
        print("no picture: pip install 'haste-edge[figures]' draws one")
        return
    from haste.figures import draw_calibration

    draw_calibration(found, args.out.with_suffix(".png"))
    print(f"drawn: {args.out.with_suffix('.png')}")


def _print(found: Calibration, name: str) -> None:
    title = f"{name}, {found.identity.cpu}, {found.identity.threads} threads, {found.identity.kernel.split()[0]}"
    table = Table("batch", "L", "ms", "p10", "p90", "predicted", "saved", "KL", "forms", title=title)
    for point in found.points:
        choices = found.times[point.batch][str(point.level)]
        chosen = found.forms[point.batch][str(point.level)]
        forms = Counter(form for layer, form in chosen.items() if len(choices[layer]) > 1)
        table.add_row(
            str(point.batch),
            f"{point.level}{'*' if point.frontier else ''}",
            *(f"{ms:.2f}" for ms in (point.median_ms, point.p10_ms, point.p90_ms)),
            f"{point.predicted_ms:.2f}",
            f"{point.reduction:.1%}",
            f"{point.kl:.4f}",
            "/".join(str(forms[form]) for form in ("dense", "zeros", "merge")),
        )
    table.caption = (
        "* on the frontier: no level of its batch is as fast and closer to dense; forms: layers dense/zeros/merge"
    )
    Console().print(table)
