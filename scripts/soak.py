"""Works a real server for long, with good and bad requests of all kinds, and tells whether its memory grows."""

import argparse
import asyncio
import base64
import json
import random
import statistics
import sys
import time
from functools import cache
from io import BytesIO

from fuzz import Findings, worker
from hostile import Attempt, attempt
from live_server import ROOT, LiveServer
from PIL import Image
from rich.progress import Progress
from wire import request

CAT = ROOT / "haste" / "samples" / "cat.jpg"
SIZES = ((32, 32), (96, 64), (224, 224), (640, 480), (1280, 720), (1920, 1080), (3000, 2000))
WEIGHTS = (30, 30, 20, 12, 5, 2, 1)
LEVELS = ("8", "10", "14", "4", "exact", "dense")
WARM_UP, PART = 0.2, 0.1
MAX_GROWTH = 0.02
SAMPLES = 50
REST_SECONDS = 0.5


@cache
def photo(size: tuple[int, int], kind: str) -> bytes:
    """The same photo at any size."""
    buffer = BytesIO()
    with Image.open(CAT) as image:
        image.resize(size).save(buffer, kind)
    return buffer.getvalue()


def good(rng: random.Random) -> Attempt:
    """One image or a few, in any of the three forms, at any level; or a change of the state."""
    images = [
        photo(rng.choices(SIZES, WEIGHTS)[0], rng.choice(("JPEG", "JPEG", "PNG", "WEBP")))
        for _ in range(rng.choice((1, 1, 1, 1, 2, 4)))
    ]
    target = f"/classify?L={rng.choice(LEVELS)}&top_k={rng.randrange(1, 11)}"
    form = rng.randrange(20)
    if form == 0:
        patch = {"L": rng.choice((8, 10, "exact")), "merge": rng.choice(("mean", "projection"))}
        return Attempt("config", "PATCH", request("PATCH", "/config", json.dumps(patch).encode()))
    if form < 12:
        return Attempt("raw", "POST", request("POST", target, images[0], Content_Type="image/jpeg"))
    if form < 16:
        texts = [base64.b64encode(one).decode() for one in images]
        body = json.dumps({"images": texts}).encode()
        return Attempt("json", "POST", request("POST", target, body, Content_Type="application/json"))
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body = b"".join(head + one + b"\r\n" for one in images) + b"--b--\r\n"
    return Attempt("form", "POST", request("POST", target, body, Content_Type="multipart/form-data; boundary=b"))


def mixed(seed: int, number: int) -> Attempt:
    """Seven in ten good, two hostile, one from a client that leaves."""
    rng = random.Random(f"soak {seed} {number}")
    kind = rng.randrange(10)
    if kind < 2:
        return attempt(seed, number, v2=False)
    one = good(rng)
    if kind > 2:
        return one
    sent = one.data[: rng.randrange(1, len(one.data))] if rng.random() < 0.5 else one.data
    return Attempt("leaves", one.method, sent, leaves=True)


async def soak(server: LiveServer, args: argparse.Namespace, findings: Findings) -> list[tuple[int, int]]:
    """Resident and proportional set size, in bytes, at equal distances; at rest, so that no request's memory counts."""
    memory: list[tuple[int, int]] = []
    begun, part = time.monotonic(), max(1, args.requests // SAMPLES)
    with Progress(disable=not sys.stdout.isatty()) as progress:
        for first in progress.track(range(0, args.requests, part)):
            attempts = ((number, mixed(args.seed, number)) for number in range(first, first + part))
            await asyncio.gather(*(worker(server.port, attempts, findings) for _ in range(args.connections)))
            await asyncio.sleep(REST_SECONDS)
            memory.append(server.memory())
            rss, pss = (size / 2**20 for size in memory[-1])
            done = f"{time.monotonic() - begun:7.0f} s {first + part:7d}"
            sys.stdout.write(f"{done}: RSS {rss:.1f} PSS {pss:.1f} MiB\n")
            sys.stdout.flush()
    return memory


def growth(sizes: list[int]) -> float:
    """The median of the last tenth over that of the tenth after the warm-up, less one."""
    part = max(1, round(PART * len(sizes)))
    begin = round(WARM_UP * len(sizes))
    return statistics.median(sizes[-part:]) / statistics.median(sizes[begin : begin + part]) - 1


def main() -> int:
    """0 where memory stays and nothing offends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    findings = Findings()
    with LiveServer(ROOT / "state" / "soak.log") as server:
        memory = asyncio.run(soak(server, args, findings))
    grown = growth([rss for rss, _ in memory])  # the other also moves with processes beside us that share our libraries
    good_end = grown <= MAX_GROWTH and not findings.offences
    sys.stdout.write(
        f"answers: {dict(sorted(findings.statuses.items()))}; offences: {len(findings.offences)}\n"
        f"RSS after warm-up: {grown:+.2%}, allowed {MAX_GROWTH:+.0%}: {'good' if good_end else 'NOT good'}\n"
    )
    return 0 if good_end else 1


if __name__ == "__main__":
    sys.exit(main())
