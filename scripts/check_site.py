"""Checks the built site: every link and anchor inside it leads somewhere, and nothing is loaded from elsewhere.

Links to other sites are listed, never followed.
"""

import argparse
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADING = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}


@dataclass
class Page(HTMLParser):
    """The anchors of a page, and what it links to or loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}
        target = values.get("src") or values.get("href") or values.get("data")
        if target and tag != "base":
            (self.loads if tag in _LOADING else self.links).append(target)


def read_pages(site: Path) -> dict[Path, Page]:
    """Every page of a site by its path."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        page = Page()
        page.feed(path.read_text(encoding="utf-8"))
        pages[path.resolve()] = page
    return pages


def problems(pages: dict[Path, Page]) -> list[str]:
    """Dead links and anchors, and what a page loads from elsewhere, one line each."""
    found = []
    for path, page in pages.items():
        found += [f"{path.name} loads {load}" for load in page.loads if _leaves(load)]
        inside = [target for target in (*page.links, *page.loads) if not _leaves(target)]
        found += [f"{path.name}: {target} leads nowhere" for target in inside if not _leads(path, target, pages)]
    return found


def leaving(pages: dict[Path, Page]) -> list[str]:
    """The links to other sites, each once."""
    return sorted({link for page in pages.values() for link in page.links if _leaves(link)})


def _leaves(target: str) -> bool:
    parts = urlsplit(target)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _leads(path: Path, target: str, pages: dict[Path, Page]) -> bool:
    parts = urlsplit(target)
    if parts.scheme == "data":
        return True
    found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    anchors = pages[found].anchors if found in pages else {""}
    return found.is_file() and (not parts.fragment or found not in pages or unquote(parts.fragment) in anchors)


def main() -> int:
    """0; 1 where something leads nowhere or comes from elsewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="folder of the built site")
    pages = read_pages(parser.parse_args().site)
    wrong = problems(pages)
    print(*wrong, f"{len(pages)} pages, {len(wrong)} problems; links to other sites:", *leaving(pages), sep="\n")
    return 1 if wrong or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
