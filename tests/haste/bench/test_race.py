"""A race times only what is right, and names what dies or hangs; its contenders are small scripts."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from haste.bench.child import Child
from haste.bench.contenders import Job
from haste.bench.gate import Verdict
from haste.bench.race import Outcome, Rules, race

SCRIPT = """
import json, sys, time
job = json.loads(sys.stdin.readline())
what = job["runtime"]
if what == "unbuilt":
    raise ImportError("no such runtime")
if what == "silent":
    time.sleep(60)
print(json.dumps({"version": "1", "logits": [[9.0 if what == "wrong" else 1.0]]}), flush=True)
for number, line in enumerate(sys.stdin):
    if number == 1 and what == "dying":
        sys.exit("out of breath")
    if number == 1 and what == "hanging":
        print("thinking", file=sys.stderr, flush=True)
        time.sleep(60)
    turn = json.loads(line)
    print(json.dumps({"times_ms": [float(turn["first"])] * turn["runs"]}), flush=True)
"""
COMMAND = (sys.executable, "-c", SCRIPT)


def job(folder: Path, runtime: str) -> Job:
    return Job(runtime, "m", None, "cifar10", "default", "dense", 1, 1, 32, str(folder))


def run(folder: Path, *runtimes: str, build_s: float = 30, turn_s: float = 30) -> Outcome:
    def judge(level: object, logits: object) -> Verdict:
        return Verdict(8.0, wrong=True) if logits == [[9.0]] else Verdict(0.0, wrong=False)

    return race([job(folder, name) for name in runtimes], judge, Rules(3, 2, build_s, turn_s), command=COMMAND)


def test_only_rounds_after_the_first_count_and_all_run_the_same_images(tmp_path: Path) -> None:
    outcome = run(tmp_path, "a", "b")
    assert [result.times_ms for result in outcome.results] == [[2.0, 2.0, 4.0, 4.0]] * 2
    assert outcome.lost == []


def test_a_wrong_contender_is_a_result_without_times(tmp_path: Path) -> None:
    wrong, right = run(tmp_path, "wrong", "a").results
    assert (wrong.verdict, wrong.times_ms) == (Verdict(8.0, wrong=True), [])
    assert len(right.times_ms) == 4


@pytest.mark.parametrize(
    ("runtime", "words"),
    [("unbuilt", "unbuilt died: ImportError: no such runtime"), ("dying", "dying died: out of breath")],
)
def test_what_dies_is_named_with_its_last_words_and_not_timed(tmp_path: Path, runtime: str, words: str) -> None:
    outcome = run(tmp_path, runtime, "a")
    assert outcome.lost == [words]
    assert [result.job.runtime for result in outcome.results] == ["a"]
    assert len(outcome.results[0].times_ms) == 4


def test_what_hangs_is_named_with_its_last_words_and_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("haste.bench.child._GRACE_S", 0.1)
    silent = run(tmp_path, "silent", build_s=0.2)
    assert silent == Outcome([], ["silent did not answer within 0.2 s: it said nothing"])
    hanging = run(tmp_path, "hanging", turn_s=2)
    assert hanging == Outcome([], ["hanging did not answer within 2 s: thinking"])


def state(child: Child) -> str:
    return Path(f"/proc/{child._process.pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_contender_is_stopped_but_for_its_turn_and_ends_all_the_same(tmp_path: Path) -> None:
    child = Child(job(tmp_path, "a"), COMMAND)
    child.start(5)
    until = time.monotonic() + 5
    while state(child) != "T" and time.monotonic() < until:
        time.sleep(0.01)
    assert state(child) == "T"
    child.end()
    assert child._process.returncode == 0
    child.end()


def test_an_interruption_ends_every_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Child] = []
    begin = Child.start

    def remember(child: Child, deadline_s: float) -> dict[str, object]:
        started.append(child)
        return begin(child, deadline_s)

    def interrupt(level: object, logits: object) -> Verdict:
        if len(started) == 2:
            raise KeyboardInterrupt
        return Verdict(0.0, wrong=False)

    monkeypatch.setattr(Child, "start", remember)
    with pytest.raises(KeyboardInterrupt):
        race([job(tmp_path, "a"), replace(job(tmp_path, "b"), batch=2)], interrupt, Rules(2), command=COMMAND)
    assert [child._process.returncode for child in started] == [0, 0]


def test_a_race_of_one_round_would_have_no_times() -> None:
    with pytest.raises(ValueError, match="not 1"):
        Rules(rounds=1)
