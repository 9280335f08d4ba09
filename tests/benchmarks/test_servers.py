"""How the servers under comparison are started, and the client beside them."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.load.target import read_answer
from benchmarks import servers
from benchmarks.servers import Server, check_source, go_first, running

FAKE = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
names = sorted(name for name in os.environ if name.upper().startswith("HASTE_"))
print(*(f"{name}={os.environ[name]}" for name in names), flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def test_a_server_sees_the_settings_that_it_is_given_and_none_of_the_shell_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASTE_L", "8")
    monkeypatch.setenv("haste_max_images", "1")
    server, log = Server("fake", (sys.executable, "-c", FAKE), "readyz", "classify", read_answer), tmp_path / "log"
    with running(server, 5.0, log, {"HASTE_THREADS": "2"}):
        pass
    assert log.read_text().splitlines()[0] == "HASTE_THREADS=2"


def test_a_server_that_dies_is_told_with_its_last_words_and_what_the_caller_does_is_not_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server("fake", (sys.executable, "-c", FAKE), "readyz", "classify", read_answer)
    with pytest.raises(ValueError, match=r"^of the caller$"), running(server, 5.0, tmp_path / "log"):
        raise ValueError("of the caller")
    monkeypatch.setattr(servers, "_START_SECONDS", 0.1)
    dead = replace(server, command=(sys.executable, "-c", "print('farewell')"))
    with pytest.raises(ValueError, match=r"fake: not ready .*; its last words: "), running(dead, 5.0, tmp_path / "log"):
        pass


def test_a_server_that_did_not_take_the_calibration_is_told() -> None:
    check_source({"source": "file"})
    for other in (None, {"source": "start"}):
        with pytest.raises(ValueError, match="did not take the calibration file"):
            check_source(other)


def test_a_process_goes_first_where_it_may_and_what_it_starts_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    asked = list[tuple[object, ...]]()
    monkeypatch.setattr(os, "sched_setscheduler", lambda *words: asked.append(words))
    assert go_first()
    assert [policy for _, policy, _ in asked] == [os.SCHED_FIFO | os.SCHED_RESET_ON_FORK]
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert not go_first()
