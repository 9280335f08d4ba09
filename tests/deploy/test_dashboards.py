"""Every provisioned dashboard asks for series that exist, from the provisioned source, and explains itself."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from metrics_page import exposed, names_in, rules, used

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(GRAFANA.glob("dashboards/*.json"))
}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
]
EXPOSED = {name: series for series in exposed() for name in series.names}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
UNUSED = {
    "process_virtual_memory_bytes": "the resident size is what a box runs out of",
    "python_gc_objects_collected_total": "collections tell when, and how many objects is no use to an operator",
    "python_gc_objects_uncollectable_total": "always 0 since Python 3.4",
}
"""Series that no dashboard and no rule uses, and why."""


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def selectors(expression: str) -> list[tuple[str, str]]:
    """Name and matchers of every series that an expression asks for."""
    return re.findall(r"\b((?:haste|process|python)_\w+)(?:\{([^}]*)\})?", expression)


def test_there_is_a_dashboard_for_each_question() -> None:
    assert set(DASHBOARDS) == {"overview", "savings", "objective", "stages"}
    assert [dashboard["uid"] for dashboard in DASHBOARDS.values()] == [f"haste-{name}" for name in DASHBOARDS]


@pytest.mark.parametrize("panel", PANELS)
def test_every_series_of_a_panel_exists(panel: dict[str, Any]) -> None:
    wanted = {
        name for text in expressions(panel) for name in re.findall(r"\bhaste:[\w:]+|\b(?:haste|process)_\w+", text)
    }
    assert wanted or panel["title"] in ("Instances up", "Alerts firing", "Garbage collections")
    assert wanted - set(EXPOSED) - RECORDED == set()


def test_every_series_of_a_rule_exists() -> None:
    for rule in rules():
        wanted = names_in([rule["expr"]])
        assert wanted - set(EXPOSED) - RECORDED == set(), rule
        assert wanted or rule["alert"] in ("HasteDown", "HasteAllDown")


def test_every_series_is_on_a_dashboard_in_an_alert_or_left_out_for_a_reason() -> None:
    shown = set().union(*used().values())
    left_out = {series.name for series in exposed() if not shown & set(series.names)}
    assert left_out == set(UNUSED)


def test_every_recorded_expression_is_used() -> None:
    assert set().union(*used().values()) >= RECORDED


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 80
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_follows_the_variable_and_the_interval(panel: dict[str, Any]) -> None:
    for text in expressions(panel):
        for name, matchers in selectors(text):
            assert ('model=~"$model"' in matchers) == ("model" in EXPOSED[name].labels), (name, matchers)
        assert re.findall(r"\[(.*?)\]", text) == ["$__rate_interval"] * text.count("[")


@pytest.mark.parametrize("panel", PANELS)
def test_labels_that_a_panel_shows_or_selects_are_those_of_its_series(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        found = selectors(target["expr"])
        known = {"instance", "job", "le", "model"}.union(*(EXPOSED[name].labels for name, _ in found))
        shown = re.findall(r"{{(\w+)}}", target["legendFormat"])
        grouped = [label for labels in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in labels.split(", ")]
        matched = [label for _, matchers in found for label in re.findall(r"(\w+)=", matchers)]
        assert {*shown, *grouped, *matched} <= known, target


def test_panels_do_not_overlap_and_rows_are_full() -> None:
    for dashboard in DASHBOARDS.values():
        cells: set[tuple[int, int]] = set()
        for place in (panel["gridPos"] for panel in dashboard["panels"]):
            columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
            taken = {(x, y) for x in columns for y in rows}
            assert not taken & cells
            cells |= taken
        assert {x for x, _ in cells} == set(range(24))
        assert len(cells) == 24 * (1 + max(y for _, y in cells))


def test_the_provisioned_source_and_folder_are_the_ones_used() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    used_sources = re.findall(r'"type": "prometheus", "uid": "([^"]+)"', json.dumps(DASHBOARDS))
    assert set(used_sources) == {source["uid"]}
    assert len(used_sources) == sum(
        1 + sum(1 + len(panel["targets"]) for panel in dashboard["panels"]) for dashboard in DASHBOARDS.values()
    )
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/haste.yml").read_text())["providers"][0]
    compose = yaml.safe_load((GRAFANA.parents[1] / "docker-compose.yml").read_text())["services"]["grafana"]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in compose["volumes"]
    assert compose["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/overview.json"


def test_the_savings_dashboard_tells_what_makes_up_the_savings() -> None:
    panels = {panel["title"]: expressions(panel) for panel in DASHBOARDS["savings"]["panels"]}
    ratio = r"1 - sum \(rate\(haste_executed_flops_total.*\)\) / sum \(rate\(haste_dense_flops_total.*\)\)"
    assert re.fullmatch(ratio, panels["FLOPs saved"][0])
    for title, part in (("By skipping zeros", "skipped"), ("By merging", "merged"), ("Overhead", "overhead")):
        assert f"haste_{part}_flops_total" in panels[title][0]
