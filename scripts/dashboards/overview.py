"""Whether the service is there, what it answers, what that costs and saves."""

from dashboards.grafana import Dashboard, Panel
from dashboards.queries import MODEL, total
from dashboards.shared import (
    IMAGES_PER_SECOND,
    images_by_level,
    in_time_stat,
    latency,
    level_stat,
    levels_over_time,
    memory,
    pressure_over_time,
    processors,
    requests_by_outcome,
    saved_stat,
    savings_over_time,
)

OVERVIEW = Dashboard(
    "overview",
    "HASTE: overview",
    "Whether the service is there, what it answers, what that costs and saves.",
    (
        (
            Panel(
                "Instances up",
                "Instances that gave metrics at the last scrape. 0 or no value: the service is down, or Prometheus "
                "does not reach it; HasteDown names the instance.",
                "none",
                {"up": 'sum(up{job="haste"})'},
                kind="stat",
                below="red",
                thresholds=((1, "green"),),
            ),
            Panel(
                "Alerts firing",
                "How many alerts fire now. Each names its remedy in docs/operating.md; Alertmanager lists them on port "
                "9093.",
                "none",
                {"firing": 'count(ALERTS{alertname=~"Haste.*", alertstate="firing"}) or vector(0)'},
                kind="stat",
                thresholds=((1, "red"),),
            ),
            Panel(
                "Images a second",
                "Images answered a second, by all instances. None though cameras run: look at Requests by outcome.",
                IMAGES_PER_SECOND,
                {"images": total("haste_inference_images_total")},
                kind="stat",
                below="blue",
            ),
            in_time_stat,
            saved_stat,
            level_stat,
        ),
        (requests_by_outcome, latency, savings_over_time),
        (pressure_over_time, levels_over_time, images_by_level),
        (memory, processors),
        (
            Panel(
                "Models",
                "1: the model answers; 0: it is loading, failed to, or was unloaded. Seconds: what loading, converting "
                "and warming up took, a calibration included.",
                "none",
                {
                    "ready": f"max by (instance, model) (haste_model_ready{{{MODEL}}})",
                    "seconds to load": f"max by (instance, model) (haste_model_load_duration_seconds{{{MODEL}}})",
                },
                kind="table",
            ),
            Panel(
                "What runs",
                "Versions of the service, torch and Python, the machine and the implementation. reference: the native "
                "engine is missing, and everything is many times slower; build it or take a wheel.",
                "none",
                {"build": "haste_build_info"},
                kind="table",
            ),
        ),
    ),
)
