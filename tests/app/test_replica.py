"""One replica of a fleet: warm when it starts, configured for all or not at all, healthy while its engine comes."""

import asyncio
import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import replica as module
from app.errors import EngineFailure
from app.operator_port import write_target
from app.replica import Replica, replica_app
from app.settings import Settings
from tests.app.harness import FakeEngine, encoded


@asynccontextmanager
async def replica(
    engine: FakeEngine | None = None, targets: Path | None = None, **settings: Any
) -> AsyncIterator[Replica]:
    """A replica as its engine starts and ends it."""
    own = Replica()
    values = Settings(**({"decode_threads": 2, "threads": 1, "slo_ms": 600_000} | settings))
    own.app = replica_app(values, targets, engine or FakeEngine("small"))
    async with own.app.router.lifespan_context(own.app):
        yield own


def run(body: Callable[[Replica], Awaitable[None]], engine: FakeEngine | None = None, **options: Any) -> None:
    async def all_of_it() -> None:
        async with replica(engine, **options) as own:
            await body(own)

    asyncio.run(all_of_it())


def changes(own: Replica, result: str) -> float | None:
    return own.service.metrics.registry.get_sample_value("haste_config_changes_total", {"result": result})


def test_a_replica_is_warm_when_its_start_ends() -> None:
    engine = FakeEngine("small", "other")

    async def body(own: Replica) -> None:
        assert own.service.loaded
        assert engine.loads == ["small", "other"]

    run(body, engine)


def test_a_replica_whose_model_cannot_be_loaded_does_not_start() -> None:
    engine = FakeEngine("small")
    engine.unloadable = RuntimeError("no such weights")

    async def body(_own: Replica) -> None:
        raise AssertionError("it started")

    with pytest.raises(RuntimeError, match="small"):
        run(body, engine)


def test_what_is_configured_is_all_there_is_and_what_is_left_out_is_as_at_start() -> None:
    async def body(own: Replica) -> None:
        first = own.service.steering.state
        await own.reconfigure({"L": 5, "controller": {"slo_ms": 70}})
        state = own.service.steering.state
        assert (state.L, state.controller.slo_ms, state.version) == (5, 70, first.version + 1)
        await own.reconfigure({"controller": {"slo_ms": 70}})
        state = own.service.steering.state
        assert (state.L, state.controller.slo_ms, state.version) == (first.L, 70, first.version + 2)
        await own.reconfigure({"controller": {"slo_ms": 70}})
        assert own.service.steering.state is state

    run(body)


def test_a_merge_rule_of_its_own_is_calibrated_by_a_replica_that_starts_and_interrupts_none_that_serves() -> None:
    engine = FakeEngine("small")

    async def body(own: Replica) -> None:
        await own.reconfigure({"L": 5})
        assert engine.loads == ["small"]
        await own.reconfigure({"merge": "mean"})
        assert (engine.loads, engine.methods["small"]) == (["small", "small"], ("mean", 0.03))
        await own.check_health()
        await own.reconfigure({"merge": "projection"})
        assert (engine.loads, engine.methods["small"]) == (["small", "small"], ("projection", 0.03))

    run(body, engine)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"L": 99}, "L must be"),
        ({"L": 5, "controller": {"slo_ms": 0}}, "slo_ms"),
        ({"L": 5, "Lmin": 3}, "unknown field 'Lmin'"),
        ("L: 5", "the body"),
    ],
)
def test_a_wrong_value_is_refused_whole_and_ends_only_a_replica_that_is_starting(
    wrong: object, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(own: Replica) -> None:
        before = own.service.steering.state
        with pytest.raises(ValueError, match="user_config is refused") as refused:
            await own.reconfigure(wrong)
        assert says in str(refused.value)
        await own.check_health()
        with caplog.at_level(logging.ERROR):
            await own.reconfigure(wrong)
        assert says in caplog.text
        assert own.service.steering.state is before
        assert (changes(own, "refused"), changes(own, "applied")) == (2, 0)

    run(body)


def test_a_client_cannot_change_one_replica_of_many_and_is_told_where_to() -> None:
    async def body(own: Replica) -> None:
        transport = httpx.ASGITransport(own.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for method, path in (("PATCH", "/config"), ("POST", "/config"), ("POST", "/models/small/unload")):
                answer = await client.request(method, path, json={"L": 5})
                assert answer.status_code == 403
                assert "user_config" in answer.json()["detail"]
            assert (await client.post("/classify", content=encoded())).status_code == 200

    run(body)


def test_what_is_configured_is_not_kept_in_a_file(tmp_path: Path) -> None:
    async def body(own: Replica) -> None:
        await own.reconfigure({"L": 5})
        assert not (tmp_path / "state.json").exists()

    run(body, state_file=tmp_path / "state.json")


def test_health_is_the_services_own_and_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENGINE_SECONDS", 0.05)
    engine = FakeEngine("small")

    async def body(own: Replica) -> None:
        await own.check_health()
        engine.gate.clear()
        stuck = own.service._thread.submit(engine.gate.wait, 10)
        with pytest.raises(EngineFailure, match="has not answered"):
            await own.check_health()
        engine.gate.set()
        await asyncio.wrap_future(stuck)
        await own.check_health()
        own.service.failure = "dispatching failed"
        with pytest.raises(EngineFailure, match="dispatching failed"):
            await own.check_health()

    run(body, engine)


def test_a_replica_that_is_ended_finishes_what_it_accepted() -> None:
    engine = FakeEngine("small")

    async def body() -> int:
        async with replica(engine) as own:
            transport = httpx.ASGITransport(own.app)
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
            engine.gate.clear()
            asked = asyncio.create_task(client.post("/classify", content=encoded()))
            await asyncio.to_thread(engine.running.wait, 10)
            asyncio.get_running_loop().call_later(0.1, engine.gate.set)
        answer = await asked
        await client.aclose()
        return answer.status_code

    assert asyncio.run(body()) == 200


def get(address: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}", method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_each_replica_shows_its_own_metrics_on_a_port_that_prometheus_finds(tmp_path: Path) -> None:
    file = tmp_path / f"{os.getpid()}.json"

    async def body(own: Replica) -> None:
        await own.reconfigure({"L": 5})
        (group,) = json.loads(file.read_text())
        (address,) = group["targets"]
        assert group["labels"] == {"job": "haste"}
        status, text = await asyncio.to_thread(get, f"{address}/metrics")
        assert (status, 'haste_config_changes_total{result="applied"} 1.0' in text) == (200, True)
        assert json.loads((await asyncio.to_thread(get, f"{address}/config"))[1])["L"] == 5
        for path, method in (("/classify", "POST"), ("/docs", "GET"), ("/config", "PATCH")):
            assert (await asyncio.to_thread(get, f"{address}{path}", method))[0] == 404

    run(body, targets=tmp_path)
    assert not file.exists()


def test_the_file_of_a_process_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "4194999.json").write_text("[]")  # beyond the largest process id
    (tmp_path / "1.json").write_text("[]")
    write_target(tmp_path, "127.0.0.1:9", 4194998)
    assert {path.name for path in tmp_path.iterdir()} == {"1.json", "4194998.json"}


def test_a_folder_that_another_user_could_change_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="a folder of your own"):
        write_target(tmp_path / "link", "127.0.0.1:9", 1)
    monkeypatch.setattr("os.getuid", lambda: 12345)
    with pytest.raises(PermissionError, match="a folder of your own"):
        write_target(tmp_path, "127.0.0.1:9", 1)
