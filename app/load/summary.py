"""One load in figures: what was offered, answered and in time, by the whole and by the second."""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.load.outcomes import MOST_LATE_SECONDS, NO_LEVEL, Fate, Outcomes, code_name, level_of

_LATE_SHARE = 0.1


@dataclass(frozen=True)
class Second:
    """What was offered in one second and became of it; answered: 200. None where there is nothing to take it of."""

    second: int
    offered: int
    answered: int
    within: int
    p95_ms: float | None
    mean_level: float | None
    degraded: float | None


@dataclass(frozen=True)
class Summary:
    """Figures of one load; latencies and lateness in milliseconds from the scheduled times, shares in 0..1.

    offered: arrivals whose time came; answered: 200; within: answered 200 within the deadline; attainment: within /
    offered. accuracy: right / answered; effective_accuracy: right and within / offered, both of the images whose class
    is known. degraded: share of the answered. mean_level: over the answers at an integer level; levels: answers by
    level. cpu_share: of one core, by this process. None where there is nothing to take it of.
    """

    deadline_ms: float
    offered: int
    answered: int
    within: int
    attainment: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    codes: dict[str, int]
    accuracy: float | None
    effective_accuracy: float | None
    degraded: float | None
    mean_level: float | None
    levels: dict[str, int]
    lateness_p99_ms: float | None
    lateness_max_ms: float | None
    cpu_share: float | None
    series: tuple[Second, ...]

    @property
    def warnings(self) -> list[str]:
        """Why these figures are not to be trusted; empty where they are."""
        found = []
        late, not_sent = self.lateness_p99_ms, self.codes.get(code_name(Fate.NOT_SENT), 0)
        if late is not None and late > _LATE_SHARE * self.deadline_ms:
            found.append(
                f"1 % of the requests left over {late:.1f} ms late, against a deadline of {self.deadline_ms:g} ms: "
                "the figures tell of this tool and not of the service; lower the rate, free a core, or let the tool "
                "go first: chrt -f 1 haste load ..."
            )
        if not_sent:
            found.append(
                f"{not_sent} arrivals were not sent: too many requests were in flight (--connections), "
                f"or this tool was {MOST_LATE_SECONDS:g} s behind (lower the rate)"
            )
        if cut := self.codes.get(code_name(Fate.CONNECTION), 0):
            found.append(f"{cut} requests found no service or were cut off by it: did it stop, or is it restarting?")
        return found


def summarise(outcomes: Outcomes, deadline_ms: float) -> Summary:
    """The figures of a load as far as it came."""
    code, latency_ms = outcomes.column("code"), 1e3 * outcomes.column("latency")
    labelled, correct, degraded = (outcomes.column(name) for name in ("labelled", "correct", "degraded"))
    answered = code == 200
    within = answered & (latency_ms <= deadline_ms)
    level = outcomes.column("level")[answered]
    lateness_ms = 1e3 * (outcomes.column("sent") - outcomes.column("scheduled"))
    lateness_ms = lateness_ms[~np.isnan(lateness_ms)]
    return Summary(
        deadline_ms=deadline_ms,
        offered=outcomes.reached,
        answered=int(answered.sum()),
        within=int(within.sum()),
        attainment=_mean(within),
        p50_ms=_percentile(latency_ms[answered], 50),
        p95_ms=_percentile(latency_ms[answered], 95),
        p99_ms=_percentile(latency_ms[answered], 99),
        max_ms=_percentile(latency_ms[answered], 100),
        codes={code_name(found): count for found, count in sorted(Counter(code.tolist()).items(), reverse=True)},
        accuracy=_mean(correct[answered & labelled]),
        effective_accuracy=_mean((within & correct)[labelled]),
        degraded=_mean(degraded[answered]),
        mean_level=_mean(level[level > 0]),
        levels={str(level_of(n)): count for n, count in sorted(Counter(level.tolist()).items()) if n != NO_LEVEL},
        lateness_p99_ms=_percentile(lateness_ms, 99),
        lateness_max_ms=_percentile(lateness_ms, 100),
        cpu_share=outcomes.cpu_seconds / outcomes.wall_seconds if outcomes.wall_seconds > 0 else None,
        series=_by_second(outcomes, answered, within),
    )


def _by_second(outcomes: Outcomes, answered: NDArray[np.bool_], within: NDArray[np.bool_]) -> tuple[Second, ...]:
    """One entry a second of the schedule, the empty ones too."""
    scheduled, latency_ms = outcomes.column("scheduled"), 1e3 * outcomes.column("latency")
    level, degraded = outcomes.column("level"), outcomes.column("degraded")
    count = math.floor(scheduled[-1]) + 1 if len(scheduled) else 0
    edges = np.searchsorted(scheduled, np.arange(count + 1))
    seconds = []
    for second, (first, last) in enumerate(pairwise(edges)):
        part = slice(first, last)
        good, levels = answered[part], level[part][answered[part]]
        p95_ms, mean_level = _percentile(latency_ms[part][good], 95), _mean(levels[levels > 0])
        counts = (int(last - first), int(good.sum()), int(within[part].sum()))
        seconds.append(Second(second, *counts, p95_ms, mean_level, _mean(degraded[part][good])))
    return tuple(seconds)


def _percentile(values: NDArray[Any], percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 3) if len(values) else None


def _mean(values: NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None
