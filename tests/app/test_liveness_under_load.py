"""The real server with every core at work: it keeps saying that it lives.

The bound is wide, as machines that test are shared. How fast it answers is measured in `benchmarks/`, not here.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import pytest

from tests.app.harness import process
from tests.app.test_end_to_end import CAT, DOG

CLIENTS, LOADED_SECONDS, ANSWER_SECONDS = 8, 3.0, 2.0
ADMITTED_OR_NOT = {200, 429, 503}


@pytest.fixture
def address() -> Iterator[str]:
    """The address of `haste serve` with as many threads as it takes by itself."""
    with process() as client:
        yield str(client.base_url)


def post_until(done: Event, address: str, number: int) -> Counter[int]:
    """Images one after another at levels of all kinds; how often each status came back."""
    answers: Counter[int] = Counter()
    with httpx.Client(base_url=address, timeout=60) as client:
        while not done.is_set():
            level = ("dense", "exact", "4", "12")[(number + answers.total()) % 4]
            answers[client.post(f"/classify?L={level}", content=(CAT, DOG)[number % 2]).status_code] += 1
    return answers


def test_livez_answers_all_the_time_while_every_core_classifies(address: str) -> None:
    done, took = Event(), []
    with ThreadPoolExecutor(CLIENTS) as pool, httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as client:
        clients = [pool.submit(post_until, done, address, number) for number in range(CLIENTS)]
        try:
            end = time.monotonic() + LOADED_SECONDS
            while time.monotonic() < end:
                start = time.monotonic()
                assert client.get("/livez").status_code == 200  # httpx raises where it takes longer
                took.append(time.monotonic() - start)
                time.sleep(0.01)
        finally:
            done.set()
    answers = sum((one.result() for one in clients), Counter())
    slowest = sorted(took)[-1 - len(took) // 100]
    sys.stdout.write(f"/livez: {len(took)} answers, p99 {slowest * 1e3:.1f} ms; /classify: {dict(answers)}\n")
    assert answers.keys() <= ADMITTED_OR_NOT
    assert answers[200] >= CLIENTS
    assert max(took) <= ANSWER_SECONDS
