"""The client examples do what they say: against the real server, and against one that loses answers."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tritonclient.http as triton

from examples.classify import Client, GaveUp, Patience, Refused
from examples.triton import image_tensor, infer
from haste.dataset import SAMPLES
from tests.app.harness import FakeEngine, encoded, process
from tests.app.live import live
from tests.documents import ROOT

QUICK = Patience(attempts=4, first_seconds=0.001, longest_seconds=0.001)
CAT = str(SAMPLES / "cat.jpg")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """HOST:PORT of the real server."""
    with process(HASTE_THREADS="1", OMP_NUM_THREADS="1", HASTE_CALIBRATION_MS="0", HASTE_SLO_MS="60000") as server:
        yield f"{server.base_url.host}:{server.base_url.port}"


def example(name: str, *arguments: str) -> list[list[str]]:
    """The fields of each line that an example prints; it must end with 0."""
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_plain_client_names_the_class_and_the_level(address: str) -> None:
    dog = str(SAMPLES / "dog.jpg")
    lines = example("classify.py", CAT, dog, "--url", f"http://{address}", "--L", "10")
    assert [(line[0], line[1], line[3]) for line in lines] == [("cat.jpg", "cat", "L=10"), ("dog.jpg", "dog", "L=10")]


@pytest.mark.parametrize("level", ["10", "exact"])
def test_the_triton_client_gets_the_same_in_binary_and_in_json(address: str, level: str) -> None:
    lines = example("triton.py", CAT, "--address", address, "--L", level)
    assert lines == [["binary", "cat", f"L={level}"], ["JSON", "cat", f"L={level}"]]


def test_what_cannot_be_answered_is_said_once_and_not_asked_again(address: str) -> None:
    client = Client(f"http://{address}", patience=QUICK)
    with pytest.raises(Refused, match="422"):
        client.classify(Path(CAT).read_bytes(), L=99)
    client.close()
    assert client.retries == 0
    command = [sys.executable, str(ROOT / "examples/classify.py"), CAT, "--url", f"http://{address}", "--L", "99"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "422" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


@contextmanager
def scripted(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads one request a connection and answers it with the next of these bytes; what it read."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for answer in answers:
                with listener.accept()[0] as client, client.makefile("rb") as stream:
                    lines = list(iter(stream.readline, b"\r\n"))
                    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"Content-Length"))
                    stream.read(length)
                    heads.append(b"".join(lines))
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heads
        thread.join(10)


@pytest.mark.parametrize(
    "loss",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", ANSWER[:-1]],
    ids=["closed without an answer", "cut in the head", "cut in the body"],
)
def test_a_lost_answer_is_asked_for_again_under_the_same_id(loss: bytes) -> None:
    with scripted(loss, loss, ANSWER) as (url, heads):
        client = Client(url, patience=QUICK)
        assert client.classify(b"image") == {}
        client.close()
    ids = {line for head in heads for line in head.splitlines() if line.startswith(b"X-Request-ID")}
    assert (client.retries, len(heads), len(ids)) == (2, 3, 1)


@pytest.mark.parametrize("status", [b"429 Busy", b"503 Stopping", b"500 Lost", b"502 Lost", b"504 Late"])
def test_load_and_a_lost_replica_are_asked_again(status: bytes) -> None:
    closing = BUSY.replace(b"Retry-After", b"Connection: close\r\nRetry-After") % status
    with scripted(closing, ANSWER) as (url, _):
        client = Client(url, patience=QUICK)
        assert client.classify(b"image") == {}
        client.close()
    assert client.retries == 1


def test_a_client_gives_up_after_its_attempts_and_says_why() -> None:
    with scripted(*[b""] * QUICK.attempts) as (url, heads):
        with pytest.raises(GaveUp, match="4 attempts failed, the last with RemoteDisconnected"):
            Client(url, patience=QUICK).classify(b"image")
        assert len(heads) == QUICK.attempts


def test_pauses_grow_are_bounded_and_include_what_the_service_names() -> None:
    patience = Patience(first_seconds=0.1, longest_seconds=0.3)
    most = [patience.pause(attempt, None, lambda _least, most: most) for attempt in range(4)]
    assert most == pytest.approx([0.1, 0.2, 0.3, 0.3])
    assert patience.pause(0, "2", lambda least, _most: least) == 2
    assert patience.pause(0, "9" * 400, lambda least, _most: least) == 60
    assert patience.pause(0, "Fri, 31 Dec 1999 23:59:59 GMT", lambda least, _most: least) == 0


def test_tritons_client_asks_again_where_the_connection_was_lost() -> None:
    with scripted(b"", b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"a":"rest"}') as (url, heads):
        with triton.InferenceServerClient(url.removeprefix("http://")) as client:
            infer(client, "m", image_tensor(b"image", binary=True), None)
        assert len(heads) == 2


def test_a_connection_is_kept_and_replaced_when_the_server_has_closed_it() -> None:
    image = encoded()
    with live(FakeEngine("small"), keep_alive_timeout_ms=1000, slo_ms=600_000) as server:
        client = Client(f"http://127.0.0.1:{server.port}", patience=QUICK)
        for _ in range(3):
            assert client.classify(image)["model"] == "small"
        server.wait_for_connections(1)
        server.wait_for_connections(0)  # idle for too long
        assert client.classify(image)["model"] == "small"
        client.close()
