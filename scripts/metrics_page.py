"""docs/metrics.md: every series of the service out of its own registry, and the dashboards and alerts that use it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from dashboards import DASHBOARDS
from prometheus_client.metrics_core import Metric
from result_tables import NOTE, ROOT, table

from app.metrics import Metrics

RULES = ROOT / "deploy" / "prometheus" / "rules"
_BUILD = ("arch", "implementation", "python", "torch", "version")
_NAME = re.compile(r"\b(?:haste|process|python)_\w+|\bhaste:\w+:\w+")
_ENDS: Mapping[str, tuple[str, ...]] = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
_HEAD = """# Metrics

`GET /metrics` answers these in Prometheus' text format, without a key. Counters end in `_total` and only grow, so that
shares and means are right over any number of boxes: `1 - rate(haste_executed_flops_total[5m]) /
rate(haste_dense_flops_total[5m])` is what was saved. A histogram has `_bucket` (label `le`), `_sum` and `_count`.

Times in seconds, sizes in bytes; a ratio is 1 at 100 %. `model` is a served name, or `unknown` where a request was
refused before its model was known; `hyperplanes` is the L that was used, `exact` or `dense`; a `route` is a template
such as `/v2/models/{model}/infer`, or `unmatched`: there is no such path, or it never became a request, and a
connection was refused (`method` is `other`; 503: too many, 408: its head came too slowly, 400, 414, 431). The
queue is one for all models, so `haste_queue_capacity` has no `model`. The edges of
`haste_http_request_duration_seconds` include the objective at start (`HASTE_SLO_MS`, or what the state file holds)."""


@dataclass(frozen=True)
class Series:
    """A metric as `/metrics` describes it; `name` as in its TYPE line, `names` those of its samples."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def names(self) -> tuple[str, ...]:
        if self.kind == "histogram":
            return tuple(self.name + end for end in _ENDS["histogram"])
        return (self.name,)


def exposed() -> list[Series]:
    """What a service of one model exposes, from its registry."""
    metrics = Metrics(["model"], dict.fromkeys(_BUILD, ""), 0.1)
    labels = {own._name: own._labelnames for own in vars(metrics).values() if hasattr(own, "_labelnames")}  # noqa: SLF001
    labels |= {own._name: own._labelnames for own in metrics.flops.values()}  # noqa: SLF001
    return [
        Series(
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            tuple(labels.get(family.name, _labels_of(family))),
            family.documentation,
        )
        for family in metrics.registry.collect()
    ]


def _labels_of(family: Metric) -> tuple[str, ...]:
    return tuple(family.samples[0].labels) if family.samples else ()


@cache
def rules() -> tuple[dict[str, Any], ...]:
    """Every recorded expression and alert of deploy/prometheus/rules."""
    files = [path for path in sorted(RULES.glob("*.yml")) if not path.stem.endswith("_test")]
    groups = [group for path in files for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return tuple(rule for group in groups for rule in group["rules"])


def names_in(expressions: Iterable[str]) -> set[str]:
    """Series that expressions ask for; of a recorded one, those that it was made of too."""
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    found = {name for text in expressions for name in _NAME.findall(text)}
    return found | {name for own in found & set(recorded) for name in _NAME.findall(recorded[own])}


def used() -> dict[str, set[str]]:
    """Where series are used: title of a dashboard, or name of an alert -> the series."""
    found = {
        dashboard.name: names_in(expr for row in dashboard.rows for panel in row for expr in panel.queries.values())
        for dashboard in DASHBOARDS
    }
    return found | {rule["alert"]: names_in([rule["expr"]]) for rule in rules() if "alert" in rule}


def rows() -> list[tuple[str, ...]]:
    """Cells of the table: name, type, labels, what it tells, where it is used."""
    where = used()
    return [
        (
            f"`{series.name}`",
            series.kind,
            ", ".join(f"`{label}`" for label in series.labels),
            series.text,
            ", ".join(name for name, names in where.items() if names & set(series.names)),
        )
        for series in exposed()
    ]


def metrics_page() -> str:
    """The page."""
    header = ("name", "type", "labels", "what", "used by")
    return f"{_HEAD}\n\n{NOTE}\n\n{table(header, rows())}\n"
