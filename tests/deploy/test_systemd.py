"""The systemd unit: told and watched, time to finish, confined; checked by systemd itself where it is installed."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/systemd/haste.service"
installed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


class Unit(configparser.RawConfigParser):
    """A unit file, of which a later line of the same name replaces the one before."""

    def __init__(self) -> None:
        super().__init__(delimiters=("=",), strict=False, interpolation=None)
        self.read_string(UNIT.read_text(encoding="utf-8"))

    def optionxform(self, optionstr: str) -> str:
        return optionstr


SERVICE = Unit()["Service"]


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_waits_to_be_told_and_watches() -> None:
    assert (SERVICE["Type"], SERVICE["NotifyAccess"]) == ("notify", "main")
    assert int(SERVICE["WatchdogSec"]) >= 10
    assert SERVICE["Restart"] == "on-failure"


def test_the_service_has_time_to_finish_before_it_is_killed() -> None:
    settings = Settings()
    assert int(SERVICE["TimeoutStopSec"]) > (settings.drain_ms + settings.shutdown_timeout_ms) / 1e3


def test_every_connection_has_a_descriptor() -> None:
    assert int(SERVICE["LimitNOFILE"]) > 2 * Settings().max_connections


def test_the_state_file_lies_where_the_unit_lets_it_write() -> None:
    state = dict(word.split("=", 1) for word in SERVICE["Environment"].split())["HASTE_STATE_FILE"]
    assert Path(state).parent == Path("/var/lib") / SERVICE["StateDirectory"]


def test_the_engine_may_wake_its_threads_on_cores_of_their_own() -> None:
    lines = UNIT.read_text().splitlines()
    denied, allowed = (
        lines.index(f"SystemCallFilter={what}") for what in ("~@privileged @resources", "sched_setaffinity")
    )
    assert denied < allowed  # systemd reads them in order: @resources holds the call


@installed
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/haste/bin/haste", sys.executable))
    verified = analyze("verify", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")


@installed
def test_the_exposure_that_systemd_sees_is_small() -> None:
    scored = analyze("security", "--offline=true", "--threshold=11", str(UNIT))  # of 100: shown as 1.1
    assert scored.returncode == 0, scored.stdout
