"""The service as one replica of a fleet whose engine starts, steers, watches and ends it; knows no engine by name."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from fastapi import FastAPI

from app.contract import Engine
from app.errors import EngineFailure, ServiceError
from app.main import create_app
from app.operator_port import operator_port
from app.service import Service
from app.settings import Settings

REMEDY = "change user_config in the engine's configuration file and deploy that, which reaches all (docs/fleet.md)"
_ENGINE_SECONDS = 15.0
"""What the engine's thread may be busy for; a batch takes under a second, and nothing loads once it serves."""
_LOOK_SECONDS = 0.05
_log = logging.getLogger(__name__)


def replica_app(settings: Settings, targets: Path | None, engine: Engine | None = None) -> FastAPI:
    """The application of one replica, which is built in the replica itself; its start ends when it is warm.

    targets: folder in which it names the port of its own for Prometheus; None: it opens none. RuntimeError at start
    where a model cannot be loaded. A state file is not used: the engine keeps what is configured.
    """
    settings = settings.model_copy(update={"state_file": None})
    app = create_app(settings, engine)
    service: Service = app.state.service
    service.changed_by = REMEDY
    started = app.router.lifespan_context

    @asynccontextmanager
    async def warm(own: FastAPI) -> AsyncIterator[None]:
        async with started(own):
            await _loaded(service)
            async with operator_port(own, settings.host, targets):
                yield

    app.router.lifespan_context = warm
    return app


async def _loaded(service: Service) -> None:
    while not service.loaded:
        if service.failure is not None:
            raise RuntimeError(service.failure)
        await asyncio.sleep(_LOOK_SECONDS)


class Replica:
    """What the engine calls on a replica. `app` is what `replica_app` made; the engine's wrapper sets it."""

    app: FastAPI
    serving: bool = False

    @property
    def service(self) -> Service:
        return cast(Service, self.app.state.service)

    async def reconfigure(self, user_config: object) -> None:
        """Take the values that are configured for the fleet, of the form of `PATCH /config`; all others as at start.

        Atomic: between two batches, all or nothing. ValueError where a value does not fit and the replica is only
        starting. One that serves keeps its values and says so in its log and metrics: the engine would replace a
        replica that raises, with one that could not start.

        A merge rule or tolerance of its own is calibrated while the replica starts; one that serves is not interrupted,
        and its controller is off from then on.
        """
        before = self.service.steering.state
        try:
            with self.service.metrics.config_change():
                state = await self.service.steering.declare(user_config)
        except ServiceError as error:
            if not self.serving:
                raise ValueError(f"user_config is refused: {error.detail}") from None
            kept = self.service.steering.state
            _log.error("user_config is refused, L = %s and all else stay as they are: %s", kept.L, error.detail)
        else:
            _log.info("configured: L = %s, version %d", state.L, state.version)
            if not self.serving:
                await self._calibrate_again(name for name in state.models if state.method(name) != before.method(name))

    async def _calibrate_again(self, models: Iterable[str]) -> None:
        for name in models:
            await self.service.repository.unload(name)
            await self.service.repository.load(name)

    async def check_health(self) -> None:
        """EngineFailure where the service failed, or its engine's thread does not come to what it is given."""
        if self.service.failure is not None:
            raise EngineFailure(self.service.failure)
        try:
            await asyncio.wait_for(asyncio.wrap_future(self.service.engine_turn()), _ENGINE_SECONDS)
        except TimeoutError:
            raise EngineFailure(f"the engine has not answered for {_ENGINE_SECONDS:.0f} s") from None
        self.serving = True
