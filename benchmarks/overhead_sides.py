"""The two sides of the overhead benchmark: the bare engine in a process of its own, and the service on its port."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from yarl import URL

from app.calibrator import Calibrator
from app.contract import Item, Level
from app.engine import TorchEngine
from app.images import ImageLimits, decode
from app.load.images import Payload
from app.settings import available_cpus
from benchmarks.client import Client, request
from benchmarks.servers import check_source
from haste.models import DEFAULT

_BATCH, _CLIENTS, _CLIENTS_OF_EIGHT, _PROBE_SECONDS = 8, 16, 3, 0.05
_UNTIMED = 10
_BOUNDARY = "haste-overhead"
_T = TypeVar("_T")
_TIMINGS = ("decode", "queue", "forward", "total")


class Bare:
    """The engine alone, in the process of a pool."""

    engine: TorchEngine
    items: Sequence[Item]

    @classmethod
    def prepare(cls, payloads: Sequence[Payload], level: Level, calibration: Path) -> None:
        """Decoding is not counted."""
        cls.engine = TorchEngine((), "default", None, available_cpus(), Calibrator(calibration))
        cls.engine.load(DEFAULT, cls.engine.method.merge, cls.engine.method.tolerance)
        limits = ImageLimits(1 << 20, 1 << 20, 10_000)
        cls.items = [Item(cls.engine.prepare(DEFAULT, decode(one.body, limits)), level, 5) for one in payloads]

    @classmethod
    def turn(cls, seconds: float) -> dict[str, float]:
        """Milliseconds of one image, and images a second in batches of eight."""
        taken = [_timed(lambda at: cls._run(at, 1), seconds), _timed(lambda at: cls._run(at * _BATCH, _BATCH), seconds)]
        return {"engine_ms": _median_ms(taken[0]), "engine_images": _BATCH * len(taken[1]) / sum(taken[1])}

    @classmethod
    def _run(cls, first: int, images: int) -> None:
        cls.engine.forward(DEFAULT, [cls.items[(first + i) % len(cls.items)] for i in range(images)])


class Served:
    """The service, asked one by one and by enough clients to keep the engine busy."""

    def __init__(self, base: URL, bodies: Sequence[bytes], level: Level) -> None:
        self._base = base
        with Client(base) as client:
            models = json.loads(client.ask(request("GET", "/models")))["models"]
        check_source(models[0]["calibration"])
        path = f"/classify?L={level}&deadline_ms=600000"
        self._singles = [request("POST", path, body) for body in bodies]
        several = [[bodies[(first + i) % len(bodies)] for i in range(_BATCH)] for first in range(0, len(bodies), 7)]
        self._eights = [request("POST", path, *_form(images)) for images in several]

    def turn(self, seconds: float) -> tuple[dict[str, float], list[float]]:
        """Milliseconds of a request alone and of its stages, images a second in ones and in eights; then of probes."""
        answers: list[bytes] = []
        with Client(self._base) as client:
            alone = _timed(lambda at: answers.append(client.ask(self._singles[at % len(self._singles)])), seconds)
        timings = [json.loads(answer)["timing_ms"] for answer in _timed_part(answers)]
        with ThreadPoolExecutor(1) as prober:
            probes = prober.submit(self._probe, 2 * seconds)
            single = self._closed(self._singles, seconds, _CLIENTS)
            eights = self._closed(self._eights, seconds, _CLIENTS_OF_EIGHT) * _BATCH
            probes_ms = probes.result()
        return {
            "service_ms": _median_ms(alone),
            **{f"server_{name}_ms": statistics.median(one[name] for one in timings) for name in _TIMINGS},
            "single_images": single,
            "eights_images": eights,
        }, probes_ms

    def _closed(self, sent: Sequence[bytes], seconds: float, clients: int) -> float:
        """Requests a second."""
        start = time.perf_counter()

        def ask(number: int) -> int:
            with Client(self._base) as client:
                done = 0
                while time.perf_counter() < start + seconds:
                    client.ask(sent[(number * 7 + done * clients) % len(sent)])
                    done += 1
            return done

        with ThreadPoolExecutor(clients) as pool:
            return sum(pool.map(ask, range(clients))) / (time.perf_counter() - start)

    def _probe(self, seconds: float) -> list[float]:
        """Milliseconds of probes while the others saturate the cores."""
        with Client(self._base) as client:

            def look(_at: int) -> None:
                client.ask(request("GET", "/livez"))

            return [1e3 * one for one in _timed(look, seconds, pause=_PROBE_SECONDS)]


def _timed(work: Callable[[int], object], seconds: float, *, pause: float = 0.0) -> list[float]:
    """Seconds of each call of `work`, which is told its number, until they are over."""
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        work(len(taken))
        taken.append(time.perf_counter() - start)
        if pause:
            time.sleep(pause)
    return taken


def _median_ms(taken: Sequence[float]) -> float:
    return 1e3 * statistics.median(_timed_part(taken))


def _timed_part(all_of_them: Sequence[_T]) -> Sequence[_T]:
    """Without the first, which warm up."""
    return all_of_them[min(_UNTIMED, len(all_of_them) // 5) :]


def _form(images: Sequence[bytes]) -> tuple[bytes, str]:
    """The images as multipart, and its content type."""
    head = 'Content-Disposition: form-data; name="image"; filename="{}.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    parts = [f"--{_BOUNDARY}\r\n{head.format(i)}".encode() + image + b"\r\n" for i, image in enumerate(images)]
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={_BOUNDARY}"
