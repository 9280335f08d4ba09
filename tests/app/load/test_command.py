"""`haste load` as a whole, against a small service."""

import argparse
import importlib.util
import json
import os
import signal
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from haste import cli
from tests.app.load.fake_service import FakeService


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, though another version of the package may be the one that is installed."""
    found = [EntryPoint("load", "app.load.command:add_load", cli.GROUP)]
    monkeypatch.setattr(cli, "entry_points", lambda group: found)


def load(service: FakeService, photos: Path, *options: str) -> int:
    fast = ("--arrival", "constant", "--rate", "100", "--duration", "0.1")
    return cli.main(["load", "--url", service.url, "--images", str(photos), *fast, *options])


def test_a_sweep_gives_a_row_each(service: FakeService, photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    assert load(service, photos, "--rate", "40:80:40", "--json", str(file)) == 0
    report = json.loads(file.read_text())
    assert [(row["rate"], row["offered"], row["answered"]) for row in report["rows"]] == [(40, 4, 4), (80, 8, 8)]
    assert report["interrupted"] is False


def test_the_table_and_the_file_tell_the_same(
    service: FakeService, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    assert load(service, photos, "--deadline-ms", "60000", "--json", str(file)) == 0
    report = json.loads(file.read_text())
    (row,) = report["rows"]
    assert (row["attainment"], row["accuracy"], row["effective_accuracy"], row["mean_level"]) == (1, 0.5, 0.5, 10)
    assert row["codes"] == {"200": 10}
    assert row["series"][0]["offered"] == 10
    assert (report["command"]["deadline_ms"], report["command"]["arrival"]) == (60000, "constant")
    assert "100/s: 10 200; L: 10 at 10" in capsys.readouterr().out


def test_deadline_level_and_model_are_sent_as_they_are_given(service: FakeService, photos: Path) -> None:
    assert load(service, photos, "--deadline-ms", "70", "--L", "exact", "--model", "second") == 0
    assert service.queries == [{"deadline_ms": "70", "L": "exact", "model": "second"}] * 11  # one to try, ten to judge


def test_a_deadline_can_be_judged_by_and_not_sent(service: FakeService, photos: Path) -> None:
    assert load(service, photos, "--no-deadline-sent") == 0
    assert service.queries == [{}] * 11


def test_ctrl_c_shows_and_writes_what_there_is_and_ends_with_130(
    service: FakeService, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        if len(service.queries) == 8:
            os.kill(os.getpid(), signal.SIGINT)

    service.on_request, file = interrupt, tmp_path / "found.json"
    assert load(service, photos, "--rate", "50:60:10", "--duration", "60", "--json", str(file)) == 130
    report = json.loads(file.read_text())
    assert report["interrupted"] is True
    (row,) = report["rows"]
    assert 7 <= row["offered"] < 3000
    assert "50/s: " in capsys.readouterr().out


def test_a_picture_is_drawn(service: FakeService, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert load(service, photos, "--plot", str(tmp_path / "found.png")) == 0
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_drawing_library_a_picture_is_refused_before_the_load(
    service: FakeService, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert load(service, photos, "--plot", "found.png") == 2
    assert "haste-edge[figures]" in capsys.readouterr().err
    assert service.queries == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--url", "http://192.0.2.7"), "192.0.2.7, not this machine"),
        (("--deadline-ms", "0"), "--deadline-ms must be 1..600000, not 0"),
        (("--connections", "901"), "--connections must be 1..900, not 901"),
        (("--seed", "-1"), "--seed must be 0 or more, not -1"),
        (("--rate", "x"), "'x'"),
        (("--duration", "-1"), "not -1.0"),
        (("--json", "absent/found.json"), "absent/found.json: not a file"),
        (("--images", "absent"), "absent: no such file"),
        (("--model", "third"), "not 'third'"),
    ],
)
def test_what_does_not_fit_is_one_line_before_anything_is_sent(
    service: FakeService, photos: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str], message: str
) -> None:
    assert load(service, photos, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert service.queries == []


def test_the_key_goes_with_every_request_and_into_no_file(
    service: FakeService, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(service, photos) == 0
    assert service.keys == {None}
    service.keys.clear()
    monkeypatch.setenv("HASTE_LOAD_KEY", "secret-123")
    assert load(service, photos, "--json", str(tmp_path / "found.json")) == 0
    assert service.keys == {"Bearer secret-123"}
    assert "secret-123" not in (tmp_path / "found.json").read_text()


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    service: FakeService, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HASTE_LOAD_KEY", "secret\nX: 1")
    assert load(service, photos) == 2
    error = capsys.readouterr().err
    assert "HASTE_LOAD_KEY" in error
    assert "secret" not in error


def test_the_help_tells_of_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["load", "--help"])
    assert "HASTE_LOAD_KEY" in capsys.readouterr().out


def test_every_option_says_what_it_does() -> None:
    parser: Any = cli.build_parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert all(action.help for action in commands.choices["load"]._actions)
