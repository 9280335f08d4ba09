"""Clients that leave the real server before their answer: their work ends, and what others wait for does not."""

import base64
import socket
import threading
from collections.abc import Callable
from functools import partial

import pytest

from tests.app.harness import FakeEngine, encoded
from tests.app.live import live, post, read_answer, statuses

PNG, JPEG = encoded(), encoded("JPEG")


def close(client: socket.socket) -> None:
    client.close()


def end_writing(client: socket.socket) -> None:
    """Which a client that waits for an answer does not do either: the connection is lost."""
    client.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("leave", [close, end_writing])
@pytest.mark.parametrize("water", [1 << 16, len(PNG) // 2], ids=["short", "long"])
def test_a_client_that_leaves_while_it_waits_gives_its_place_to_the_next(
    water: int, leave: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the end of its body was so long that reading from the connection was paused for it."""
    monkeypatch.setattr("uvicorn.protocols.http.httptools_impl.HIGH_WATER_LIMIT", water)
    engine = FakeEngine()
    with live(engine, queue_images=1, max_images=1) as running:
        engine.gate.clear()
        with running.open(post(PNG)) as first:
            assert engine.running.wait(10)
            with running.open(post(PNG).removesuffix(PNG)) as second:
                running.wait_until(lambda: running.service.admission.requests == 2)
                second.sendall(PNG)
                running.wait_until(lambda: running.service.batching.depth() == 1)
                leave(second)
                running.wait_until(lambda: running.ended("cancelled") == 1)
                assert running.service.batching.depth() == 0
            with running.open(post(PNG)) as third:
                running.wait_until(lambda: running.service.batching.depth() == 1)
                engine.gate.set()
                assert [statuses(read_answer(client)) for client in (first, third)] == [[200], [200]]
        running.wait_until(lambda: running.ended("ok") == 2)
        assert len(engine.batches) == 2


def test_a_client_that_left_while_its_body_was_taken_apart_is_not_computed() -> None:
    engine, hold = FakeEngine(), threading.Event()
    with live(engine, decode_threads=1) as running:
        running.loop.call_soon_threadsafe(running.service.decoders.run, partial(hold.wait, 10))
        with running.open(post(b'{"image": "%b"}' % base64.b64encode(JPEG), b"application/json")):
            running.wait_until(lambda: running.service.admission.requests == 1)
        running.wait_for_connections(0)
        hold.set()
        running.wait_until(lambda: running.ended("cancelled") == 1)
        with running.open(post(JPEG)) as client:
            assert statuses(read_answer(client)) == [200]
        assert len(engine.batches) == 1


def test_the_next_request_of_a_connection_is_watched_as_the_first_was() -> None:
    engine = FakeEngine()
    with live(engine) as running:
        with running.open(post(PNG)) as client:
            assert statuses(read_answer(client)) == [200]
            engine.gate.clear()
            engine.running.clear()
            client.sendall(post(PNG))
            assert engine.running.wait(10)
        running.wait_until(lambda: running.ended("cancelled") == 1)
        engine.gate.set()
        running.wait_until(lambda: running.ended("ok") == 1)


def test_a_client_that_leaves_between_two_requests_cancels_nothing() -> None:
    with live(FakeEngine()) as running:
        with running.open(post(PNG)) as client:
            assert statuses(read_answer(client)) == [200]
        running.wait_for_connections(0)
        assert (running.ended("ok"), running.ended("cancelled")) == (1, 0)


def test_what_is_asked_after_an_answer_on_its_connection_counts_that_answer() -> None:
    with live(FakeEngine()) as running, running.open(post(PNG)) as client:
        assert statuses(read_answer(client)) == [200]
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = read_answer(client)
        for series in (
            b'haste_http_requests_total{code="200",method="POST",route="/classify"} 1.0',
            b'haste_inference_images_total{hyperplanes="12",model="small"} 1.0',
            b'haste_batch_releases_total{model="small",reason="idle"} 1.0',
            b'haste_requests_within_slo_total{model="small"} 1.0',
        ):
            assert series in told
