"""The reports of the service's benchmarks as Markdown: one section each, with the command that wrote it."""

from collections.abc import Callable, Mapping
from typing import Any

from result_tables import NOTE, RESULTS, command_of, read, results, table

Report = Mapping[str, Any]


def results_page() -> str:
    """All committed results."""
    head = "# Results\n\nTop-1 and agreement with the dense network; FLOPs over all layers, overhead included."
    picture = "![Accuracy and FLOPs saved over L](images/accuracy-flops.png)"
    return f"{head}\n\n{NOTE}\n\n{picture}\n\n## The method\n\n{results('*.json')}\n\n{report_sections()}\n"


def report_sections() -> str:
    """Every report that is committed."""
    parts = ["## The service", "Client and server share the cores of one machine, which others use too: compare rows."]
    for title, (name, describe) in _SECTIONS.items():
        if (RESULTS / name).exists():
            report = read(name)
            parts += [f"### {title}", f"{describe(report)}\n\n{report['machine']}. {command_of(RESULTS / name)}"]
    return "\n\n".join(parts)


def _overload(report: Report) -> str:
    head = ("load", "policy", "images a second", "in time", "of the accepted", "right and in time", "p50 ms", "p99 ms")
    rows = [
        (
            row["load"],
            row["policy"],
            f"{row['rate']:.0f}",
            f"{row['attainment']:.1%}",
            _share(row["kept"]),
            f"{row['effective_accuracy']:.1%}",
            *(_whole(row[name]) for name in ("p50_ms", "p99_ms")),
        )
        for row in report["rows"]
        if row["load"] != "search"
    ]
    late = max(row["lateness_p99_ms"] for row in report["rows"])
    text = f"The objective is {report['slo_ms']} ms, four times a dense request; the capacity is what dense holds, "
    text += f"{report['capacity']:.0f} images a second, and saturation what it answers in time of far more, "
    text += f"{report['saturation']:.0f}. In time and right are shares of the offered. Times count from "
    text += f"when the client should have sent; it was at most {late:.1f} ms late itself, at p99."
    return f"{text}\n\n{table(head, rows)}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def litserve(report: Report) -> str:
    """What each server held; "or more" where it held the highest rate that was tried, so nothing ended its climb."""
    rates = [row["rate"] for row in report["rows"]]
    least, most = min(rates), max(rates)
    cells = {0.0: f"under {least:.0f}", most: f"{most:.0f} or more"}
    rows = [
        (name, *(cells.get(rate, f"{rate:.0f}") for rate in held), _share(report["right"][name]))
        for name, held in report["held"].items()
    ]
    rounds = tuple(f"round {number + 1}" for number in range(len(rows[0]) - 2))
    bound = f"{float(report['command']['p99_ms']):.0f} ms"
    peer = report["peer"]
    text = "The highest Poisson rate, images a second, of which 99 % of the offered are answered within "
    text += f"{bound}. LitServe {peer['litserve']} with ONNX Runtime {peer['onnxruntime']}, as processes x threads. "
    text += "Right is a share of the answers at rates that were held; `haste` chooses its level, all others are dense."
    return f"{text}\n\n{table(('server', *rounds, 'right'), rows)}"


def _overhead(report: Report) -> str:
    medians, added, throughput = report["medians"], report["added_ms"], report["throughput"]
    rows = [
        ("one image, bare forward", f"{medians['engine_ms']:.2f} ms"),
        ("one image, request to answer", f"{medians['service_ms']:.2f} ms"),
        ("added, median of turns", f"{added['whole']:.2f} ms"),
        ("images in requests of eight, share of the bare engine's", f"{throughput['eights']:.1%}"),
        ("images in requests of one, share of the bare engine's", f"{throughput['single']:.1%}"),
        ("`/livez` with both cores saturated, p99", f"{report['livez_ms']['p99']:.1f} ms"),
    ]
    return table(("what", "measured"), rows)


def _simulation(report: Report) -> str:
    head = (
        "objective",
        "arrivals",
        "a second",
        "policy",
        "in time: measured",
        "simulated",
        "p99 ms: measured",
        "simulated",
    )
    rows = [
        (
            f"{row['slo_ms']} ms",
            row["arrival"],
            f"{row['rate']:.0f}",
            row["policy"],
            *(f"{row[side]['attainment']:.1%}" for side in ("measured", "simulated")),
            *(_whole(row[side]["p99_ms"]) for side in ("measured", "simulated")),
        )
        for row in report["rows"]
    ]
    found = report["mean_difference"]
    text = "`haste simulate` and a box, with the same arrivals and the box's calibration. Of the share in time the "
    text += f"simulation is {100 * found['attainment_magnitude']:.1f} points off on average, "
    text += (
        f"{100 * found['attainment']:+.1f} with its sign. Of bursts the rate is that between them; they are of four "
    )
    text += "times as much, 2 s of every 10."
    return f"{text}\n\n{table(head, rows)}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


_SECTIONS: dict[str, tuple[str, Callable[[Report], str]]] = {
    "Under overload": ("overload-x86_64.json", _overload),
    "Beside LitServe": ("litserve-x86_64.json", litserve),
    "What the service adds": ("overhead-x86_64.json", _overhead),
    "Simulated and measured": ("simulation-x86_64.json", _simulation),
}
