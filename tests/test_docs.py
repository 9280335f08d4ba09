"""The documents are what the code and the results say, and links between them lead somewhere."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from make_docs import BLOCK, BLOCKS, by_hand, drifted, without_blocks
from report_tables import results_page
from result_tables import RESULTS, ROOT

from tests.documents import of_kind

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("benchmarks/**/*.md")]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"\d[\d.,]*\s?(?:%|percent|points?\b|x\b|times (?:as|faster|slower|more|less)\b)")
CELL = re.compile(r"(?<=\| )\d+\.\d{2,}(?=%? \|)")
DECIMAL = re.compile(r"(?<![\d.])\d+\.\d{2,}(?![\d.])")
LARGEST_PICTURE = 150_000


def prose(page: Path) -> str:
    """What of a page is written by hand, without code."""
    return CODE.sub("", without_blocks(page.read_text(encoding="utf-8")))


def test_generated_documents_have_not_drifted() -> None:
    assert drifted() == [], "run `make docs`"


def test_every_generated_block_stands_in_a_page() -> None:
    assert {found[2] for text in TEXTS.values() for found in BLOCK.finditer(text)} == set(BLOCKS)


def test_every_result_has_the_command_that_wrote_it_and_every_command_its_result() -> None:
    results, commands = ({path.stem for path in RESULTS.glob(f"*.{kind}")} for kind in ("json", "sh"))
    assert results == commands


@pytest.mark.parametrize("page", by_hand(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_measured_figure_is_typed_by_hand(page: Path) -> None:
    text, cells = prose(page), set(CELL.findall(results_page()))
    assert MEASURED.findall(text) + [figure for figure in DECIMAL.findall(text) if figure in cells] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_picture_is_small_and_shown() -> None:
    pictures = [*(ROOT / "docs" / "images").iterdir()]
    drawn = [picture for picture in pictures if not picture.name.startswith("page-")]  # not what a browser showed
    assert [picture.name for picture in drawn if picture.stat().st_size > LARGEST_PICTURE] == []
    assert [picture.name for picture in pictures if not any(picture.name in text for text in TEXTS.values())] == []


def test_every_alert_has_its_section_with_meaning_check_and_remedy() -> None:
    files = [path for path in ROOT.glob("deploy/prometheus/rules/*.yml") if not path.stem.endswith("_test")]
    rules = [rule for path in files for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    wanted = {re.sub(r"(?<=[a-z\d])(?=[A-Z])", "-", rule["alert"]).lower() for rule in rules if "alert" in rule}
    parts = re.split(r"^### ", TEXTS["docs/operating.md"].split("\n## Alerts\n")[1], flags=re.MULTILINE)[1:]
    sections = {part.split("\n", 1)[0]: part for part in parts}
    assert not files or set(sections) == wanted
    words = ("**Means**", "**Check**", "**Remedy**")
    assert [name for name, part in sections.items() if not all(word in part for word in words)] == []


def test_the_first_change_of_the_contributing_page_still_applies() -> None:
    (change,) = of_kind("CONTRIBUTING.md", "change")
    command = ["git", "apply", "--check", "-"]
    done = subprocess.run(command, cwd=ROOT, input=change, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert citation["version"] == version[1]
    assert {"cff-version", "message", "title", "authors", "preferred-citation"} <= set(citation)
