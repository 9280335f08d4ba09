"""The servers under comparison: how each is started, asked and stopped; one at a time, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from yarl import URL

from app.load.outcomes import Reading
from app.load.sender import run
from app.load.target import Target, read_answer, wait_until_ready
from haste.bench.exports import folded
from haste.models import load_pretrained

_START_SECONDS, _STOP_SECONDS = 180.0, 30.0
_CONNECTIONS = 512
_CALIBRATION = ("--minutes", "0.2", "--batch", "1,2,4,8", "--L", "dense,exact,20,16,12,8")  # as the service at start


@dataclass(frozen=True)
class Server:
    """command: without the port; probe, path: where it is asked whether it is ready, and for a class."""

    name: str
    command: tuple[str, ...]
    probe: str
    path: str
    read: Callable[[bytes], Reading]


def servers(python: Path, folder: Path) -> tuple[Server, ...]:
    """Ours at the level it chooses and dense, and LitServe with two threads and with two processes."""
    ours = (sys.executable, "-m", "app")
    peer = (str(python), str(Path(__file__).with_name("litserve_server.py")), str(folder))
    return (
        Server("haste", ours, "readyz", "classify", read_answer),
        Server("haste dense", ours, "readyz", "classify?L=dense", read_answer),
        Server("litserve 1x2", (*peer, "--workers", "1", "--threads", "2"), "health", "predict", read_label),
        Server("litserve 2x1", (*peer, "--workers", "2", "--threads", "1"), "health", "predict", read_label),
    )


def peer_versions(python: Path) -> dict[str, str]:
    """Of LitServe and ONNX Runtime in that environment; ValueError where they are not there."""
    names = ("litserve", "onnxruntime")
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=_START_SECONDS, check=False)
    if done.returncode:
        raise ValueError(f"{python} has no {' and '.join(names)}: pip install {' '.join(names)} pillow there")
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def read_label(body: bytes) -> Reading:
    """LitServe's answer."""
    return Reading(str(json.loads(body)["label"]))


def export(model: str, folder: Path) -> tuple[str, ...]:
    """Write the dense network for batches of any size, and what goes before it, into `folder`; its classes.

    ValueError where nothing writes ONNX.
    """
    if find_spec("onnx") is None:
        raise ValueError("onnx is not installed: pip install 'haste-edge[bench]'")
    network, record = load_pretrained(model)
    about = {"classes": record.classes, "side": record.input_size, "mean": record.mean, "std": record.std}
    (folder / "network.json").write_text(json.dumps(about), encoding="utf-8")
    example, axes = torch.zeros(2, 3, record.input_size, record.input_size), {"x": {0: "batch"}, "y": {0: "batch"}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch would rather be asked for its new exporter, which needs more packages
        torch.onnx.export(
            folded(network),
            (example,),
            str(folder / "network.onnx"),
            dynamo=False,
            input_names=["x"],
            output_names=["y"],
            dynamic_axes=axes,
        )
    return record.classes


def calibrated(folder: Path) -> Path:
    """A new calibration of the default network, for all that is to compute in the same forms; about 12 s."""
    file = folder / "calibration.json"
    command = [sys.executable, "-m", "haste", "calibrate", *_CALIBRATION, "--out", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_START_SECONDS, check=False, env=_without_settings()
    )
    if done.returncode:
        raise ValueError(f"haste calibrate: {done.stderr.strip()}")
    return file


def check_source(calibration: Mapping[str, Any] | None) -> None:
    """ValueError where a server uses another calibration than the file that it was given. Takes it from `/models`."""
    source = None if calibration is None else calibration["source"]
    if source != "file":
        raise ValueError(f"the server did not take the calibration file, its own is from: {source}")


@contextmanager
def running(
    server: Server, time_out_seconds: float, log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Target]:
    """Start it, wait until it is ready, and end it with all its processes; ValueError where it does not start.

    settings: the only variables HASTE_... that it sees; those of this shell would change the figures unseen.
    """
    port = _free_port()
    base = URL.build(scheme="http", host="127.0.0.1", port=port)
    target = Target(base.join(URL(server.path)), time_out_seconds, _CONNECTIONS, server.read)

    async def ready() -> None:
        async with target.session() as session:
            await wait_until_ready(session, base / server.probe, _START_SECONDS, _START_SECONDS)

    command = [*server.command, "--port", str(port)]
    with log.open("wb") as out:
        environment = _without_settings() | dict(settings or {})
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, env=environment)
        try:
            try:
                run(ready())
            except ValueError as error:
                raise ValueError(f"{server.name}: {error}; its last words: {_last_line(log)}") from None
            yield target
        finally:
            _stop(process)


def go_first() -> bool:
    """Whether this process, unlike those that it starts, may run before all others on the cores that it shares.

    A client that waits for its turn sends late. As one process among many, however nice the others are, it waits for
    the next tick of the system's clock: 3 to 4 ms at p99 beside a busy server, where this leaves .3 to 1.1.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (PermissionError, AttributeError):  # only Linux has it
        return False
    return True


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("HASTE_")}


def _last_line(log: Path) -> str:
    return (log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["none"])[-1]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)  # workers that outlive their parent
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
