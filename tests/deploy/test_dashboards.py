"""Every provisioned dashboard asks for series that exist, from the provisioned source, and explains itself."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.metrics import Metrics

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARDS: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))]
PANELS = [pytest.param(panel, id=panel["title"]) for dashboard in DASHBOARDS for panel in dashboard["panels"]]


@pytest.fixture(scope="module")
def series() -> set[str]:
    """Names that a scrape may hold; a histogram has three."""
    text = Metrics(["model"], {"version": "0"}, 0.1).text().decode()
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


@pytest.mark.parametrize("panel", PANELS)
def test_every_series_of_a_panel_exists(panel: dict[str, Any], series: set[str]) -> None:
    wanted = {name for text in expressions(panel) for name in re.findall(r"\bhaste_\w+", text)}
    assert wanted
    assert wanted - series == set()


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_explains_itself_and_uses_the_variables(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 20
    for text in expressions(panel):
        assert 'model=~"$model"' in text
        assert "[" not in text or "[$__rate_interval]" in text


def test_panels_do_not_overlap() -> None:
    for dashboard in DASHBOARDS:
        cells: set[tuple[int, int]] = set()
        for place in (panel["gridPos"] for panel in dashboard["panels"]):
            columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            taken = {(x, y) for x in columns for y in rows}
            assert columns.stop <= 24
            assert not taken & cells
            cells |= taken


def test_the_provisioned_source_and_folder_are_the_ones_used() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    used = set(re.findall(r'"type": "prometheus", "uid": "([^"]+)"', json.dumps(DASHBOARDS)))
    assert used == {source["uid"]}
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/haste.yml").read_text())["providers"][0]
    compose = yaml.safe_load((GRAFANA.parents[1] / "docker-compose.yml").read_text())["services"]["grafana"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in compose["volumes"]


def test_the_savings_dashboard_tells_what_makes_up_the_savings() -> None:
    saved = next(panel for dashboard in DASHBOARDS for panel in dashboard["panels"] if panel["title"] == "FLOPs saved")
    ratio = r"1 - sum\(rate\(haste_executed_flops_total.*\)\) / sum\(rate\(haste_dense_flops_total.*\)\)"
    assert re.fullmatch(ratio, expressions(saved)[0])
    everything = " ".join(
        text for dashboard in DASHBOARDS for panel in dashboard["panels"] for text in expressions(panel)
    )
    assert all(f"haste_{part}_flops_total" in everything for part in ("skipped", "merged", "overhead"))
