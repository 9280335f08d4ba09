"""Every series of the service, on a registry of its own."""

from collections import Counter as Numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TypeVar, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from app.contract import ImageFlops, Level
from app.controller import Standing
from app.errors import REJECTIONS, TABLE, Outcome, ServiceError, outcome_of
from app.objective import Cause, Change, Direction
from app.plan import Reason

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
UNKNOWN = "unknown"
"""The model of a request that was refused before its model was known."""
UNMATCHED = "unmatched"
"""The route of what no route answered."""

M = TypeVar("M", Counter, Gauge, Histogram)
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)
_FLOPS = ("dense", "executed", "overhead", "skipped", "merged")
_STAGES = ("decode", "preprocess", "queue", "forward", "postprocess")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Metrics:
    """The series, and one method for each thing that happens. Used from the event loop only, so scrapes are whole."""

    def __init__(self, models: Iterable[str], build: Mapping[str, str], slo_seconds: float) -> None:
        """slo_seconds: the objective at start, which is an edge of the histogram of durations."""
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._http(sorted({*_SECONDS, slo_seconds}))
        self._inference()
        self._state()
        self._controller()
        self.gauge("haste_build_info", "What runs here; always 1.", *sorted(build)).labels(**build).set(1)
        for model in models:
            self._initialise(model)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return _quick(Gauge(name, text, labels, registry=self.registry))

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return _quick(Counter(name, text, labels, registry=self.registry))

    def histogram(self, name: str, text: str, *labels: str, buckets: Iterable[float] = _SECONDS) -> Histogram:
        return _quick(Histogram(name, text, labels, buckets=tuple(buckets), registry=self.registry))

    def _http(self, edges: Iterable[float]) -> None:
        labels = ("route", "method", "code")
        self.http_requests = self.counter("haste_http_requests_total", "HTTP requests answered.", *labels)
        name = "haste_http_request_duration_seconds"
        self.http_duration = self.histogram(name, "From the first byte to the last.", "route", buckets=edges)
        self.in_flight = self.gauge("haste_requests_in_flight", "Classify requests being worked on.")
        self.in_flight.set(0)
        self.rejections = self.counter("haste_image_rejections_total", "Images that were not accepted.", "reason")
        for reason in REJECTIONS:
            self.rejections.labels(reason)
        self.config_changes = self.counter("haste_config_changes_total", "Attempts to change the state.", "result")
        for result in ("applied", "refused"):
            self.config_changes.labels(result)

    def _inference(self) -> None:
        text = "Classify requests by how they ended."
        self.requests = self.counter("haste_inference_requests_total", text, "model", "outcome")
        text = "Time of one image in a stage; a forward is that of its batch."
        self.stages = self.histogram("haste_inference_stage_duration_seconds", text, "model", "stage")
        text = "Images answered, by the number of hyperplanes that was used."
        self.images = self.counter("haste_inference_images_total", text, "model", "hyperplanes")
        text = "Images in a batch."
        self.batches = self.histogram("haste_inference_batch_images", text, "model", buckets=_BATCH)
        text = "Batches by why they were released: full, short to meet a deadline, or all that waited."
        self.releases = self.counter("haste_batch_releases_total", text, "model", "reason")
        self._forward_time()
        text = "Requests answered within their deadline, which is the objective where they name none."
        self.in_time = self.counter("haste_requests_within_slo_total", text, "model")
        self.flops = {
            name: self.counter(f"haste_{name}_flops_total", f"FLOPs of the answered images: {name}.", "model")
            for name in _FLOPS
        }
        text = "1 - buckets / channels of a layer in the last batch that merged."
        self.compression = self.gauge("haste_layer_compression_ratio", text, "model", "layer")

    def _forward_time(self) -> None:
        text = "Time of the engine in batches."
        self.forward_seconds = self.counter("haste_forward_seconds_total", text, "model")
        text = "The part of haste_forward_seconds_total of which it is known what dense takes."
        self.compared_seconds = self.counter("haste_compared_forward_seconds_total", text, "model")
        text = "Images of the batches of haste_compared_forward_seconds_total."
        self.compared_images = self.counter("haste_compared_images_total", text, "model")
        text = "What the same batches take dense on this machine, as it was calibrated while nothing else ran."
        self.dense_seconds = self.counter("haste_dense_forward_seconds_total", text, "model")

    def _state(self) -> None:
        self.queue_depth = self.gauge("haste_queue_depth", "Images that wait for the engine.", "model")
        self.queue_capacity = self.gauge("haste_queue_capacity", "Images that may wait for the engine.")
        text = "L of a request that names none, now; NaN while that is exact or dense."
        self.hyperplanes = self.gauge("haste_model_hyperplanes", text, "model")
        self.hyperplanes_min = self.gauge("haste_model_hyperplanes_min", "Least L that is accepted.", "model")
        self.hyperplanes_max = self.gauge("haste_model_hyperplanes_max", "Largest L that is accepted.", "model")
        self.ready = self.gauge("haste_model_ready", "1 when the model answers.", "model")
        text = "Time to load, convert and warm up."
        self.load_duration = self.gauge("haste_model_load_duration_seconds", text, "model")

    def _controller(self) -> None:
        text = "Steps of the controller, and why it made them."
        self.adjustments = self.counter("haste_controller_adjustments_total", text, "model", "direction", "reason")
        text = "Share of the engine's time that the load would need at the configured L; above 1 the box is too small."
        self.pressure = self.gauge("haste_controller_pressure_ratio", text, "model")
        text = "1 while the controller keeps L under the configured one."
        self.degraded = self.gauge("haste_controller_degraded", text, "model")
        text = "1 while no lower level is left to the controller, or it is off."
        self.at_lowest = self.gauge("haste_controller_at_lowest", text, "model")
        self.slo = self.gauge("haste_slo_target_seconds", "The latency objective of one image.", "model")

    def _initialise(self, model: str) -> None:
        for outcome in get_args(Outcome):
            self.requests.labels(model, outcome)
            self.requests.labels(UNKNOWN, outcome)
        for stage in _STAGES:
            self.stages.labels(model, stage)
        compared = (self.compared_seconds, self.compared_images, self.dense_seconds)
        for counter in (*self.flops.values(), self.forward_seconds, *compared):
            counter.labels(model)
        for reason in get_args(Reason):
            self.releases.labels(model, reason)
        for direction in get_args(Direction):
            for cause in get_args(Cause):
                self.adjustments.labels(model, direction, cause)
        self.in_time.labels(model)
        self.batches.labels(model)
        self.queue_depth.labels(model).set(0)
        self.ready.labels(model).set(0)

    def inference(self, model: str, error: type[BaseException] | None) -> None:
        """A classify request is over, by an answer or by such an error."""
        self.requests.labels(model, outcome_of(error)).inc()
        reason = TABLE[error].rejection if error is not None and issubclass(error, ServiceError) else None
        if reason is not None:
            self.rejections.labels(reason).inc()

    @contextmanager
    def config_change(self) -> Iterator[None]:
        """Around an attempt to change the state."""
        result = "refused"
        try:
            yield
            result = "applied"
        finally:
            self.config_changes.labels(result).inc()

    def answered(self, model: str, levels: Iterable[Level], flops: Sequence[ImageFlops]) -> None:
        """The images of an answer that goes out."""
        for level, images in Numbers(levels).items():
            self.images.labels(model, str(level)).inc(images)
        for name, counter in self.flops.items():
            counter.labels(model).inc(sum(getattr(one, name) for one in flops))

    def stages_of(self, model: str, **seconds: float | None) -> None:
        """What one image took in each stage, None where it had none of it."""
        for stage, value in seconds.items():
            if value is not None:
                self.stages.labels(model, stage).observe(value)

    def batch(self, model: str, images: int, reason: str, compression: Mapping[str, float]) -> None:
        """One forward of the engine, and why it was released."""
        self.batches.labels(model).observe(images)
        self.releases.labels(model, reason).inc()
        for layer, ratio in compression.items():
            self.compression.labels(model, layer).set(ratio)

    def expect_levels(self, model: str, levels: Iterable[Level]) -> None:
        """Begin the series of images at these levels, so that a rate sees the first of them too."""
        for level in levels:
            self.images.labels(model, str(level))

    def forward(self, model: str, images: int, seconds: float, dense_seconds: float | None) -> None:
        """What a batch took, and would have taken dense; None where no calibration tells."""
        self.forward_seconds.labels(model).inc(seconds)
        if dense_seconds is not None:
            self.compared_seconds.labels(model).inc(seconds)
            self.compared_images.labels(model).inc(images)
            self.dense_seconds.labels(model).inc(dense_seconds)

    def adjusted(self, change: Change) -> None:
        """One step of the controller."""
        self.adjustments.labels(change.model, change.direction, change.cause).inc()

    def watch(
        self, model: str, depth: Callable[[], int], standing: Callable[[], Standing], slo: Callable[[], float]
    ) -> None:
        """Ask for the queue's depth and the controller's standing at every scrape."""
        self.queue_depth.labels(model).set_function(depth)
        self.pressure.labels(model).set_function(lambda: standing().pressure)
        self.degraded.labels(model).set_function(lambda: standing().degraded)
        self.at_lowest.labels(model).set_function(lambda: standing().level == standing().lowest)
        self.hyperplanes.labels(model).set_function(lambda: _number(standing().level))
        self.slo.labels(model).set_function(slo)

    def http_request(self, route: str, method: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self.http_requests.labels(route, known, str(status)).inc()
        self.http_duration.labels(route).observe(seconds)

    def connection_refused(self, status: int) -> None:
        """Bytes that never became a request, or a connection too many, were answered so."""
        self.http_requests.labels(UNMATCHED, "other", str(status)).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)


def _quick(metric: M) -> M:
    """Remembers the series of every combination of labels: to look one up anew takes ten times as long as to count."""
    metric.labels = cache(metric.labels)  # type: ignore[method-assign]
    return metric


def _number(level: Level) -> float:
    return level if isinstance(level, int) else float("nan")
