"""Caps on bytes, images and work: refused early, with the status that says why."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from tests.app.harness import Client, FakeEngine, encoded, serving

PNG = encoded()


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
