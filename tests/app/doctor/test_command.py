"""`haste doctor` as it is called: this machine's own facts, the exit status, JSON and table; nothing is changed."""

import argparse
import json
from pathlib import Path

import pytest

from app.doctor import command
from haste.calibration import Calibration, Identity


def doctor(*words: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_doctor(parser.add_subparsers())
    args = parser.parse_args(["doctor", *words])
    return int(args.run(args))


def stale(folder: Path) -> Path:
    """A calibration of another machine."""
    identity = Identity("another processor", 1, "avx2 0", "0" * 64, "{}")
    path = folder / "calibration.json"
    forms = {1: {"dense": {"conv1": "dense"}}}
    times = {1: {"dense": {"conv1": {"dense": 1.0}}}}
    Calibration(identity, "2026-11-24", 1.0, 1, times, {1: 0.1}, forms).save(path)  # type: ignore[arg-type]
    return path


def test_a_sound_box_gets_0_and_every_check_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HASTE_THREADS", "1")
    monkeypatch.setenv("HASTE_PORT", "0")
    monkeypatch.setenv("HASTE_STATE_FILE", str(tmp_path / "state.json"))
    assert doctor("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    names = [check["name"] for check in told["checks"]]
    assert names == [
        *("processor", "implementation", "clock", "settings", "CPUs", "state file", "disk", "port", "TLS", "access"),
        *("software", "model resnet18_cifar10", "calibration of resnet18_cifar10", "controller of resnet18_cifar10"),
        "memory",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_calibration_of_another_machine_is_a_problem_with_the_command_that_makes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stale(tmp_path)
    for name, value in {"THREADS": "1", "PORT": "0", "CALIBRATION": str(file)}.items():
        monkeypatch.setenv(f"HASTE_{name}", value)
    assert doctor("--json") == 1
    told = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    check = told["calibration of resnet18_cifar10"]
    assert check["state"] == "problem"
    assert "cpu 'another processor', now" in check["found"]
    assert f"--threads 1 --preset default --out {file}" in check["remedy"]


def test_settings_that_stop_the_start_are_told_and_the_rest_still_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HASTE_PORT", "70000")
    monkeypatch.setenv("HASTE_THRAEDS", "2")
    assert doctor() == 1
    shown = capsys.readouterr().out
    assert "problem: 2" in shown
    assert "processor" in shown
    monkeypatch.setenv("HASTE_PORT", "0")
    monkeypatch.setenv("HASTE_CALIBRATION", "/absent.json")
    assert doctor("--json") == 1
    problems = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["state"] == "problem"]
    assert [check["name"] for check in problems] == ["settings", "start"]
    assert "/absent.json: No such file" in problems[1]["found"]


def test_memory_that_is_free_is_read_as_linux_tells_it() -> None:
    assert command._free("MemTotal:       25 kB\nMemAvailable:   20 kB\n") == 20 * 1024
    assert command._free("") is None
