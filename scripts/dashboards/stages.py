"""Where an image's time goes, what waits, and what is refused."""

from dashboards.grafana import Dashboard, Panel
from dashboards.queries import MODEL, quantile, total
from dashboards.shared import memory, processors

STAGE = "haste_inference_stage_duration_seconds"
STAGES = Dashboard(
    "stages",
    "HASTE: stages and queue",
    "Where an image's time goes, what waits, and what is refused.",
    (
        (
            Panel(
                "Mean time in each stage",
                "Mean time of an image in each stage, stacked; a forward is that of its batch. A thick queue: too much "
                "load. A thick decode: large photos, let the cameras send smaller ones.",
                "s",
                {
                    "{{stage}}": f"{total(f'{STAGE}_sum', by='stage')} / {total(f'{STAGE}_count', by='stage')}",
                },
                limits=(0, None),
                stacked=True,
            ),
            Panel(
                "95 % of each stage",
                "The time that 95 % of the images stay under, by stage. A stage far above its mean has outliers: the "
                "machine is shared, or some images are much larger.",
                "s",
                {"{{stage}}": quantile(0.95, STAGE, MODEL, by="stage")},
                limits=(0, None),
            ),
            Panel(
                "Engine busy",
                "Share of its time that the engine computes, by instance. At 1 it is the bottleneck, and L decides how "
                "much it can take.",
                "percentunit",
                {"{{instance}}": total("haste_forward_seconds_total", by="instance")},
                limits=(0, None),
            ),
        ),
        (
            Panel(
                "Queue",
                "Images that wait for the engine, by model, and the places that all models share. Full: the next "
                "image is refused with 429.",
                "none",
                {
                    "{{model}}": f"sum by (model) (haste_queue_depth{{{MODEL}}})",
                    "places": "sum(haste_queue_capacity)",
                },
                limits=(0, None),
            ),
            Panel(
                "Queue used",
                "Share of the places that are taken, by instance. Over 80 % for minutes it raises "
                "HasteQueueNearlyFull.",
                "percentunit",
                {"{{instance}}": "haste:queue_used:ratio"},
                thresholds=((0.8, "red"),),
                limits=(0, 1),
            ),
            Panel(
                "Requests in flight",
                "Classify requests being worked on, from their first byte on. Many with an empty queue: clients that "
                "send slowly.",
                "none",
                {"{{instance}}": "sum by (instance) (haste_requests_in_flight)"},
                limits=(0, None),
            ),
        ),
        (
            Panel(
                "Images in a batch",
                "How many images the engine runs at once. 1 while it keeps up; larger batches under load take less "
                "time an image.",
                "none",
                {
                    "mean": f"{total('haste_inference_batch_images_sum')} / "
                    f"{total('haste_inference_batch_images_count')}",
                    "95 %": quantile(0.95, "haste_inference_batch_images", MODEL),
                },
                limits=(0, None),
            ),
            Panel(
                "Batches by why they went",
                "Batches a second. full: as large as pays; deadline: cut short for the most urgent image; idle: all "
                "that waited. Mostly deadline: the objective is tight for this load.",
                "ops",
                {"{{reason}}": total("haste_batch_releases_total", by="reason")},
                limits=(0, None),
                stacked=True,
            ),
            Panel(
                "Images not accepted",
                "Images a second that were no use, by reason. A rise after a change of cameras: their format or size "
                "is not what the service takes (docs/settings.md has the limits).",
                "ops",
                {"{{reason}}": "sum by (reason) (rate(haste_image_rejections_total[$__rate_interval]))"},
                limits=(0, None),
            ),
        ),
        (
            Panel(
                "Answers by route and code",
                "HTTP answers a second. 429 and 503 are load, other 4xx are the clients' doing, 499 is a client that "
                "left, 500 is ours.",
                "reqps",
                {
                    "{{method}} {{route}} {{code}}": "sum by (route, method, code) "
                    "(rate(haste_http_requests_total[$__rate_interval]))"
                },
                limits=(0, None),
            ),
            Panel(
                "Changes of the configuration",
                "Attempts of the last minutes to change L or anything else, by result. refused raises "
                "HasteConfigChangeRefused.",
                "none",
                {"{{result}}": "sum by (result) (increase(haste_config_changes_total[$__rate_interval]))"},
                limits=(0, None),
            ),
            Panel(
                "Open files",
                "Share of the file descriptors that the process may have. Rising with the connections is normal, near "
                "1 new ones fail: raise the limit of the process.",
                "percentunit",
                {"{{instance}}": 'process_open_fds{job="haste"} / process_max_fds{job="haste"}'},
                thresholds=((0.8, "red"),),
                limits=(0, 1),
            ),
        ),
        (
            memory,
            processors,
            Panel(
                "Garbage collections",
                "Collections of Python's cycles a second, by generation. Many of generation 2 show as outliers of "
                "every stage.",
                "ops",
                {"{{generation}}": "sum by (generation) (rate(python_gc_collections_total[$__rate_interval]))"},
                limits=(0, None),
            ),
        ),
    ),
)
