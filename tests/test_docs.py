"""The generated documents are what the code says, and links between documents lead somewhere."""

import re
from pathlib import Path

import pytest
from make_docs import BEGIN, END, RESULTS, ROOT, drifted, readme

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("benchmarks/**/*.md")]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def test_generated_documents_have_not_drifted() -> None:
    assert drifted() == [], "run `make docs`"


def test_every_result_has_the_command_that_wrote_it() -> None:
    assert [path.name for path in RESULTS.glob("*.json") if not path.with_suffix(".sh").exists()] == []


def test_readme_keeps_its_markers() -> None:
    assert readme().index(BEGIN) < readme().index(END)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
