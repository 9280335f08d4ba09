"""Fixtures of the service's tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.app.harness import Client, FakeEngine, serving, wait_until_ready


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests see the defaults, whatever the shell says."""
    for name in list(os.environ):
        if name.startswith("HASTE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def client(engine: FakeEngine) -> Iterator[Client]:
    with serving(engine) as running:
        yield running


@pytest.fixture(scope="session")
def server() -> Iterator[httpx.Client]:
    """The real server in a process of its own, by its command, ready; it must end with 0 at SIGTERM."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}
    environment |= {"HASTE_THREADS": "1", "OMP_NUM_THREADS": "1", "HASTE_CALIBRATION_MS": "0", "HASTE_SLO_MS": "60000"}
    command = [sys.executable, "-m", "app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        greeting = process.stdout.readline()
        address = greeting.split()[-1]
        transport = httpx.HTTPTransport(retries=3)
        with httpx.Client(base_url=address, timeout=120, transport=transport) as client:
            try:
                wait_until_ready(client)
                yield client
            finally:
                process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
