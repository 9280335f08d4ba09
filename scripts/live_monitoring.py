"""A real Prometheus and Alertmanager on loopback, with the committed rules hurried up, and somebody who is told."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml
from live_server import ROOT, free_port

PROMETHEUS = ROOT / "deploy" / "prometheus"
_READY_SECONDS = 30
_RANGE, _OFFSET = re.compile(r"\[\d+[mhd]\]"), re.compile(r"offset \d+[mhd]")


class Program:
    """A process that is ready once `url` answers, and is ended with the block. RuntimeError where it is not."""

    def __init__(self, command: Sequence[str], url: str, log: Path) -> None:
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        self._url, self._log = url, log

    def __enter__(self) -> Self:
        end = time.monotonic() + _READY_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(OSError), urlopen(self._url, timeout=5):
                return self
            time.sleep(0.1)
        self._process.kill()
        raise RuntimeError(f"{self._process.args!r} did not become ready; {self._log} says why")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()


class Receiver:
    """Listens for Alertmanager's webhook; `heard`: name of an alert -> its states, in the order they were told."""

    def __init__(self) -> None:
        self.heard: dict[str, list[str]] = {}
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in told["alerts"]:
                    states = heard.setdefault(alert["labels"]["alertname"], [])
                    if not states or states[-1] != alert["status"]:
                        states.append(alert["status"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
                """Nothing: what is heard is what counts."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def alertmanager(folder: Path, receiver: str) -> tuple[Program, int]:
    """With the committed configuration, but a webhook for the receiver and no waiting."""
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text(encoding="utf-8"))
    config["receivers"][0]["webhook_configs"] = [{"url": receiver}]
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    path, port = _written(folder / "alertmanager.yml", config), free_port()
    options = {
        "config.file": path,
        "storage.path": folder / "alertmanager",
        "web.listen-address": f"127.0.0.1:{port}",
        "cluster.listen-address": "",
    }
    ready = f"http://127.0.0.1:{port}/-/ready"
    return Program(_command("prometheus-alertmanager", options), ready, folder / "alertmanager.log"), port


class Prometheus(Program):
    """With the committed configuration and rules, but a scrape and an evaluation every second, short ranges and waits.

    ready: once it scraped; ranges of rules are 15 s, `offset` 10 s, `for` 2 s: an alert fires within a minute.
    """

    def __init__(self, folder: Path, service: int, alerts: int) -> None:
        """service, alerts: ports of the service and of Alertmanager."""
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [_hurried(PROMETHEUS / name, folder) for name in config["rule_files"]]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{service}"]}]
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alerts}"]}]}]
        port = free_port()
        options = {
            "config.file": _written(folder / "prometheus.yml", config),
            "storage.tsdb.path": folder / "prometheus",
            "web.listen-address": f"127.0.0.1:{port}",
        }
        self._base = f"http://127.0.0.1:{port}"
        super().__init__(_command("prometheus", options), f"{self._base}/-/ready", folder / "prometheus.log")

    def query(self, expression: str) -> list[float]:
        """Values of an expression now; ValueError where Prometheus refuses it."""
        with urlopen(f"{self._base}/api/v1/query?{urlencode({'query': expression})}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        result = found["data"]["result"]
        return [float(result[1])] if found["data"]["resultType"] == "scalar" else [float(s["value"][1]) for s in result]


def hurried(expression: str) -> str:
    """An expression whose ranges fit in a proof of two minutes."""
    return _OFFSET.sub("offset 10s", _RANGE.sub("[15s]", expression))


def _hurried(rules: Path, folder: Path) -> str:
    found = yaml.safe_load(rules.read_text(encoding="utf-8"))
    for rule in (rule for group in found["groups"] for rule in group["rules"]):
        rule["expr"] = hurried(rule["expr"])
        if "for" in rule:
            rule["for"] = "2s"
    return _written(folder / rules.name, found)


def _written(path: Path, config: object) -> str:
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return str(path)


def _command(program: str, options: Mapping[str, object]) -> list[str]:
    return [program, *(f"--{name}={value}" for name, value in options.items())]
