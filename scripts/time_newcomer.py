"""Times the path of a newcomer who has README.md alone: clone, first answer, Prometheus' data, compose.

Everything happens in a fresh clone with an environment of its own; the blocks of the README are run as they stand, but
for free ports. What this machine lacks (Prometheus, Docker) is told apart: without docker compose, the Compose file
is checked against its specification.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from live_server import ROOT, free_port

from haste.bench.rows import machine

PATIENCE_SECONDS = 1800
_BLOCK = re.compile(r"^```bash(?: test=(\w+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Walk:
    """The steps so far, and the clone that they are taken in."""

    def __init__(self, clone: Path) -> None:
        self.clone, self.steps, self._began = clone, list[dict[str, object]](), time.monotonic()
        self.ports = {"8000": str(free_port()), "9091": str(free_port())}

    def took(self, step: str) -> None:
        """Note what a step took, and the time since the beginning."""
        since = time.monotonic() - self._began
        before = float(str(self.steps[-1]["since_start_s"])) if self.steps else 0.0
        self.steps.append({"step": step, "seconds": round(since - before, 1), "since_start_s": round(since, 1)})
        print(f"{since:8.1f} s  {step}", flush=True)

    def block(self, kind: str, number: int = 0) -> str:
        """A block of the README, with ports that are free here."""
        text = (self.clone / "README.md").read_text(encoding="utf-8")
        block = [found[2] for found in _BLOCK.finditer(text) if (found[1] or "") == kind][number]
        for port, free in self.ports.items():
            block = re.sub(rf"(localhost|127\.0\.0\.1):{port}", rf"\g<1>:{free}", block)
        return block

    def shell(self, script: str) -> str:
        """What a script prints; it must not fail."""
        done = subprocess.run(["bash", "-euc", script], cwd=self.clone, capture_output=True, text=True, check=True)
        return done.stdout

    @contextmanager
    def running(self, script: str) -> Iterator[None]:
        """A script in the background, ended at the end."""
        environment = os.environ | {"HASTE_PORT": self.ports["8000"]}
        command = ["bash", "-euc", script]
        process = subprocess.Popen(command, cwd=self.clone, env=environment, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, 15)
            process.wait(60)


def until(ask: Callable[[], str], sign: str) -> None:
    """Ask until the answer holds the sign; SystemExit where that takes too long."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        try:
            if sign in ask():
                return
        except subprocess.CalledProcessError:
            pass
        time.sleep(0.5)
    raise SystemExit(f"no {sign} after {PATIENCE_SECONDS} s")


def walk(path: Walk) -> None:
    """Every step in the order of the README."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(path.clone)], check=True)
    path.took("git clone")
    run = path.block("").splitlines()[0].split("#")[0].strip()
    with path.running(f"exec {run}"):
        until(lambda: path.shell(f"curl --silent --fail localhost:{path.ports['8000']}/readyz"), "")
        path.took(f"{run}: installed, loaded, calibrated")
        until(lambda: path.shell(path.block("server")), '"predictions"')
        path.took("first answer")
        if shutil.which("prometheus"):
            with path.running(path.block("prometheus").replace("\nprometheus", "\nexec prometheus")):
                until(lambda: path.shell(path.block("query")), '"value"')
                path.took("data in Prometheus")
    compose(path)


def compose(path: Walk) -> None:
    """The stack as Docker reads it, or as its specification does where there is no Docker."""
    asked = subprocess.run(["bash", "-c", "docker compose version"], capture_output=True, check=False)
    if asked.returncode == 0:
        path.shell("docker compose config --quiet")
        path.took("docker compose config")
    else:
        check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
        subprocess.run([*check, "docker-compose.yml"], cwd=path.clone, check=True, capture_output=True)
        path.took("the Compose file, against its specification (no docker compose here)")


def main() -> int:
    """Walk, and write what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the steps")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="newcomer-") as folder:
        path = Walk(Path(folder) / "clone")
        walk(path)
        if args.json:
            load = [round(value, 2) for value in os.getloadavg()]
            report = {"machine": machine(), "load_average": load, "steps": path.steps}
            args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
