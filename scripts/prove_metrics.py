"""Scrapes a loaded service with a real Prometheus, and judges what an operator sees: panels, rules, savings, alerts.

Needs Debian's prometheus and prometheus-alertmanager, and takes two to three minutes. Exit status 1 where anything is
not as it should be. Rules are asked as they are committed, but comparisons say 0 or 1 (`bool`) instead of leaving out
what is not so, which is what they do all day, and `offset` reaches back 10 s.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from live_monitoring import Prometheus, Receiver, alertmanager
from live_server import ROOT, LiveServer
from metrics_page import rules
from yarl import URL

from app.arrivals import by_name
from app.calibrator import read_points
from app.load.images import read_images
from app.load.outcomes import Outcomes, Reading
from app.load.sender import offer
from app.load.target import Target, read_answer

SAMPLES = ROOT / "haste" / "samples"
FLOPS = ("dense", "executed", "skipped", "merged", "overhead")
WINDOW = "10m"
CALIBRATION = "calibration.json"
ABSENT = ("HasteDown", "HasteAllDown")
LOAD = ("--rate", "100", "--duration", "20", "--deadline-ms", "1000", "--no-deadline-sent")
_COMPARISON = re.compile(r"(?<=\s)(==|>|<) ")
_SCRAPES_SECONDS = 3.0


class Proof:
    """Findings, told as they come."""

    def __init__(self) -> None:
        self.failed = 0

    def tell(self, what: str, found: object, *, good: bool) -> None:
        self.failed += not good
        sys.stdout.write(f"{'ok    ' if good else 'FAILED'}  {what}: {found}\n")
        sys.stdout.flush()


class Answers:
    """Sums over answers of /classify, as a client reads them."""

    def __init__(self) -> None:
        self.images, self.forward_ms = 0, 0.0
        self.flops = dict.fromkeys(FLOPS, 0)

    def read(self, body: bytes) -> Reading:
        answer = json.loads(body)
        self.images += 1
        self.forward_ms += answer["timing_ms"]["forward"]
        for name in FLOPS:
            self.flops[name] += answer["flops"][name]
        return read_answer(body)


def ask(base: str, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
    """The body of an answer, whatever its status."""
    headers = {"Content-Type": "application/json" if method == "PATCH" else "image/jpeg"}
    try:
        with urlopen(Request(base + path, body, headers, method=method), timeout=30) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        return bytes(error.read())


def change(base: str, **values: object) -> dict[str, Any]:
    """PATCH /config."""
    found: dict[str, Any] = json.loads(ask(base, "/config", json.dumps(values).encode(), "PATCH"))
    return found


def load(base: str, answers: Answers, rate: float, seconds: float) -> Mapping[int, int]:
    """What `haste load` sends, with the answers summed up; status -> how many."""
    classes = json.loads(ask(base, "/models"))["models"][0]["classes"]
    target = Target(URL(base) / "classify", 30.0, 256, answers.read)
    outcomes = Outcomes(by_name("poisson", rate, seconds, 0))
    offer(target, read_images(SAMPLES, classes), outcomes, 0, lambda _outcomes, _seconds: None)
    codes = outcomes.column("code").tolist()
    return {code: codes.count(code) for code in sorted(set(codes))}


def promtool(base: str) -> tuple[int, str]:
    """Exit status and findings of `promtool check metrics` on the live text."""
    text = ask(base, "/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def panels() -> dict[str, list[tuple[str, str]]]:
    """Name of a dashboard -> title of a panel and expression, with the variables filled in."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", WINDOW).replace("$model", ".*")
                found.setdefault(path.stem, []).append((panel["title"], text))
    return found


def has_data(prometheus: Prometheus, expression: str) -> bool:
    """Whether an expression gives a number."""
    return any(math.isfinite(value) for value in prometheus.query(expression))


def as_data(expression: str) -> str:
    """A rule's expression such that it tells what is not so, too."""
    return re.sub(r"offset \d+h", "offset 10s", _COMPARISON.sub(r"\1 bool ", expression))


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


