"""A calibration: for one network on one machine, the fastest form of every layer at every level, and the frontier."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from haste.config import Level, parse_level
from haste.layer import Form, Forms

FORMAT = 1
Times: TypeAlias = dict[int, dict[str, dict[str, dict[Form, float]]]]
"""Milliseconds of batch -> level -> layer -> form."""


@dataclass(frozen=True)
class Identity:
    """What a calibration holds for; another value of any of these makes it stale."""

    cpu: str
    threads: int
    kernel: str
    weights: str
    configuration: str


@dataclass(frozen=True)
class Point:
    """The whole network at one level and batch size: milliseconds a batch, predicted from its layers and measured.

    reduction, agreement: fractions, and kl in nats, over the images of the calibration, with the forms it chose.
    frontier: no other level of this batch size is both at least as fast and at least as close to dense.
    """

    level: Level
    batch: int
    predicted_ms: float
    median_ms: float
    p10_ms: float
    p90_ms: float
    reduction: float
    agreement: float
    kl: float
    frontier: bool = False


@dataclass(frozen=True)
class Calibration:
    """times: milliseconds by layer and form, and `calls` outside of layers; forms: the fastest; points: the network."""

    identity: Identity
    made: str
    seconds: float
    images: int
    times: Times
    calls: dict[int, float]
    forms: dict[int, dict[str, dict[str, Form]]]
    points: tuple[Point, ...] = ()
    format: int = FORMAT

    def form(self, layer: str, level: Level, images: int) -> Form:
        """The form of a layer at its level for a batch of `images`; of the nearest level and batch measured."""
        batch = max((b for b in self.forms if b <= images), default=min(self.forms))
        forms = self.forms[batch]
        key = str(level)
        if key not in forms:
            measured = [int(k) for k in forms if k.isdecimal()]
            if not isinstance(level, int) or not measured:
                return "merge"
            key = str(min(measured, key=lambda k: (abs(k - level), k)))
        return forms[key].get(layer, "merge")

    def in_batch(self, batch: int) -> Forms:
        """The forms of one batch size, whatever the number of images that are run at once."""
        return lambda layer, level, _: self.form(layer, level, batch)

    def predict(self, level: Level, batch: int) -> float:
        """Milliseconds of a call: its layers in the forms chosen, and the rest. KeyError for what was not measured."""
        layers = self.times[batch][str(level)]
        return sum(ms[self.form(layer, level, batch)] for layer, ms in layers.items()) + self.calls[batch]

    def stale(self, identity: Identity) -> str | None:
        """Why this calibration does not hold for `identity`; None where it does."""
        own, other = asdict(self.identity), asdict(identity)
        differ = [f"{name} {own[name]!r}, now {other[name]!r}" for name in own if own[name] != other[name]]
        return f"the calibration of {self.made} was made with {'; '.join(differ)}" if differ else None

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read what `save` wrote. ValueError names the file and what is wrong with it."""
        try:
            return _parse(json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            what = f"no {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{path}: not what `haste calibrate` of this version writes: {what}") from error


def _parse(data: dict[str, Any]) -> Calibration:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}, not {FORMAT}")
    points = [_point(point) for point in data["points"]]
    forms = {_whole(batch): by_level for batch, by_level in data["forms"].items()}
    calls = {_whole(batch): _number(ms) for batch, ms in data["calls"].items()}
    times = {_whole(batch): by_level for batch, by_level in data["times"].items()}
    if not set(forms) == set(times) == set(calls):
        raise ValueError("forms, times and calls are of different batches")
    _check_times(times, forms)
    for by_level in forms.values():
        for level, by_layer in by_level.items():
            parse_level(level)
            if wrong := set(by_layer.values()) - {"dense", "zeros", "merge"}:
                raise ValueError(f"unknown forms {wrong}")
    if not forms:
        raise ValueError("no forms")
    return Calibration(
        Identity(**data["identity"]),
        str(data["made"]),
        _number(data["seconds"]),
        int(data["images"]),
        times,
        calls,
        forms,
        tuple(points),
    )


def _check_times(times: Times, forms: dict[int, dict[str, dict[str, Form]]]) -> None:
    """ValueError where a time is no number, or a form was chosen that was not measured."""
    for batch, by_level in times.items():
        for level, layers in by_level.items():
            if set(layers) != set(forms[batch][level]):
                raise ValueError(f"forms and times of L = {level} are of different layers")
            for name, milliseconds in layers.items():
                if forms[batch][level][name] not in {form: _number(ms) for form, ms in milliseconds.items()}:
                    raise ValueError(f"{name}: the form chosen was not measured")


def _point(values: dict[str, Any]) -> Point:
    _number(1 - values["reduction"])  # it may be under 0, and is not computed with, which would round it
    names = values.keys() - {"level", "batch", "frontier", "reduction"}
    return Point(
        level=parse_level(str(values["level"])),
        batch=_whole(values["batch"]),
        reduction=float(values["reduction"]),
        frontier=values["frontier"] is True,
        **{name: _number(values[name]) for name in names},
    )


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ValueError(f"{value!r} is no finite number of at least 0")
    return float(value)


def _whole(value: object) -> int:
    text = str(value)
    if not (text.isascii() and text.isdecimal() and len(text) < 5 and int(text) > 0):
        raise ValueError(f"{value!r} is no batch size")
    return int(text)


def on_frontier(points: list[Point]) -> list[Point]:
    """The points with `frontier` set: within a batch size, fastest first, each one's KL must be below those before."""
    marked = []
    for batch in dict.fromkeys(point.batch for point in points):
        own = sorted((p for p in points if p.batch == batch), key=lambda p: (p.median_ms, p.kl))
        best = float("inf")
        for point in own:
            marked.append(replace(point, frontier=point.kl < best))
            best = min(best, point.kl)
    return marked
