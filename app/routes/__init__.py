"""HTTP alone: a file for each group of paths, no torch."""

from fastapi import APIRouter

from app.routes import classify, config, health, metrics, models

ROUTERS: tuple[APIRouter, ...] = (classify.router, config.router, models.router, metrics.router, health.router)
