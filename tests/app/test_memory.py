"""What the process does to its memory, in processes of their own, since it is for good."""

import subprocess
import sys

from tests.app.harness import FakeEngine
from tests.app.live import live

SETTLE = """
import gc
from app.memory import settle
kept, before = [[] for _ in range(50_000)], gc.get_threshold()
settle()
assert gc.get_freeze_count() > 50_000, gc.get_freeze_count()
assert len(gc.get_objects()) < 10_000, len(gc.get_objects())
assert gc.isenabled() and gc.get_threshold()[0] > before[0]
"""


def test_once_settled_a_collection_looks_at_nothing_that_was_there_before() -> None:
    subprocess.run([sys.executable, "-c", SETTLE], check=True, timeout=60)


def test_the_service_says_when_all_is_loaded_before_it_is_ready() -> None:
    heard: list[bool] = []
    with live(FakeEngine(), on_loaded=lambda service: heard.append(service.loaded)):
        assert heard == [False]
