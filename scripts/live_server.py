"""Starts `haste serve` in a process of its own on loopback, tells what memory it has, and ends it."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
READY_SECONDS = 120
LAX: Mapping[str, object] = {"slo_ms": 60_000, "queue_images": 1_024}
"""Settings with which nothing is refused because there is much of it."""

CALIBRATED: Mapping[str, object] = {"calibration_ms": 5_000, "threads": 2, "L": "exact"}
"""Settings with which the controller has calibrated levels to move between, for the objective that is the default."""


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class LiveServer:
    """A server of the settings given, ready on `port`; one thread and no calibration, unless told otherwise."""

    def __init__(self, log: Path, **settings: object) -> None:
        """`settings`: of `app/settings.py`, in small letters. RuntimeError where it does not become ready."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}
        chosen = {"calibration_ms": 0, "threads": 1, "decode_threads": 1, "log_level": "warning", "port": 0} | settings
        environment |= {f"HASTE_{name.upper()}": str(value) for name, value in chosen.items()}
        environment |= {"OMP_NUM_THREADS": "1"}
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            command = [sys.executable, "-m", "app"]
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.log = log
        self.port = self._port(self.process.stdout)
        self._wait_until_ready()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def memory(self) -> int:
        """Resident set size in bytes; the proportional one also moves with other users of the same libraries."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="ascii")
        return 1024 * int(re.findall(r"^Rss: +(\d+) kB$", text, re.MULTILINE)[0])

    def _port(self, greeting: IO[str] | None) -> int:
        assert greeting is not None
        found = re.search(r":(\d+)$", greeting.readline().strip())
        if found is None:
            raise RuntimeError(f"the server did not start; {self.log} says why")
        return int(found[1])

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self.alive:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        self.process.kill()
        raise RuntimeError(f"the server did not become ready; {self.log} says why")
