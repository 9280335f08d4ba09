"""The state file: whole at every moment, whatever ends the process, and its owner's alone."""

import errno
import json
import multiprocessing
import os
import random
import stat
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from app.config_patch import parse_patch
from app.errors import EngineFailure
from app.service import Service
from app.settings import Settings
from app.state import changed
from app.state_file import initial_state, read_state, write_state
from tests.app.frontiers import ON
from tests.app.harness import FakeEngine
from tests.app.state_writer import write_for_ever

KILLS = 20
START = initial_state(FakeEngine(), ON)


def test_the_objective_that_the_file_holds_is_an_edge_of_the_durations(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text('{"version": 2, "controller": {"slo_ms": 37}}')
    service = Service(Settings(state_file=file, slo_ms=50), FakeEngine())
    service.metrics.http_request("/classify", "POST", 200, 0.030)
    labels = {"route": "/classify", "le": "0.037"}
    assert service.metrics.registry.get_sample_value("haste_http_request_duration_seconds_bucket", labels) == 1


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    path, moment, version = tmp_path / "state.json", random.Random(7), 1
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["tests.app.state_writer"])
    for _ in range(KILLS):
        told, tell = processes.Pipe(duplex=False)
        writer = processes.Process(target=write_for_ever, args=(path, version, tell))
        writer.start()
        tell.close()
        known = told.recv()
        time.sleep(moment.uniform(0, 0.02))
        writer.kill()
        writer.join()
        with told, suppress(EOFError):
            while True:
                known = told.recv()
        state = read_state(path, FakeEngine(), ON)
        assert state.version % 32 + 1 == state.L
        assert state.version in (known, known + 1)
        version = state.version
    assert version > KILLS


def test_what_a_crash_left_behind_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    left = tmp_path / "state.json.new"
    left.write_text('{"version": 9, "L"' * 1000)
    left.chmod(0o644)
    assert read_state(path, FakeEngine(), ON).version == 1
    write_state(path, START, START)
    assert json.loads(path.read_text())["version"] == 1
    assert not left.exists()
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    old = os.umask(0)
    try:
        write_state(path, START, START)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_fails_after_the_change_is_made_does_not_say_that_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_on_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail_on_folders)
    write_state(tmp_path / "state.json", START, START)
    assert json.loads((tmp_path / "state.json").read_text())["version"] == 1
    assert "Input/output error" in caplog.text


def test_a_folder_that_cannot_be_opened_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = tmp_path / "state.json", os.open
    path.write_text("old")

    def refuse_folders(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EMFILE, "Too many open files")
        return opened(name, flags, mode)

    monkeypatch.setattr(os, "open", refuse_folders)
    with pytest.raises(EngineFailure, match="not made: Too many open files"):
        write_state(path, START, START)
    assert path.read_text() == "old"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "state.json.new").symlink_to(target)
    with pytest.raises(EngineFailure, match="could not be saved"):
        write_state(tmp_path / "state.json", START, START)
    assert target.read_text() == "mine"


def test_the_file_holds_what_was_changed_and_a_setting_that_nobody_changed_holds_anew(tmp_path: Path) -> None:
    path, engine = tmp_path / "state.json", FakeEngine()
    patch = parse_patch({"L": 10, "controller": {"slo_ms": 70}, "models": {"small": {"tolerance": 0.2}}}, engine)
    write_state(path, START, changed(START, patch))
    held = {"version": 2, "L": 10, "controller": {"slo_ms": 70}, "models": {"small": {"tolerance": 0.2}}}
    assert json.loads(path.read_text()) == held
    found = read_state(path, engine, replace(ON, enabled=False, slo_ms=30))
    assert (found.L, found.controller.slo_ms, found.controller.enabled) == (10, 70, False)


def test_a_value_that_was_changed_to_none_is_held_as_none(tmp_path: Path) -> None:
    path, engine = tmp_path / "state.json", FakeEngine()
    write_state(path, START, changed(START, parse_patch({"tolerance": None}, engine)))
    assert read_state(path, engine, ON).tolerance is None


def test_a_model_of_which_nothing_was_changed_may_be_taken_away(tmp_path: Path) -> None:
    path, both = tmp_path / "state.json", FakeEngine("small", "other")
    start = initial_state(both, ON)
    write_state(path, start, changed(start, parse_patch({"models": {"small": {"L": 9}}}, both)))
    assert read_state(path, FakeEngine("small"), ON).level("small") == 9


def test_what_was_changed_stays_changed_where_a_setting_said_the_same_for_a_while(tmp_path: Path) -> None:
    path, engine = tmp_path / "state.json", FakeEngine()
    write_state(path, START, changed(START, parse_patch({"L": 10, "controller": {"slo_ms": 70}}, engine)))
    same = initial_state(engine, replace(ON, slo_ms=70))
    again = changed(read_state(path, engine, same.controller), parse_patch({"L": 11}, engine))
    write_state(path, same, again)
    found = read_state(path, engine, ON)
    assert (found.L, found.controller.slo_ms) == (11, 70)


def test_of_a_file_with_every_value_a_model_without_any_may_be_taken_away(tmp_path: Path) -> None:
    (path := tmp_path / "state.json").write_text('{"version": 2, "models": {"gone": {"L": null, "merge": null}}}')
    assert read_state(path, FakeEngine(), ON).version == 2


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "7"])
def test_a_file_that_no_service_wrote_is_told_as_such(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "state.json").write_text(text)
    with pytest.raises(ValueError, match="it holds no version, so no service wrote it"):
        read_state(path, FakeEngine(), ON)


def test_a_folder_that_is_not_there_stops_the_start_and_not_the_first_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no folder .*/missing; make it, or change HASTE_STATE_FILE"):
        read_state(tmp_path / "missing" / "state.json", FakeEngine(), ON)


def test_a_folder_that_may_not_be_written_to_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="may not write into"):
        read_state(tmp_path / "state.json", FakeEngine(), ON)
