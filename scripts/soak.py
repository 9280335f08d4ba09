"""Works a real server for long, with good and bad requests of all kinds, and tells whether its memory grows."""

import argparse
import asyncio
import base64
import json
import random
import re
import statistics
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from io import BytesIO
from typing import NamedTuple
from urllib.request import urlopen

from fuzz import Findings, worker
from hostile import Attempt, attempt
from live_server import CALIBRATED, LAX, ROOT, LiveServer
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
REST_SECONDS = 1.5
AT_REST = {"merge": "mean", "L": "exact"}
BATCH = 8  # the default of HASTE_MAX_BATCH_IMAGES
GOOD = ("good config", "good raw", "good json", "good form", "good v2")
LEAST_SHARE, LEAST_ANSWERED = 0.99, 0.2
STEERED_SHARE = 0.8


@cache
def photo(size: tuple[int, int], kind: str) -> bytes:
    """The same photo at any size."""
    buffer = BytesIO()
    with Image.open(CAT) as image:
        image.resize(size).save(buffer, kind)
    return buffer.getvalue()


def good(rng: random.Random, *, steered: bool = False) -> Attempt:
    """One image or a few, in any of the four forms, at any level; or a change of the state.

    steered: most name no level, and no change makes the calibration stale, so that the controller has something to do.
    """
    images = [
        photo(rng.choices(SIZES, WEIGHTS)[0], rng.choice(("JPEG", "JPEG", "PNG", "WEBP")))
        for _ in range(rng.choice((1, 1, 1, 1, 2, 4)))
    ]
    level = "" if steered and rng.random() < STEERED_SHARE else f"L={rng.choice(LEVELS)}&"
    target = f"/classify?{level}top_k={rng.randrange(1, 11)}"
    form = rng.randrange(20)
    if form == 0:
        patch: dict[str, object] = {"L": rng.choice(("exact", "dense") if steered else (8, 10, "exact"))}
        patch |= {} if steered else {"merge": rng.choice(("mean", "projection"))}
        return changed(patch)
    if form < 12:
        return Attempt("good raw", "POST", request("POST", target, images[0], Content_Type="image/jpeg"))
    if form < 14:
        return good_v2(images, rng, steered=steered)
    if form < 17:
        return good_json(target, images)
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    body = b"".join(head + one + b"\r\n" for one in images) + b"--b--\r\n"
    return Attempt("good form", "POST", request("POST", target, body, Content_Type="multipart/form-data; boundary=b"))


def good_json(target: str, images: list[bytes]) -> Attempt:
    """Images in base64."""
    body = json.dumps({"images": [base64.b64encode(one).decode() for one in images]}).encode()
    return Attempt("good json", "POST", request("POST", target, body, Content_Type="application/json"))


def changed(patch: Mapping[str, object]) -> Attempt:
    """A change of the state."""
    return Attempt("good config", "PATCH", request("PATCH", "/config", json.dumps(patch).encode()))


def alike() -> Iterator[Attempt]:
    """What brings the server into one state: a configuration, and a full batch at every level."""
    yield replace(changed(AT_REST), kind="alike")
    for level in LEVELS:
        yield replace(good_json(f"/classify?L={level}", [photo(SIZES[0], "JPEG")] * BATCH), kind="alike")


def good_v2(images: list[bytes], rng: random.Random, *, steered: bool) -> Attempt:
    """The same images by the Open Inference Protocol, as BYTES behind the JSON; the answer in any of its forms."""
    packed = b"".join(struct.pack("<I", len(one)) + one for one in images)
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(images), 1]}
    wanted = {"binary_data": rng.random() < 0.5, "classification": rng.choice((0, 3))}
    body = {
        "inputs": [tensor | {"parameters": {"binary_data_size": len(packed)}}],
        "outputs": [{"name": "probabilities", "parameters": wanted}],
        "parameters": {} if steered and rng.random() < STEERED_SHARE else {"haste_l": rng.choice((8, 14, "exact"))},
    }
    head = json.dumps(body).encode()
    target, kind = "/v2/models/resnet18_cifar10/infer", "application/octet-stream"
    length = {"Inference_Header_Content_Length": str(len(head))}
    return Attempt("good v2", "POST", request("POST", target, head + packed, Content_Type=kind, **length))


