"""What the service adds to the bare engine, on JPEGs: to one request alone, and to throughput in full batches."""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from yarl import URL

from app.calibrator import Calibrator
from app.contract import Item
from app.engine import TorchEngine
from app.images import ImageLimits, decode
from app.load.images import Payload, read_images
from app.settings import available_cpus
from benchmarks.reports import write
from benchmarks.servers import calibrated, check_source, running, servers
from haste.models import DEFAULT, list_pretrained

_BATCH, _CLIENTS, _CLIENTS_OF_EIGHT, _PROBE_SECONDS = 8, 16, 3, 0.05
_BOUNDARY = "haste-overhead"
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
        served = _served(target.url.origin(), payloads, seconds, level)
    return bare | served


def _bare(payloads: Sequence[Payload], seconds: float, level: Any, calibration: Path) -> dict[str, float]:
    """Milliseconds of one image, and images a second in batches of eight; decoding is not counted."""
    engine = TorchEngine((), "default", None, available_cpus(), Calibrator(calibration))
    engine.load(DEFAULT, engine.method.merge, engine.method.tolerance)
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


def _served(base: URL, payloads: Sequence[Payload], seconds: float, level: str) -> dict[str, float]:
    """By clients that cost little themselves: their bodies are made before, their connections stay open."""
    path, bodies = f"/classify?L={level}&deadline_ms=600000", [payload.body for payload in payloads]
    check_source(json.loads(_Client(base).ask("GET", "/models"))["models"][0]["calibration"])
    alone, answers = _one_by_one(_Client(base), path, bodies, seconds)
    timings = [json.loads(answer)["timing_ms"] for answer in answers]
    many = [_form([bodies[(first + i) % len(bodies)] for i in range(_BATCH)]) for first in range(0, len(bodies), 7)]
    with ThreadPoolExecutor(1) as prober:
        probes = prober.submit(_probe, _Client(base), seconds)
        single = _closed(base, path, [(body, "image/jpeg") for body in bodies], seconds, _CLIENTS)
        eights = _closed(base, path, many, seconds, _CLIENTS_OF_EIGHT) * _BATCH
        slow = sorted(probes.result())
    return {
        "service_ms": statistics.median(alone[10:]),
        **{f"server_{name}_ms": statistics.median(one[name] for one in timings[10:]) for name in _TIMINGS},
        "single_images": single,
        "eights_images": eights,
        "livez_p50_ms": statistics.median(slow),
        "livez_p99_ms": slow[int(0.99 * len(slow))],
    }


class _Client:
    """One connection that stays open."""

    def __init__(self, base: URL) -> None:
        self._connection = HTTPConnection(str(base.host), base.port or 80, timeout=60)

    def ask(self, verb: str, path: str, body: bytes = b"", content_type: str = "image/jpeg") -> bytes:
        """The answer's body; ValueError where it is no 200."""
        self._connection.request(verb, path, body, {"Content-Type": content_type})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise ValueError(f"{verb} {path} answered {answer.status}: {text[:200]!r}")
        return text


def _one_by_one(client: _Client, path: str, bodies: Sequence[bytes], seconds: float) -> tuple[list[float], list[bytes]]:
    """Milliseconds of each request, and its answer."""
    taken: list[float] = []
    answers: list[bytes] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        answers.append(client.ask("POST", path, bodies[len(taken) % len(bodies)]))
        taken.append(1e3 * (time.perf_counter() - start))
    return taken, answers


def _closed(base: URL, path: str, bodies: Sequence[tuple[bytes, str]], seconds: float, clients: int) -> float:
    """Requests a second, of enough clients to keep the engine busy."""
    start = time.perf_counter()

    def client(number: int) -> int:
        own, count = _Client(base), 0
        while time.perf_counter() < start + seconds:
            own.ask("POST", path, *bodies[(number * 7 + count * clients) % len(bodies)])
            count += 1
        return count

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(client, range(clients))) / (time.perf_counter() - start)


def _form(images: Sequence[bytes]) -> tuple[bytes, str]:
    """The images as multipart, and its content type."""
    head = 'Content-Disposition: form-data; name="image"; filename="{}.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    parts = [f"--{_BOUNDARY}\r\n{head.format(i)}".encode() + image + b"\r\n" for i, image in enumerate(images)]
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"


def _probe(client: _Client, seconds: float) -> list[float]:
    """Milliseconds of probes while the others saturate the cores."""
    taken: list[float] = []
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        client.ask("GET", "/livez")
        taken.append(1e3 * (time.perf_counter() - start))
        time.sleep(_PROBE_SECONDS)
    return taken


if __name__ == "__main__":
    sys.exit(main())
