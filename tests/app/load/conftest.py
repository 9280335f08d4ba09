"""Fixtures of the load tool's tests."""

import signal
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.app.load.fake_service import FakeService, serving


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests run in the background, whose processes are born deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def service() -> Iterator[FakeService]:
    with serving() as running:
        yield running


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with a cat and a dog, named so."""
    (folder := tmp_path / "photos").mkdir()
    for name, red in (("cat", 10), ("dog", 20)):
        buffer = BytesIO()
        Image.new("RGB", (4, 4), (red, 0, 0)).save(buffer, "PNG")
        (folder / f"{name}.png").write_bytes(buffer.getvalue())
    return folder
