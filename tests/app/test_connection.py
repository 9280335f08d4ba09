"""Connections: bounded in number, bytes and time, strict about what is a request, and closed without losing answers."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.app.harness import FakeEngine, encoded
from tests.app.live import GET, Live, live, read_all, read_answer, statuses

PNG = encoded()
POST = b"POST /classify HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
PATCH = b"PATCH /config HTTP/1.1\r\nHost: localhost\r\n"
LIVEZ = GET % b"/livez"


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live(FakeEngine(), request_header_timeout_ms=300, max_image_bytes=100_000) as running:
        yield running


def problem(answer: bytes) -> dict[str, str]:
    """The body of the last answer, which must be in the one shape."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"x-request-id" in head.lower()
    found: dict[str, str] = json.loads(body)
    assert list(found) == ["type", "title", "detail", "request_id"]
    assert found["request_id"]
    return found


@pytest.mark.parametrize("start", [b"", b"\r\n\r\n", b"GET", b"GET /livez HTTP/1.1\r\nHost: a\r\nX: "])
def test_a_client_that_never_ends_its_head_is_cut(server: Live, start: bytes) -> None:
    begun = time.monotonic()
    answer = server.exchange(start)
    assert time.monotonic() - begun < 2
    assert statuses(answer) == ([408] if start.strip() else [])
    if answer:
        problem(answer)


@pytest.mark.parametrize(
    ("sent", "status"), [(b"GET", 408), (b"no request\r\n\r\n", 400), (GET % (b"/" + b"x" * 9_000), 414)]
)
def test_what_never_became_a_request_is_counted(server: Live, sent: bytes, status: int) -> None:
    labels = {"code": str(status), "method": "other", "route": "unmatched"}

    def counted() -> float:
        return server.service.metrics.registry.get_sample_value("haste_http_requests_total", labels) or 0.0

    before = counted()
    assert statuses(server.exchange(sent)) == [status]
    assert counted() == before + 1


def test_a_head_sent_byte_by_byte_has_one_time_limit_for_all_of_it(server: Live) -> None:
    begun = time.monotonic()
    with server.open(LIVEZ[:5]) as client:
        client.settimeout(0.05)
        answer = b""
        for _ in range(100):
            try:
                client.sendall(b"a")
                answer += client.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
    assert time.monotonic() - begun < 2
    assert statuses(answer) == [408]


def test_the_next_head_on_a_connection_has_a_time_limit_too(server: Live) -> None:
    with server.open(LIVEZ) as client:
        assert statuses(read_answer(client)) == [200]
        client.sendall(b"\r\n")
        assert read_all(client) == b""
    with server.open(LIVEZ) as client:
        read_answer(client)
        client.sendall(b"GET /")
        assert statuses(read_all(client)) == [408]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /livez?" + b"a" * 9000, 414),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", 431),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"a" * 3_000_000, 431),
    ],
)
def test_a_head_is_bounded(server: Live, head: bytes, status: int) -> None:
    with server.open() as client:
        with suppress(OSError):  # cut while it sends
            client.sendall(head)
        answer = read_all(client)
    assert statuses(answer) in ([status], [])
    if len(head) < 1_000_000:
        problem(answer)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"GET /livez HTTP/1.1\nHost: a\n\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        PATCH + b'Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"L":5}\r\n0\r\n\r\n',
        PATCH + b'Content-Length: 7\r\nContent-Length: 6\r\n\r\n{"L":5}',
        PATCH + b'Content-Length: 7, 7\r\n\r\n{"L":5}',
        PATCH + b'Content-Length: +7\r\n\r\n{"L":5}',
        PATCH + b'Transfer-Encoding: xchunked\r\n\r\n7\r\n{"L":5}\r\n0\r\n\r\n',
        PATCH + b'Transfer-Encoding: gzip, chunked\r\n\r\n7\r\n{"L":5}\r\n0\r\n\r\n',
        PATCH + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{"L":5}\r\n0\r\n\r\n',
        PATCH.replace(b"1.1", b"1.0") + b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"L":5}\r\n0\r\n\r\n',
        PATCH + b'Transfer-Encoding: chunked\r\n\r\n7 \r\n{"L":5}\r\n0\r\n\r\n',
        PATCH + b'Transfer-Encoding: chunked\r\n\r\n0x7\r\n{"L":5}\r\n0\r\n\r\n',
        PATCH + b'Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 7\r\n\r\n{"L":5}',
    ],
)
def test_what_another_server_could_read_in_another_way_answers_400(server: Live, request_bytes: bytes) -> None:
    answer = server.exchange(request_bytes)
    assert statuses(answer) == [400]
    problem(answer)
    assert b'"L":12,' in server.exchange(GET % b"/config" + b"x")


