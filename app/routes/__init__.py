"""HTTP alone: a file for each group of paths, no torch."""

from fastapi import APIRouter

from app.routes import classify, config, explain, health, metrics, models, page, v2, v2_infer, v2_repository

ROUTERS: tuple[APIRouter, ...] = (
    *(classify.router, explain.router, config.router, models.router, metrics.router, health.router),
    page.router,
    *(v2.router, v2_infer.router, v2_repository.router),
)
