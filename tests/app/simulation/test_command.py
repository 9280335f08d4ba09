"""`haste simulate`: a table, a file, a picture, and one line for what does not fit."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from app.arrivals import Times
from app.simulation import command
from app.simulation.box import Box
from app.simulation.box import simulate as simulate_box
from app.simulation.plot import draw
from app.simulation.replicas import play, policies
from app.simulation.report import row_of
from app.simulation.run import Run
from tests.app.frontiers import ON, points

BOX = Box(points(), "exact", ON)


@pytest.fixture(autouse=True)
def calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "read_points", lambda _: tuple(points()))
    monkeypatch.setattr(command, "images_of", lambda _: 1000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calibration.json").touch()


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


def test_ctrl_c_shows_and_writes_what_was_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.json"

    def interrupted(box: Box, times: Times, replicas: int, seed: int) -> Run:
        if box.level == "dense":
            raise KeyboardInterrupt
        return play(box, times, replicas, seed)

    monkeypatch.setattr(command, "play", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate("--rate", "50", "--json", str(file))
    assert "fixed L=exact" in capsys.readouterr().out
    report = json.loads(file.read_text())
    assert (report["interrupted"], len(report["rows"])) == (True, 2)


def test_a_trace_from_a_file_is_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time\n0.1\n0.2\n0.9\n")
    simulate("--arrival", str(trace))
    assert "trace" in capsys.readouterr().out


def test_the_number_of_boxes_is_searched_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "s.json"
    simulate("--rate", "200", "--replicas", "auto", "--json", str(file))
    assert "boxes that answer 99 % in time" in capsys.readouterr().out
    (found,) = json.loads(file.read_text())["needed"]
    assert found["rate"] == 200
    assert 1 <= found["boxes"]["controller"] <= found["boxes"]["fixed L=dense"]


def test_ctrl_c_shows_and_writes_the_numbers_that_were_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, found = tmp_path / "s.json", iter((2, 3, 4))

    def interrupted(*_: object) -> int:
        try:
            return next(found)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(command, "needed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate("--rate", "50:100:50", "--replicas", "auto", "--json", str(file))
    assert "50/s" in capsys.readouterr().out
    held = json.loads(file.read_text())
    assert held["interrupted"] is True
    assert [list(row["boxes"].values()) for row in held["needed"]] == [[2, 3, 4]]


def test_the_title_says_where_some_boxes_stand_for_all(capsys: pytest.CaptureFixture[str]) -> None:
    simulate("--rate", "200", "--replicas", "8")
    assert "of them played" not in capsys.readouterr().out
    simulate("--rate", "200", "--replicas", "9")
    assert "9 boxes, 8 of them played" in capsys.readouterr().out


def test_the_picture_holds_every_policy_and_names_whose_levels_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_args, **_more: drawn.append(figure))
    simulate("--rate", "50", "--plot", str(tmp_path / "s.png"))
    attained, *_, level = drawn[0].axes
    assert attained.get_legend_handles_labels()[1] == list(policies(BOX))
    assert level.get_title() == "levels of: controller"


def test_boxes_that_nothing_comes_to_have_no_share_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(
        "--rate", "1", "--replicas", "10000", "--plot", str(tmp_path / "s.png"), "--json", str(tmp_path / "s.json")
    )
    assert "%" not in capsys.readouterr().out
    assert [row["attainment"] for row in json.loads((tmp_path / "s.json").read_text())["rows"]] == [None] * 3
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_is_drawn_where_dense_is_configured_too(tmp_path: Path) -> None:
    simulate("--rate", "50", "--L", "dense", "--plot", str(tmp_path / "s.png"))
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_a_policy_without_a_colour_is_no_silent_gap(tmp_path: Path) -> None:
    row = row_of(50.0, "one", simulate_box(BOX, [0.1], 1))
    with pytest.raises(ValueError, match="longer"):
        draw([replace(row, policy=str(number)) for number in range(4)], 40, tmp_path / "s.png")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--slo-ms", "0"), "--slo-ms must be 1..600000, not 0"),
        (("--max-batch", "0"), "--max-batch"),
        (("--replicas", "0"), "--replicas must be 1..10000 or auto, not '0'"),
        (("--replicas", "many"), "'many'"),
        (("--noise", "-1"), "--noise must be 0..2, not -1.0"),
        (("--request-ms", "-1"), "--request-ms must be 0..1000, not -1.0"),
        (("--calibration", "none.json"), "none.json: no such file; `haste calibrate` writes it"),
        (("--slowdown", "0"), "--slowdown must be 0.1..100, not 0.0"),
        (("--seed", "-1"), "--seed"),
        (("--L", "99"), "99"),
        (("--L-min", "lossy"), "lossy"),
        (("--rate", "5:1:1"), "--rate 5:1:1"),
        (("--json", "/nowhere/x.json"), "/nowhere/x.json"),
        (("--replicas", "auto", "--plot", "x.png"), "--plot draws .* not --replicas auto"),
    ],
)
def test_what_does_not_fit_is_said_before_the_work(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        simulate(*words)


def test_what_the_controller_cannot_do_is_told_before_anything_is_played(capsys: pytest.CaptureFixture[str]) -> None:
    simulate("--rate", "20", "--L", "8", "--L-min", "20", "--slo-ms", "3")
    err = capsys.readouterr().err
    assert "the controller does nothing: the configured L, 8, is not above L_min, 20" in err
    assert "the objective cannot be held: one image takes 5.3 ms at L = 8, too long for 3 ms" in err
    simulate("--rate", "20")
    assert "controller does" not in capsys.readouterr().err


def test_agreement_of_few_images_is_told_to_be_a_guess(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "images_of", lambda _: 8)
    simulate("--rate", "50")
    assert "what a level costs is known from 8 images" in capsys.readouterr().err
