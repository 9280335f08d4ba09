"""The commands of docs/protocol-v2.md, against the real server."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```\w+ test=(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall((ROOT / "docs" / "protocol-v2.md").read_text(encoding="utf-8"))
SAYS = ('"haste_l":12', ":3:cat", ":3:cat", '"state":"UNAVAILABLE"')


def run(command: list[str], folder: Path) -> str:
    """What a command prints, run beside the samples; it must not fail."""
    (folder / "haste").symlink_to(ROOT / "haste")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    written = folder / "answer.bin"
    return done.stdout + (written.read_bytes().decode("latin-1") if written.exists() else "")


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's blocks call curl")
@pytest.mark.parametrize(("kind", "block", "says"), [(*one, says) for one, says in zip(BLOCKS, SAYS, strict=True)])
def test_every_block_of_the_page_does_what_it_says(
    server: httpx.Client, tmp_path: Path, kind: str, block: str, says: str
) -> None:
    block = block.replace("localhost:8000", f"{server.base_url.host}:{server.base_url.port}")
    strict = 'set -euo pipefail; curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'
    assert says in run([sys.executable, "-c", block] if kind == "client" else ["bash", "-c", strict + block], tmp_path)
