"""The race itself: contenders built one by one, judged, and timed in turns on the same images."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from haste.bench.child import WORKER, Child, Lost
from haste.bench.contenders import Job
from haste.bench.gate import Verdict
from haste.config import Level

Judge = Callable[[Level, Sequence[Sequence[float]]], Verdict]


@dataclass(frozen=True)
class Rules:
    """Rounds of one turn each, the first thrown away, and timed runs a turn; the longest waits, in seconds.

    ValueError where no round would be left.
    """

    rounds: int = 8
    runs: int = 10
    build_s: float = 900.0
    turn_s: float = 300.0

    def __post_init__(self) -> None:
        if self.rounds < 2:
            raise ValueError(f"rounds must be at least 2, since the first is not counted, not {self.rounds}")

    def steps(self, contenders: int) -> int:
        """How far the progress bar of that many contenders goes."""
        return contenders * (1 + self.rounds)


@dataclass
class Result:
    """One contender that was built; without times where it is wrong."""

    job: Job
    version: str
    verdict: Verdict
    times_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """Results in the order of the jobs, and a line for each contender that was lost: it has no result."""

    results: list[Result]
    lost: list[str]


def race(
    jobs: Iterable[Job],
    judge: Judge,
    rules: Rules,
    advance: Callable[[int], None] = lambda _: None,
    command: Sequence[str] = WORKER,
) -> Outcome:
    """Build, judge and time the contenders; all are ended when this returns or raises."""
    outcome = Outcome([], [])
    with ExitStack() as stack:
        racing: list[tuple[Child, Result]] = []
        for job in jobs:
            child = Child(job, command)
            stack.callback(child.end)
            try:
                result = _admit(child, judge, rules)
                outcome.results.append(result)
                if result.verdict.wrong:
                    child.end()
                else:
                    racing.append((child, result))
            except Lost as reason:
                child.end()
                outcome.lost.append(str(reason))
            advance(1)
        for number in range(rules.rounds):
            racing = _round(number, racing, outcome, rules, advance)
    return outcome


def _admit(child: Child, judge: Judge, rules: Rules) -> Result:
    ready = child.start(rules.build_s)
    return Result(child.job, ready["version"], judge(child.job.level, ready["logits"]))


def _round(
    number: int,
    racing: list[tuple[Child, Result]],
    outcome: Outcome,
    rules: Rules,
    advance: Callable[[int], None],
) -> list[tuple[Child, Result]]:
    """One turn for each, another one first in every round; those that are still racing after it."""
    turn = {"first": number * rules.runs, "runs": rules.runs}
    shift = number % max(1, len(racing))
    for entry in racing[shift:] + racing[:shift]:
        child, result = entry
        try:
            times = child.ask(turn, rules.turn_s)["times_ms"]
            result.times_ms += times if number else []
        except Lost as reason:
            child.end()
            outcome.lost.append(str(reason))
            outcome.results.remove(result)
            racing = [other for other in racing if other is not entry]
        advance(1)
    return racing
