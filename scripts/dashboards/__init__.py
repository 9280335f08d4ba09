"""The dashboards, which `make docs` writes to deploy/grafana/dashboards."""

from dashboards.grafana import dashboard_json
from dashboards.objective import OBJECTIVE
from dashboards.overview import OVERVIEW
from dashboards.savings import SAVINGS
from dashboards.stages import STAGES

__all__ = ["DASHBOARDS", "dashboard_json"]

DASHBOARDS = (OVERVIEW, SAVINGS, OBJECTIVE, STAGES)
