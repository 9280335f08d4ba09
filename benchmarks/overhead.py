"""What the service adds to the bare engine, on JPEGs: to one request alone, and to throughput in full batches."""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image
from rich.console import Console

from app.calibrator import Calibrator
from app.contract import Item
from app.engine import TorchEngine
from app.images import ImageLimits, decode
from app.load.images import Payload, read_images
from app.load.sender import run
from app.settings import available_cpus
from benchmarks.reports import write
from benchmarks.servers import calibrated, check_source, running, servers
from haste.models import DEFAULT, list_pretrained

_BATCH, _CLIENTS, _PROBE_SECONDS = 8, 16, 0.05
_QUALITY = 95
_TIMINGS = ("decode", "queue", "forward", "total")


def main() -> int:
    """In turns, each in a process of its own: the engine alone, then the service; medians over the rounds.

    2 with one line where something is in the way.
    """
    args = _parser().parse_args()
    classes = next(record.classes for record in list_pretrained() if record.name == DEFAULT)
    try:
        payloads = [as_jpeg(one) for one in read_images(args.images, classes)[:200]]
        with tempfile.TemporaryDirectory(prefix="haste-overhead-") as folder:
            file = calibrated(Path(folder))
            rounds = [_round(payloads, args.seconds, args.L, file) for _ in range(args.rounds)]
    except (ValueError, OSError) as error:
        sys.stderr.write(f"overhead: {error}\n")
        return 2
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    report = {
        "added_ms": medians["service_ms"] - medians["engine_ms"],
        "throughput": {name: medians[f"{name}_images"] / medians["engine_images"] for name in ("single", "eights")},
        "medians": medians,
        "rounds": rounds,
    }
    Console().print_json(json.dumps({name: report[name] for name in ("added_ms", "throughput", "medians")}))
    write(args, report)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="overhead", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR|NPZ", help="as for haste load")
    parser.add_argument("--L", default="exact", help="the level (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def as_jpeg(payload: Payload) -> Payload:
    """The image as a JPEG of its own size, whatever it was."""
    buffer = BytesIO()
    with Image.open(BytesIO(payload.body)) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=_QUALITY)
    return replace(payload, body=buffer.getvalue(), content_type="image/jpeg")


def _round(payloads: Sequence[Payload], seconds: float, level: str, calibration: Path) -> dict[str, float]:
    """Both in the forms of one calibration file."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        bare = pool.apply(_bare, (list(payloads), seconds, level, calibration))
    ours = servers(Path(sys.executable), Path())[0]
    settings = {"HASTE_CALIBRATION": str(calibration)}
    with running(ours, 60.0, calibration.with_name("server.log"), settings) as target:
        served: dict[str, float] = run(_served(str(target.url.origin()), payloads, seconds, level))
    return bare | served


def _bare(payloads: Sequence[Payload], seconds: float, level: Any, calibration: Path) -> dict[str, float]:
    """Milliseconds of one image, and images a second in batches of eight; decoding is not counted."""
    engine = TorchEngine((), "default", None, available_cpus(), Calibrator(calibration))
    engine.load(DEFAULT)
    limits = ImageLimits(1 << 20, 1 << 20, 10_000)
    items = [Item(engine.prepare(DEFAULT, decode(one.body, limits)), level, 5) for one in payloads]
    alone: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        engine.forward(DEFAULT, [items[len(alone) % len(items)]])
        alone.append(1e3 * (time.perf_counter() - start))
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        engine.forward(DEFAULT, [items[(count + i) % len(items)] for i in range(_BATCH)])
        count += _BATCH
    return {"engine_ms": statistics.median(alone[10:]), "engine_images": count / (time.perf_counter() - start)}


async def _served(base: str, payloads: Sequence[Payload], seconds: float, level: str) -> dict[str, float]:
    url, bodies = f"{base}/classify?L={level}&deadline_ms=600000", [payload.body for payload in payloads]
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{base}/models") as answer:
            check_source((await answer.json())["models"][0]["calibration"])
        alone, timings = await _one_by_one(session, url, bodies, seconds)
        probes = asyncio.ensure_future(_probe(session, f"{base}/livez", seconds))
        single = await _closed(session, url, bodies, seconds, 1)
        eights = await _closed(session, url, bodies, seconds, _BATCH)
        slow = sorted(await probes)
    return {
        "service_ms": statistics.median(alone[10:]),
        **{f"server_{name}_ms": statistics.median(one[name] for one in timings[10:]) for name in _TIMINGS},
        "single_images": single,
        "eights_images": eights,
        "livez_p50_ms": statistics.median(slow),
        "livez_p99_ms": slow[int(0.99 * len(slow))],
    }


async def _one_by_one(
    session: aiohttp.ClientSession, url: str, bodies: Sequence[bytes], seconds: float
) -> tuple[list[float], list[Mapping[str, float]]]:
    """Milliseconds of each request, and what its answer says of them."""
    taken: list[float] = []
    timings: list[Mapping[str, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        async with session.post(url, data=bodies[len(taken) % len(bodies)]) as answer:
            answer.raise_for_status()
            body = await answer.read()
        taken.append(1e3 * (time.perf_counter() - start))
        timings.append(json.loads(body)["timing_ms"])
    return taken, timings


async def _closed(
    session: aiohttp.ClientSession, url: str, bodies: Sequence[bytes], seconds: float, images: int
) -> float:
    """Images a second with so many images a request, and enough clients to keep the engine busy."""
    count, start = 0, time.perf_counter()

    async def client(number: int) -> None:
        nonlocal count
        while time.perf_counter() < start + seconds:
            first = number * 7 + count
            chosen = [bodies[(first + i) % len(bodies)] for i in range(images)]
            async with session.post(url, data=chosen[0] if images == 1 else _form(chosen)) as answer:
                answer.raise_for_status()
                await answer.read()
            count += images

    await asyncio.gather(*(client(number) for number in range(_CLIENTS if images == 1 else 3)))
    return count / (time.perf_counter() - start)


def _form(chosen: Sequence[bytes]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for index, body in enumerate(chosen):
        form.add_field("image", body, filename=f"{index}.jpg", content_type="image/jpeg")
    return form


async def _probe(session: aiohttp.ClientSession, url: str, seconds: float) -> list[float]:
    """Milliseconds of probes while the others saturate the cores."""
    taken: list[float] = []
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        async with session.get(url) as answer:
            await answer.read()
        taken.append(1e3 * (time.perf_counter() - start))
        await asyncio.sleep(_PROBE_SECONDS)
    return taken


if __name__ == "__main__":
    sys.exit(main())
