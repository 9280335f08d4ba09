"""The tagged blocks of README.md and docs/operating.md do what they say: against a service, in a shell, in Python."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live_server import free_port

from tests.documents import ROOT, bash, of_kind, run

HASTE = str(Path(sys.executable).parent / "haste")
START_SECONDS, SCRAPE_SECONDS = 120, 30
SAYS = {
    "README.md": ('"predictions"', '"used":8', '"L":10', '"L_min":10', "haste_executed_flops_total"),
    "docs/operating.md": ('"L":14', '"slo_ms":100'),
}
ASKED = [(block, says) for page in SAYS for block, says in zip(of_kind(page, "server"), SAYS[page], strict=True)]


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Return when the service answers /readyz with 200; fail where it ends or takes too long."""
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up:
        assert process.poll() is None, f"the service ended with status {process.returncode}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the service was not ready within {START_SECONDS} s")


@contextmanager
def running(command: list[str], folder: Path, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program, ended at the end."""
    process = subprocess.Popen(command, cwd=folder, env=os.environ | environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a service started as `make run` starts it."""
    chosen = free_port()
    with running([HASTE, "serve"], ROOT, HASTE_PORT=str(chosen)) as process:
        wait_until_ready(process, chosen)
        yield chosen


@pytest.mark.skipif(shutil.which("curl") is None, reason="the blocks call curl")
@pytest.mark.parametrize(("block", "says"), ASKED)
def test_what_a_page_asks_the_service_is_answered(port: int, block: str, says: str) -> None:
    assert says in bash(block.replace("localhost:8000", f"localhost:{port}")).replace(" ", "")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="apt-get install prometheus")
def test_the_readme_leads_to_data_in_prometheus(port: int, tmp_path: Path) -> None:
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (start,), (query,), own = of_kind("README.md", "prometheus"), of_kind("README.md", "query"), str(free_port())
    start = start.replace("localhost:8000", f"localhost:{port}").replace(":9091", f":{own}")
    start = start.replace("sed '", "sed 's/_interval: [0-9]*s/_interval: 1s/; ").replace(
        "\nprometheus", "\nexec prometheus"
    )
    give_up, said = time.monotonic() + SCRAPE_SECONDS, ""
    with running(["bash", "-euc", start], tmp_path):
        while '"value"' not in said and time.monotonic() < give_up:
            time.sleep(0.2)
            asked = f"{query.strip().replace(':9091', f':{own}')} || true"  # it may not listen yet
            said = bash(asked) if shutil.which("curl") else ""
    assert "haste_executed_flops_total" in said


@pytest.mark.parametrize("block", of_kind("README.md", "run"))
def test_what_the_readme_runs_runs(block: str) -> None:
    assert bash(block.replace(".venv/bin/haste", HASTE))


@pytest.mark.parametrize("block", of_kind("README.md", "library"))
def test_what_the_readme_does_with_the_library_names_a_class_and_a_share(block: str) -> None:
    label, share = run([sys.executable, "-c", block]).split()
    assert label == "cat"
    assert 0 < float(share) < 1


def test_the_readme_shows_the_two_commands_first() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.findall(r"^```bash.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make run", "make test"]


def test_the_first_answer_is_on_the_first_screen() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert next(number for number, line in enumerate(lines, 1) if "/classify" in line) <= 30