def prove_times(proof: Proof, prometheus: Prometheus, base: str, calibration: Path, answers: Answers) -> None:
    """Images one after another: the counters of time are the sums of the answers' times and of calibrated ones."""
    for _ in range(20):
        answers.read(ask(base, "/classify", (SAMPLES / "cat.jpg").read_bytes()))
    time.sleep(_SCRAPES_SECONDS)
    (dense_ms,) = (point.median_ms for point in read_points(calibration) if (point.level, point.batch) == ("dense", 1))
    took = 1e3 * sum(prometheus.query("haste_compared_forward_seconds_total"))
    dense = 1e3 * sum(prometheus.query("haste_dense_forward_seconds_total"))
    told = f"{took:.2f} ms, by the answers {answers.forward_ms:.2f} ms"
    proof.tell("engine time of 20 single images", told, good=abs(took - answers.forward_ms) < 0.02 * answers.images)
    told = f"{dense:.2f} ms, by the calibration {answers.images} x {dense_ms} ms; saved {dense - took:+.2f} ms"
    proof.tell("dense time of them", told, good=math.isclose(dense, answers.images * dense_ms))
    (shown,) = (
        prometheus.query(expr)[0] for title, expr in panels()["savings"] if title == "Milliseconds saved an image"
    )
    wanted = dense_ms - answers.forward_ms / answers.images
    told = f"{shown:.4f}, by the answers {wanted:.4f}"
    proof.tell("panel Milliseconds saved an image", told, good=abs(shown - wanted) < 0.02)


def prove_savings(proof: Proof, prometheus: Prometheus, answers: Answers) -> None:
    """Every counter, and the panels made of them, against the answers' own sums."""
    for name in FLOPS:
        counted = sum(prometheus.query(f"haste_{name}_flops_total"))
        proof.tell(
            f"{name} FLOPs", f"{counted:.0f}, by the answers {answers.flops[name]}", good=counted == answers.flops[name]
        )
    shown = {title: prometheus.query(expr)[0] for title, expr in reversed(panels()["savings"])}
    dense = answers.flops["dense"]
    wanted = {
        "FLOPs saved": 1 - answers.flops["executed"] / dense,
        "By skipping zeros": answers.flops["skipped"] / dense,
        "By merging": answers.flops["merged"] / dense,
        "Overhead": answers.flops["overhead"] / dense,
    }
    for title, share in wanted.items():
        told = f"{shown[title]:.9f}, by {answers.images} answers {share:.9f}"
        proof.tell(f"panel {title}", told, good=math.isclose(shown[title], share, abs_tol=1e-9))


def prove_data(proof: Proof, prometheus: Prometheus) -> None:
    """Every expression of every panel and of every rule but those that tell of a service that is gone."""
    for name, found in panels().items():
        silent = sorted({title for title, expr in found if not has_data(prometheus, expr)})
        titles = {title for title, _ in found}
        told = f"{len(titles)} panels, {len(found)} expressions" + (f"; no data: {', '.join(silent)}" if silent else "")
        proof.tell(f"dashboard {name}", told, good=not silent)
    for rule in rules():
        name, expression = rule.get("alert") or rule["record"], rule["expr"]
        if not expression.startswith("absent("):
            values = prometheus.query(as_data(expression))
            good = any(map(math.isfinite, values))
            proof.tell(f"rule {name}", ", ".join(f"{value:g}" for value in values) or "no data", good=good)


def prove_alert(proof: Proof, heard: Mapping[str, list[str]], base: str, port: int) -> None:
    """Overload with `haste load` itself: requests are refused, the alert fires, and resolves once the load is gone."""
    quiet = wait_for(lambda: heard.get("HasteRejections", ["resolved"])[-1] == "resolved", 60)
    before = len(heard.get("HasteRejections", ()))
    command = [sys.executable, "-m", "haste", "load", "--url", f"http://127.0.0.1:{port}", "--images", str(SAMPLES)]
    command += LOAD
    loading = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(heard.get("HasteRejections", ())) > before, 60)
    status, findings = promtool(base)
    proof.tell("promtool check metrics, overloaded", findings or "0 findings", good=(status, findings) == (0, ""))
    out, _ = loading.communicate(timeout=120)
    sys.stdout.write("".join(f"        {line}\n" for line in out.splitlines()))
    proof.tell("haste load at 100/s", f"exit status {loading.returncode}", good=loading.returncode == 0)
    wait_for(lambda: heard.get("HasteRejections", ())[before:] == ["firing", "resolved"], 60)
    told = heard.get("HasteRejections", ())[before:]
    proof.tell("alert HasteRejections", " then ".join(told), good=quiet and told == ["firing", "resolved"])


