"""The commands of docs/protocol-v2.md, against the real server."""

import shutil
import sys
from pathlib import Path

import httpx
import pytest

from tests.documents import ROOT, bash, blocks, run

SAYS = ('"haste_l":12', ":3:cat", ":3:cat", '"state":"UNAVAILABLE"')
BLOCKS = [(*one, says) for one, says in zip(blocks("docs/protocol-v2.md"), SAYS, strict=True)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's blocks call curl")
@pytest.mark.parametrize(("kind", "block", "says"), BLOCKS)
def test_every_block_of_the_page_does_what_it_says(
    server: httpx.Client, tmp_path: Path, kind: str, block: str, says: str
) -> None:
    (tmp_path / "haste").symlink_to(ROOT / "haste")  # the blocks name the samples, and write beside them
    block = block.replace("localhost:8000", f"{server.base_url.host}:{server.base_url.port}")
    said = run([sys.executable, "-c", block], tmp_path) if kind == "client" else bash(block, tmp_path)
    written = tmp_path / "answer.bin"
    assert says in said + (written.read_bytes().decode("latin-1") if written.exists() else "")
