"""The end of the server: not ready at once, everything that was accepted answered, nobody cut."""

import asyncio
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from app.cli import bind
from app.server import turn_away
from app.tls import tls_context
from tests.app.harness import FakeEngine, encoded
from tests.app.live import GET, Live, live, read_all, read_answer, statuses

PNG = encoded()
CLASSIFY = b"POST /classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(PNG), PNG)
LIVEZ = GET % b"/livez"


def send_if_open(client: socket.socket) -> None:
    with suppress(OSError):
        client.sendall(LIVEZ)


def stop(running: Live) -> None:
    running.server.handle_exit(signal.SIGTERM, None)


def test_after_the_signal_it_is_not_ready_but_serves_each_connection_once_more() -> None:
    with live(engine := FakeEngine(), drain_ms=1500) as running, running.open(LIVEZ) as kept:
        read_answer(kept)
        assert not engine.hurried
        stop(running)
        assert engine.hurried
        assert statuses(running.exchange(GET % b"/readyz")) == [503]
        for client in (kept, running.open()):  # an idle one, and a new one
            client.sendall(CLASSIFY)
            answer = read_all(client)
            assert statuses(answer) == [200]
            assert b"connection: close" in answer.lower()
            client.close()


def test_what_was_accepted_is_answered_and_then_nobody_listens() -> None:
    engine = FakeEngine()
    engine.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        engine.gate.set()
        with live(engine, slo_ms=60_000) as running:
            engine.gate.clear()
            answers = [pool.submit(running.exchange, CLASSIFY) for _ in range(8)]
            assert engine.running.wait(10)
            running.wait_for_connections(8)
            stop(running)
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", running.port)).close()
                except ConnectionRefusedError:
                    break
                time.sleep(0.02)
            else:
                pytest.fail("it still listens")
            engine.gate.set()
            assert [statuses(answer.result(10)) for answer in answers] == [[200]] * 8


def test_a_request_that_reaches_an_idle_connection_at_the_last_moment_is_answered() -> None:
    outcomes = []
    for delay in (0.0, 0.05, 0.1, 0.15):
        with live(FakeEngine()) as running, running.open(LIVEZ) as client:
            read_answer(client)
            late = threading.Timer(delay, send_if_open, [client])
            late.start()
            stop(running)
            outcomes.append(statuses(read_all(client)))
            late.join()
    assert outcomes[0] == [200]
    assert all(outcome in ([200], []) for outcome in outcomes)


def test_half_a_request_is_told_that_the_service_stops() -> None:
    with live(FakeEngine()) as running, running.open(CLASSIFY[:30]) as client:
        running.wait_for_connections(1)
        time.sleep(0.1)
        stop(running)
        assert statuses(read_all(client)) == [503]


def test_silent_clients_in_the_queue_of_a_tls_listener_delay_the_end_but_once(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    tls = tls_context(tmp_path / "both.pem", tmp_path / "both.pem")
    with live(FakeEngine(), tls) as running, bind("127.0.0.1", 0) as listener:
        listener.setblocking(False)
        clients = [socket.create_connection(listener.getsockname(), timeout=10) for _ in range(3)]
        own, running.server.servers = running.server.servers, []
        begun = time.monotonic()
        asyncio.run_coroutine_threadsafe(running.server._stop_listening(listener), own[0].get_loop()).result(30)
        assert time.monotonic() - begun < 4
        running.server.servers = own
        for client in clients:
            assert read_all(client) == b""
            client.close()


def test_everything_counts_as_answered_only_where_nothing_was_cut_short() -> None:
    with live(FakeEngine()) as running:
        running.exchange(GET % b"/livez" + b"x")
    assert running.server.all_answered
    engine = FakeEngine()
    for end in ("time-out", "second Ctrl-C"):
        with ThreadPoolExecutor(1) as pool, live(engine, shutdown_timeout_ms=1000) as running:
            engine.running.clear()
            engine.gate.clear()
            pool.submit(running.exchange, CLASSIFY)
            assert engine.running.wait(10)
            running.server.handle_exit(signal.SIGINT, None)
            if end == "second Ctrl-C":
                running.server.handle_exit(signal.SIGINT, None)
            threading.Timer(2, engine.gate.set).start()
        assert not running.server.all_answered, end


def test_who_waits_in_the_listener_s_queue_is_served() -> None:
    with live(FakeEngine(), drain_ms=100) as running:
        busy = threading.Event()
        running.server.servers[0].get_loop().call_soon_threadsafe(busy.wait, 0.5)  # nobody accepts meanwhile
        stop(running)
        clients = [running.open(LIVEZ) for _ in range(20)]
        busy.set()
        assert [statuses(read_all(client)) for client in clients] == [[200]] * 20
        for client in clients:
            client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters what a listener hears")
def test_a_listener_that_turns_away_keeps_its_queue_and_hears_of_nobody_else() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as first:
        turn_away(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.3)
        accepted, _ = listener.accept()
        with accepted:
            first.sendall(b"asked")
            assert accepted.recv(5) == b"asked"
            accepted.sendall(b"answered")
            assert first.recv(8) == b"answered"