def mixed(seed: int, number: int, *, steered: bool) -> Attempt:
    """Seven in ten good, two hostile, one from a client that leaves."""
    rng = random.Random(f"soak {seed} {number}")
    kind = rng.randrange(10)
    if kind < 2:
        hostile = attempt(seed, number, v2=True)
        if not (steered and hostile.kind == "config"):
            return hostile
    one = good(rng, steered=steered)
    if kind > 2:
        return one
    sent = one.data[: rng.randrange(1, len(one.data))] if rng.random() < 0.5 else one.data
    return Attempt("leaves", one.method, sent, leaves=True)


class Sizes(NamedTuple):
    """Resident set size, bytes: right behind requests, and then at rest in the one state that `alike` makes."""

    busy: int
    rest: int


async def soak(server: LiveServer, args: argparse.Namespace, findings: Findings) -> list[Sizes]:
    """Memory at equal distances.

    At rest and in one state neither a request's memory counts, nor the weights of another rule, nor how many images
    have been computed at once since the weights were packed.
    """
    memory: list[Sizes] = []
    begun, part = time.monotonic(), max(1, args.requests // SAMPLES)
    with Progress(disable=not sys.stdout.isatty()) as progress:
        for first in progress.track(range(0, args.requests, part)):
            attempts = (
                (number, mixed(args.seed, number, steered=args.calibrated)) for number in range(first, first + part)
            )
            await asyncio.gather(*(worker(server.port, attempts, findings) for _ in range(args.connections)))
            busy = server.memory()
            await worker(server.port, ((first + part, one) for one in alike()), findings)
            await asyncio.sleep(REST_SECONDS)
            memory.append(Sizes(busy, server.memory()))
            busy_size, rest_size = (size / 2**20 for size in memory[-1])
            done = f"{time.monotonic() - begun:7.0f} s {first + part:7d}"
            sys.stdout.write(f"{done}: RSS {busy_size:.1f} busy, {rest_size:.1f} MiB at rest\n")
            sys.stdout.flush()
    return memory


def growth(sizes: list[int]) -> float:
    """The median of the last tenth over that of the tenth after the warm-up, less one."""
    part = max(1, round(PART * len(sizes)))
    begin = round(WARM_UP * len(sizes))
    return statistics.median(sizes[-part:]) / statistics.median(sizes[begin : begin + part]) - 1


def steps(port: int) -> int:
    """How often the controller of a server moved."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    values = re.findall(r"^haste_controller_adjustments_total{.*} (\S+)$", text, re.MULTILINE)
    return round(sum(map(float, values)))


def main() -> int:
    """0 where memory stays and nothing offends; where it is calibrated, the controller must have moved too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    calibrated = (
        "two threads, calibrated, for the default objective: refusals are good answers, and the controller moves"
    )
    parser.add_argument("--calibrated", action="store_true", help=calibrated)
    args = parser.parse_args()
    findings = Findings()
    with LiveServer(ROOT / "state" / "soak.log", **(CALIBRATED if args.calibrated else LAX)) as server:
        memory = asyncio.run(soak(server, args, findings))
        moved = steps(server.port)
    findings.require_share(LEAST_SHARE, GOOD, ("200", "429") if args.calibrated else ("200",))
    findings.require_share(LEAST_ANSWERED, GOOD)
    findings.require_share(1, ("alike",))
    if args.calibrated and not moved:
        findings.note("the controller never moved")
    busy, grown = (growth(list(sizes)) for sizes in zip(*memory, strict=True))
    good_end = grown <= MAX_GROWTH and not findings.offences
    sys.stdout.write(
        f"answers: {dict(sorted(findings.statuses.items()))}; offences: {len(findings.offences)}; "
        f"steps of the controller: {moved}\n"
        f"RSS after warm-up, busy: {busy:+.2%}\n"
        f"RSS after warm-up, at rest: {grown:+.2%}, allowed {MAX_GROWTH:+.0%}: {'good' if good_end else 'NOT good'}\n"
    )
    return 0 if good_end else 1


if __name__ == "__main__":
    sys.exit(main())
