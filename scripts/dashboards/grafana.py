"""Dashboards as values, and the JSON that Grafana loads.

Plain dictionaries: grafana-foundation-sdk is generated anew for each version of Grafana and pins them by epochs
(`1769699998!10.1.0` is what its newest release is called), and what we use of the format fits on this page.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SOURCE = {"type": "prometheus", "uid": "haste-prometheus"}
"""The data source that deploy/grafana/provisioning gives."""

_COLUMNS = 24
_HEIGHTS = {"stat": 5, "timeseries": 8, "table": 6}
_MODEL = {
    "name": "model",
    "label": "Model",
    "type": "query",
    "datasource": SOURCE,
    "query": {"query": "label_values(haste_model_ready, model)", "refId": "model"},
    "refresh": 2,
    "includeAll": True,
    "multi": True,
    "allValue": ".*",
    "current": {"text": "All", "value": "$__all"},
}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "graphMode": "area", "colorMode": "value"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
_LINES = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
_NOISE = ("Time", "Value", "__name__", "job")


@dataclass(frozen=True)
class Panel:
    """A picture of some expressions. queries: legend -> PromQL; unit: Grafana's id of it.

    description: how it is read, and what to do. thresholds: from which value on it has which colour, green below.
    limits: of the axis, where they are known.
    """

    title: str
    description: str
    unit: str
    queries: Mapping[str, str]
    kind: Literal["stat", "timeseries", "table"] = "timeseries"
    thresholds: Sequence[tuple[float, str]] = ()
    below: str = "green"
    limits: tuple[float | None, float | None] = (None, None)
    stacked: bool = False


@dataclass(frozen=True)
class Dashboard:
    """Rows of panels; those of a row share its width evenly, and are of one kind."""

    name: str
    title: str
    description: str
    rows: Sequence[Sequence[Panel]]


def dashboard_json(dashboard: Dashboard) -> str:
    """The file that Grafana is provisioned with; the same dashboard gives the same bytes."""
    link = {"type": "dashboards", "title": "HASTE", "tags": ["haste"], "includeVars": True, "keepTime": True}
    found = {
        "uid": f"haste-{dashboard.name}",
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["haste"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_MODEL]},
        "annotations": {"list": []},
        "links": [link],
        "panels": list(_panels(dashboard.rows)),
    }
    return json.dumps(found, indent=1) + "\n"


def _panels(rows: Sequence[Sequence[Panel]]) -> Iterator[dict[str, Any]]:
    number = y = 0
    for row in rows:
        width, height = _COLUMNS // len(row), max(_HEIGHTS[panel.kind] for panel in row)
        for column, panel in enumerate(row):
            number += 1
            yield _panel(number, panel) | {"gridPos": {"x": column * width, "y": y, "w": width, "h": height}}
        y += height


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    found = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": [
            _target(chr(ord("A") + index), legend, expr, table=panel.kind == "table")
            for index, (legend, expr) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
    }
    if panel.kind == "table":
        found["transformations"] = list(_joined(list(panel.queries)))
    return found


def _joined(legends: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One table of all queries, a column each: Grafana keeps a frame for each query, and no legends in tables."""
    if len(legends) == 1:
        yield {"id": "organize", "options": {"excludeByName": dict.fromkeys(_NOISE, True)}}
        return
    columns = {f"Value #{chr(ord('A') + index)}": legend for index, legend in enumerate(legends)}
    hidden = {name: True for name in _NOISE if name != "Value"}
    yield {"id": "merge", "options": {}}
    yield {"id": "organize", "options": {"excludeByName": hidden, "renameByName": columns}}


def _target(letter: str, legend: str, expr: str, *, table: bool) -> dict[str, Any]:
    shape = {"instant": True, "range": False, "format": "table"} if table else {}
    return {"refId": letter, "datasource": SOURCE, "expr": expr, "legendFormat": legend} | shape


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"color": panel.below, "value": None}, *({"color": c, "value": v} for v, c in panel.thresholds)]
    found: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    found |= {name: value for name, value in zip(("min", "max"), panel.limits, strict=True) if value is not None}
    if panel.kind == "timeseries":
        style = {"mode": "dashed" if panel.thresholds else "off"}
        stacking = {"mode": "normal" if panel.stacked else "none"}
        found["custom"] = _LINES | {"thresholdsStyle": style, "stacking": stacking}
    return found
