"""What is saved in FLOPs and in time, and by what."""

from dashboards.grafana import Dashboard, Panel
from dashboards.queries import MODEL, TIME_SAVED, part, total
from dashboards.shared import images_by_level, level_stat, saved_stat, savings_over_time

SAVINGS = Dashboard(
    "savings",
    "HASTE: savings",
    "FLOPs that were not executed and time that was not spent, and what made the difference.",
    (
        (
            saved_stat,
            Panel(
                "By skipping zeros",
                "Share of the dense FLOPs that only zeros would have entered; at an integer L what is near zero "
                "counts as zero, at exact nothing is lost. Small: this network's activations are not sparse.",
                "percentunit",
                {"zeros": part("skipped")},
                kind="stat",
                below="blue",
            ),
            Panel(
                "By merging",
                "Share of the dense FLOPs removed by merging channels that look alike, before the overhead is paid. 0 "
                "on a calibrated box where no merge repays its time.",
                "percentunit",
                {"merged": part("merged")},
                kind="stat",
                below="blue",
            ),
            Panel(
                "Overhead",
                "FLOPs of hashing and merging, as a share of the dense FLOPs. Above what merging saves: it does not "
                "pay.",
                "percentunit",
                {"overhead": part("overhead")},
                kind="stat",
                below="blue",
            ),
            Panel(
                "Forward time saved",
                "1 - what the engine took / what the same batches take dense, as calibrated on this machine at rest. "
                "Negative: it is slower than dense, or the machine is busier than when it was calibrated. No value "
                "without a calibration.",
                "percentunit",
                {"saved": TIME_SAVED},
                kind="stat",
                below="red",
                thresholds=((0, "green"),),
            ),
            level_stat,
        ),
        (
            savings_over_time,
            Panel(
                "Milliseconds saved an image",
                "Calibrated dense time - measured time, an image. Negative where HASTE costs time. FLOPs are not "
                "milliseconds: where this stays under FLOPs saved, memory or the overhead of calls decides, not "
                "arithmetic. 0 without a calibration.",
                "ms",
                {
                    "saved": f"1000 * ({total('haste_dense_forward_seconds_total')} - "
                    f"{total('haste_compared_forward_seconds_total')}) / {total('haste_compared_images_total')}"
                },
                thresholds=((0, "green"),),
                below="red",
            ),
        ),
        (
            Panel(
                "FLOPs a second",
                "What the answered images would have cost dense, and what was executed for them. The gap is what is "
                "saved.",
                "flops",
                {"dense": total("haste_dense_flops_total"), "executed": total("haste_executed_flops_total")},
                limits=(0, None),
            ),
            Panel(
                "Engine seconds a second",
                "Share of its time that the engine computes, and what it would need dense (batches of a calibrated "
                "model only). Dense above 1: without HASTE this box could not take the load.",
                "percentunit",
                {
                    "dense": total("haste_dense_forward_seconds_total"),
                    "compared with it": total("haste_compared_forward_seconds_total"),
                    "all batches": total("haste_forward_seconds_total"),
                },
                limits=(0, None),
            ),
        ),
        (
            images_by_level,
            Panel(
                "Compression by layer",
                "1 - buckets / channels in the last batch that merged. High: the layer's channels look alike. No line "
                "where no layer merges, as on a box whose calibration found no merge that repays its time.",
                "percentunit",
                {"{{layer}}": f"max by (layer) (haste_layer_compression_ratio{{{MODEL}}})"},
                limits=(0, 1),
            ),
        ),
    ),
)
