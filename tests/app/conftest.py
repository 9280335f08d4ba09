"""Fixtures of the service's tests."""

import os
from collections.abc import Iterator

import httpx
import pytest

from tests.app.harness import Client, FakeEngine, process, serving


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
    """The real server on one thread, uncalibrated, that refuses nothing for being late."""
    with process(HASTE_THREADS="1", OMP_NUM_THREADS="1", HASTE_CALIBRATION_MS="0", HASTE_SLO_MS="60000") as client:
        yield client
