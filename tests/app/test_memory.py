"""What the process does to its memory, in processes of their own, since it is for good."""

import asyncio
import ctypes
import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import memory
from app.memory import Rest
from app.service import Service
from app.settings import Settings
from tests.app.harness import FakeEngine
from tests.app.live import GET, live, read_answer

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


THREAD = """
import ctypes
from concurrent.futures import ThreadPoolExecutor
from app.memory import bound_heaps, return_free

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def use():
    blocks = [ctypes.create_string_buffer(b"x" * 65_536) for _ in range(200)]
    return resident()

bound_heaps()
with ThreadPoolExecutor(1) as pool:
    held = pool.submit(use).result()
    return_free()
    assert resident() < held - 10_000_000, (held, resident())
"""

glibc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists() or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc has malloc_trim to call",
)


@glibc
def test_what_a_thread_freed_is_given_back_while_it_lives() -> None:
    subprocess.run([sys.executable, "-c", THREAD], check=True, timeout=60)


@glibc
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


def test_memory_is_tidied_once_in_every_pause_of_a_second_behind_what_is_done() -> None:
    done = list[float]()
    rest, now = Rest(lambda: done.append(now)), 0.0
    for now, answers in ((0, 0), (5, 0), (5.1, 3), (6, 3), (6.05, 4), (7, 4), (7.1, 4), (9, 4), (9.1, 5), (20, 5)):
        rest.look(now, answers, busy=False)
    assert done == [7.1, 20]
    for now, busy in ((30, True), (31.5, True), (32, False), (32.6, False), (40, False)):
        rest.look(now, 5, busy=busy)
    assert done == [7.1, 20, 32.6]


class Knot:
    """Refers to itself, so that only the collector frees it."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture
def knot(monkeypatch: pytest.MonkeyPatch) -> Iterator[weakref.ref[Knot]]:
    """One that only a pause frees, which is short."""
    monkeypatch.setattr(memory, "_REST_SECONDS", 0.05)
    gc.collect()
    gc.disable()
    yield weakref.ref(Knot())
    gc.enable()


def is_freed(knot: weakref.ref[Knot]) -> bool:
    until = time.monotonic() + 10
    while knot() is not None and time.monotonic() < until:
        time.sleep(0.02)
    return knot() is None


def test_a_server_that_rests_frees_what_only_refers_to_itself_behind_each_answer(knot: weakref.ref[Knot]) -> None:
    with live(FakeEngine()) as running:
        assert is_freed(knot)  # behind the start
        for _ in range(2):
            another = weakref.ref(Knot())
            time.sleep(0.3)
            assert another() is not None
            with running.open(GET % b"/livez") as client:
                read_answer(client)
                assert is_freed(another)


def test_a_server_rests_behind_its_start_and_not_beside_the_load(knot: weakref.ref[Knot]) -> None:
    engine = FakeEngine()
    engine.gate.clear()
    seen = list[bool]()

    def let_load() -> None:
        seen.append(knot() is not None)
        engine.gate.set()

    threading.Timer(0.5, let_load).start()
    with live(engine):
        assert is_freed(knot)
    assert seen == [True]
