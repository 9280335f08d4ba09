"""Ray's configuration names what exists: the application, settings, values that the service takes, time to finish."""

import ast
from pathlib import Path
from typing import Any

import yaml

from app.config_patch import parse_patch
from app.settings import Settings
from tests.app.harness import FakeEngine

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "deploy/ray/serve.yaml").read_text(encoding="utf-8"))
APPLICATION: dict[str, Any] = CONFIG["applications"][0]
DEPLOYMENT: dict[str, Any] = APPLICATION["deployments"][0]
SOURCE = (ROOT / "app/ray_serve.py").read_text(encoding="utf-8")


def test_the_import_path_names_the_application_and_the_deployment_is_called_as_in_the_code() -> None:
    module, _, name = APPLICATION["import_path"].partition(":")
    assert module == "app.ray_serve"
    assert name in {node.name for node in ast.parse(SOURCE).body if isinstance(node, ast.FunctionDef)}
    assert f'name="{DEPLOYMENT["name"]}"' in SOURCE
    assert set(APPLICATION["args"]) == {"targets"}


def test_what_is_configured_for_the_fleet_is_taken_by_the_service() -> None:
    assert parse_patch(DEPLOYMENT["user_config"], FakeEngine("small")).L == 12


def test_every_variable_is_a_setting_and_threads_are_named_twice() -> None:
    variables = DEPLOYMENT["ray_actor_options"]["runtime_env"]["env_vars"]
    names = [name.removeprefix("HASTE_").lower() for name in variables if name.startswith("HASTE_")]
    assert set(names) <= set(Settings.model_fields)
    assert variables["OMP_NUM_THREADS"] == variables["HASTE_THREADS"]


def test_a_replica_has_time_to_finish_and_takes_what_it_is_sent() -> None:
    settings = Settings()
    needed = (settings.drain_ms + settings.shutdown_timeout_ms) / 1e3
    assert DEPLOYMENT["graceful_shutdown_timeout_s"] > needed
    assert DEPLOYMENT["max_ongoing_requests"] >= settings.max_requests_in_flight


def test_the_fleet_listens_on_loopback_and_has_two_replicas() -> None:
    assert CONFIG["http_options"]["host"] == "127.0.0.1"
    assert DEPLOYMENT["num_replicas"] == 2
