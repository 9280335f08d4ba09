"""The blocks of a page that tests run: ```bash test=KIND."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```\w+ test=(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_STRICT = 'set -euo pipefail; curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def blocks(page: str) -> list[tuple[str, str]]:
    """Kind and text of every block of a page, named from the root of the repository."""
    return _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def of_kind(page: str, kind: str) -> list[str]:
    """The texts of a page's blocks of one kind."""
    return [text for own, text in blocks(page) if own == kind]


def run(command: list[str], folder: Path = ROOT) -> str:
    """What a command prints; it must not fail."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def bash(script: str, folder: Path = ROOT) -> str:
    """What a block prints, under errors as failures, those of HTTP too."""
    return run(["bash", "-c", _STRICT + script], folder)
