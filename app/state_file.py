"""Keeps the state over a restart, in a JSON file that is replaced as a whole."""

import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.config_patch import parse_patch
from app.contract import Engine
from app.errors import EngineFailure, InvalidParameter
from app.objective import Objective
from app.state import ModelValues, State, changed

_OWNER_ONLY = 0o600
_log = logging.getLogger(__name__)


def initial_state(engine: Engine, objective: Objective) -> State:
    """The engine's own defaults, and the objective of the settings."""
    models = MappingProxyType({info.name: ModelValues() for info in engine.models})
    return State(engine.method.level, engine.method.merge, engine.method.tolerance, objective, models)


def read_state(path: Path | None, engine: Engine, objective: Objective) -> State:
    """What the file holds, over the defaults; ValueError names the file where it does not fit."""
    state = initial_state(engine, objective)
    if path is None:
        return state
    try:
        if not path.exists():
            _check_folder(path.parent)
            return state
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or "version" not in values:
            raise ValueError("it holds no version, so no service wrote it; take another name, or delete it")
        version = int(values.pop("version"))
        values["models"] = {name: own for name, own in values.get("models", {}).items() if set(own.values()) != {None}}
        state = changed(state, parse_patch(values, engine))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidParameter, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"state file {path}: {what}") from None
    return replace(state, version=version)


def _check_folder(folder: Path) -> None:
    """ValueError where no state could be written: the first change would be too late to say so."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; make it, or change HASTE_STATE_FILE")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"this user may not write into {folder}; let it, or change HASTE_STATE_FILE")


def _held(path: Path) -> dict[str, Any]:
    """What the file names; nothing where it is not there, or no longer what a service wrote."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    fits = isinstance(values, dict) and isinstance(values.get("controller", {}), dict)
    return values if fits else {}


def write_state(path: Path | None, start: State, state: State) -> None:
    """Replace the file, which only its owner may read; a crash leaves the old one or the new one, whole.

    start: the settings' own. Only what was changed is kept: a setting that nobody changed holds when it is given
    another value.
    """
    if path is None:
        return
    fresh = path.with_name(path.name + ".new")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(fresh, flags, _OWNER_ONLY), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), _OWNER_ONLY)  # also where a crash left one with other rights
            json.dump(state.changes(start, _held(path)), file)
            file.flush()
            os.fsync(file.fileno())
        _move(fresh, path)
    except OSError as error:
        raise EngineFailure(f"the change could not be saved, so it was not made: {error.strerror}") from error


def _move(fresh: Path, path: Path) -> None:
    """Bring the new name to the disk too, or a loss of power could bring the old file back.

    The folder is opened first: what fails after the move cannot undo it, so it is only logged.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fresh.replace(path)
        try:
            os.fsync(folder)
        except OSError as error:
            _log.warning("%s is changed, but a loss of power could undo it: %s", path, error.strerror)
    finally:
        os.close(folder)
