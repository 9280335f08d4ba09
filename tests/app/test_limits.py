"""Caps on bytes, images and work: refused early, with the status that says why."""

import asyncio
import base64
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from tests.app.harness import Client, FakeEngine, encoded, serving

PNG = encoded()


class Body:
    """Work that holds bytes and must not be done."""

    def __call__(self) -> None:
        raise AssertionError


async def chunks(number: int, size: int = 1000, pause_seconds: float = 0) -> AsyncIterator[bytes]:
    for _ in range(number):
        await asyncio.sleep(pause_seconds)
        yield b"x" * size


def test_a_body_over_the_cap_answers_413_announced_or_chunked(engine: FakeEngine) -> None:
    with serving(engine, max_image_bytes=5000, max_request_bytes=9000) as client:
        assert client.classify(b"x" * 5001).status_code == 413
        assert client.request("POST", "/classify", content=chunks(100)).status_code == 413
        assert client.classify(files=[("image", b"x" * 8900)]).status_code == 413
        assert client.classify(json={"image": "x" * 9000}).status_code == 413
        assert client.classify(json={"image": base64.b64encode(b"x" * 5001).decode()}).status_code == 413
        assert client.classify(files=[("image", PNG), ("image", b"x" * 5001)]).json()["detail"].startswith("image 1:")
        assert client.sample("haste_image_rejections_total", reason="too_many_bytes") == 6
    assert engine.seen == []


def test_a_chunked_body_is_cut_as_soon_as_it_is_over_the_cap(engine: FakeEngine) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1000

    with serving(engine, max_image_bytes=5000) as client:
        assert client.request("POST", "/classify", content=endless()).status_code == 413
    assert read < 10


def test_too_many_images_answer_413_before_decoding(engine: FakeEngine) -> None:
    with serving(engine, max_images=2) as client:
        assert client.classify(files=[("image", PNG)] * 3).status_code == 413
        text = base64.b64encode(PNG).decode()
        assert client.classify(json={"images": [text] * 3}).status_code == 413
        assert client.classify(json={"images": ["!!"] * 3}).status_code == 413
        assert client.classify(files=[("image", PNG)] * 2).status_code == 200
    assert len(engine.seen) == 2


def test_a_body_that_does_not_arrive_answers_408(engine: FakeEngine) -> None:
    with serving(engine, request_body_timeout_ms=30) as client:
        answer = client.request("POST", "/classify", content=chunks(100, 10, 0.02))
        assert answer.status_code == 408
        assert client.sample("haste_inference_requests_total", model="small", outcome="timeout") == 1


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_content_encoding_answers_415(client: Client, encoding: str) -> None:
    assert client.classify(PNG, headers={"Content-Encoding": encoding}).status_code == 415
    assert client.classify(PNG, headers={"Content-Encoding": "identity"}).status_code == 200


def test_bodies_in_flight_are_bounded_together_and_leave_nothing_behind(engine: FakeEngine) -> None:
    with serving(engine, max_image_bytes=5000, max_request_bytes=5000, max_bytes_in_flight=6000) as client:
        admission = client.service.admission
        slow = client.background("POST", "/classify", content=chunks(4, 1000, 0.3))
        client.wait_until(lambda: admission.bytes >= 2000)
        refused = client.classify(b"x" * 4500)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert slow.result().status_code == 400
        assert admission.requests == admission.bytes == 0
        assert client.classify(PNG).status_code == 200


def test_what_a_client_had_sent_is_forgotten_when_it_leaves_while_the_decoders_are_busy(engine: FakeEngine) -> None:
    gate, entered = threading.Event(), threading.Event()

    def work() -> bool:
        entered.set()
        return gate.wait(10)

    with serving(engine, decode_threads=1) as client:

        async def run(function: Callable[[], object]) -> None:
            await client.service.decoders.run(function)

        cut_short = client.start(run(work))
        assert entered.wait(10)
        cut_short.cancel()  # its thread works on, and counts as busy until it is done
        body = Body()
        waits = client.start(run(body))
        client.run(lambda: asyncio.sleep(0.05))
        waits.cancel()
        client.run(lambda: asyncio.sleep(0.05))
        kept = weakref.ref(body)
        del body, waits
        gc.collect()
        assert kept() is None
        gate.set()
        assert client.classify(PNG).status_code == 200
