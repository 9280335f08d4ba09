"""The README's tagged blocks do what they say: against a live service, on the command line, in Python."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import ROOT, bash, blocks, run

BLOCKS = blocks("README.md")
HASTE = str(Path(sys.executable).parent / "haste")
START_SECONDS = 120
SAYS = ('"predictions"', '"used":8', '"L":10', "haste_executed_flops_total", '"L_min":10')


def of(tag: str) -> list[str]:
    return [text for name, text in BLOCKS if name == tag]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


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


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a service started as `make run` starts it."""
    chosen = free_port()
    process = subprocess.Popen([HASTE, "serve"], cwd=ROOT, env=os.environ | {"HASTE_PORT": str(chosen)})
    try:
        wait_until_ready(process, chosen)
        yield chosen
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's blocks call curl")
@pytest.mark.parametrize(
    ("block", "says"),
    list(zip(of("server"), SAYS, strict=True)),
)
def test_what_the_readme_asks_the_service_is_answered(port: int, block: str, says: str) -> None:
    assert says in bash(block.replace("localhost:8000", f"localhost:{port}")).replace(" ", "")


@pytest.mark.parametrize("block", of("run"))
def test_what_the_readme_runs_runs(block: str) -> None:
    assert bash(block.replace(".venv/bin/haste", HASTE))


@pytest.mark.parametrize("block", of("library"))
def test_what_the_readme_does_with_the_library_names_a_class_and_a_share(block: str) -> None:
    label, share = run([sys.executable, "-c", block]).split()
    assert label == "cat"
    assert 0 < float(share) < 1


def test_the_readme_shows_the_two_commands_first() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.findall(r"^```bash.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make run", "make test"]
