"""Short work on the event loop's own thread, and when what came meanwhile counts as come."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial

import pytest

from app.contract import BatchResult, Calibration, Item
from app.in_place import InPlace
from tests.app.frontiers import points
from tests.app.harness import Client, FakeEngine, encoded, serving
from tests.app.live import live, post, read_answer, statuses

PNG = encoded()


def slowly(value: int) -> int:
    time.sleep(0.01)
    return value


class Timed(FakeEngine):
    """Notes the thread of every batch, and takes as long as it is told."""

    def __init__(self, milliseconds: float, seconds: float = 0.0) -> None:
        super().__init__("small")
        made = tuple(points({12: milliseconds, "exact": milliseconds, "dense": milliseconds}))
        self.calibrations = {"small": Calibration("file", "2026-11-28T12:00:00+00:00", 1, made)}
        self.seconds, self.threads = seconds, list[str]()

    def forward(self, model: str, items: Sequence[Item]) -> BatchResult:
        self.threads.append(threading.current_thread().name)
        time.sleep(self.seconds)
        return super().forward(model, items)


@pytest.fixture
def engine() -> Timed:
    return Timed(5.0)


@pytest.fixture
def client(engine: FakeEngine) -> Iterator[Client]:
    with serving(engine, in_place=True) as running:
        yield running


def test_what_is_looked_at_right_behind_may_have_come_since_the_work_began_and_later_not() -> None:
    async def play() -> None:
        in_place = InPlace()
        before = time.perf_counter()
        assert in_place.run(partial(slowly, 7)) == 7
        now = time.perf_counter()
        assert before <= in_place.earliest(now) < before + 0.005
        assert not in_place.back
        for _ in range(6):
            await asyncio.sleep(0)
        assert in_place.earliest(now) == now
        assert in_place.back

    asyncio.run(play())


def test_work_that_fails_says_so_and_counts_as_away_too() -> None:
    async def play() -> None:
        in_place = InPlace()
        with pytest.raises(ZeroDivisionError):
            in_place.run(lambda: 1 / 0)
        assert in_place.earliest(now := time.perf_counter()) < now

    asyncio.run(play())


def test_one_image_that_nothing_waits_beside_is_computed_in_the_loops_thread(client: Client, engine: Timed) -> None:
    assert client.classify(PNG).status_code == 200
    (name,) = engine.threads
    assert not name.startswith("engine")


def test_several_images_are_computed_in_the_engines_thread(client: Client, engine: Timed) -> None:
    client.classify(files=[("image", PNG)] * 2)
    assert engine.threads[0].startswith("engine")


@pytest.mark.parametrize("milliseconds", [50.0, None])
def test_what_takes_long_or_is_not_known_is_computed_in_the_engines_thread(milliseconds: float | None) -> None:
    engine = Timed(milliseconds or 1.0)
    if milliseconds is None:
        engine.calibrations.clear()
    with serving(engine, in_place=True) as client:
        client.classify(PNG)
    assert engine.threads[0].startswith("engine")


def test_while_the_state_changes_nothing_is_computed_beside_it(client: Client, engine: Timed) -> None:
    turn = client.service.dispatcher._turn
    client.run(turn.acquire)
    asked = client.background("POST", "/classify", content=PNG)
    client.wait_until(lambda: client.service.batching.depth() == 1)
    assert engine.threads == []
    client.call(turn.release)
    assert asked.result(10).status_code == 200


def test_an_engine_that_fails_there_is_answered_and_the_service_goes_on(client: Client, engine: Timed) -> None:
    engine.trouble = RuntimeError("no")
    assert client.classify(PNG).status_code == 500
    engine.trouble = None
    assert client.classify(PNG).status_code == 200


def test_a_request_that_came_while_the_loop_computed_has_waited_since_then() -> None:
    engine = Timed(5.0, seconds=0.3)
    late = post(PNG).replace(b"/classify", b"/classify?deadline_ms=250")
    with live(engine) as running, running.open() as first, running.open() as second:
        first.sendall(post(PNG))
        while not engine.threads:
            time.sleep(0.001)
        second.sendall(late)
        assert statuses(read_answer(first)) == [200]
        assert statuses(read_answer(second)) == [429]  # its 250 ms are over before it is looked at


def test_what_came_together_while_the_loop_computed_is_computed_together_in_the_engines_thread() -> None:
    engine = Timed(5.0, seconds=0.2)
    with (
        live(engine, slo_ms=60_000) as running,
        running.open() as first,
        running.open() as second,
        running.open() as third,
    ):
        first.sendall(post(PNG))
        while not engine.threads:
            time.sleep(0.001)
        second.sendall(post(PNG))
        third.sendall(post(PNG))
        assert [statuses(read_answer(one)) for one in (first, second, third)] == [[200]] * 3
    assert not engine.threads[0].startswith("engine")
    assert all(name.startswith("engine") for name in engine.threads[1:])


def test_tensors_that_are_parsed_side_by_side_are_not_computed_one_after_another_in_the_loops_thread(
    client: Client, engine: Timed
) -> None:
    tensor = {"name": "input", "shape": [1, 3, 32, 32], "datatype": "FP32", "data": [0.0] * 3072}
    asked = [client.background("POST", "/v2/models/small/infer", json={"inputs": [tensor]}) for _ in range(8)]
    assert [future.result(10).status_code for future in asked] == [200] * 8
    assert sum(not name.startswith("engine") for name in engine.threads) <= 1


def test_every_duration_of_a_request_that_came_while_the_loop_computed_counts_from_before() -> None:
    engine = Timed(5.0, seconds=0.3)
    with live(engine) as running, running.open() as first, running.open() as second:
        first.sendall(post(PNG))
        while not engine.threads:
            time.sleep(0.001)
        engine.seconds = 0.0
        second.sendall(post(PNG))
        read_answer(first)
        told = json.loads(read_answer(second).partition(b"\r\n\r\n")[2])
        assert told["timing_ms"]["total"] > 200
        assert running.ended("ok") == 2
        durations = running.service.metrics.registry.get_sample_value
        assert (durations("haste_http_request_duration_seconds_sum", {"route": "/classify"}) or 0.0) > 0.5


def test_a_request_is_dated_no_earlier_than_the_answer_before_it_on_its_connection() -> None:
    engine = Timed(5.0, seconds=0.2)
    with live(engine) as running, running.open() as client:
        client.sendall(2 * post(PNG))  # the second is looked at right behind the work of the first
        for _ in range(2):
            told = json.loads(read_answer(client).partition(b"\r\n\r\n")[2])["timing_ms"]["total"]
            assert 200 <= told < 350
        assert running.ended("ok") == 2
        durations = running.service.metrics.registry.get_sample_value
        assert (durations("haste_http_request_duration_seconds_sum", {"route": "/classify"}) or 0.0) < 0.55
