"""The queue under load: batches, back-pressure, clients that leave, an engine that fails, and the end."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.app.harness import Client, FakeEngine, encoded, serving

PNG = encoded()


def hold(client: Client, engine: FakeEngine) -> "Future[httpx.Response]":
    """A request that keeps the engine busy until its gate opens."""
    engine.running.clear()
    engine.gate.clear()
    first = client.background("POST", "/classify", content=PNG)
    assert engine.running.wait(10)
    return first


def waiting(client: Client, number: int) -> None:
    client.wait_until(lambda: client.service.batching.depth("small") + client.service.batching.depth("other") == number)


def outcome(client: Client, name: str) -> float:
    return client.sample("haste_inference_requests_total", model="small", outcome=name)


def test_what_waits_is_batched_by_model_in_order_with_each_its_own_level(client: Client, engine: FakeEngine) -> None:
    asked = [hold(client, engine)]
    for number, query in enumerate(("?L=8", "?L=dense", "?model=other&L=3", "?L=exact", ""), start=1):
        asked.append(client.background("POST", f"/classify{query}", content=PNG))
        waiting(client, number)
    engine.gate.set()
    levels = [future.result().json()["L"]["used"] for future in asked]
    assert levels == [12, 8, "dense", 3, "exact", 12]
    assert engine.batches[1:] == [("small", (8, "dense", "exact", 12)), ("other", (3,))]
    assert client.sample("haste_inference_batch_images_count", model="small") == 2


def test_a_batch_is_never_larger_than_the_setting(engine: FakeEngine) -> None:
    with serving(engine, max_batch_images=2) as client:
        answer = client.classify(files=[("image", PNG)] * 5)
        assert len(answer.json()["results"]) == 5
        assert [len(levels) for _, levels in engine.batches] == [2, 2, 1]


def test_full_queue_answers_429_with_retry_after(engine: FakeEngine) -> None:
    with serving(engine, queue_images=2, max_images=2) as client:
        first = hold(client, engine)
        second = client.background("POST", "/classify", files=[("image", PNG)] * 2)
        waiting(client, 2)
        assert client.sample("haste_queue_depth", model="small") == 2
        refused = client.classify(PNG)
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert outcome(client, "rejected") == 1
        engine.gate.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]
        assert client.classify(PNG).status_code == 200


def test_more_images_than_fit_are_refused_together_and_leave_nothing_behind(engine: FakeEngine) -> None:
    with serving(engine, queue_images=3, max_images=3) as client:
        first = hold(client, engine)
        second = client.background("POST", "/classify", files=[("image", PNG)] * 2)
        waiting(client, 2)
        assert client.classify(files=[("image", PNG)] * 2).status_code == 429
        waiting(client, 2)
        engine.gate.set()
        assert [first.result().status_code, second.result().status_code] == [200, 200]


def test_requests_in_flight_are_bounded_before_their_bodies_are_read(engine: FakeEngine) -> None:
    with serving(engine, max_requests_in_flight=2) as client:
        held = [hold(client, engine), client.background("POST", "/classify", content=PNG)]
        waiting(client, 1)
        assert client.sample("haste_requests_in_flight") == 2
        assert client.classify(PNG).status_code == 429
        assert client.get("/livez").status_code == 200
        engine.gate.set()
        assert [future.result().status_code for future in held] == [200, 200]
        client.wait_until(lambda: client.sample("haste_requests_in_flight") == 0)


async def leave(
    app: FastAPI, gone: asyncio.Event, path: str = "/classify", headers: Sequence[tuple[bytes, bytes]] = ()
) -> int:
    """Send an image over plain ASGI and disconnect at the event; the status that is counted."""
    body_sent = False
    status: list[int] = []

    async def receive() -> dict[str, Any]:
        nonlocal body_sent
        if not body_sent:
            body_sent = True
            return {"type": "http.request", "body": PNG, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
    }
    scope |= {
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": list(headers),
        "scheme": "http",
        "root_path": "",
    }
    scope |= {"server": ("localhost", 80), "client": ("localhost", 1)}
    await app(scope, receive, send)
    return status[0]


def test_a_client_that_left_frees_its_place_and_is_never_computed(engine: FakeEngine) -> None:
    with serving(engine, queue_images=1, max_images=1) as client:
        first, gone = hold(client, engine), asyncio.Event()
        leaving = client.start(leave(client.app, gone))
        waiting(client, 1)
        client.call(gone.set)
        assert leaving.result(10) == 499
        assert client.service.batching.depth("small") == 0
        last = client.background("POST", "/classify", content=PNG)
        waiting(client, 1)
        engine.gate.set()
        assert [first.result().status_code, last.result().status_code] == [200, 200]
        assert [levels for _, levels in engine.batches] == [(12,), (12,)]
        assert (outcome(client, "cancelled"), outcome(client, "ok")) == (1, 2)
        assert client.sample("haste_inference_images_total", model="small", hyperplanes="12") == 2


def test_a_client_that_leaves_while_its_batch_runs_is_not_counted(engine: FakeEngine) -> None:
    with serving(engine) as client:
        engine.gate.clear()
        gone = asyncio.Event()
        leaving = client.start(leave(client.app, gone))
        assert engine.running.wait(10)
        client.call(gone.set)
        assert leaving.result(10) == 499
        engine.gate.set()
        assert client.sample("haste_dense_flops_total", model="small") == 0
        assert client.classify(PNG).status_code == 200
        assert client.sample("haste_inference_images_total", model="small", hyperplanes="12") == 1


def test_a_failing_engine_answers_500_and_the_service_goes_on(client: Client, engine: FakeEngine) -> None:
    engine.trouble = RuntimeError("secret detail")
    answer = client.classify(files=[("image", PNG)] * 3)
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert outcome(client, "error") == 1
    assert client.get("/readyz").status_code == 200
    engine.trouble = None
    assert client.classify(PNG).status_code == 200
    assert client.sample("haste_dense_flops_total", model="small") == 1_110_845_441


def test_stopping_finishes_what_was_accepted(engine: FakeEngine) -> None:
    with serving(engine) as client:
        asked = [hold(client, engine)]
        asked += [client.background("POST", "/classify", content=PNG) for _ in range(5)]
        waiting(client, 5)
        stopping = client.start(client.service.stop())
        client.wait_until(lambda: client.service.draining)
        assert client.get("/readyz").status_code == 503
        assert client.classify(PNG).status_code == 503
        engine.gate.set()
        assert [future.result().status_code for future in asked] == [200] * 6
        stopping.result(10)


def test_while_a_model_loads_probes_answer_and_requests_get_503(engine: FakeEngine) -> None:
    engine.gate.clear()
    with serving(engine, ready=False) as client:
        assert [client.get(path).status_code for path in ("/livez", "/startupz", "/readyz")] == [200, 503, 503]
        refused = client.classify(PNG)
        assert refused.status_code == 503
        assert "Retry-After" in refused.headers
        assert client.sample("haste_model_ready", model="small") == 0
        engine.gate.set()
        client.wait_until(lambda: client.service.loaded)
        assert [client.get(path).status_code for path in ("/startupz", "/readyz")] == [200, 200]
        assert client.sample("haste_model_ready", model="small") == 1


def test_a_model_that_cannot_be_loaded_is_never_ready_and_says_why(engine: FakeEngine) -> None:
    engine.unloadable = ValueError("wrong hash")
    stopped: list[bool] = []
    with serving(engine, ready=False) as client:
        client.service.on_failure = lambda: stopped.append(True)
        client.wait_until(lambda: client.service.failure is not None)
        assert "wrong hash" in client.get("/startupz").json()["detail"]
        assert client.classify(PNG).status_code == 503
        assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("number", [40])
def test_many_clients_at_once_are_all_answered_with_their_own_level(engine: FakeEngine, number: int) -> None:
    with serving(engine, queue_images=number, max_batch_images=4) as client:
        asked = [client.background("POST", f"/classify?L={1 + i % 32}", content=PNG) for i in range(number)]
        used = [future.result().json()["L"]["used"] for future in asked]
        assert used == [1 + i % 32 for i in range(number)]
        assert outcome(client, "ok") == number
