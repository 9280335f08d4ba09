"""Writes the generated pages of docs/, and the generated blocks of the pages that are written by hand."""

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from api_page import api_page
from bounds_table import bounds, fixed_bounds
from cli_page import cli_page
from dashboards import DASHBOARDS, dashboard_json
from decisions_page import decisions_page
from fleet_tables import boxes, ray_steps
from kubernetes_rules import prometheus_rule
from metrics_page import metrics_page
from model_record import model_record
from quoted_results import summary, tuning
from report_tables import results_page
from result_tables import ROOT

from app.settings_doc import settings_markdown

PAGES: dict[str, Callable[[], str]] = {
    "deploy/k8s/components/monitoring/prometheusrule.yaml": prometheus_rule,
    "docs/api.md": api_page,
    "docs/cli.md": cli_page,
    "docs/decisions/README.md": decisions_page,
    "docs/metrics.md": metrics_page,
    "docs/results.md": results_page,
    "docs/settings.md": settings_markdown,
}
PAGES |= {f"deploy/grafana/dashboards/{board.name}.json": partial(dashboard_json, board) for board in DASHBOARDS}
BLOCKS: dict[str, Callable[[], str]] = {
    "boxes": boxes,
    "bounds": bounds,
    "fixed bounds": fixed_bounds,
    "model": model_record,
    "ray": ray_steps,
    "summary": summary,
    "tuning": tuning,
}
BLOCK = re.compile(r"(<!-- ([a-z ]+): begin \(make docs\) -->\n)(.*?)(<!-- \2: end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A page with its blocks written anew; KeyError names a block that nothing writes."""
    return BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[4]}", text)


def without_blocks(text: str) -> str:
    """What of a page is written by hand."""
    return BLOCK.sub("", text)


def by_hand() -> list[Path]:
    """The pages that are not generated as a whole."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    return sorted(path for path in found if str(path.relative_to(ROOT)) not in PAGES)


def pages() -> dict[Path, str]:
    """Path -> text of everything that is generated, in whole or in part."""
    whole = {ROOT / name: write() for name, write in PAGES.items()}
    texts = {path: path.read_text(encoding="utf-8") for path in by_hand()}
    return whole | {path: filled(text) for path, text in texts.items() if BLOCK.search(text)}


def drifted() -> list[str]:
    """The generated files that are not what `make docs` would write."""
    return [
        str(path.relative_to(ROOT))
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    """Write the pages; with --check only say which have drifted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page has drifted")
    if parser.parse_args().check:
        stale = drifted()
        print("\n".join(f"{name}: run make docs" for name in stale) or "documents are current")
        return 1 if stale else 0
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
