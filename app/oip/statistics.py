"""Counts what each model did since the start, in the shape of the protocol's statistics extension."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.oip.metadata import VERSION

_DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


@dataclass
class Duration:
    """How often, and how long together."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.ns += round(seconds * 1e9)

    def shown(self) -> dict[str, int]:
        return {"count": self.count, "ns": self.ns}


@dataclass
class _Model:
    durations: dict[str, Duration] = field(default_factory=lambda: {name: Duration() for name in _DURATIONS})
    batches: dict[int, Duration] = field(default_factory=dict)
    images: int = 0
    last_ms: int = 0


class Statistics:
    """Used from the event loop only."""

    def __init__(self, models: Iterable[str]) -> None:
        self._models = {name: _Model() for name in models}

    def ended(self, model: str, seconds: float, *, answered: bool) -> None:
        """A request, by all that it took; one whose model is unknown is nobody's."""
        if model in self._models:
            self._models[model].durations["success" if answered else "fail"].add(seconds)

    def answered(self, model: str, images: int, at: float, **seconds: float) -> None:
        """A request's images; at: when they left, in seconds since 1970.

        seconds: its time in `queue`, `compute_input`, `compute_infer` and `compute_output`."""
        found = self._models[model]
        found.images += images
        found.last_ms = max(found.last_ms, round(at * 1000))
        for name, value in seconds.items():
            found.durations[name].add(value)

    def batch(self, model: str, images: int, seconds: float) -> None:
        """One forward of the engine."""
        self._models[model].batches.setdefault(images, Duration()).add(seconds)

    def shown(self, models: Iterable[str]) -> dict[str, object]:
        """Of these models; nanoseconds, and milliseconds since 1970 of the last answer."""
        return {"model_stats": [self._shown(name) for name in models]}

    def _shown(self, name: str) -> dict[str, object]:
        found = self._models[name]
        return {
            "name": name,
            "version": VERSION,
            "last_inference": found.last_ms,
            "inference_count": found.images,
            "execution_count": sum(batch.count for batch in found.batches.values()),
            "inference_stats": {kind: duration.shown() for kind, duration in found.durations.items()},
            "batch_stats": [
                {"batch_size": images, "compute_infer": batch.shown()}
                for images, batch in sorted(found.batches.items())
            ],
        }
