"""A supervisor hears READY once it is so, WATCHDOG only while loop and engine move, STOPPING at the signal."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.main import create_app
from app.notify import Notifier
from app.service import Service
from app.settings import Settings
from app.supervision import Supervision
from tests.app.harness import FakeEngine
from tests.app.live import live


class Ear:
    """A supervisor's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1))
        self.socket.settimeout(60)

    def hear(self) -> dict[str, str]:
        """The next message."""
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def hear_until(self, name: str) -> dict[str, str]:
        """The next message that says `name`."""
        while name not in (message := self.hear()):
            pass
        return message

    def heard(self) -> list[dict[str, str]]:
        """All messages that wait."""
        self.socket.settimeout(0)
        messages = []
        try:
            while True:
                messages.append(self.hear())
        except BlockingIOError:
            return messages
        finally:
            self.socket.settimeout(60)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    made = Ear(str(tmp_path / "notify"))
    yield made
    made.socket.close()


@pytest.fixture
def service() -> Service:
    made: Service = create_app(Settings(decode_threads=1), FakeEngine("one")).state.service
    return made


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true within ten seconds")


def test_without_a_supervisor_nothing_is_sent() -> None:
    notifier = Notifier.of({"WATCHDOG_USEC": "1000000"})
    assert not notifier.listened
    assert notifier.watchdog_seconds is None
    notifier.tell(READY="1")


@pytest.mark.parametrize(
    ("process", "expected"), [(None, 2.5), (str(os.getpid()), 2.5), (str(os.getpid() + 1), None), ("", 2.5)]
)
def test_a_watchdog_that_is_meant_for_another_process_is_not_ours(process: str | None, expected: float | None) -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2500000"}
    environment |= {} if process is None else {"WATCHDOG_PID": process}
    assert Notifier.of(environment).watchdog_seconds == expected


@pytest.mark.parametrize(
    ("name", "value"), [("NOTIFY_SOCKET", "vsock:2:1"), ("WATCHDOG_USEC", "soon"), ("WATCHDOG_USEC", "0")]
)
def test_what_a_supervisor_cannot_mean_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        Notifier.of({"NOTIFY_SOCKET": "/x"} | {name: value})


@pytest.mark.parametrize("address", ["{folder}/notify", "@haste-test-{process}"])
def test_messages_arrive_at_paths_and_abstract_names_and_stay_one_line_each(tmp_path: Path, address: str) -> None:
    ear = Ear(address.format(folder=tmp_path, process=os.getpid()))
    with ear.socket:
        Notifier(ear.address).tell(READY="1", STATUS="a\nWATCHDOG=trigger")
        assert ear.hear() == {"READY": "1", "STATUS": "a WATCHDOG=trigger"}


def test_a_supervisor_that_is_gone_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier(str(tmp_path / "gone")).tell(WATCHDOG="1")
    assert "was not told 'WATCHDOG=1': No such file" in caplog.text


def test_ready_is_said_once_and_beats_come_four_in_the_time_of_the_watchdog(ear: Ear, service: Service) -> None:
    supervision = Supervision(service, Notifier(ear.address, 8.0))
    supervision.look(0.0)
    assert ear.heard() == [{"WATCHDOG": "1", "STATUS": "loading one", "EXTEND_TIMEOUT_USEC": "8000000"}]
    service.loaded = True
    for tenth in range(1, 81):
        wait_for(service.engine_turn().done)
        supervision.look(tenth / 10)
    first, *beats = ear.heard()
    assert first == {"READY": "1", "STATUS": "serving one at L = 12; 0 images wait"}
    assert [beat["WATCHDOG"] for beat in beats] == ["1"] * 4
    assert "EXTEND_TIMEOUT_USEC" not in beats[0]


def test_an_engine_that_stands_still_stops_the_beats_until_it_goes_on(ear: Ear) -> None:
    engine = FakeEngine("one")
    service: Service = create_app(Settings(decode_threads=1), engine).state.service
    service.loaded, service.repository.entries["one"].state = True, "READY"
    supervision = Supervision(service, Notifier(ear.address, 4.0))
    engine.gate.clear()
    stuck = service._thread.submit(engine.load, "one", "mean", None)
    for now in range(6):
        supervision.look(float(now))
    assert [message.get("WATCHDOG") for message in ear.heard()] == [None, "1", *[None] * 5]
    engine.gate.set()
    stuck.result(10)
    wait_for(service.engine_turn().done)
    supervision.look(6.0)
    assert "WATCHDOG" in ear.hear()


def test_a_load_may_take_its_time_but_not_for_ever(ear: Ear, service: Service) -> None:
    engine = service.engine
    assert isinstance(engine, FakeEngine)
    engine.gate.clear()
    stuck = service._thread.submit(engine.load, "one", "mean", None)
    supervision = Supervision(service, Notifier(ear.address, 4.0))
    for now in (0.0, 100.0, 899.0, 901.0):
        supervision.look(now)
    engine.gate.set()
    stuck.result(10)
    assert [message.get("WATCHDOG") for message in ear.heard()] == ["1", "1", "1", None]


def test_the_server_looks_at_every_tick_and_says_that_it_stops(ear: Ear) -> None:
    with live(FakeEngine("one"), notifier=Notifier(ear.address, 0.4)):
        ear.hear_until("READY")
        for _ in range(3):
            ear.hear_until("WATCHDOG")
    assert ear.hear_until("STOPPING")["STATUS"] == "finishing what was accepted"


def test_the_real_process_tells_its_supervisor_and_a_stopped_one_falls_silent(ear: Ear) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HASTE_")}
    clean |= {"HASTE_THREADS": "1", "OMP_NUM_THREADS": "1", "HASTE_CALIBRATION_MS": "0", "HASTE_DRAIN_MS": "0"}
    told = {"NOTIFY_SOCKET": ear.address, "WATCHDOG_USEC": "1000000"}
    command = [sys.executable, "-m", "app", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=clean | told) as server:
        assert ear.hear_until("READY")["STATUS"].startswith("serving resnet18_cifar10 at L = ")
        ear.hear_until("WATCHDOG")
        server.send_signal(signal.SIGSTOP)
        ear.heard()
        time.sleep(0.6)  # two beats would be due
        assert ear.heard() == []
        server.send_signal(signal.SIGCONT)
        ear.hear_until("WATCHDOG")
        server.send_signal(signal.SIGTERM)
        ear.hear_until("STOPPING")
        assert server.wait(60) == 0
