"""The command `load`: offers requests on a schedule that waits for nobody, and says what share came back in time."""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from yarl import URL

from app.load.files import check_files
from app.load.images import Payload, read_images
from app.load.outcomes import Outcomes
from app.load.report import Row, live_line, print_rows, write_json
from app.load.schedule import Trace, add_trace_options, traces
from app.load.sender import MOST_CONNECTIONS, offer, run
from app.load.summary import summarise
from app.load.target import KEY, Target, check_address, read_answer, served, try_once, wait_until_ready

_TIME_OUT_DEADLINES, _LEAST_TIME_OUT_SECONDS = 10, 2.0


def add_load(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `load` to the command line."""
    key = f"The environment variable {KEY} holds the key of a service that wants one: Authorization: Bearer KEY."
    parser = subparsers.add_parser("load", help="load a running service, and say what it answers in time", epilog=key)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the service (default: %(default)s)")
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR|NPZ",
        help="what to send: image files, whose folder or name may begin with their class, or an npz as for eval",
    )
    add_trace_options(parser, "requests")
    parser.add_argument(
        "--deadline-ms", type=int, default=100, metavar="MS", help="from the scheduled time (default: %(default)s)"
    )
    parser.add_argument("--no-deadline-sent", action="store_true", help="judge by the deadline without sending it")
    parser.add_argument("--L", help="ask for this level: 1..32, exact or dense (default: the service chooses)")
    parser.add_argument("--model", metavar="M", help="ask for this model (default: the service's first)")
    parser.add_argument(
        "--connections", type=int, default=512, metavar="N", help="most requests in flight (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything, by the second too")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw requests, latency and L over time")
    parser.add_argument("--allow-remote", action="store_true", help="load a service on another machine")
    parser.set_defaults(run=run_load)


def run_load(args: argparse.Namespace) -> None:
    """Wait for the service, offer every rate, show and write what came of it, after Ctrl-C too."""
    _check(args)
    plan = traces(args.arrival, args.rate, args.duration, args.seed)
    base = check_address(args.url, allow_remote=args.allow_remote)
    target, payloads = prepare(args, base)
    rows: list[Row] = []
    interrupted = True
    try:
        for trace in plan:
            _offer(trace, target, payloads, args, rows)
        interrupted = False
    finally:
        _tell(args, rows, f"{args.url}, {args.arrival} arrivals", interrupted=interrupted)


def _check(args: argparse.Namespace) -> None:
    """What would else be said after the work."""
    if not 1 <= args.deadline_ms <= 600_000:
        raise ValueError(f"--deadline-ms must be 1..600000, not {args.deadline_ms}")
    if not 1 <= args.connections <= MOST_CONNECTIONS:
        raise ValueError(f"--connections must be 1..{MOST_CONNECTIONS}, not {args.connections}")
    check_files(args.json, args.plot)


def prepare(args: argparse.Namespace, base: URL) -> tuple[Target, list[Payload]]:
    """The service, ready and willing, and the images; ValueError says what is in the way."""
    asked = {"L": args.L, "model": args.model, "deadline_ms": None if args.no_deadline_sent else args.deadline_ms}
    url = (base / "classify").with_query({name: value for name, value in asked.items() if value is not None})
    time_out = max(_TIME_OUT_DEADLINES * args.deadline_ms / 1e3, _LEAST_TIME_OUT_SECONDS)
    target = Target(url, time_out, args.connections, read_answer, _headers(os.environ))

    async def look() -> Sequence[str]:
        async with target.session() as session:
            await wait_until_ready(session, base / "readyz")
            classes: Sequence[str] = (await served(session, base, args.model))["classes"]
            return classes

    async def attempt(payload: Payload) -> None:
        async with target.session() as session:
            await try_once(session, target, payload)

    payloads = read_images(args.images, run(look()))
    run(attempt(payloads[0]))
    return target, payloads


def _headers(environment: Mapping[str, str]) -> dict[str, str]:
    key = environment.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"{KEY} holds what cannot be sent in a header")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _offer(
    trace: Trace, target: Target, payloads: Sequence[Payload], args: argparse.Namespace, rows: list[Row]
) -> None:
    """One row more, whole or as far as it came."""
    outcomes = Outcomes(trace.times)
    title = args.arrival if trace.rate is None else f"{trace.rate:g}/s {args.arrival}"
    try:
        with live_line(title) as watch:
            offer(target, payloads, outcomes, args.seed, watch)
    finally:
        rows.append(Row(trace.rate, summarise(outcomes, args.deadline_ms)))


def _tell(args: argparse.Namespace, rows: Sequence[Row], title: str, *, interrupted: bool) -> None:
    print_rows(rows, title, Console())
    if args.json:
        command = {name: value for name, value in vars(args).items() if name != "run"}
        write_json(args.json, command, rows, interrupted=interrupted)
    if args.plot and rows:
        from app.load.plot import draw

        draw(rows, args.plot)
