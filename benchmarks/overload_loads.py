"""The service under the loads of the overload benchmark, whose configuration changes in between."""

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from yarl import URL

from app.arrivals import Times, poisson
from app.contract import Level, Point
from app.load.images import Payload, read_images
from app.load.outcomes import Fate, Outcomes, code_name
from app.load.sender import offer
from app.load.summary import Summary, summarise
from app.load.target import Target, read_answer
from benchmarks.bars import BURSTS, CONTROLLER, DENSE, bars
from benchmarks.overload_parts import BURST_EVERY, BURST_SECONDS, Load, cut, joined, plan
from benchmarks.servers import check_source
from haste.bench.rows import Quality

_OBJECTIVES = 4  # times the median of one dense request
_ENOUGH = 0.99
_STEPS = 6
_SINGLES = 200  # requests one after another, the first tenth not timed
_LEVELS = ("exact", 20, 16, 12, 8)


def labelled(payloads: list[Payload]) -> list[Payload]:
    """The same; ValueError where the class of one is not known, for accuracy is what is compared."""
    unknown = sum(payload.label is None for payload in payloads)
    if unknown:
        raise ValueError(f"{unknown} of {len(payloads)} images have no label: name files or folders by their class")
    return payloads


class Bench:
    """A service, the images that it is asked for, and the rows of what it answered.

    points: its calibration. slo_ms: its objective.
    """

    def __init__(
        self, target: Target, client: httpx.Client, images: Path, points: Sequence[Point], *, client_first: bool
    ) -> None:
        self._target, self._client, self._client_first = target, client, client_first
        self._base = str(target.url.origin())
        (model,) = self._get("/models")["models"]
        self.calibration = model["calibration"]
        check_source(self.calibration)
        self.points = points
        self._payloads = labelled(list(read_images(images, model["classes"])))
        self.slo_ms = 60_000
        self.rows: list[dict[str, Any]] = []

    def report(self, seconds: float, search_seconds: float, qualities: Mapping[Level, Quality]) -> dict[str, Any]:
        dense_ms = self._dense_ms()
        self.slo_ms = round(_OBJECTIVES * dense_ms)
        capacity = self._capacity(search_seconds)
        saturation = self._saturation(search_seconds)
        levels = [level for level in _LEVELS if level == "exact" or level in self._measured()]
        self._loads(plan(capacity, saturation, seconds, levels))
        figures: dict[str, Any] = {"dense_p50_ms": dense_ms, "slo_ms": self.slo_ms}
        figures |= {"capacity": capacity, "saturation": saturation}
        figures |= {"client_goes_first": self._client_first, "bars": bars(self.points, self.rows, qualities)}
        return {**figures, "calibration": self.calibration, "rows": self.rows}

    def _loads(self, loads: Sequence[Load]) -> None:
        """Policies take turns at the parts of a load, another one first each time: the machine drifts for all alike."""
        for load in loads:
            parts = cut(load.times)
            found: dict[object, list[Outcomes]] = {policy: [] for policy in load.policies}
            for turn, part in enumerate(parts):
                first = turn % len(load.policies)
                for policy in (*load.policies[first:], *load.policies[:first]):
                    found[policy].append(self._offer(policy, part))
            for policy, outcomes in found.items():
                self._add(load.name, policy, joined(load.times, outcomes))

    def _measured(self) -> set[Any]:
        return {point["level"] for point in self.calibration["frontier"]}

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get(self._base + path).raise_for_status().json()
        return found

    def _configure(self, policy: object) -> None:
        """ "controller": from exact down; else that level alone."""
        steered = policy == CONTROLLER
        controller = {"enabled": steered, "slo_ms": self.slo_ms}
        body = {"L": "exact" if steered else policy, "controller": controller}
        self._client.patch(f"{self._base}/config", json=body).raise_for_status()

    def _dense_ms(self) -> float:
        """Median of single requests, one after another."""
        self._configure(DENSE)
        taken = []
        for payload in islice(cycle(self._payloads), _SINGLES):
            answer = self._client.post(str(self._target.url), content=payload.body).raise_for_status()
            taken.append(answer.elapsed.total_seconds() * 1e3)
        return statistics.median(taken[_SINGLES // 10 :])

    def _capacity(self, seconds: float) -> float:
        """The highest Poisson rate at which dense with admission keeps 99 % of what is offered, by bisection.

        Two of three turns decide, each with other arrivals: in one a hiccup of the machine can cost the hundredth.
        """

        def keeps(rate: float, seed: int) -> bool:
            return (self.load("search", DENSE, poisson(rate, seconds, seed)).attainment or 0) >= _ENOUGH

        low, high = 2.0, 2 * 1e3 / (self.slo_ms / _OBJECTIVES)
        for step in range(_STEPS):
            rate, seed = (low + high) / 2, 100 + 3 * step
            first, second = keeps(rate, seed), keeps(rate, seed + 1)
            low, high = (rate, high) if (first if first == second else keeps(rate, seed + 2)) else (low, rate)
        return low

    def _saturation(self, seconds: float) -> float:
        """What dense with admission answers in time, a second, where twice as much is offered as it could answer."""
        times = poisson(2e3 / (self.slo_ms / _OBJECTIVES), seconds, 0)
        return self.load("search", DENSE, times).within / seconds

    def load(self, name: str, policy: object, times: Times) -> Summary:
        """Offer the arrivals under a policy, and add what became of them to the rows."""
        return self._add(name, policy, self._offer(policy, times))

    def _offer(self, policy: object, times: Times) -> Outcomes:
        self._configure(policy)
        self._settle()
        outcomes = Outcomes(times)
        url = self._target.url.update_query(deadline_ms=self.slo_ms)
        target = Target(URL(url), self._target.timeout_seconds, self._target.connections, read_answer)
        offer(target, self._payloads, outcomes, 1, lambda _outcomes, _seconds: None)
        return outcomes

    def _add(self, name: str, policy: object, outcomes: Outcomes) -> Summary:
        times, summary = outcomes.scheduled, summarise(outcomes, self.slo_ms)
        row = {"load": name, "policy": str(policy), "rate": len(times) / times[-1], "kept": kept(summary)}
        if name == BURSTS:
            row["recovered"] = _recovered(outcomes, self.slo_ms)
        self.rows.append({**row, **asdict(summary)})
        codes = ", ".join(f"{count} {code}" for code, count in summary.codes.items())
        sys.stderr.write(f"{name}, {policy}: {row['rate']:.1f}/s, in time {summary.attainment:.3f}; {codes}\n")
        return summary

    def _settle(self) -> None:
        """A few calm requests, so that no load meets the estimates of the one before it.

        The reserve of deadlines takes longer to fall: policies take turns for that too.
        """
        for payload in islice(cycle(self._payloads), _SINGLES // 2):
            self._client.post(str(self._target.url), content=payload.body)


def kept(summary: Summary) -> float | None:
    """In time, of all that was sent and not refused for load: an answer that never came counts, None without any."""
    taken = summary.offered - summary.codes.get("429", 0) - summary.codes.get(code_name(Fate.NOT_SENT), 0)
    return summary.within / taken if taken else None


def _recovered(outcomes: Outcomes, slo_ms: float) -> float:
    """Of what is offered from one second after a burst until the next, the share in time."""
    times, latency = outcomes.column("scheduled"), 1e3 * outcomes.column("latency")
    ends = (BURST_EVERY + BURST_SECONDS) / 2
    calm = (times % BURST_EVERY >= ends + 1) | (times % BURST_EVERY < ends - BURST_SECONDS)
    calm &= times > ends
    return float(np.mean((outcomes.column("code") == 200)[calm] & (latency[calm] <= slo_ms)))
