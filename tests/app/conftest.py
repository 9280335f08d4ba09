"""Fixtures of the service's tests."""

import os
from collections.abc import Iterator

import pytest

from tests.app.harness import Client, FakeEngine, serving


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
