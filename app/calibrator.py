"""Finds the calibration of a network: from a file where one fits, else measured in a short time at start."""

import logging
from pathlib import Path

from torch import nn

import haste
from app.contract import Calibration, Point
from haste.calibrate import calibrate, configuration_of, identity_of
from haste.calibration import Calibration as Measured
from haste.config import parse_level
from haste.dataset import SAMPLES, read_photos
from haste.models import WeightsRecord
from haste.program import CompiledModel

__all__ = ["Calibrator", "images_of", "parse_level", "read_points"]
_log = logging.getLogger(__name__)
_LEVELS: tuple[haste.Level, ...] = ("dense", "exact", 20, 16, 12, 8)


class _Hurried(Exception):
    """Raised out of a calibration that nobody waits for any more."""


class Calibrator:
    """Calibrates compiled networks; `file` may be None, `seconds` 0: then nothing is measured."""

    def __init__(self, file: Path | None = None, seconds: float = 0.0, most_images: int = 8) -> None:
        """ValueError where the file is no calibration."""
        self._file = file
        self._measured = None if file is None else Measured.load(file)
        self._seconds = seconds
        self._hurried = False  # only looked at: an Event's lock could be held where a signal comes
        self._applied: dict[str, tuple[Calibration, Measured]] = {}
        self.refused: dict[str, str] = {}  # by model, why the file does not fit it
        self._batches = tuple(dict.fromkeys(min(size, most_images) for size in (1, 2, 4, most_images)))

    def still_holds(self, network: nn.Module, name: str) -> Calibration | None:
        """After other settings: the network goes on with a calibration that was made with them, else without."""
        if not isinstance(network, CompiledModel):
            return None
        described, found = self._applied.get(name, (None, None))
        if found is not None and configuration_of(network) == found.identity.configuration:
            network.forms = found.form
            return described
        if self._measured is not None and self._measured.stale(identity_of(network)) is None:
            return self._use_file(network, name, self._measured)
        network.forms = None
        _log.warning("the calibration of model %s was made with other settings of the method: it is not used", name)
        return None

    def apply(self, network: nn.Module, record: WeightsRecord) -> Calibration | None:
        """Let the network use the fastest forms, and say how they were found; None where nothing was measured."""
        if not isinstance(network, CompiledModel):
            return None
        if self._measured is not None:
            reason = self._measured.stale(identity_of(network))
            if reason is None:
                return self._use_file(network, record.name, self._measured)
            self.refused[record.name] = reason
            _log.warning(
                "%s is refused for model %s: %s; make a new one: haste calibrate", self._file, record.name, reason
            )
        if self._seconds <= 0:
            return None
        _log.info("model %s is being calibrated, for about %.0f s", record.name, self._seconds)
        photos, batches = read_photos(SAMPLES, record), self._batches
        try:
            found = calibrate(
                network, photos, levels=_LEVELS, batches=batches, seconds=self._seconds, progress=self._check
            )
        except _Hurried:
            network.forms = None  # as before: what was being measured had set its own
            _log.info("the calibration of model %s is given up, since the service ends", record.name)
            return None
        _log.info("model %s is calibrated after %.1f s: %s", record.name, found.seconds, _frontier_text(found))
        return self._remember(record.name, "start", found)

    def hurry(self) -> None:
        """Give up what is being measured before its next batch; from another thread, or a signal's handler."""
        self._hurried = True

    def _check(self, _: int) -> None:
        if self._hurried:
            raise _Hurried

    def _use_file(self, network: CompiledModel, name: str, measured: Measured) -> Calibration:
        network.forms = measured.form
        self.refused.pop(name, None)
        return self._remember(name, "file", measured)

    def _remember(self, name: str, source: str, found: Measured) -> Calibration:
        described = _described(source, found)
        self._applied[name] = described, found
        return described


def read_points(file: Path) -> tuple[Point, ...]:
    """What a calibration file measured of the network; ValueError where it is none."""
    return _points(Measured.load(file))


def images_of(file: Path) -> int:
    """On how many images the agreement in a calibration file was measured; ValueError as above."""
    return Measured.load(file).images


def _points(found: Measured) -> tuple[Point, ...]:
    return tuple(
        Point(point.level, point.batch, point.median_ms, point.reduction, point.agreement, point.kl, point.frontier)
        for point in found.points
    )


def _described(source: str, found: Measured) -> Calibration:
    return Calibration(source, found.made, found.identity.threads, _points(found))


def _frontier_text(found: Measured) -> str:
    first = min(found.forms)
    return ", ".join(f"L={p.level} {p.median_ms:.1f} ms" for p in found.points if p.frontier and p.batch == first)
