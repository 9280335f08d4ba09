"""The site is built from the pages without a warning; all of it can be reached, and nothing comes from elsewhere."""

import subprocess
import sys
from pathlib import Path

from check_site import problems, read_pages

from tests.documents import ROOT


def test_the_site_builds_without_a_warning_and_all_its_links_lead_somewhere(tmp_path: Path) -> None:
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-c", "docs", "-d", str(tmp_path / "read")]
    command = [sys.executable, "-m", "sphinx", *options, "-b", "html", ".", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    pages = read_pages(tmp_path / "site")
    assert len(pages) > 20
    assert problems(pages) == []
