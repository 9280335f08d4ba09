"""The benchmarks' own client, against a plain server."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from yarl import URL

from benchmarks.client import Client, request


class Echo(BaseHTTPRequestHandler):
    """Answers with what was sent, a thousand times; 404 for /missing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])) * 1000
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def echo() -> Iterator[URL]:
    server = HTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield URL(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_answers_of_any_length_come_whole_over_one_connection() -> None:
    with echo() as base, Client(base) as client:
        for length in (0, 1, 100, 1000):
            assert client.ask(request("POST", "/", b"x" * length)) == b"x" * 1000 * length


def test_an_answer_that_is_no_200_is_told_with_its_words() -> None:
    with echo() as base, Client(base) as client, pytest.raises(ValueError, match=r"POST /missing.*404.*why"):
        client.ask(request("POST", "/missing", b"why"))
