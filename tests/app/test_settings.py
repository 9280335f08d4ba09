"""Settings: read from the environment, checked, documented; and the command that uses them."""

import argparse
import socket
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.cli import add_serve, bind
from app.settings import Settings, available_cpus, cpus, faults, unknown
from app.settings_doc import settings_markdown


def serve(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_serve(parser.add_subparsers())
    args = parser.parse_args(["serve", *words])
    return int(args.run(args))


def test_settings_come_from_the_environment_and_empty_ones_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PORT": "9000", "ADMIN_KEY": "", "L": "8", "MODELS": "a, b,", "THREADS": ""}.items():
        monkeypatch.setenv(f"HASTE_{name}", value)
    settings = Settings()
    assert (settings.port, settings.admin_key, settings.L, settings.models) == (9000, None, 8, ("a", "b"))
    assert settings.threads >= 1
    assert Settings(port=1).port == 1


def test_a_variable_that_is_no_setting_is_told_with_the_one_that_may_be_meant() -> None:
    told = unknown(["HASTE_PROT", "HASTE_PORT", "haste_slo_ms", "HASTE_LOAD_KEY", "HASTE_SLO", "HASTE_BANANA"])
    assert told == {
        "HASTE_BANANA": "unset it; docs/settings.md lists all settings",
        "HASTE_PROT": "is HASTE_PORT meant?",
        "HASTE_SLO": "is HASTE_SLO_MS meant?",
    }


def test_a_level_that_is_none_is_told_what_a_level_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_L_MIN", "foo")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert faults(raised.value) == ["HASTE_L_MIN: must be a whole number, exact or dense"]


def test_the_admin_key_does_not_show() -> None:
    assert "s3cret" not in repr(Settings(admin_key=SecretStr("s3cret")))


@pytest.mark.parametrize(
    "values",
    [
        {"port": 70_000},
        {"threads": 0},
        {"L": "ten"},
        {"preset": "best"},
        {"queue_images": 3},
        {"max_request_bytes": 5},
        {"max_bytes_in_flight": 5},
    ],
)
def test_values_that_do_not_fit_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**values)


def test_threads_follow_the_cpu_quota_and_a_part_of_a_cpu_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [cpus(4, quota) for quota in (0.1, 1.0, 2.5, 4.0, 64.0, None)] == [1, 1, 3, 4, 4, 4]
    monkeypatch.setattr("app.settings.cpu_quota", lambda: 0.5)
    assert available_cpus() == 1


def test_every_setting_is_documented_and_nothing_depends_on_the_machine() -> None:
    text = settings_markdown()
    rows = [line for line in text.splitlines() if line.startswith("| `HASTE_")]
    assert len(rows) == len(Settings.model_fields)
    assert "| `HASTE_PORT` | `8000` |" in text
    assert "| `HASTE_THREADS` | the CPU quota |" in text
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("words", "environment", "named"),
    [
        (["--port", "70000"], {}, "haste serve: --port: "),
        ([], {"HASTE_PORT": "70000"}, "haste serve: HASTE_PORT: "),
        ([], {"HASTE_L": "99"}, "HASTE_L must be a whole number in 1..32, 'exact' or 'dense', not 99"),
        ([], {"HASTE_CALIBRATION": "/none.json"}, "HASTE_CALIBRATION: /none.json: No such file"),
        ([], {"HASTE_L": "ten"}, "HASTE_L"),
        ([], {"HASTE_MODELS": "nope"}, "'nope'"),
        ([], {"HASTE_QUEUE_IMAGES": "1"}, "max_images"),
        (["--host", "nosuchhost.invalid"], {}, "nosuchhost.invalid"),
    ],
)
def test_serve_refuses_what_does_not_fit_with_one_line_and_2(
    words: list[str],
    environment: dict[str, str],
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("app.log.configure", lambda _level: None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert serve(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith("haste serve: ")
    assert named in error
    assert error.count("\n") == 1


def test_serve_says_when_the_port_is_taken_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("app.log.configure", lambda _level: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve("--port", str(port)) == 2
    assert f"port {port}: Address already in use; choose another with --port" in capsys.readouterr().err


def test_port_0_lets_the_system_choose() -> None:
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0
