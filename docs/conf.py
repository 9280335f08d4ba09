"""The site: the repository's Markdown pages where they are, so that their links work here and where code is browsed.

Sphinx with MyST, because it reads the same Markdown, has strict mode, checks anchors and fetches nothing at run time.
"""

import re
import tomllib
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "HASTE at the edge"
version = release = PROJECT["version"]
extensions = ["myst_parser"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/**.md", "deploy/**.md", "benchmarks/**.md", "haste/csrc/README.md"]
exclude_patterns = [".*", "build", "site", "state", "tests", "requirements", "scripts", "app", "**/node_modules"]
templates_path = ["templates"]
myst_heading_anchors = 4
html_theme = "alabaster"
html_theme_options = {
    "page_width": "1180px",
    "body_max_width": "none",
    "fixed_sidebar": True,
    "font_family": "sans-serif",
}
html_additional_pages = {"index": "redirect.html"}
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["tables.css"]
show_warning_types = True

NAVIGATION = ("docs/README", "docs/decisions/README")
_LINK = re.compile(r"\[([^\]]+)\]\(([\w./-]+)\.md\)")


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Let a page's own links be the navigation, so that there is no second list to keep."""
    if page in NAVIGATION:
        entries = dict.fromkeys(f"{text} <{target}>" for text, target in _LINK.findall(source[0]))
        source[0] += "\n\n```{toctree}\n:hidden:\n:maxdepth: 1\n\n" + "\n".join(entries) + "\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_navigation)
