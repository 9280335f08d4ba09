"""Whether answers come in time, and what the controller does for it."""

from dashboards.grafana import Dashboard, Panel
from dashboards.queries import IN_TIME, MODEL, total
from dashboards.shared import (
    images_by_level,
    in_time_stat,
    latency,
    level_stat,
    levels_over_time,
    pressure_over_time,
    pressure_stat,
    requests_by_outcome,
)

_BURN = "Times that the budget of errors (1 % of the requests) is used up faster than it may be."
OBJECTIVE = Dashboard(
    "objective",
    "HASTE: objective",
    "Whether answers come in time, and what the controller does for it.",
    (
        (
            in_time_stat,
            Panel(
                "Burn rate of the hour",
                f"{_BURN} 1: the budget lasts exactly its month; 14.4 over an hour raises HasteObjectiveBurnsFast.",
                "suffix: x",
                {"{{instance}}": "haste:objective_missed:ratio_rate1h / 0.01"},
                kind="stat",
                thresholds=((1, "yellow"), (6, "red")),
            ),
            Panel(
                "95 % within",
                "95 % of the classify requests of the last five minutes took no longer. Over the objective for five "
                "minutes it raises HasteLatencyOverObjective.",
                "s",
                {"{{instance}}": "haste:classify_duration_seconds:p95_rate5m"},
                kind="stat",
                below="blue",
            ),
            Panel(
                "Refused",
                "Share of the requests of five minutes that were answered 429 or 503. Over 1 % it raises "
                "HasteRejections: the load is too much even at the lowest L.",
                "percentunit",
                {"{{instance}}": "haste:rejected:ratio_rate5m"},
                kind="stat",
                thresholds=((0.001, "yellow"), (0.01, "red")),
            ),
            pressure_stat,
            level_stat,
        ),
        (
            latency,
            Panel(
                "In time, over time",
                "Share of the requests answered within their deadline; refused and failed ones are missed. The dashed "
                "line is the goal, 99 %.",
                "percentunit",
                {"in time": IN_TIME},
                thresholds=((0.99, "green"),),
                below="red",
                limits=(0, 1),
            ),
            Panel(
                "Burn rates",
                f"{_BURN} Two windows each: 5 m and 1 h over 14.4 wake somebody, 30 m and 6 h over 6 can wait for the "
                "day.",
                "suffix: x",
                {
                    f"{{{{instance}}}} {window}": f"haste:objective_missed:ratio_rate{window} / 0.01"
                    for window in ("5m", "30m", "1h", "6h")
                },
                thresholds=((6, "yellow"), (14.4, "red")),
            ),
        ),
        (
            pressure_over_time,
            levels_over_time,
            Panel(
                "Degraded, and at the lowest level",
                "Degraded 1: the controller keeps L under the configured one. At lowest 1: it has nothing more to "
                "give, or is off (GET /config says why). Both for long: the box is too small.",
                "none",
                {
                    "{{model}} degraded": f"max by (model) (haste_controller_degraded{{{MODEL}}})",
                    "{{model}} at lowest": f"max by (model) (haste_controller_at_lowest{{{MODEL}}})",
                },
                limits=(0, 1),
            ),
        ),
        (
            Panel(
                "Steps of the controller",
                "Steps a second, by direction and cause. Up and down all the time: the load lies between two levels; "
                "raise the objective or lower the configured L.",
                "ops",
                {"{{direction}}, {{reason}}": total("haste_controller_adjustments_total", by="direction, reason")},
                limits=(0, None),
            ),
            requests_by_outcome,
            images_by_level,
        ),
    ),
)
