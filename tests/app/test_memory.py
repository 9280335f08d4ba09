"""What the process does to its memory, in processes of their own, since it is for good."""

import asyncio
import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from app.service import Service
from app.settings import Settings
from tests.app.harness import FakeEngine

SETTLE = """
import gc
from app.memory import settle
kept, before = [[] for _ in range(50_000)], gc.get_threshold()
settle()
assert gc.get_freeze_count() > 50_000, gc.get_freeze_count()
assert len(gc.get_objects()) < 10_000, len(gc.get_objects())
assert gc.isenabled() and gc.get_threshold()[0] > before[0]
"""


RETURN = """
import ctypes
from app.memory import return_free

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

blocks = [ctypes.create_string_buffer(b"x" * 65_536) for _ in range(3_200)]
held = resident()
blocks = blocks[::2]  # gaps between what is in use, too small to be mapped alone
return_free()
assert resident() < held - 50_000_000, (held, resident())
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc has malloc_trim to call",
)
def test_gaps_between_what_is_in_use_are_given_back() -> None:
    subprocess.run([sys.executable, "-c", RETURN], check=True, timeout=60)


def test_once_settled_a_collection_looks_at_nothing_that_was_there_before() -> None:
    subprocess.run([sys.executable, "-c", SETTLE], check=True, timeout=60)


def test_the_service_says_when_all_is_loaded_before_it_is_ready() -> None:
    service, heard = Service(Settings(threads=1), FakeEngine()), list[bool]()

    async def live() -> None:
        loaded = asyncio.Event()

        def hear() -> None:
            heard.append(service.loaded)
            loaded.set()

        service.on_loaded = hear
        await service.start()
        await asyncio.wait_for(loaded.wait(), 10)
        await service.stop()

    asyncio.run(live())
    assert service.loaded
    assert heard == [False]
