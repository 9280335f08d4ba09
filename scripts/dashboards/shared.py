"""Panels that several dashboards show."""

from dashboards.grafana import Panel
from dashboards.queries import IN_TIME, L_NOW, LATENCIES, MODEL, PRESSURE, SAVED, part, total

IMAGES_PER_SECOND = "suffix: images/s"

saved_stat = Panel(
    "FLOPs saved",
    "Share of the dense FLOPs that was not executed, the overhead of hashing and merging counted as executed. No value "
    "while no images flow. Near zero though images flow: look at Images by L, somebody may have asked for dense.",
    "percentunit",
    {"saved": SAVED},
    kind="stat",
    below="red",
    thresholds=((0.01, "yellow"), (0.1, "green")),
)
in_time_stat = Panel(
    "In time",
    "Share of the requests answered within their deadline, which is the objective where they name none; what was "
    "refused or failed counts as missed. Under 99 % the budget of errors is being used up: see the dashboard "
    "Objective.",
    "percentunit",
    {"in time": IN_TIME},
    kind="stat",
    below="red",
    thresholds=((0.9, "yellow"), (0.99, "green")),
)
pressure_stat = Panel(
    "Pressure",
    "Share of the engine's time that the load would need at the configured L. Above 1 the box is too small for it, "
    "however well the objective is held: lower L, send fewer images or add a box.",
    "percentunit",
    {"{{instance}}": PRESSURE},
    kind="stat",
    thresholds=((0.8, "yellow"), (1, "red")),
)
level_stat = Panel(
    "L now",
    "Hyperplanes of a request that names no L. No value while that is exact or dense. Lower than configured under "
    "load: the controller holds the objective at the cost of accuracy.",
    "none",
    {"{{model}}": L_NOW},
    kind="stat",
    below="blue",
)
latency = Panel(
    "Latency against the objective",
    "Time of classify requests, from the first byte to the last, refusals included. A line of 95 % over the objective "
    "raises HasteLatencyOverObjective; where the queue stays short (dashboard Stages), it is the clients' network.",
    "s",
    LATENCIES,
    limits=(0, None),
)
savings_over_time = Panel(
    "Savings over time",
    "What is saved of the dense FLOPs, and of what it is made: zeros skipped (no error) + merged (an approximation) - "
    "overhead = saved. Overhead above merged: merging does not pay, calibrate or raise L.",
    "percentunit",
    {
        "saved": SAVED,
        "zeros skipped": part("skipped"),
        "merged": part("merged"),
        "overhead of hashing and merging": part("overhead"),
    },
)
levels_over_time = Panel(
    "L over time",
    "Hyperplanes of a request that names none, between the least and the most that are accepted. It falls under load "
    "and comes back slowly. A line that ends: L is exact or dense.",
    "none",
    {
        "{{model}}": L_NOW,
        "{{model}}, least": f"haste_model_hyperplanes_min{{{MODEL}}}",
        "{{model}}, most": f"haste_model_hyperplanes_max{{{MODEL}}}",
    },
    limits=(0, None),
)
images_by_level = Panel(
    "Images by L",
    "Images answered a second by the level that was used: hyperplanes, exact or dense. Levels that nobody configured "
    "are the controller's, or asked for by requests.",
    IMAGES_PER_SECOND,
    {"L = {{hyperplanes}}": total("haste_inference_images_total", by="hyperplanes")},
    limits=(0, None),
    stacked=True,
)
pressure_over_time = Panel(
    "Pressure over time",
    "Share of the engine's time that the load would need at the configured L, by instance. What scales boxes should "
    "follow this and not the latency, which the controller holds.",
    "percentunit",
    {"{{instance}}": PRESSURE},
    thresholds=((1, "red"),),
    limits=(0, None),
)
requests_by_outcome = Panel(
    "Requests by outcome",
    "Classify requests a second by how they ended. rejected: too much load, or still loading; bad_input: the client's "
    "doing; error: a fault of ours, and the log names it. Requests refused before their model was known are in All "
    "only.",
    "reqps",
    {"{{outcome}}": total("haste_inference_requests_total", by="outcome")},
    limits=(0, None),
    stacked=True,
)
memory = Panel(
    "Memory",
    "Resident memory of the process. A floor that rises for hours raises HasteMemoryGrows; peaks under load are images "
    "being decoded.",
    "bytes",
    {"{{instance}}": 'process_resident_memory_bytes{job="haste"}'},
    limits=(0, None),
)
processors = Panel(
    "Processor",
    "Cores that the process uses. At the number of its threads the engine computes all the time: see Pressure.",
    "suffix: cores",
    {"{{instance}}": 'rate(process_cpu_seconds_total{job="haste"}[$__rate_interval])'},
    limits=(0, None),
)
