"""Dead links, dead anchors and what is loaded from elsewhere are found in a built site; links out are only listed."""

from pathlib import Path

import pytest
from check_site import leaving, problems, read_pages

GOOD = '<h1 id="top"></h1><a href="b.html#there">b</a><a href="#top">up</a><a href="https://example.org/">out</a>'


def site(folder: Path, page: str) -> Path:
    (folder / "a.html").write_text(page)
    (folder / "b.html").write_text('<h2 id="there"></h2>')
    return folder


def test_a_whole_site_has_no_problems_and_lists_where_it_leads(tmp_path: Path) -> None:
    pages = read_pages(site(tmp_path, GOOD))
    assert problems(pages) == []
    assert leaving(pages) == ["https://example.org/"]


@pytest.mark.parametrize(
    "broken",
    [
        '<a href="c.html">no page</a>',
        '<a href="b.html#nowhere">no anchor</a>',
        '<a href="#nowhere">no anchor here</a>',
        '<img src="missing.png">',
        '<script src="https://example.org/x.js"></script>',
        '<link href="//example.org/x.css">',
    ],
)
def test_what_leads_nowhere_or_is_loaded_from_elsewhere_is_a_problem(tmp_path: Path, broken: str) -> None:
    assert len(problems(read_pages(site(tmp_path, GOOD + broken)))) == 1
