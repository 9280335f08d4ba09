"""Between the queue and the engine's thread: in which order things happen in the loop."""

import time
from typing import Any

import pytest

from app.dispatch import Wanted
from tests.app.harness import Client


def test_an_answer_that_nobody_waits_behind_leaves_before_its_batch_is_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher, seen = client.service.dispatcher, list[str]()
    count = dispatcher._on_batch

    def counted(*about: Any) -> None:
        seen.append("counted")
        count(*about)

    async def ask() -> None:
        wanted = Wanted("small", None, None, 1, time.perf_counter(), None)
        await dispatcher.classify(wanted, [(200, 0, 0)], expected=False)
        seen.append("answered")

    monkeypatch.setattr(dispatcher, "_on_batch", counted)
    client.run(ask)
    client.wait_until(lambda: "counted" in seen)
    assert seen == ["answered", "counted"]