def prove_absence(proof: Proof, prometheus: Prometheus, heard: Mapping[str, list[str]]) -> None:
    """Once the service is gone, and only then, the rules about that give data and fire."""
    for rule in (rule for rule in rules() if rule["expr"].startswith("absent(")):
        values = prometheus.query(rule["expr"])
        proof.tell(f"rule {rule['alert']}, the service gone", values or "no data", good=values == [1.0])
    for name in ABSENT:
        proof.tell(f"alert {name}", " then ".join(heard.get(name, ())), good=heard.get(name, [""])[-1] == "firing")


def prove(proof: Proof, server: LiveServer, folder: Path) -> None:
    """All of it, in the order in which an operator would meet it."""
    base, receiver, answers = f"http://127.0.0.1:{server.port}", Receiver(), Answers()
    manager, alerts = alertmanager(folder, receiver.url)
    with manager, Prometheus(folder, server.port, alerts) as prometheus:
        wait_for(lambda: bool(prometheus.query('up{job="haste"} == 1')), 15)
        time.sleep(_SCRAPES_SECONDS)
        prove_times(proof, prometheus, base, folder / CALIBRATION, answers)
        codes: dict[int, int] = {}
        loading = threading.Thread(target=lambda: codes.update(load(base, answers, 20, 15)))
        loading.start()
        time.sleep(8)
        status, findings = promtool(base)
        proof.tell("promtool check metrics under load", findings or "0 findings", good=(status, findings) == (0, ""))
        loading.join()
        proof.tell("load at 20 images/s", codes, good=200 in codes and set(codes) <= {200, 429})
        rule = change(base, merge="mean")["merge"]  # for which there is no calibration: every layer merges
        merged = load(base, answers, 10, 10)
        told, good = f"{merged}, merged by {rule}", 200 in merged and set(merged) <= {200, 429}
        proof.tell("load at 10 images/s", told, good=good and answers.flops["merged"] > 0)
        time.sleep(_SCRAPES_SECONDS)
        prove_savings(proof, prometheus, answers)
        change(base, merge="projection")
        refused = change(base, L=99)["title"]
        proof.tell("a change to L = 99", refused, good=refused == "Invalid parameter")
        ask(base, "/classify", b"no image")
        time.sleep(_SCRAPES_SECONDS)
        prove_data(proof, prometheus)
        prove_alert(proof, receiver.heard, base, server.port)
        server.process.terminate()
        wait_for(lambda: all(receiver.heard.get(name, [""])[-1] == "firing" for name in ABSENT), 60)
        prove_absence(proof, prometheus, receiver.heard)


def main() -> int:
    """0 where all is as it should be."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    proof, log = Proof(), ROOT / "state" / "prove_metrics.log"
    with tempfile.TemporaryDirectory(prefix="haste-metrics-") as name:
        folder = Path(name)
        calibrate = [sys.executable, "-m", "haste", "calibrate", "--threads", "1", "--minutes", "0.2"]
        calibrate += ["--L", "dense,exact,20,16,12,8", "--out", str(folder / CALIBRATION)]
        subprocess.run(calibrate, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with LiveServer(log, calibration=folder / CALIBRATION, slo_ms=100, L=20, decode_threads=2) as server:
            prove(proof, server, folder)
    sys.stdout.write(f"{proof.failed} findings\n")
    return 1 if proof.failed else 0


if __name__ == "__main__":
    sys.exit(main())
