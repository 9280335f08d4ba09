"""What can be changed while the service runs: values with a version, checked whole, applied between two batches."""

import asyncio
from collections.abc import Callable, Container, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from app.config_patch import parse_patch
from app.contract import Engine, Level
from app.errors import VersionConflict, named
from app.objective import Objective
from app.schemas import ConfigPatch

_FIELDS = ("L", "merge", "tolerance")


@dataclass(frozen=True)
class ModelValues:
    """What one model does differently; None: as all."""

    L: Level | None = None
    merge: str | None = None
    tolerance: float | None = None


@dataclass(frozen=True)
class State:
    """The values of all models, and those of one where they differ."""

    L: Level
    merge: str
    tolerance: float | None
    controller: Objective
    models: Mapping[str, ModelValues] = field(default_factory=lambda: MappingProxyType({}))
    version: int = 1

    def level(self, model: str) -> Level:
        """L of a request that names none."""
        own = self.models[model].L
        return self.L if own is None else own

    def method(self, model: str) -> tuple[str, float | None]:
        """Merge rule and tolerance of a model."""
        own = self.models[model]
        return own.merge or self.merge, self.tolerance if own.tolerance is None else own.tolerance

    def values(self) -> dict[str, object]:
        """As plain values, for the wire."""
        plain: dict[str, object] = {name: getattr(self, name) for name in ("version", *_FIELDS)}
        models = {name: asdict(own) for name, own in self.models.items()}
        return plain | {"controller": asdict(self.controller), "models": models}

    def changes(self, start: "State", held: Mapping[str, Any]) -> dict[str, object]:
        """The version, and of the values those that are not `start`'s or are named in `held`, as a patch names them.

        What was changed stays changed where a setting comes to say the same for a while.
        """
        found: dict[str, object] = {name: getattr(self, name) for name in _FIELDS}
        models = {name: _unlike(asdict(own), asdict(start.models[name]), ()) for name, own in self.models.items()}
        objective, first = asdict(start.controller), {name: getattr(start, name) for name in _FIELDS}
        return {
            "version": self.version,
            **_unlike(found, first, held),
            "controller": _unlike(asdict(self.controller), objective, held.get("controller", ())),
            "models": {name: own for name, own in models.items() if own},
        }


def _unlike(own: Mapping[str, object], other: Mapping[str, object], held: Container[str]) -> dict[str, object]:
    return {name: value for name, value in own.items() if value != other[name] or name in held}


def changed(state: State, patch: ConfigPatch) -> State:
    """The state after a checked change; the same object where nothing changes."""
    models = dict(state.models)
    for name, own in patch.models.items():
        models[name] = replace(models[name], **{key: getattr(own, key) for key in own.model_fields_set})
    values = {key: getattr(patch, key) for key in patch.model_fields_set & set(_FIELDS)}
    objective = patch.controller.model_dump(exclude_unset=True)
    new = replace(state, **values, controller=replace(state.controller, **objective), models=MappingProxyType(models))
    return state if new == state else replace(new, version=state.version + 1)


class Steering:
    """Holds the state; changes it in the engine's one thread and at its `turn`, so that no batch sees half of one."""

    def __init__(
        self, engine: Engine, thread: Executor, turn: asyncio.Lock, state: State, save: Callable[[State], None]
    ) -> None:
        self.state = self._first = state
        self.on_change: Callable[[], None] = lambda: None
        self._engine, self._thread, self._turn, self._save = engine, thread, turn, save

    async def change(self, body: object, if_version: str | None = None) -> State:
        """Apply a change, or raise and leave everything as it was."""
        patch = parse_patch(body, self._engine)
        return await self._in_turn(partial(self._change, patch, if_version))

    async def declare(self, body: object) -> State:
        """Take these values, and for all others those of the start, whatever was changed since; or raise as above."""
        patch = parse_patch(body, self._engine)
        return await self._in_turn(partial(self._declare, patch))

    async def _in_turn(self, change: Callable[[], State]) -> State:
        async with self._turn:
            state = await asyncio.get_running_loop().run_in_executor(self._thread, change)
            self.on_change()
            return state

    def level(self, model: str) -> Level:
        """L of a request that names none, without load."""
        return self.state.level(model)

    def objective(self) -> Objective:
        """What the controller holds."""
        return self.state.controller

    def method(self, model: str) -> tuple[str, float | None]:
        """Merge rule and tolerance of a model."""
        return self.state.method(model)

    def _change(self, patch: ConfigPatch, if_version: str | None) -> State:
        old = self.state
        if if_version is not None and not _matches(if_version, old.version):
            raise VersionConflict(f"the state has version {old.version}, not {named(if_version)}; read /config again")
        new = changed(old, patch)
        if new is not old:
            self._apply(old, new)
        return new

    def _declare(self, patch: ConfigPatch) -> State:
        old = self.state
        new = replace(changed(self._first, patch), version=old.version)
        if new == old:
            return old
        new = replace(new, version=old.version + 1)
        self._apply(old, new)
        return new

    def _apply(self, old: State, new: State) -> None:
        touched = [name for name in new.models if new.method(name) != old.method(name)]
        try:
            for name in touched:
                self._engine.configure(name, *new.method(name))
            self._save(new)
        except BaseException:
            for name in touched:
                self._engine.configure(name, *old.method(name))
            raise
        self.state = new


def _matches(if_version: str, version: int) -> bool:
    """Whether a header If-Match (RFC 9110, section 13.1.1) names this version: any, or a strong tag of a list."""
    tags = [tag.strip(" \t") for tag in if_version.split(",")]  # a tag of ours holds no comma
    return tags == ["*"] or f'"{version}"' in tags
