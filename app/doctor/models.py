"""The models, loaded as the service would: their weights, their calibrations, and what the controller makes of them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from app.contract import Calibration, Method, ModelInfo
from app.controller import SWITCHED_OFF, UNCALIBRATED, Standing
from app.doctor.check import Check, note, problem
from app.main import torch_engine
from app.service import Service
from app.settings import Settings


@dataclass(frozen=True)
class Loaded:
    """A model after a load that measured nothing; `error` where it failed, `refused` where the file did not fit.

    options: how `haste calibrate` is told of a merge rule and tolerance that are not the preset's.
    """

    info: ModelInfo
    seconds: float
    error: str | None = None
    calibration: Calibration | None = None
    refused: str | None = None
    standing: Standing | None = None
    options: str = ""


def load(settings: Settings) -> tuple[dict[str, str], list[Loaded]]:
    """The engine's build, and every model. ValueError where the settings do not let the service start."""
    engine = torch_engine(settings.model_copy(update={"calibration_ms": 0}))
    service = Service(settings, engine)
    found = []
    for info in engine.models:
        started, error = time.perf_counter(), None
        try:
            engine.load(info.name, *service.steering.method(info.name))
        except Exception as failure:  # noqa: BLE001  whatever stops the load stops the start, and is told
            error = str(failure)
        found.append((info, time.perf_counter() - started, error))
    service.refresh()
    return dict(engine.build), [
        Loaded(
            info,
            seconds,
            error,
            engine.calibration(info.name),
            engine.refused.get(info.name),
            service.standing(info.name),
            _options(engine.method, *service.steering.method(info.name)),
        )
        for info, seconds, error in found
    ]


def _options(preset: Method, merge: str, tolerance: float | None) -> str:
    same = (merge, tolerance) == (preset.merge, preset.tolerance)
    return "" if same else f" --merge {merge} --tolerance {str(tolerance).lower()}"


def check_models(settings: Settings, models: list[Loaded], *, compiled: bool) -> Iterator[Check]:
    """`compiled`: whether a native implementation computes, without which there is nothing to calibrate."""
    for model in models:
        yield _weights(model)
        if model.error is None and compiled:
            yield _calibration(settings, model)
            yield _controller(settings, model)


def _weights(model: Loaded) -> Check:
    name = f"model {model.info.name}"
    if model.error is not None:
        return problem(name, model.error, "install the package again, or name other models in HASTE_MODELS")
    return Check(name, f"sha256 {model.info.sha256[:12]} is right; loaded and run in {model.seconds:.1f} s")


def _calibration(settings: Settings, model: Loaded) -> Check:
    name = f"calibration of {model.info.name}"
    file = settings.calibration or "calibration.json"
    remedy = f"haste calibrate --model {model.info.name} --threads {settings.threads} --preset {settings.preset}"
    remedy += f"{model.options} --out {file}" + ("" if settings.calibration else f", and HASTE_CALIBRATION={file}")
    if model.refused is not None:
        return problem(name, model.refused, remedy)
    if model.calibration is not None:
        return Check(name, f"{file} of {model.calibration.made}: {_frontier(model.calibration)}")
    if settings.calibration_ms:
        return note(name, f"none: every start takes {settings.calibration_ms / 1e3:g} s more for a short one", remedy)
    return note(name, "none, and HASTE_CALIBRATION_MS=0 makes none at the start", remedy)


def _frontier(calibration: Calibration) -> str:
    first = min(point.batch for point in calibration.points) if calibration.points else 1
    shown = [point for point in calibration.points if point.frontier and point.batch == first]
    return ", ".join(f"L={point.level} {point.median_ms:.1f} ms" for point in shown) or "no frontier in it"


def _controller(settings: Settings, model: Loaded) -> Check:
    name, standing = f"controller of {model.info.name}", model.standing
    if standing is None or (standing.off == UNCALIBRATED and settings.calibration is None and settings.calibration_ms):
        return Check(name, "decided by the calibration at the start")
    if standing.warning is not None:
        off = "" if standing.off is None else f"; off: {standing.off}"
        lower = (
            "" if standing.off is None else ", or let the controller go lower (HASTE_CONTROLLER, HASTE_L, HASTE_L_MIN)"
        )
        return note(name, f"the objective cannot be held: {standing.warning}{off}", f"raise HASTE_SLO_MS{lower}")
    if standing.off is None:
        return Check(name, f"on: from L = {standing.configured} down to {standing.lowest} under load")
    if standing.off == SWITCHED_OFF:
        return Check(name, "off, as the settings or /config say")
    remedy = "calibrate it" if standing.off == UNCALIBRATED else "start from more (HASTE_L=exact), or lower HASTE_L_MIN"
    return note(name, f"off: {standing.off}", f"{remedy}; until then load is only refused")
