"""`haste simulate`: a table, a file, a picture, and one line for what does not fit."""

import argparse
import json
from pathlib import Path

import pytest

from app.simulation import command
from tests.app.frontiers import points


@pytest.fixture(autouse=True)
def calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "read_points", lambda _: tuple(points()))


def simulate(*words: str) -> None:
    parser = argparse.ArgumentParser()
    command.add_simulate(parser.add_subparsers())
    args = parser.parse_args(["simulate", "--duration", "2", "--slo-ms", "40", *words])
    args.run(args)


def test_every_rate_has_a_row_for_every_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, picture = tmp_path / "s.json", tmp_path / "s.png"
    simulate("--rate", "50:150:100", "--json", str(file), "--plot", str(picture))
    out = capsys.readouterr().out
    assert all(word in out for word in ("50/s", "150/s", "controller", "fixed L=exact", "fixed L=dense"))
    rows = json.loads(file.read_text())["rows"]
    assert [(row["rate"], row["policy"]) for row in rows[:2]] == [(50.0, "controller"), (50.0, "fixed L=exact")]
    assert all(sum(second["offered"] for second in row["seconds"]) == row["offered"] for row in rows)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_trace_from_a_file_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time\n0.1\n0.2\n0.9\n")
    simulate("--arrival", str(trace))
    assert "trace" in capsys.readouterr().out


def test_the_number_of_boxes_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    simulate("--rate", "200", "--replicas", "auto")
    assert "boxes that answer 99 % in time" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--slo-ms", "0"), "--slo-ms must be 1..600000, not 0"),
        (("--max-batch", "0"), "--max-batch"),
        (("--replicas", "0"), "--replicas must be 1..10000 or auto, not '0'"),
        (("--replicas", "many"), "'many'"),
        (("--noise", "-1"), "--noise must be 0..2, not -1.0"),
        (("--seed", "-1"), "--seed"),
        (("--L", "99"), "99"),
        (("--L-min", "lossy"), "lossy"),
        (("--rate", "5:1:1"), "--rate 5:1:1"),
        (("--json", "/nowhere/x.json"), "/nowhere/x.json"),
    ],
)
def test_what_does_not_fit_is_said_before_the_work(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        simulate(*words)
