"""Puts the service together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from app import errors
from app.contract import Engine
from app.middleware import RequestMiddleware
from app.routes import ROUTERS
from app.routes.direct import fixed_paths
from app.service import Service, level_setting
from app.settings import Settings

if TYPE_CHECKING:
    from app.engine import TorchEngine

_DESCRIPTION = """Classifies images with networks whose look-alike channels are merged while they run (HASTE).
`L`, the number of hash hyperplanes, trades accuracy for FLOPs: per request, per model, or for all."""


def torch_engine(settings: Settings) -> "TorchEngine":
    """The real engine of these settings. ValueError where one does not fit."""
    from app.calibrator import Calibrator
    from app.engine import TorchEngine

    try:
        calibrator = Calibrator(settings.calibration, settings.calibration_ms / 1e3, settings.max_batch_images)
    except ValueError as error:
        raise ValueError(f"HASTE_CALIBRATION: {error}") from None
    level = None if settings.L is None else level_setting("HASTE_L", settings.L, TorchEngine.levels)
    return TorchEngine(settings.models, settings.preset, level, settings.threads, calibrator)


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """The application; without an engine, the real one of these settings. ValueError where a setting does not fit."""
    engine = torch_engine(settings) if engine is None else engine
    service = Service(settings, engine)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    about = {"title": "HASTE", "version": engine.build["version"], "description": _DESCRIPTION}
    app = FastAPIOffline(**about, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    app.state.service = service
    errors.install(app)
    # not `include_router`: it would match twice, and after the pages of the documentation
    app.router.routes[:0] = [route for router in ROUTERS for route in router.routes]
    app.add_middleware(
        RequestMiddleware,
        metrics=service.metrics,
        afterwards=service.afterwards,
        arrived=service.dispatcher.arrived,
        direct=fixed_paths(app.router.routes),
    )
    return app
