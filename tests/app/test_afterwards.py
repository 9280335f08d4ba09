"""What is done behind answers: a moment later, in order, in the context of its request, and before anyone reads it."""

import asyncio
from contextvars import ContextVar

import pytest

from app.afterwards import Afterwards
from app.log import request_id
from tests.app.harness import Client, FakeEngine, encoded, serving

PNG = encoded()


def test_works_are_done_together_in_order_a_moment_later() -> None:
    async def play() -> None:
        afterwards, done = Afterwards(), list[int]()
        for number in range(3):
            afterwards.later(done.append, number)
        await asyncio.sleep(0)
        assert done == []
        await asyncio.sleep(0.1)
        assert done == [0, 1, 2]
        afterwards.later(done.append, 3)
        afterwards.now()
        assert done == [0, 1, 2, 3]

    asyncio.run(play())


def test_each_is_done_in_the_context_that_it_was_told_in() -> None:
    async def play() -> None:
        own, afterwards, seen = ContextVar("own", default=0), Afterwards(), list[int]()
        for number in (1, 2):
            token = own.set(number)
            afterwards.later(lambda: seen.append(own.get()))
            own.reset(token)
        afterwards.now()
        assert seen == [1, 2]

    asyncio.run(play())


def test_a_flood_does_not_wait_to_be_counted() -> None:
    async def play() -> None:
        afterwards, done = Afterwards(), list[int]()
        for number in range(10_000):
            afterwards.later(done.append, number)
        assert len(done) > 9_000

    asyncio.run(play())


def test_one_that_fails_is_logged_and_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        afterwards, done = Afterwards(), list[int]()
        afterwards.later(lambda: done.append(1 // len(done)))
        afterwards.later(done.append, 2)
        afterwards.now()
        assert done == [2]
        assert "ZeroDivisionError" in caplog.text

    asyncio.run(play())


@pytest.mark.parametrize("path", ["/metrics", "/v2/models/stats", "/v2/models/small/stats"])
def test_whoever_reads_counts_gets_all_that_was_answered_before(client: Client, path: str) -> None:
    client.classify(PNG)
    text = client.get(path).text
    counted = 'haste_inference_requests_total{model="small",outcome="ok"} 1.0'
    assert counted in text if path == "/metrics" else '"inference_count":1' in text


def test_a_line_of_the_log_has_the_id_and_the_time_of_its_answer(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    seen: list[str] = []

    def see(_record: object) -> bool:
        seen.append(request_id.get())
        return True

    caplog.handler.addFilter(see)
    client.classify(PNG, headers={"X-Request-ID": "own"})
    client.wait_until(lambda: any(record.name == "app.access" for record in caplog.records))
    (record,) = (record for record in caplog.records if record.name == "app.access")
    assert "own" in seen
    assert 0.04 < record.created - record.__dict__["at"] < 5


def test_what_was_answered_last_is_counted_when_the_service_stops() -> None:
    with serving(FakeEngine("small")) as client:
        client.classify(PNG)
        registry = client.service.metrics.registry
    labels = {"model": "small", "outcome": "ok"}
    assert registry.get_sample_value("haste_inference_requests_total", labels) == 1
