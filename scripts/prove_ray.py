"""Kills, scales, steers and updates a fleet on Ray Serve under load; no request may be lost to its client.

Needs the extra `ray`; `make test-ray` installs it. Clients are those of examples/classify.py.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet_load import Load
from live_server import ROOT
from ray_cluster import Cluster, Config, wait_until

CAT = (ROOT / "haste" / "samples" / "cat.jpg").read_bytes()


@dataclass(frozen=True)
class Step:
    """What was done to the fleet, and what its clients saw while it was done."""

    name: str
    seconds: float
    replicas: str
    answered: int
    retries: int
    lost: int
    levels: dict[str, int]


class Proof:
    """Steps under load; a condition that fails is kept as a fault."""

    def __init__(self, cluster: Cluster, load: Load, each: int) -> None:
        self.cluster, self.load, self.each = cluster, load, each
        self.steps: list[Step] = []
        self.faults: list[str] = []

    def step(self, name: str, work: Callable[[], None], at_least: int | None = None) -> None:
        """Do it, and go on until that many requests were answered since it began, `each` where it is not told."""
        at_least = self.each if at_least is None else at_least
        before, was, started = len(self.cluster.replicas()), self.load.snapshot(), time.monotonic()
        work()
        wait_until(lambda: self.load.snapshot().answered - was.answered >= at_least, f"{at_least} answers: {name}")
        seen, after = self.load.snapshot(), len(self.cluster.replicas())
        levels = Counter(seen.levels)
        levels.subtract(was.levels)
        self.steps.append(
            Step(
                name,
                round(time.monotonic() - started, 1),
                f"{before} -> {after}",
                seen.answered - was.answered,
                seen.retries - was.retries,
                seen.lost - was.lost,
                {level: count for level, count in sorted(levels.items()) if count},
            )
        )
        show(self.steps[-1:])

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.faults.append(what)

    def scale(self, replicas: int) -> None:
        self.cluster.deploy(lambda own: own.update(num_replicas=replicas))
        wait_until(lambda: len(self.cluster.replicas()) == replicas, f"{replicas} replicas")

    def kill(self) -> None:
        left = set(self.cluster.replicas()) - {self.cluster.kill_one()}

        def replaced() -> bool:
            now = set(self.cluster.replicas())
            return left < now and len(now) == 2

        wait_until(replaced, "a replica in place of the killed one")

    def steer(self, level: object) -> None:
        """A new L for all, with no process replaced."""
        processes = set(self.cluster.replicas())
        self.cluster.deploy(lambda own: own["user_config"].update(L=level))
        wait_until(lambda: self.cluster.levels() == [level] * 2, f"L = {level} on every replica")
        self.check(set(self.cluster.replicas()) == processes, "a change of L replaced a process")

    def steer_wrongly(self) -> None:
        """A level that does not exist: every replica refuses it, keeps what it has, and goes on."""
        processes, levels = self.cluster.replicas(), self.cluster.levels()
        self.cluster.deploy(lambda own: own["user_config"].update(L=99))
        refused = 'haste_config_changes_total{result="refused"} 1.0'

        def all_refused() -> bool:
            return all(refused in self.cluster.read(address, "/metrics") for address in processes.values())

        wait_until(all_refused, "every replica refuses L = 99")
        self.check(self.cluster.levels() == levels, "a refused value changed a level")
        self.check(self.cluster.replicas() == processes, "a refused value replaced a process")

    def update(self) -> None:
        """A new version, told apart by its answers, of three classes each."""

        def change(own: Config) -> None:
            own["user_config"].update(L=8)
            own["ray_actor_options"]["runtime_env"]["env_vars"]["HASTE_TOP_K"] = "3"

        old = set(self.cluster.replicas())
        self.cluster.deploy(change)
        wait_until(
            lambda: len(self.cluster.replicas()) == 2 and not old & set(self.cluster.replicas()), "two new processes"
        )

    def run(self, requests: int) -> None:
        self.step("two replicas serve", lambda: None)
        self.step("kill -9 of one", self.kill)
        self.step("scale to three", lambda: self.scale(3))
        self.step("scale back to two", lambda: self.scale(2))
        self.step("L = 8 for all, no restart", lambda: self.steer(8))
        self.step("L = 99 is refused", self.steer_wrongly)
        self.check(set(self.steps[-1].levels) == {"8"}, "after the change an answer had another L")
        self.step("rolling update", self.update)
        left = max(self.each, requests - self.load.snapshot().answered)
        self.step("the new version serves", lambda: None, left)
        self.check(self.load.classes() == 3, "the answers are not those of the new version")


def show(steps: list[Step]) -> None:
    for one in steps:
        levels = ", ".join(f"L={level}: {count}" for level, count in one.levels.items())
        numbers = f"{one.answered:5} answered, {one.retries:3} asked again, {one.lost} lost"
        sys.stdout.write(f"{one.name:26} {one.seconds:6.1f} s  {one.replicas:6}  {numbers}  ({levels})\n")
        sys.stdout.flush()


def main() -> int:
    """0 where no request was lost to its client and every check held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--each", type=int, default=400, help="answers a step at least (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--port", type=int, default=18_000)
    parser.add_argument("--cpus", type=int, default=2, help="that Ray counts (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    short = tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp")  # Ray's sockets need a short path
    with short as folder, Cluster(Path(folder), args.port, args.cpus) as cluster:

        def begin(own: Config) -> None:
            own["user_config"] = {"L": 12, "controller": {"enabled": False, "slo_ms": 10_000}}
            own["ray_actor_options"]["runtime_env"]["env_vars"]["HASTE_CALIBRATION_MS"] = "0"

        cluster.deploy(begin)
        wait_until(lambda: len(cluster.replicas()) == 2, "two replicas")
        with Load(f"http://127.0.0.1:{args.port}", CAT, args.clients) as load:
            proof = Proof(cluster, load, args.each)
            proof.run(args.requests)
    seen = load.snapshot()
    for line in [*load.failures(), *proof.faults]:
        sys.stdout.write(f"fault: {line}\n")
    sys.stdout.write(
        f"{seen.answered} requests answered, {seen.retries} of their attempts failed and were made again, "
        f"{seen.lost} requests lost, longest {seen.longest_seconds:.1f} s\n"
    )
    if args.json:
        found = {"ray": cluster.version, "requests": asdict(seen), "steps": [asdict(one) for one in proof.steps]}
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if seen.lost or proof.faults else 0


if __name__ == "__main__":
    sys.exit(main())