def test_what_follows_a_request_is_refused_only_after_its_answer(server: Live) -> None:
    assert statuses(server.exchange(LIVEZ + b"rubbish\r\n\r\n")) == [200]
    assert statuses(server.exchange(LIVEZ * 3 + PATCH + b"Transfer-Encoding: chunked\r\n\r\nrubbish")) == [200] * 3
    assert statuses(server.exchange(LIVEZ * 16 + b"GET /livez HTTP/1.0\r\n\r\n")) == [200] * 17
    assert len(statuses(server.exchange(LIVEZ * 100))) < 100


def test_an_upgrade_is_answered_as_a_plain_request_and_closes(server: Live) -> None:
    upgrade = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = server.exchange(upgrade + LIVEZ)
    assert statuses(answer) == [200]
    assert b"connection: close" in answer.lower()


def test_a_head_in_two_parts_is_bounded_by_its_own_bytes_alone() -> None:
    head = POST + b"X: " + b"x" * 20_000 + b"\r\nContent-Length: 60000\r\n\r\n"
    with live(FakeEngine()) as server:
        for cut in (20, 15_000, len(head) - 1):
            with server.open(head[:cut]) as client:
                time.sleep(0.1)
                client.sendall(head[cut:] + bytes(60_000))
                assert statuses(read_answer(client)) == [400]  # it is no image, which the body alone tells


def test_trailers_are_no_part_of_the_head(server: Live) -> None:
    body = b"%x\r\n%s\r\n0\r\n" % (len(PNG), PNG)
    with server.open(CHUNKED + body + b"X-Request-ID: of-a-trailer\r\nHost: b\r\n\r\n") as client:
        answer = read_answer(client)
    assert statuses(answer) == [200]
    assert b"of-a-trailer" not in answer


@pytest.mark.parametrize("trailer", [b"X: " + b"y" * 400_000, b"X: y\r\n" * 20_000])
def test_trailers_are_bounded(server: Live, trailer: bytes) -> None:
    answer = server.exchange(CHUNKED + b"1\r\na\r\n0\r\n" + trailer)
    assert statuses(answer) == [431]


def test_a_broken_chunk_answers_400_at_once(server: Live) -> None:
    begun = time.monotonic()
    answer = server.exchange(CHUNKED + b"5\r\nabcde\r\nzz\r\n")
    assert statuses(answer) == [400]
    assert problem(answer)["type"].endswith("malformed-request")
    assert time.monotonic() - begun < 5


def test_an_endless_chunked_body_is_answered_and_cut_while_it_streams(server: Live) -> None:
    begun, sent = time.monotonic(), 0
    with server.open(CHUNKED) as client, suppress(OSError):
        while sent < 200_000_000:
            sent += client.send(b"8000\r\n" + b"a" * 0x8000 + b"\r\n")
    assert sent < 200_000_000
    assert time.monotonic() - begun < 5
    with server.open(CHUNKED + (b"8000\r\n" + b"a" * 0x8000 + b"\r\n") * 5) as client:
        answer = read_all(client)
    assert statuses(answer) == [413]
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("start", [CHUNKED, POST + b"Content-Length: 1000\r\n\r\n"])
def test_a_body_sent_byte_by_byte_has_one_time_limit_for_all_of_it(start: bytes) -> None:
    piece = b"1\r\na\r\n" if start == CHUNKED else b"a"
    with live(FakeEngine(), request_body_timeout_ms=300) as running, running.open(start) as client:
        begun = time.monotonic()
        client.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() - begun < 5:
            client.sendall(piece)
            try:
                answer = client.recv(65536)
            except TimeoutError:
                continue
        assert statuses(answer) == [408]
        assert time.monotonic() - begun < 2


