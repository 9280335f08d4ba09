"""Ray on this machine alone, under a token, with the service deployed by its own command; ends all that it started."""

import copy
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

import yaml
from live_server import ROOT

CONFIG = ROOT / "deploy" / "ray" / "serve.yaml"
STORE_BYTES = 100_000_000
PATIENCE_SECONDS = 900.0
Config = dict[str, Any]


class Cluster:
    """A cluster of one node on loopback; `config` is what was deployed last."""

    def __init__(self, folder: Path, port: int, cpus: int) -> None:
        self.folder, self.targets, self.port = folder, folder / "targets", port
        folder.mkdir(parents=True, exist_ok=True)
        os.environ |= {
            "RAY_AUTH_MODE": "token",  # without it, whoever reaches one of Ray's ports runs code here
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # Ray's own 15 leaves a replica nothing where another process computes
            "PYTHONPATH": str(ROOT),  # for the processes that Ray starts
        }
        import ray  # which reads them when it is imported

        self._ray = ray
        ray.init(
            num_cpus=cpus,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(folder / "ray"),
        )
        self.config: Config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
        self.config["http_options"]["port"] = port
        self.application["args"]["targets"] = str(self.targets)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    @property
    def application(self) -> Config:
        found: Config = self.config["applications"][0]
        return found

    @property
    def deployment(self) -> Config:
        found: Config = self.application["deployments"][0]
        return found

    def deploy(self, change: Callable[[Config], None] = lambda _: None) -> None:
        """Change the deployment's part of the configuration and hand the file to `serve run`."""
        self.config = copy.deepcopy(self.config)
        change(self.deployment)
        file = self.folder / "serve.yaml"
        file.write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")
        serve = str(Path(sys.executable).parent / "serve")
        command = [serve, "run", "--non-blocking", f"--address={self._address}", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"serve run failed: {done.stderr[-2000:]}")

    @property
    def version(self) -> str:
        """Of Ray."""
        return str(self._ray.__version__)

    @property
    def _address(self) -> str:
        return str(self._ray.get_runtime_context().gcs_address)

    def replicas(self) -> dict[int, str]:
        """Process id -> address of the operator's port, of the replicas that are warm and alive."""
        found = {}
        for file in self.targets.glob("*.json"):
            with suppress(FileNotFoundError):  # it ended just now
                text = file.read_text(encoding="utf-8")
                if Path("/proc", file.stem).exists():
                    found[int(file.stem)] = str(json.loads(text)[0]["targets"][0])
        return found

    def read(self, address: str, path: str) -> str:
        """What one replica answers on its operator's port."""
        with urlopen(f"http://{address}{path}", timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def levels(self) -> list[object]:
        """The configured L of every replica."""
        return [json.loads(self.read(address, "/config"))["L"] for address in self.replicas().values()]

    def kill_one(self) -> int:
        """End a replica's process without a word; its id."""
        victim = min(self.replicas())
        os.kill(victim, signal.SIGKILL)
        (self.targets / f"{victim}.json").unlink()  # which it leaves behind; the process may still wait to be reaped
        return victim


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """RuntimeError where it does not come true in a quarter of an hour."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {PATIENCE_SECONDS:.0f} s: {what}")
        time.sleep(0.2)
