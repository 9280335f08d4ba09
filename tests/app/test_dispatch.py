"""Between the queue and the engine's thread: in which order things happen in the loop."""

from typing import Any

import pytest

from tests.app.harness import Client, encoded

PNG = encoded()


def test_an_answer_leaves_before_its_batch_is_counted(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(client.service.metrics, "batch", lambda *about: counted.append(about))
    monkeypatch.setattr("app.afterwards._SECONDS", 60)

    async def ask() -> int:
        await client.http.post("/classify", content=PNG)
        return len(counted)

    assert client.run(ask) == 0
    client.call(client.service.afterwards.now)
    client.wait_until(lambda: len(counted) == 1)