def test_a_client_that_does_not_read_its_answers_is_cut() -> None:
    with live(FakeEngine(), response_timeout_ms=300) as running:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", running.port))
        with client:
            running.wait_for_connections(1)
            client.settimeout(1)
            with suppress(OSError):
                for _ in range(2000):
                    client.sendall(GET % b"/metrics" * 10)
            running.wait_for_connections(0)


def in_loop(running: Live, act: Callable[[Any], None]) -> Any:
    """The server's one connection, on which this was done in its loop."""
    (connection,) = running.server.server_state.connections
    done = threading.Event()
    loop = running.server.servers[0].get_loop()
    loop.call_soon_threadsafe(act, connection)
    loop.call_soon_threadsafe(done.set)
    assert done.wait(10)
    return connection


def test_a_further_request_does_not_lift_the_time_to_read_an_answer() -> None:
    with live(FakeEngine(), response_timeout_ms=300) as running, running.open(LIVEZ) as client:
        read_answer(client)
        in_loop(running, lambda connection: connection.pause_writing())
        client.sendall(LIVEZ)
        running.wait_for_connections(0)


def test_a_head_begun_while_an_answer_is_not_read_has_its_own_time_limit() -> None:
    with live(FakeEngine(), request_header_timeout_ms=300) as running, running.open(LIVEZ) as client:
        read_answer(client)
        connection = in_loop(running, lambda connection: connection.pause_writing())
        client.sendall(b"GET /")
        while not connection._in_head:
            time.sleep(0.01)
        in_loop(running, lambda connection: connection.resume_writing())
        assert statuses(read_all(client)) == [408]


def test_an_answer_that_is_read_in_time_leaves_the_connection_open() -> None:
    with live(FakeEngine(), response_timeout_ms=300) as running, running.open(LIVEZ) as client:
        read_answer(client)
        in_loop(running, lambda connection: connection.pause_writing())
        in_loop(running, lambda connection: connection.resume_writing())
        time.sleep(0.5)
        client.sendall(LIVEZ)
        assert statuses(read_answer(client)) == [200]


def test_an_idle_connection_is_closed() -> None:
    with live(FakeEngine(), keep_alive_timeout_ms=100) as running, running.open(LIVEZ) as client:
        read_answer(client)
        begun = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - begun < 3


def test_a_reset_while_idle_leaves_no_timer_behind(caplog: pytest.LogCaptureFixture) -> None:
    with live(FakeEngine(), keep_alive_timeout_ms=1000) as running:
        with running.open(LIVEZ) as client:
            read_answer(client)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        running.wait_for_connections(0)
        time.sleep(1.2)  # the server's timer counts whole seconds
    assert "Exception in callback" not in caplog.text


def test_over_the_limit_of_connections_only_probes_are_answered_once() -> None:
    with live(FakeEngine(), max_connections=2) as running:
        clients = [running.open(LIVEZ) for _ in range(2)]
        for client in clients:
            assert statuses(read_answer(client)) == [200]
        answer = running.exchange(GET % b"/readyz")
        assert statuses(answer) == [200]
        assert b"connection: close" in answer.lower()
        for path in (b"/v2/models/small/ready", b"/v2/models/small/versions/1/ready"):
            assert statuses(running.exchange(GET % path)) == [200]
        refused = running.exchange(GET % b"/models")
        assert statuses(refused) == [503]
        assert b"retry-after" in refused.lower()
        problem(refused)
        more = [running.open() for _ in range(16)]
        running.wait_for_connections(18)
        assert statuses(running.exchange(b"")) == [503]  # before it asks anything
        for client in (*clients, *more):
            client.close()
        running.wait_for_connections(0)
        with running.open() as client:
            for _ in range(2):
                client.sendall(LIVEZ)
                assert statuses(read_answer(client)) == [200]
